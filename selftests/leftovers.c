// SPDX-License-Identifier: BSD-2-Clause
/*
 * What dead programs leave behind, and what the kernel shows of itself. A port at the other end of the wire keeps the
 * region, and sees all of it: what nobody holds any more must be zero, and nothing must look like an address of the kernel.
 */
#include <ctype.h>
#include <sys/wait.h>
#include "kernel_file.h"

#include "netmap_test.h"
#include "kselftest_harness.h"

#define PATTERN	0xa5
#define EXTRA	40
#define FRAMES	20
/* Rings, and buffers, of one program. */
#define RINGS	64
#define BUFFERS	40000

FIXTURE(leftovers) {
	struct port witness;
	/* What the other program had, by its place in the region. */
	uint32_t buffers[BUFFERS], count;
	size_t rings[RINGS], bytes[RINGS], ring_count, interface;
};

FIXTURE_SETUP(leftovers)
{
	ASSERT_EQ(0, port_open(&self->witness, peer_name(), NR_REG_NIC_SW, 0, 0));
	self->count = self->ring_count = 0;
}

FIXTURE_TEARDOWN(leftovers)
{
	EXPECT_EQ(0, port_close(&self->witness));
}

static uint8_t *buffer_at(const struct port *port, uint32_t index)
{
	struct netmap_ring *any = tx_ring(port, 0);

	return (uint8_t *)NETMAP_BUF(any, index);
}

static bool is_filled_with(const void *at, uint8_t byte, size_t len)
{
	const uint8_t *bytes = at;

	return !len || (bytes[0] == byte && !memcmp(bytes, bytes + 1, len - 1));
}

static struct netmap_ring *ring_of(const struct port *port, uint32_t i)
{
	return i < all_tx_rings(port) ? tx_ring(port, i) : rx_ring(port, i - all_tx_rings(port));
}

static uint32_t all_rings(const struct port *port)
{
	return all_tx_rings(port) + all_rx_rings(port);
}

/* Notes what a program has, and writes all over it, but for what the kernel needs to find the buffers again. */
static void note_and_fill(struct __test_metadata *_metadata, FIXTURE_DATA(leftovers) *self, struct port *port)
{
	struct netmap_ring *ring;
	uint32_t i, slot, next;

	self->interface = port->reg.nr_offset;
	for (i = 0; i < all_rings(port); i++) {
		ring = ring_of(port, i);
		ASSERT_NE(NULL, ring);
		ASSERT_GT(RINGS, self->ring_count);
		self->rings[self->ring_count] = (char *)ring - port->mem;
		self->bytes[self->ring_count++] = sizeof(*ring) + ring->num_slots * sizeof(ring->slot[0]);
		memset(ring->sem, PATTERN, sizeof(ring->sem));
		for (slot = 0; slot < ring->num_slots; slot++) {
			ASSERT_GT(BUFFERS, self->count);
			self->buffers[self->count++] = ring->slot[slot].buf_idx;
			memset(slot_buffer(ring, &ring->slot[slot]), PATTERN, ring->nr_buf_size);
			ring->slot[slot].ptr = 0xa5a5a5a5a5a5a5a5;
		}
	}
	for (i = port->nifp->ni_bufs_head; i; i = next) {
		memcpy(&next, buffer_at(port, i), sizeof(next));
		ASSERT_GT(BUFFERS, self->count);
		self->buffers[self->count++] = i;
		memset(buffer_at(port, i) + sizeof(next), PATTERN, tx_ring(port, 0)->nr_buf_size - sizeof(next));
	}
}

/* The other port is gone, and none of it is to be seen. */
static void expect_nothing_left(struct __test_metadata *_metadata, const FIXTURE_DATA(leftovers) *self)
{
	uint32_t size = tx_ring(&self->witness, 0)->nr_buf_size, stale = 0, n;

	for (n = 0; n < self->count; n++)
		stale += !is_filled_with(buffer_at(&self->witness, self->buffers[n]), 0, size);
	EXPECT_EQ(0, stale) TH_LOG("of %u buffers", self->count);
	for (n = 0; n < self->ring_count; n++)
		EXPECT_TRUE(is_filled_with(self->witness.mem + self->rings[n], 0, self->bytes[n])) TH_LOG("ring %u", n);
	EXPECT_TRUE(is_filled_with(self->witness.mem + self->interface, 0, sizeof(struct netmap_if)));
}

TEST_F_TIMEOUT(leftovers, nothing_is_left_of_a_closed_port, TIMEOUT_S)
{
	struct port port = { .reg = { .nr_mode = NR_REG_NIC_SW, .nr_extra_bufs = EXTRA } };

	ASSERT_EQ(0, port_open_as(&port, nic_name()));
	ASSERT_EQ(EXTRA, port.reg.nr_extra_bufs);
	note_and_fill(_metadata, self, &port);
	EXPECT_LT(EXTRA + 2 * SHORTEST, self->count);
	EXPECT_EQ(0, port_close(&port));
	expect_nothing_left(_metadata, self);
}

/* Who gets the same memory finds zeros, but for what the kernel writes for him. */
TEST_F_TIMEOUT(leftovers, a_new_port_is_empty, TIMEOUT_S)
{
	struct port port = { .reg = { .nr_mode = NR_REG_NIC_SW, .nr_extra_bufs = EXTRA } };
	uint32_t i, slot, next, extra = 0, had = 0, size = tx_ring(&self->witness, 0)->nr_buf_size;

	ASSERT_EQ(0, port_open_as(&port, nic_name()));
	note_and_fill(_metadata, self, &port);
	EXPECT_EQ(0, port_close(&port));

	port.reg = (struct nmreq_register){ .nr_mode = NR_REG_NIC_SW, .nr_extra_bufs = EXTRA };
	ASSERT_EQ(0, port_open_as(&port, nic_name()));
	for (i = 0; i < all_rings(&port); i++) {
		struct netmap_ring *ring = ring_of(&port, i);
		uint32_t stale = 0;

		EXPECT_TRUE(is_filled_with(ring->sem, 0, sizeof(ring->sem)));
		EXPECT_EQ(0, ring->flags);
		for (slot = 0; slot < ring->num_slots; slot++) {
			EXPECT_EQ(0, ring->slot[slot].ptr);
			EXPECT_EQ(0, ring->slot[slot].flags);
			had += ring->slot[slot].buf_idx == self->buffers[0];
			/* Receive rings may have been filled by now. */
			if (i < all_tx_rings(&port))
				stale += !is_filled_with(slot_buffer(ring, &ring->slot[slot]), 0, size);
		}
		EXPECT_EQ(0, stale) TH_LOG("ring %u of %u", i, all_rings(&port));
	}
	for (i = port.nifp->ni_bufs_head; i; i = next) {
		memcpy(&next, buffer_at(&port, i), sizeof(next));
		EXPECT_TRUE(is_filled_with(buffer_at(&port, i) + sizeof(next), 0, size - sizeof(next)));
		extra++;
	}
	EXPECT_EQ(EXTRA, extra);
	/* It was the same memory. */
	EXPECT_EQ(1, had);
	EXPECT_EQ(0, port_close(&port));
}

/* Frames that a NIC wrote, and that the program has left in its rings. */
TEST_F_TIMEOUT(leftovers, no_frame_is_left, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->witness, 0);
	int64_t end = now_ms() + LIMIT_MS;
	uint32_t i, slot, seen = 0;
	struct port port;

	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	self->interface = port.reg.nr_offset;
	for (i = 0; i < FRAMES; i++)
		ASSERT_EQ(0, put_frame(&self->witness, tx, LONGEST, i, 0));
	ASSERT_EQ(0, drain_tx(&self->witness, tx));
	while (seen < FRAMES && now_ms() < end) {
		ASSERT_LE(0, poll_port(&port, POLLIN, 100));
		for (i = 0; i < port.nifp->ni_rx_rings; i++) {
			struct netmap_ring *ring = rx_ring(&port, i);

			for (slot = ring->cur; slot != ring->tail; slot = nm_ring_next(ring, slot)) {
				self->buffers[self->count++] = ring->slot[slot].buf_idx;
				seen += ring->slot[slot].len == LONGEST;
				ASSERT_GT(BUFFERS, self->count);
			}
			ring->cur = slot;
		}
	}
	EXPECT_EQ(FRAMES, seen);
	EXPECT_EQ(0, port_close(&port));
	expect_nothing_left(_metadata, self);
}

/* A program that has lost its buffers and is killed: they are found, and are zero too. */
TEST_F_TIMEOUT(leftovers, nothing_is_left_of_a_killed_program, TIMEOUT_S)
{
	struct port port;
	uint32_t i, slot;
	int status;
	pid_t child;

	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_NIC_SW, 0, 0));
	note_and_fill(_metadata, self, &port);
	child = fork();
	if (!child) {
		for (i = 0; i < all_rings(&port); i++)
			for (slot = 0; slot < ring_of(&port, i)->num_slots; slot++)
				ring_of(&port, i)->slot[slot].buf_idx = slot & 1;
		raise(SIGKILL);
	}
	EXPECT_EQ(0, port_close(&port));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	expect_nothing_left(_metadata, self);
	EXPECT_EQ(0, lost_buffers());
}

/* The kernel's addresses have their first 16 bits set, which is what nothing else here has. */
static size_t addresses_in(const char *mem, size_t len)
{
	size_t i, found = 0;

	for (i = 0; i + sizeof(uint64_t) <= len; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, mem + i, sizeof(word));
		found += word >> 48 == 0xffff;
	}
	return found;
}

/* Twelve hexadecimal digits after ffff. */
static bool shows_address(const char *path)
{
	char line[4096];
	FILE *f = fopen(path, "r");
	bool found = false;

	if (!f)
		return true;
	while (fgets(line, sizeof(line), f)) {
		const char *at = line;

		for (; (at = strstr(at, "ffff")); at++) {
			int digits = 4;

			while (isxdigit((unsigned char)at[digits]))
				digits++;
			found |= digits >= 16;
		}
	}
	fclose(f);
	return found;
}

#define TRACING "/sys/kernel/tracing"

TEST_F_TIMEOUT(leftovers, no_address_of_the_kernel_is_to_be_seen, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->witness, 0);
	uint8_t frame[LONGEST];
	struct port port;
	char path[64];
	uint32_t i;

	ASSERT_EQ(0, write_file(TRACING "/trace", ""));
	ASSERT_EQ(0, write_file(TRACING "/events/netmap/enable", "1"));
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_NIC_SW, 0, 0));
	for (i = 0; i < FRAMES; i++) {
		ASSERT_EQ(0, send_frame(&self->witness, tx, SHORTEST, i));
		EXPECT_EQ(SHORTEST, receive_frame(&port, frame, sizeof(frame), LIMIT_MS));
	}
	for (i = 0; i < all_rings(&port); i++) {
		struct netmap_ring *ring = ring_of(&port, i);

		EXPECT_EQ(0, addresses_in((char *)ring, sizeof(*ring) + ring->num_slots * sizeof(ring->slot[0])));
	}
	EXPECT_EQ(0, addresses_in((char *)port.nifp, 4096));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", port.fd);
	EXPECT_FALSE(shows_address(path));
	EXPECT_FALSE(shows_address("/sys/kernel/debug/netmap/ports"));
	EXPECT_FALSE(shows_address("/sys/kernel/debug/netmap/regions"));
	EXPECT_EQ(0, port_close(&port));
	EXPECT_EQ(0, write_file(TRACING "/events/netmap/enable", "0"));
	EXPECT_FALSE(shows_address(TRACING "/trace"));
}

/* What it costs, for the log: rings of the largest size. */
TEST_F_TIMEOUT(leftovers, duration_of_open_and_close, TIMEOUT_S)
{
	struct port port = { .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = 4096, .nr_rx_slots = 4096 } };
	int64_t begin, opened, closed;
	uint32_t frames;

	begin = now_ms();
	ASSERT_EQ(0, port_open_as(&port, nic_name()));
	opened = now_ms();
	frames = port.reg.nr_tx_rings * port.reg.nr_tx_slots + port.reg.nr_rx_rings * port.reg.nr_rx_slots;
	EXPECT_EQ(0, port_close(&port));
	closed = now_ms();
	TH_LOG("%u buffers: opened in %lld ms, closed in %lld ms", frames, (long long)(opened - begin),
	       (long long)(closed - opened));
	EXPECT_LT(0, frames);
}

TEST_HARNESS_MAIN
