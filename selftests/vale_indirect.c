// SPDX-License-Identifier: BSD-2-Clause
/* Packets that lie in the memory of the program that sends them (NS_INDIRECT), on a port of a VALE switch. */

#include "vale.h"

#define LEN	60

FIXTURE(indirect) {
	struct port a, b, c;
};

FIXTURE_SETUP(indirect)
{
	ASSERT_EQ(0, vale_open(&self->a, "vale0:a"));
	ASSERT_EQ(0, vale_open(&self->b, "vale0:b"));
	ASSERT_EQ(0, vale_open(&self->c, "vale0:c"));
}

FIXTURE_TEARDOWN(indirect)
{
	port_close(&self->a);
	port_close(&self->b);
	port_close(&self->c);
}

/* Packets in the memory of the program: present, not there yet, and not there at all. */
TEST_F(indirect, present_and_absent)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	static uint8_t packet[MOST_BYTES], found[MOST_BYTES];
	uint32_t number, len, i;
	char *absent;

	/* A page behind which there is none. */
	absent = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, absent);
	munmap(absent + 4096, 4096);
	for (number = 0; number < 300; number++) {
		struct netmap_slot *slot = &ring->slot[ring->head];
		/* Every third one is not there, in whole or in part. */
		bool bad = number % 3 == 2;
		void *at = !bad ? packet + 64 * number : number % 2 ? absent + 4096 - 30 : (void *)(uintptr_t)(number * 8);

		if (!bad)
			frame_make(at, LEN, ALL, HOST(1), number);
		memset(NETMAP_BUF(ring, slot->buf_idx), 0xee, LEN);
		slot->ptr = (uintptr_t)at;
		slot->len = LEN;
		slot->flags = NS_INDIRECT;
		ring->head = ring->cur = nm_ring_next(ring, ring->head);
	}
	ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
	for (number = 0; number < 300; number++)
		if (number % 3 != 2)
			ASSERT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), number));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(100, port_count(&self->a, " drops "));
	EXPECT_EQ(0, port_count(&self->a, " reinits "));
	while (!is_silent(&self->c))
		;
	/* Pages that nobody has touched, and that were given back, are zeros: of a file, and of none. */
	absent = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, absent);
	for (i = 0; i < 64; i++) {
		struct netmap_slot *slot = &ring->slot[ring->head];

		frame_make(packet, 14, ALL, HOST(1), 0);
		if (i == 0)
			memcpy(absent, packet, 14);
		slot->ptr = (uintptr_t)absent + 4096 * i;
		slot->len = 2048;
		slot->flags = NS_INDIRECT | (i < 63 ? NS_MOREFRAG : 0);
		ring->head = ring->cur = nm_ring_next(ring, ring->head);
	}
	ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
	len = packet_take(&self->b, found);
	ASSERT_EQ(MOST_BYTES, len);
	EXPECT_EQ(0, memcmp(found, packet, 14));
	for (i = 14; i < len && !found[i]; i++)
		;
	EXPECT_EQ(len, i);
	munmap(absent, 64 * 4096);
}

/* Hands over a slot for a frame at an address. */
static void point(struct port *port, const void *at)
{
	struct netmap_ring *ring = NETMAP_TXRING(port->nifp, 0);
	struct netmap_slot *slot = &ring->slot[ring->head];

	slot->ptr = (uintptr_t)at;
	slot->len = LEN;
	slot->flags = NS_INDIRECT;
	ring->head = ring->cur = nm_ring_next(ring, ring->head);
}

/* Runs a function in another address space, where the memory of this one is copied; what it returned. */
static int elsewhere(int (*function)(struct port *port), struct port *port)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(function(port));
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static uint8_t told[LEN];

static int polls(struct port *port)
{
	/* Nothing that the program has, where the port's owner says that a packet lies. */
	memset(told + 14, 0xaa, LEN - 14);
	return poll_once(port->fd, POLLIN | POLLOUT, 0) == POLLOUT ? 0 : 1;
}

static int syncs(struct port *port)
{
	memset(told + 14, 0xaa, LEN - 14);
	return errno_of(ioctl(port->fd, NIOCTXSYNC, NULL));
}

/* An address is one of the program that has bound the file, whoever syncs it. */
TEST_F(indirect, another_program_that_has_the_file)
{
	int (*const functions[])(struct port *) = { polls, syncs };
	uint32_t i;

	for (i = 0; i < 2; i++) {
		frame_make(told, LEN, ALL, HOST(1), i);
		point(&self->a, told);
		ASSERT_EQ(0, elsewhere(functions[i], &self->a));
		EXPECT_TRUE(is_silent(&self->b));
		EXPECT_EQ(i + 1, port_count(&self->a, " drops "));
		/* It is the same as it was for its own program, and what is in buffers goes as ever. */
		point(&self->a, told);
		ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), i));
		ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 7, 0));
		EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), 7));
	}
	EXPECT_EQ(0, port_count(&self->a, " reinits "));
}

static int binds_all(struct port *port)
{
	return vale_open(port, "vale0:a");
}

static int binds_receive_rings(struct port *port)
{
	return port_open(port, "vale0:a", NR_REG_ALL_NIC, 0, NR_RX_RINGS_ONLY);
}

static int binds_a_pipe(struct port *port)
{
	return port_open(port, "vale0:a{1", NR_REG_ALL_NIC, 0, 0);
}

/*
 * Once another program has had something of the region, it could have written what is in a slot; another file of this one is no other
 * program.
 */
TEST_F(indirect, another_program_in_the_region)
{
	int (*const functions[])(struct port *) = { binds_all, binds_receive_rings, binds_a_pipe };
	struct port other, its;
	uint32_t i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vale_open(&other, "vale0:a"));
		frame_make(told, LEN, ALL, HOST(1), i);
		point(&self->a, told);
		ASSERT_EQ(0, ioctl(other.fd, NIOCTXSYNC, NULL));
		EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), i));
		ASSERT_EQ(0, elsewhere(functions[i], &its));
		point(&self->a, told);
		ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		EXPECT_TRUE(is_silent(&self->b));
		EXPECT_EQ(1, port_count(&self->a, " drops "));
		ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 7, 0));
		EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), 7));
		/* Who binds something there when nobody does is the first one. */
		port_close(&other);
		port_close(&self->a);
		ASSERT_EQ(0, vale_open(&self->a, "vale0:a"));
		point(&self->a, told);
		ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), i));
	}
}

TEST_HARNESS_MAIN
