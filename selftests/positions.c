// SPDX-License-Identifier: BSD-2-Clause
/* What a sync makes of the values that a program left in head, cur and the slots: late ones, changing ones and impossible ones. */
#include <pthread.h>
#include "wire.h"

/* A program that moves head, and cur later or never, loses no packet and sees none twice. */
TEST_F_TIMEOUT(wire, head_before_cur, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0), *rx = rx_ring(&self->rx, 0);
	const uint32_t count = 5;
	uint32_t i, at;

	for (i = 0; i < count; i++) {
		make_frame(slot_buffer(tx, head_slot(tx)), 60, i);
		head_slot(tx)->len = 60;
		head_slot(tx)->flags = 0;
		tx->head = nm_ring_next(tx, tx->head);
	}
	at = tx->head;
	ASSERT_EQ(0, tx_sync(&self->tx));
	EXPECT_EQ(at, tx->head);
	EXPECT_EQ(at, tx->cur);
	for (i = 0; i < count; i++) {
		ASSERT_EQ(rx, wait_rx(&self->rx, LIMIT_MS));
		EXPECT_TRUE(frame_is(slot_buffer(rx, head_slot(rx)), 60, i)) TH_LOG("frame %u", i);
		at = rx->head = nm_ring_next(rx, rx->head);
		ASSERT_EQ(0, i % 2 ? rx_sync(&self->rx) : poll_port(&self->rx, POLLIN, 0) & POLLERR);
		EXPECT_EQ(at, rx->head);
		EXPECT_EQ(at, rx->cur);
	}
	EXPECT_EQ(0, ring_counter(&self->tx, "tx 0", "reinits"));
	EXPECT_EQ(0, ring_counter(&self->rx, "rx 0", "reinits"));
}

struct syncer {
	const struct port *port;
	long rounds;
	bool stop;
};

static void *sync_on(void *arg)
{
	struct syncer *syncer = arg;

	while (!__atomic_load_n(&syncer->stop, __ATOMIC_RELAXED)) {
		tx_sync(syncer->port);
		__atomic_fetch_add(&syncer->rounds, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/*
 * A thread moves head, and a moment later cur beyond it, while another one syncs, which may find cur behind head in between: what
 * the first one wrote stands.
 */
TEST_F_TIMEOUT(wire, cur_moves_during_a_sync, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	struct syncer syncer = { .port = &self->tx };
	uint32_t round, ahead, moved_back = 0;
	volatile uint32_t *head = &tx->head, *cur = &tx->cur;
	pthread_t thread;
	long rounds;
	int spin;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_on, &syncer));
	for (round = 0; round < 4000; round++) {
		if (round % 1000 == 0)
			printf("# round %u\n", round);
		while (nm_ring_space(tx) < 3)
			sched_yield();
		make_frame(slot_buffer(tx, head_slot(tx)), 60, round);
		head_slot(tx)->len = 60;
		head_slot(tx)->flags = 0;
		ahead = nm_ring_next(tx, nm_ring_next(tx, tx->head));
		*head = nm_ring_next(tx, tx->head);
		for (spin = round * 37 % 1500; spin; spin--)
			__asm__ volatile("" : : : "memory");
		*cur = ahead;
		/* Until a sync has begun and ended that may have seen the old cur, and the next one. */
		rounds = __atomic_load_n(&syncer.rounds, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&syncer.rounds, __ATOMIC_SEQ_CST) < rounds + 2)
			;
		moved_back += *cur != ahead;
		*cur = *head;
		/* Or the wire keeps them for the next test. */
		expect_frame(_metadata, &self->rx, 60, round);
	}
	__atomic_store_n(&syncer.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, moved_back);
	EXPECT_EQ(0, ring_counter(&self->tx, "tx 0", "reinits"));
}

/* An impossible cur: what head gave back is given back, and sent once. */
TEST_F_TIMEOUT(wire, impossible_cur_loses_nothing, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t i, at;

	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, put_frame(&self->tx, tx, 60, i, 0));
	at = tx->head;
	tx->cur = tx->num_slots;
	ASSERT_EQ(0, tx_sync(&self->tx));
	EXPECT_EQ(1, ring_counter(&self->tx, "tx 0", "reinits"));
	EXPECT_EQ(at, tx->head);
	EXPECT_EQ(at, tx->cur);
	ASSERT_EQ(0, send_frame(&self->tx, tx, 60, i));
	for (i = 0; i < 6; i++)
		expect_frame(_metadata, &self->rx, 60, i);
}

/* Impossible values: an error, the ring as before, and traffic goes on. */
TEST_F_TIMEOUT(wire, survives_impossible_values, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0), *rx = rx_ring(&self->rx, 0);
	long long reinits = ring_counter(&self->tx, "tx 0", "reinits");
	uint32_t good = head_slot(tx)->buf_idx, index, i;
	static const uint32_t bad[] = { 0, 1, UINT32_MAX, 163840, 0x7fffffff };

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		index = head_slot(tx)->buf_idx;
		head_slot(tx)->buf_idx = bad[i];
		head_slot(tx)->len = 60;
		head_slot(tx)->flags = NS_BUF_CHANGED;
		ring_advance(tx);
		EXPECT_EQ(0, tx_sync(&self->tx));
		EXPECT_EQ(reinits + 1 + i, ring_counter(&self->tx, "tx 0", "reinits")) TH_LOG("buffer %u", bad[i]);
		EXPECT_EQ(tx->head, tx->cur);
		EXPECT_EQ(index, head_slot(tx)->buf_idx);
	}
	head_slot(tx)->len = tx->nr_buf_size + 1;
	ring_advance(tx);
	EXPECT_EQ(0, tx_sync(&self->tx));
	tx->head = tx->num_slots;
	EXPECT_EQ(0, tx_sync(&self->tx));
	tx->cur = tx->num_slots + 7;
	EXPECT_EQ(POLLERR, poll_port(&self->tx, POLLOUT, 0) & POLLERR);
	EXPECT_EQ(good, head_slot(tx)->buf_idx);
	EXPECT_EQ(reinits + ARRAY_SIZE(bad) + 3, ring_counter(&self->tx, "tx 0", "reinits"));
	rx->head = nm_ring_next(rx, rx->tail);
	EXPECT_EQ(0, rx_sync(&self->rx));
	EXPECT_EQ(1, ring_counter(&self->rx, "rx 0", "reinits"));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, send_frame(&self->tx, tx, 60, i));
		expect_frame(_metadata, &self->rx, 60, i);
	}
}

/*
 * A slot that cannot be in a packet of several: the ring is set back to the first slot of that packet, and what came before it
 * stays handed over. It makes no difference whether the queue is there or the interface down.
 */
TEST_F_TIMEOUT(wire, is_set_back_to_the_packet, TIMEOUT_S)
{
	const char *name = variant->back ? peer_name() : nic_name();
	const char *other = variant->back ? nic_name() : peer_name();
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t number = 0, before, at, bad, i, round;
	long long reinits = 0;

	for (round = 0; round < 2; round++) {
		if (round)
			ASSERT_EQ(0, set_if_flags(name, 0, IFF_UP));
		/* Handed over by an earlier sync, and with the one that fails. */
		before = number;
		ASSERT_EQ(0, send_frame(&self->tx, tx, 60, number++));
		ASSERT_EQ(0, put_frame(&self->tx, tx, 60, number++, 0));
		at = tx->head;
		put_slot(tx, 40, NS_MOREFRAG);
		bad = tx->head;
		put_slot(tx, 40, NS_MOREFRAG);
		put_slot(tx, 40, 0);
		ASSERT_EQ(0, put_frame(&self->tx, tx, 60, 1000, 0));
		i = tx->slot[bad].buf_idx;
		tx->slot[bad].buf_idx = 0;
		ASSERT_EQ(0, tx_sync(&self->tx));
		EXPECT_EQ(++reinits, ring_counter(&self->tx, "tx 0", "reinits"));
		EXPECT_EQ(at, tx->head);
		EXPECT_EQ(at, tx->cur);
		EXPECT_EQ(i, tx->slot[bad].buf_idx);
		/* Likewise a packet that is too short, at its last slot. */
		put_slot(tx, 6, NS_MOREFRAG);
		put_slot(tx, 7, 0);
		EXPECT_EQ(POLLERR, poll_port(&self->tx, POLLOUT, 0) & POLLERR);
		EXPECT_EQ(++reinits, ring_counter(&self->tx, "tx 0", "reinits"));
		EXPECT_EQ(at, tx->head);
		ASSERT_EQ(0, send_frame(&self->tx, tx, 60, number++));
		EXPECT_EQ(reinits, ring_counter(&self->tx, "tx 0", "reinits"));
		if (round) {
			ASSERT_EQ(0, set_if_flags(name, IFF_UP, 0));
			ASSERT_TRUE(has_carrier(name) && has_carrier(other));
			ASSERT_EQ(0, tx_sync(&self->tx));
		}
		for (i = before; i < number; i++)
			expect_frame(_metadata, &self->rx, 60, i);
	}
}

TEST_HARNESS_MAIN
