// SPDX-License-Identifier: BSD-2-Clause
/* VALE switches: which port gets which packet, who is woken for it, and what bad senders and receivers cannot do. */

#include "vale.h"

#define LEN	60

FIXTURE(vale) {
	struct port a, b, c;
};

FIXTURE_SETUP(vale)
{
	ASSERT_EQ(0, vale_open(&self->a, "vale0:a"));
	ASSERT_EQ(0, vale_open(&self->b, "vale0:b"));
	ASSERT_EQ(0, vale_open(&self->c, "vale0:c"));
}

FIXTURE_TEARDOWN(vale)
{
	port_close(&self->a);
	port_close(&self->b);
	port_close(&self->c);
}

/* What is not known goes to all others, what is goes there alone, and nothing goes back where it came from. */
TEST_F(vale, learns)
{
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 1, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(2), HOST(1), 1));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(2), HOST(1), 1));
	EXPECT_TRUE(is_silent(&self->a));

	ASSERT_EQ(0, frame_send(&self->b, LEN, HOST(1), HOST(2), 2, 0));
	EXPECT_TRUE(frame_is(&self->a, LEN, HOST(1), HOST(2), 2));
	EXPECT_TRUE(is_silent(&self->c));
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 3, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(2), HOST(1), 3));
	EXPECT_TRUE(is_silent(&self->c));

	/* To a host on the same port. */
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(3), HOST(4), 4, 0));
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(4), HOST(1), 5, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(3), HOST(4), 4));
	EXPECT_TRUE(is_silent(&self->a));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(1, port_count(&self->a, " drops "));

	/* It has moved. */
	ASSERT_EQ(0, frame_send(&self->c, LEN, HOST(9), HOST(2), 6, 0));
	EXPECT_TRUE(frame_is(&self->a, LEN, HOST(9), HOST(2), 6));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(9), HOST(2), 6));
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 7, 0));
	EXPECT_TRUE(is_silent(&self->b));
}

TEST_F(vale, groups_are_flooded_and_not_learnt)
{
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 1, 0));
	ASSERT_EQ(0, frame_send(&self->a, LEN, GROUP(1), GROUP(2), 2, 0));
	ASSERT_EQ(0, frame_send(&self->b, LEN, GROUP(2), HOST(2), 3, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), 1));
	EXPECT_TRUE(frame_is(&self->c, LEN, GROUP(1), GROUP(2), 2));
	EXPECT_TRUE(frame_is(&self->c, LEN, GROUP(2), HOST(2), 3));
	EXPECT_TRUE(frame_is(&self->a, LEN, GROUP(2), HOST(2), 3));
}

TEST_F(vale, flags_of_slots)
{
	/* Not to be learnt. */
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 1, NS_NO_LEARN));
	ASSERT_EQ(0, frame_send(&self->b, LEN, HOST(1), HOST(2), 2, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(2), HOST(1), 1));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(1), HOST(2), 2));
	EXPECT_TRUE(frame_is(&self->a, LEN, HOST(1), HOST(2), 2));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(2), HOST(1), 1));
	/* To a port, whatever the address; to our own; and to one that is not there. */
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 3, 2 << NS_PORT_SHIFT));
	ASSERT_EQ(0, frame_send(&self->b, LEN, ALL, HOST(1), 4, 1 << NS_PORT_SHIFT));
	ASSERT_EQ(0, frame_send(&self->b, LEN, ALL, HOST(1), 4, 200 << NS_PORT_SHIFT));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(2), HOST(1), 3));
	EXPECT_TRUE(is_silent(&self->c));
	EXPECT_TRUE(is_silent(&self->a));
	EXPECT_EQ(2, port_count(&self->b, " drops "));
}

/* What is no frame is no packet of any port. */
TEST_F(vale, shortest)
{
	uint32_t len;

	for (len = 0; len < 14; len++)
		ASSERT_EQ(0, frame_send(&self->a, len, ALL, HOST(1), len, 0));
	for (len = 14; len <= 2048; len += len < 300 ? 1 : 97) {
		ASSERT_EQ(0, frame_send(&self->a, len, ALL, HOST(1), len, 0));
		ASSERT_TRUE(frame_is(&self->b, len, ALL, HOST(1), len)) {
			TH_LOG("%u", len);
		}
		ASSERT_TRUE(frame_is(&self->c, len, ALL, HOST(1), len));
	}
	EXPECT_EQ(14, port_count(&self->a, " drops "));
	EXPECT_EQ(0, port_count(&self->a, " reinits "));
}

/* Runs, and packets that go to and fro between addresses, are received in order. */
TEST_F(vale, mixed_in_a_batch)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint32_t round, number;
	uint8_t frame[LEN];

	ASSERT_EQ(0, frame_send(&self->b, LEN, ALL, HOST(2), 0, 0));
	ASSERT_EQ(0, frame_send(&self->c, LEN, ALL, HOST(3), 0, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(2), 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(3), 0));
	for (round = 1; round < 40; round++) {
		for (number = 0; number < 700; number++) {
			const uint8_t *to = number / round % 3 == 0 ? HOST(2) : number / round % 3 == 1 ? HOST(3) : ALL;

			frame_make(frame, LEN, to, number % 2 ? HOST(1) : HOST(4), number);
			ASSERT_TRUE(packet_put(ring, frame, LEN, LEN, 0));
		}
		ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		for (number = 0; number < 700; number++) {
			const uint8_t *from = number % 2 ? HOST(1) : HOST(4);
			uint32_t which = number / round % 3;

			if (which == 0)
				ASSERT_TRUE(frame_is(&self->b, LEN, HOST(2), from, number));
			if (which == 1)
				ASSERT_TRUE(frame_is(&self->c, LEN, HOST(3), from, number));
			if (which == 2)
				ASSERT_TRUE(frame_is(&self->b, LEN, ALL, from, number) &&
					    frame_is(&self->c, LEN, ALL, from, number));
		}
		ASSERT_TRUE(is_silent(&self->b) && is_silent(&self->c));
	}
}

/* Packets of many slots: any lengths, up to 64 of them; one that has no end yet waits for it. */
TEST_F(vale, fragments)
{
	static uint8_t packet[MOST_BYTES], found[MOST_BYTES];
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint32_t len, part, at;

	for (len = 60; len <= MOST_BYTES; len = len * 2 + 1) {
		for (part = (len + 63) / 64 < 14 ? 14 : (len + 63) / 64; part <= 2048; part = part * 3 - 1) {
			frame_make(packet, len, ALL, HOST(1), len + part);
			ASSERT_EQ(0, packet_send(&self->a, packet, len, part, 0));
			ASSERT_EQ(len, packet_take(&self->b, found)) {
				TH_LOG("%u in parts of %u", len, part);
			}
			ASSERT_EQ(0, memcmp(packet, found, len));
			ASSERT_EQ(len, packet_take(&self->c, found));
		}
	}
	frame_make(packet, MOST_BYTES, ALL, HOST(1), 1);
	ASSERT_EQ(0, packet_send(&self->a, packet, MOST_BYTES, 2048, 0));
	ASSERT_EQ(MOST_BYTES, packet_take(&self->b, found));
	EXPECT_EQ(0, memcmp(packet, found, MOST_BYTES));

	/* Without its end. */
	frame_make(packet, 120, ALL, HOST(1), 2);
	at = ring->head;
	ASSERT_TRUE(packet_put(ring, packet, 120, 60, 0));
	ring->head = ring->cur = nm_ring_next(ring, at);
	ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
	EXPECT_TRUE(is_silent(&self->b));
	ring->head = ring->cur = nm_ring_next(ring, ring->head);
	ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
	EXPECT_TRUE(frame_is(&self->b, 120, ALL, HOST(1), 2));
	EXPECT_EQ(0, port_count(&self->a, " reinits "));

	/* One slot too many. */
	frame_make(packet, 65 * 60, ALL, HOST(1), 3);
	ASSERT_EQ(0, packet_send(&self->a, packet, 65 * 60, 60, 0));
	EXPECT_EQ(1, port_count(&self->a, " reinits "));
	EXPECT_TRUE(is_silent(&self->b));
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 4, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), 4));
}

/* A ring that is full, and one that nobody has, cost their own packets. */
TEST_F(vale, slow_and_absent_receivers)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint8_t frame[LEN];
	struct port half;
	uint32_t number;

	/* A port of which only transmit rings are bound. */
	ASSERT_EQ(0, port_open(&half, "vale0:half", NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY));
	for (number = 0; number < 3000; number++) {
		frame_make(frame, LEN, ALL, HOST(1), number);
		while (!packet_put(ring, frame, LEN, LEN, 0))
			ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		if (number % 100 == 99) {
			ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
			while (!is_silent(&self->b))
				;
		}
	}
	EXPECT_EQ(3000, port_count(&self->a, " packets "));
	EXPECT_EQ(3000, port_count(&self->b, " packets "));
	EXPECT_EQ(0, port_count(&self->b, " drops "));
	EXPECT_EQ(1023, port_count(&self->c, " packets "));
	EXPECT_EQ(3000 - 1023, port_count(&self->c, " drops "));
	for (number = 0; number < 1023; number++)
		ASSERT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), number));
	EXPECT_TRUE(is_silent(&self->c));
	port_close(&half);
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 1, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), 1));
}

/* Whole packets, or nothing of them. */
TEST_F(vale, no_half_packets)
{
	static uint8_t packet[MOST_BYTES], found[MOST_BYTES];
	uint32_t number, count = 0;

	for (number = 0; number < 200; number++) {
		frame_make(packet, 10 * 60, ALL, HOST(1), number);
		ASSERT_EQ(0, packet_send(&self->a, packet, 10 * 60, 60, 0));
	}
	while (packet_take(&self->b, found) == 10 * 60) {
		frame_make(packet, 10 * 60, ALL, HOST(1), count++);
		ASSERT_EQ(0, memcmp(packet, found, 10 * 60));
	}
	EXPECT_EQ(102, count);
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(98, port_count(&self->b, " drops "));
}

/* A sleeper is woken by what comes, once for a batch: again and again, with nothing in between that would wake it. */
#define BATCHES	200

static int batches[2];

static void *sender(void *argument)
{
	struct port *port = argument;
	struct netmap_ring *ring = NETMAP_TXRING(port->nifp, 0);
	uint32_t number, batch;
	uint8_t frame[LEN], one;

	for (batch = 0; batch < BATCHES; batch++) {
		/* The receiver is about to sleep; and mostly does. */
		if (read(batches[0], &one, 1) != 1)
			break;
		usleep(batch % 3 * 500);
		for (number = 0; number < 100; number++) {
			frame_make(frame, LEN, ALL, HOST(1), number);
			packet_put(ring, frame, LEN, LEN, 0);
		}
		ioctl(port->fd, NIOCTXSYNC, NULL);
	}
	return NULL;
}

TEST_F_TIMEOUT(vale, wakes, 300)
{
	uint32_t batch, number;
	pthread_t thread;

	EXPECT_EQ(POLLOUT, poll_once(self->a.fd, POLLOUT, 0));
	EXPECT_EQ(0, poll_once(self->b.fd, POLLIN, 0));
	ASSERT_EQ(0, pipe(batches));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sender, &self->a));
	for (batch = 0; batch < BATCHES; batch++) {
		ASSERT_EQ(1, write(batches[1], "", 1));
		for (number = 0; number < 100; number++) {
			struct netmap_ring *ring = NETMAP_RXRING(self->b.nifp, 0);

			while (nm_ring_empty(ring))
				ASSERT_EQ(POLLIN, poll_once(self->b.fd, POLLIN, 60000)) {
					TH_LOG("%u of batch %u", number, batch);
				}
			ASSERT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), number));
		}
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(POLLIN, poll_once(self->c.fd, POLLIN, -1));
	/* Who sleeps is woken, and not for each packet. */
	EXPECT_LE(1, port_count(&self->b, " wakeups "));
	EXPECT_LE(port_count(&self->b, " wakeups "), 2 * BATCHES);
	close(batches[0]);
	close(batches[1]);
}

/* A sender's slots that cannot be are its own problem. */
TEST_F(vale, impossible_slots)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint32_t good = ring->slot[ring->head].buf_idx, i;
	static const struct {
		uint32_t buf_idx, len;
	} bad[] = { { 0, 60 }, { 1, 60 }, { UINT32_MAX, 60 }, { 0x10000000, 60 }, { 0, 0 }, { 7, 2049 }, { 7, 65535 } };
	uint8_t frame[LEN];

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t at;

		frame_make(frame, LEN, ALL, HOST(1), i);
		ASSERT_TRUE(packet_put(ring, frame, LEN, LEN, 0));
		at = ring->head;
		ASSERT_TRUE(packet_put(ring, frame, LEN, LEN, 0));
		good = ring->slot[at].buf_idx;
		ring->slot[at].buf_idx = bad[i].buf_idx == 7 ? good : bad[i].buf_idx;
		ring->slot[at].len = bad[i].len;
		ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), i));
		EXPECT_TRUE(is_silent(&self->b));
		EXPECT_EQ(i + 1, port_count(&self->a, " reinits "));
		EXPECT_EQ(at, ring->head);
		EXPECT_EQ(good, ring->slot[at].buf_idx);
	}
	/* So are a receiver's. */
	ring = NETMAP_RXRING(self->b.nifp, 0);
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 1, 0));
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 2, 0));
	ASSERT_EQ(0, ioctl(self->b.fd, NIOCRXSYNC, NULL));
	for (i = 0; i < ring->num_slots; i++)
		ring->slot[i].buf_idx = 0xffffff;
	ring->head = ring->cur = ring->tail;
	ASSERT_EQ(0, ioctl(self->b.fd, NIOCRXSYNC, NULL));
	EXPECT_EQ(1, port_count(&self->b, " reinits "));
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 3, 0));
	while (!is_silent(&self->c))
		;
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 4, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), 4));
}

TEST_HARNESS_MAIN
