// SPDX-License-Identifier: BSD-2-Clause
/* Who sleeps on a ring that is full, where little is in flight or nothing can arrive, is woken all the same. */
#include <pthread.h>
#include <sys/epoll.h>
#include "kselftest_harness.h"
#include "netmap_test.h"

/*
 * A program that waits by an edge has taken all of a full receive ring and has not synced: the hardware can receive nothing, and
 * says nothing of it. Any other interrupt of the queue has it look.
 */
FIXTURE(full)
{
	struct port tx, rx, other;
	pid_t thread;
	int epoll, err;
	bool awake;
};

FIXTURE_SETUP(full)
{
	self->thread = gettid();
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, self->epoll);
	ASSERT_EQ(0, port_open(&self->rx, peer_name(), NR_REG_ONE_NIC, 0, NR_RX_RINGS_ONLY));
	/* In another file, whose interrupt wakes not this one for its own ring. */
	ASSERT_EQ(0, port_open(&self->other, peer_name(), NR_REG_ONE_NIC, 0, NR_TX_RINGS_ONLY));
	ASSERT_EQ(0, port_open(&self->tx, nic_name(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(full)
{
	close(self->epoll);
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->other));
	EXPECT_EQ(0, port_close(&self->rx));
}

static void *send_from_full(void *arg)
{
	FIXTURE_DATA(full) *self = arg;

	self->err = wait_asleep(self->thread);
	if (!self->err)
		self->err = send_frame(&self->other, tx_ring(&self->other, 0), 60, 0);
	/* What came before there was room may be lost; more than arrives would be left to the next test. */
	while (!self->err && !__atomic_load_n(&self->awake, __ATOMIC_ACQUIRE)) {
		self->err = wait_asleep(self->thread);
		if (!self->err)
			self->err = send_frame(&self->tx, tx_ring(&self->tx, 0), 60, 1);
	}
	return NULL;
}

TEST_F_TIMEOUT(full, is_woken_by_any_interrupt, TIMEOUT_S)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct netmap_ring *rx = rx_ring(&self->rx, 0);
	const char *family = getenv("TEST_NIC");
	int64_t end = now_ms() + LIMIT_MS;
	uint32_t number = 0;
	pthread_t sender;

	/* This driver has an interrupt for each direction. */
	if (family && (!strcmp(family, "igb") || !strcmp(family, "e1000e")))
		return;
	while (nm_ring_space(rx) < rx->num_slots - 1 && now_ms() < end) {
		ASSERT_EQ(0, send_frame(&self->tx, tx_ring(&self->tx, 0), 60, number++));
		ASSERT_EQ(0, rx_sync(&self->rx));
	}
	ASSERT_EQ(rx->num_slots - 1, nm_ring_space(rx));
	ASSERT_EQ(0, epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->rx.fd, &event));
	ASSERT_EQ(1, epoll_wait(self->epoll, &event, 1, LIMIT_MS));
	/* The first one tells of what the last sync has found. */
	ASSERT_EQ(0, send_frame(&self->other, tx_ring(&self->other, 0), 60, 0));
	ASSERT_EQ(1, epoll_wait(self->epoll, &event, 1, LIMIT_MS));
	while (epoll_wait(self->epoll, &event, 1, 100) == 1)
		;
	rx->head = rx->cur = rx->tail;
	ASSERT_EQ(0, pthread_create(&sender, NULL, send_from_full, self));
	EXPECT_EQ(1, epoll_wait(self->epoll, &event, 1, LIMIT_MS));
	EXPECT_FALSE(nm_ring_empty(rx));
	__atomic_store_n(&self->awake, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(sender, NULL));
	EXPECT_EQ(0, self->err);
}

/* A frame of more slots than half the ring has. No hardware has a limit below that, with a ring as small as this. */
#define SMALL	64
#define SLOTS	40
#define BYTES	8		/* in each */

FIXTURE(chain)
{
	struct port tx, rx;
};

FIXTURE_SETUP(chain)
{
	uint32_t ring;

	ASSERT_EQ(0, port_open(&self->rx, peer_name(), NR_REG_ALL_NIC, 0, 0));
	self->tx = (struct port){ .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = SMALL } };
	ASSERT_EQ(0, port_open_as(&self->tx, nic_name()));
	ASSERT_EQ(SMALL, tx_ring(&self->tx, 0)->num_slots);
	for (ring = 1; ring < self->tx.nifp->ni_tx_rings; ring++) {
		struct netmap_ring *other = tx_ring(&self->tx, ring);

		other->cur = other->tail;
	}
}

FIXTURE_TEARDOWN(chain)
{
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->rx));
}

/* Puts slots of a frame into a ring, from its slot `from` up to `to`. */
static void put_part(struct netmap_ring *ring, const uint8_t *frame, uint32_t from, uint32_t to)
{
	for (; from < to; from++) {
		memcpy(slot_buffer(ring, head_slot(ring)), frame + from * BYTES, BYTES);
		head_slot(ring)->len = BYTES;
		head_slot(ring)->flags = from + 1 < SLOTS ? NS_MOREFRAG : 0;
		ring_advance(ring);
	}
}

static void expect_frames(struct __test_metadata *_metadata, const struct port *port, uint32_t count, uint32_t len,
			  uint32_t *number)
{
	uint8_t frame[2048];

	for (; count; count--, ++*number) {
		ASSERT_EQ(len, receive_frame(port, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", *number);
		ASSERT_TRUE(frame_is(frame, len, *number)) TH_LOG("frame %u, not %u", frame_number(frame), *number);
	}
}

/* The rest of a frame waits for room, and behind a whole one too. */
TEST_F_TIMEOUT(chain, is_woken_by_room, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t round, number = 0, expected = 0, part, before;
	uint8_t frame[SLOTS * BYTES];

	for (round = 0; round < 5; round++) {
		/* Less than half of the ring is in flight, all else is the beginning of the frame. */
		for (before = 0; nm_ring_space(tx) > SLOTS - 7; before++)
			ASSERT_EQ(0, put_frame(&self->tx, tx, SHORTEST, number++, 0));
		part = nm_ring_space(tx);
		make_frame(frame, sizeof(frame), number++);
		put_part(tx, frame, 0, part);
		ASSERT_TRUE(nm_ring_empty(tx));
		ASSERT_EQ(POLLOUT, poll_port(&self->tx, POLLOUT, LIMIT_MS));
		ASSERT_LE(SLOTS - part, nm_ring_space(tx));
		put_part(tx, frame, part, SLOTS);
		while (!nm_ring_empty(tx))
			ASSERT_EQ(0, put_frame(&self->tx, tx, SHORTEST, number++, 0));
		ASSERT_EQ(POLLOUT, poll_port(&self->tx, POLLOUT, LIMIT_MS));
		expect_frames(_metadata, &self->rx, before, SHORTEST, &expected);
		expect_frames(_metadata, &self->rx, 1, sizeof(frame), &expected);
		expect_frames(_metadata, &self->rx, number - expected, SHORTEST, &expected);
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
	}
	EXPECT_EQ(0, ring_counter(&self->tx, "tx 0", "reinits"));
}

TEST_HARNESS_MAIN
