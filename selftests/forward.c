// SPDX-License-Identifier: BSD-2-Clause
/* Forwarding between a NIC's rings and the host stack: what a program marks goes on without it. */

#include "host.h"

/* Forwarding: both NIC and host rings, and the peer's stack on the wire. */
FIXTURE(forward)
{
	struct port port;
	int stack, peer;
	uint8_t frame[ROOM];
};

FIXTURE_SETUP(forward)
{
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_NIC_SW, 0, 0));
	self->stack = packet_socket(nic_name(), PROTOCOL, false);
	ASSERT_GE(self->stack, 0);
	self->peer = packet_socket(peer_name(), PROTOCOL, false);
	ASSERT_GE(self->peer, 0);
}

FIXTURE_TEARDOWN(forward)
{
	close(self->stack);
	close(self->peer);
	EXPECT_EQ(0, port_close(&self->port));
}

/* Sends frames from the peer until the first one arrives: an emulated e1000 is deaf for a second after a bind. */
static struct netmap_ring *first_from_peer(struct port *port, int peer, uint32_t number)
{
	int64_t end = now_ms() + LIMIT_MS;
	uint32_t i;

	while (now_ms() < end) {
		int64_t soon = now_ms() + 200;

		stack_send(peer, SHORTEST, number);
		while (now_ms() < soon) {
			if (poll_port(port, POLLIN, 50) < 0)
				return NULL;
			for (i = 0; i < port->nifp->ni_rx_rings; i++)
				if (!nm_ring_empty(rx_ring(port, i)))
					return rx_ring(port, i);
		}
	}
	return NULL;
}

/*
 * Waits until the frame of this number is the next of a ring. Others are released: the wire may still have some of those
 * that the first one took.
 */
static bool wait_number(struct port *port, struct netmap_ring *ring, uint32_t number)
{
	while (wait_rx(port, LIMIT_MS) == ring) {
		if (frame_number(slot_buffer(ring, head_slot(ring))) == number)
			return true;
		ring_advance(ring);
	}
	return false;
}

TEST_F_TIMEOUT(forward, up_what_is_marked, TIMEOUT_S)
{
	struct netmap_ring *ring = first_from_peer(&self->port, self->peer, 1);

	ASSERT_NE(NULL, ring);
	/* Not marked: the stack does not get it. */
	ring->flags |= NR_FORWARD;
	while (!nm_ring_empty(ring)) {
		ring_advance(ring);
		ASSERT_EQ(0, rx_sync(&self->port));
	}
	ASSERT_EQ(0, stack_send(self->peer, SHORTEST, 2));
	ASSERT_TRUE(wait_number(&self->port, ring, 2));
	head_slot(ring)->flags |= NS_FORWARD;
	ring_advance(ring);
	ASSERT_EQ(0, rx_sync(&self->port));
	EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 2));
	/* Without the ring's flag the mark says nothing. */
	ring->flags &= ~NR_FORWARD;
	ASSERT_EQ(0, stack_send(self->peer, SHORTEST, 3));
	ASSERT_TRUE(wait_number(&self->port, ring, 3));
	head_slot(ring)->flags |= NS_FORWARD;
	ring_advance(ring);
	ASSERT_EQ(0, rx_sync(&self->port));
	ring->flags |= NR_FORWARD;
	ASSERT_EQ(0, stack_send(self->peer, SHORTEST, 4));
	ASSERT_TRUE(wait_number(&self->port, ring, 4));
	head_slot(ring)->flags |= NS_FORWARD;
	ring_advance(ring);
	EXPECT_GE(poll_port(&self->port, POLLIN, 0), 0);
	EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 4));
}

TEST_F_TIMEOUT(forward, down_by_a_swap_of_buffers, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port), *tx = tx_ring(&self->port, 0);
	uint32_t from, to, slot, target;

	/* Until frames pass. */
	ASSERT_NE(NULL, first_from_peer(&self->port, self->peer, 1));
	ring->flags |= NR_FORWARD;
	ASSERT_EQ(0, stack_send(self->stack, 200, 2));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	slot = ring->head;
	target = tx->head;
	from = head_slot(ring)->buf_idx;
	to = head_slot(tx)->buf_idx;
	head_slot(ring)->flags |= NS_FORWARD;
	ring_advance(ring);
	EXPECT_GE(poll_port(&self->port, POLLIN, 0), 0);
	EXPECT_TRUE(stack_gets(self->peer, 200, 2));
	EXPECT_EQ(to, ring->slot[slot].buf_idx);
	EXPECT_EQ(from, tx->slot[target].buf_idx);
	EXPECT_EQ(nm_ring_next(tx, target), tx->head);
}

/* The program waits for room on a TX ring, with cur beyond head: what is forwarded moves head alone. */
TEST_F_TIMEOUT(forward, down_leaves_cur_ahead, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port), *tx = tx_ring(&self->port, 0);
	uint32_t at, ahead;

	ASSERT_NE(NULL, first_from_peer(&self->port, self->peer, 1));
	ring->flags |= NR_FORWARD;
	ASSERT_EQ(0, stack_send(self->stack, 200, 2));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	at = nm_ring_next(tx, tx->head);
	ahead = tx->cur = tx->tail;
	head_slot(ring)->flags |= NS_FORWARD;
	ring_advance(ring);
	ASSERT_EQ(0, rx_sync(&self->port));
	EXPECT_EQ(at, tx->head);
	EXPECT_EQ(ahead, tx->cur);
	ASSERT_EQ(0, tx_sync(&self->port));
	EXPECT_TRUE(stack_gets(self->peer, 200, 2));
	EXPECT_EQ(ahead, tx->cur);
	tx->cur = tx->head;
}

/* Without a mark, or on a full TX ring, nothing leaves. */
TEST_F_TIMEOUT(forward, down_without_room, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	long long drops = ring_counter(&self->port, "host-rx 0", "drops");
	uint32_t i;

	ASSERT_NE(NULL, first_from_peer(&self->port, self->peer, 1));
	ring->flags |= NR_FORWARD;
	ASSERT_EQ(0, stack_send(self->stack, 200, 2));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	ring_advance(ring);
	ASSERT_EQ(0, rx_sync(&self->port));
	ASSERT_EQ(0, stack_send(self->stack, 200, 4));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	for (i = 0; i < self->port.nifp->ni_tx_rings; i++) {
		struct netmap_ring *tx = tx_ring(&self->port, i);

		while (!nm_ring_empty(tx)) {
			make_frame(slot_buffer(tx, head_slot(tx)), SHORTEST, 3);
			head_slot(tx)->len = SHORTEST;
			ring_advance(tx);
		}
	}
	head_slot(ring)->flags |= NS_FORWARD;
	ring_advance(ring);
	/* Not by poll(), which would send first. */
	ASSERT_EQ(0, rx_sync(&self->port));
	EXPECT_EQ(drops + 1, ring_counter(&self->port, "host-rx 0", "drops"));
	ASSERT_EQ(0, tx_sync(&self->port));
	EXPECT_TRUE(stack_gets(self->peer, SHORTEST, 3));
}

TEST_HARNESS_MAIN
