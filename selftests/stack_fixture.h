/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stack port with a connection over the wire, for tests with the kernel's harness, and what they expect of it.
 */
#ifndef NETMAP_STACK_FIXTURE_H
#define NETMAP_STACK_FIXTURE_H

#include "kselftest_harness.h"
#include "stack_wire.h"

FIXTURE(stack) {
	struct port port;
	struct netmap_ring *tx, *rx;
	struct pair pair;
};

FIXTURE_SETUP(stack)
{
	ASSERT_EQ(stack_open(&self->port, 0), 0);
	self->tx = tx_ring(&self->port, 0);
	self->rx = rx_ring(&self->port, 0);
	ASSERT_EQ(make_pairs(&self->pair, 1, NIC_ADDRESS), 0);
}

FIXTURE_TEARDOWN(stack)
{
	close_pairs(&self->pair, 1);
	EXPECT_EQ(port_close(&self->port), 0);
}

/* Waits for slots in the receive ring. */
#define AWAIT() ASSERT_NE(wait_rx(&self->port, LIMIT_MS), NULL)

/* The slot at the head of the receive ring, which holds no data: its flags and what it says. */
#define EXPECT_TOLD(_fd, _flags, _error) do { \
	AWAIT(); \
	EXPECT_EQ(head_slot(self->rx)->len, 0); \
	EXPECT_EQ(head_slot(self->rx)->fd, (_fd)); \
	EXPECT_EQ(head_slot(self->rx)->flags, (_flags)); \
	EXPECT_EQ(head_slot(self->rx)->error, (_error)); \
	ring_advance(self->rx); \
} while (0)

/* Octets of a stream arrive in the ring, and nothing else. */
#define EXPECT_OCTETS(_fd, _number, _from, _len) do { \
	uint64_t _at = (_from), _end = _at + (_len); \
	while (_at < _end) { \
		struct netmap_slot *_slot; \
		AWAIT(); \
		_slot = head_slot(self->rx); \
		ASSERT_EQ(_slot->fd, (_fd)); \
		ASSERT_EQ(_slot->flags, 0); \
		ASSERT_GT(_slot->len, 0); \
		ASSERT_LE(_at + _slot->len, _end); \
		ASSERT_EQ(differs((uint8_t *)NETMAP_BUF(self->rx, _slot->buf_idx) + _slot->offset, (_number), _at, \
				  _slot->len), _slot->len); \
		_at += _slot->len; \
		ring_advance(self->rx); \
	} \
} while (0)

#endif
