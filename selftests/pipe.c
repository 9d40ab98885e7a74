// SPDX-License-Identifier: BSD-2-Clause
/* Pipes on nothing, which need no interface: what goes through them, and what their ends may ask for. */
#include "pipe.h"
#include "kselftest_harness.h"

FIXTURE(pipe)
{
	struct ends ends;
	struct netmap_ring *tx, *rx;
};

FIXTURE_VARIANT(pipe)
{
	bool master;
};

FIXTURE_VARIANT_ADD(pipe, from_the_master)
{
	.master = true,
};

FIXTURE_VARIANT_ADD(pipe, from_the_slave)
{
	.master = false,
};

FIXTURE_SETUP(pipe)
{
	ASSERT_EQ(0, open_ends(&self->ends, "lines", "a", variant->master, 64));
	self->tx = tx_ring(&self->ends.from, 0);
	self->rx = rx_ring(&self->ends.to, 0);
	ASSERT_EQ(64, self->tx->num_slots);
	ASSERT_EQ(64, self->rx->num_slots);
}

FIXTURE_TEARDOWN(pipe)
{
	EXPECT_EQ(0, close_ends(&self->ends));
}

TEST_F_TIMEOUT(pipe, frames_go_both_ways, TIMEOUT_S)
{
	uint32_t sent = 0, seen = 0, back = 0, answered = 0;
	struct netmap_ring *tx = tx_ring(&self->ends.to, 0), *rx = rx_ring(&self->ends.from, 0);

	while (seen < 1000) {
		int count = fill_ring(&self->ends.from, self->tx, sent);

		ASSERT_LE(0, count);
		sent += count;
		count = fill_ring(&self->ends.to, tx, 5000 + back);
		ASSERT_LE(0, count);
		back += count;
		ASSERT_EQ(0, rx_sync(&self->ends.to));
		ASSERT_EQ(0, rx_sync(&self->ends.from));
		/* Not all at once, so that each size of a batch comes up. */
		for (count = seen % 50 + 1; count && !nm_ring_empty(self->rx); count--)
			ASSERT_TRUE(next_is(self->rx, seen++));
		for (count = answered % 7 + 1; count && !nm_ring_empty(rx); count--)
			ASSERT_TRUE(next_is(rx, 5000 + answered++));
	}
	EXPECT_LT(100, answered);
	EXPECT_EQ(sent, ring_counter(&self->ends.from, "tx 0", "packets"));
	EXPECT_EQ(sent, ring_counter(&self->ends.to, "rx 0", "packets"));
	EXPECT_EQ(ring_counter(&self->ends.from, "tx 0", "bytes"), ring_counter(&self->ends.to, "rx 0", "bytes"));
	EXPECT_EQ(0, ring_counter(&self->ends.from, "tx 0", "reinits"));
}

/* No frame is copied: its buffer changes hands, and the sender has another one in its place. */
TEST_F_TIMEOUT(pipe, buffers_are_exchanged, TIMEOUT_S)
{
	uint32_t i, sent = self->tx->slot[0].buf_idx, there = self->rx->slot[0].buf_idx, seen[128] = { 0 };

	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST, 1));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	EXPECT_EQ(sent, self->rx->slot[0].buf_idx);
	EXPECT_EQ(there, self->tx->slot[0].buf_idx);
	EXPECT_EQ(NS_BUF_CHANGED, self->tx->slot[0].flags);
	EXPECT_EQ(0, self->rx->slot[0].flags);
	EXPECT_TRUE(frame_is(slot_buffer(self->rx, self->rx->slot), SHORTEST, 1));
	ring_advance(self->rx);
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST, i));
		ASSERT_EQ(0, rx_sync(&self->ends.to));
		ring_advance(self->rx);
	}
	/* Each buffer is in one slot. */
	for (i = 0; i < 64; i++) {
		seen[i] = self->tx->slot[i].buf_idx;
		seen[64 + i] = self->rx->slot[i].buf_idx;
	}
	for (i = 0; i < 128; i++)
		for (there = i + 1; there < 128; there++)
			EXPECT_NE(seen[i], seen[there]);
}

TEST_F_TIMEOUT(pipe, slots_are_free_when_the_receiver_has_released_them, TIMEOUT_S)
{
	ASSERT_EQ(63, fill_ring(&self->ends.from, self->tx, 0));
	EXPECT_TRUE(nm_ring_empty(self->tx));
	EXPECT_EQ(0, poll_port(&self->ends.from, POLLOUT, 0));
	/* That the receiver has been told of them is not enough. */
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	EXPECT_EQ(63, room(self->rx));
	EXPECT_EQ(0, poll_port(&self->ends.from, POLLOUT, 0));
	ASSERT_TRUE(next_is(self->rx, 0));
	ASSERT_TRUE(next_is(self->rx, 1));
	EXPECT_EQ(0, poll_port(&self->ends.from, POLLOUT, 0));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	EXPECT_EQ(POLLOUT, poll_port(&self->ends.from, POLLOUT, 0));
	EXPECT_EQ(2, room(self->tx));
	EXPECT_EQ(2, fill_ring(&self->ends.from, self->tx, 63));
}

TEST_F_TIMEOUT(pipe, a_release_wakes_the_sender, TIMEOUT_S)
{
	pid_t child;

	ASSERT_EQ(63, fill_ring(&self->ends.from, self->tx, 0));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	child = sleeper(&self->ends.from, POLLOUT);
	ASSERT_LT(0, child);
	ASSERT_TRUE(next_is(self->rx, 0));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	EXPECT_EQ(POLLOUT, awoken(child));
	EXPECT_EQ(1, fill_ring(&self->ends.from, self->tx, 63));
	/* So does that of a poll, which syncs. */
	child = sleeper(&self->ends.from, POLLOUT);
	ASSERT_LT(0, child);
	ASSERT_TRUE(next_is(self->rx, 1));
	ASSERT_EQ(POLLIN, poll_port(&self->ends.to, POLLIN, 0));
	EXPECT_EQ(POLLOUT, awoken(child));
	EXPECT_EQ(1, room(self->tx));
}

TEST_F_TIMEOUT(pipe, a_frame_wakes_the_receiver, TIMEOUT_S)
{
	pid_t child = sleeper(&self->ends.to, POLLIN);

	ASSERT_LT(0, child);
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST, 0));
	EXPECT_EQ(POLLIN, awoken(child));
	/* A sender's poll sends, too. */
	ASSERT_TRUE(next_is(self->rx, 0));
	child = sleeper(&self->ends.to, POLLIN);
	ASSERT_LT(0, child);
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST + 1, 1, 0));
	ASSERT_EQ(POLLOUT, poll_port(&self->ends.from, POLLOUT, 0));
	EXPECT_EQ(POLLIN, awoken(child));
	EXPECT_TRUE(next_is(self->rx, 1));
}

TEST_F_TIMEOUT(pipe, length_flags_and_pointer_travel, TIMEOUT_S)
{
	struct netmap_slot *slot = head_slot(self->tx);
	uint32_t size = self->tx->nr_buf_size;

	slot->len = size;
	slot->flags = NS_REPORT | NS_NO_LEARN | 5 << NS_PORT_SHIFT;
	slot->ptr = 0x123456789abcdef0;
	ring_advance(self->tx);
	slot = head_slot(self->tx);
	slot->len = 0;
	slot->flags = 0;
	slot->ptr = 7;
	ring_advance(self->tx);
	ASSERT_EQ(0, tx_sync(&self->ends.from));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	ASSERT_EQ(2, room(self->rx));
	slot = self->rx->slot;
	EXPECT_EQ(size, slot[0].len);
	EXPECT_EQ(NS_REPORT | NS_NO_LEARN | 5 << NS_PORT_SHIFT, slot[0].flags);
	EXPECT_EQ(0x123456789abcdef0, slot[0].ptr);
	EXPECT_EQ(0, slot[1].len);
	EXPECT_EQ(7, slot[1].ptr);
}

TEST_F_TIMEOUT(pipe, packets_of_several_slots_come_whole, TIMEOUT_S)
{
	uint32_t i;

	/* One whole, and two thirds of another. */
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, 60, 0, 0));
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, 61, 1, NS_MOREFRAG));
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, 62, 2, NS_MOREFRAG));
	ASSERT_EQ(0, tx_sync(&self->ends.from));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	EXPECT_EQ(1, room(self->rx));
	EXPECT_TRUE(next_is(self->rx, 0));
	EXPECT_EQ(0, poll_port(&self->ends.to, POLLIN, 0));
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, 63, 3, 0));
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, 64, 4, NS_MOREFRAG));
	ASSERT_EQ(0, tx_sync(&self->ends.from));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	ASSERT_EQ(3, room(self->rx));
	for (i = 1; i <= 3; i++) {
		EXPECT_EQ(i < 3 ? NS_MOREFRAG : 0, head_slot(self->rx)->flags);
		EXPECT_TRUE(next_is(self->rx, i));
	}
	EXPECT_EQ(2, ring_counter(&self->ends.from, "tx 0", "packets"));
	EXPECT_EQ(2, ring_counter(&self->ends.to, "rx 0", "packets"));
	EXPECT_EQ(60 + 61 + 62 + 63, ring_counter(&self->ends.to, "rx 0", "bytes"));
}

/* A packet that no ring can hold is impossible; the program gets its slots back. */
TEST_F_TIMEOUT(pipe, a_packet_without_end, TIMEOUT_S)
{
	uint32_t i;

	for (i = 0; i < 63; i++)
		ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST, i, NS_MOREFRAG));
	EXPECT_TRUE(poll_port(&self->ends.from, POLLOUT, 0) & POLLERR);
	EXPECT_EQ(0, self->tx->head);
	EXPECT_EQ(63, room(self->tx));
	EXPECT_EQ(0, poll_port(&self->ends.to, POLLIN, 0));
	/* As long as it may be. */
	for (i = 0; i < 63; i++)
		ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST + i, i, i < 62 ? NS_MOREFRAG : 0));
	ASSERT_EQ(0, tx_sync(&self->ends.from));
	ASSERT_EQ(POLLIN, poll_port(&self->ends.to, POLLIN, 0));
	for (i = 0; i < 63; i++)
		ASSERT_TRUE(next_is(self->rx, i));
}

/* What a sender may not write: it gets the packet back, and what comes before is sent. */
TEST_F_TIMEOUT(pipe, impossible_slots, TIMEOUT_S)
{
	const struct {
		uint32_t buf_idx;
		uint16_t len;
	} wrong[] = { { 0, 60 }, { 1, 60 }, { 0xffffffff, 60 }, { 4000, 60 }, { 0, 0 }, { -2u, 65535 } };
	uint32_t i, number = 0, first;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct netmap_slot *slot;
		bool is_long = wrong[i].buf_idx == -2u;

		ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST + number, number, 0));
		first = self->tx->head;
		ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST, 99, NS_MOREFRAG));
		slot = head_slot(self->tx);
		ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST, 99, 0));
		slot->len = wrong[i].len;
		if (!is_long)
			slot->buf_idx = wrong[i].buf_idx;
		ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST, 99, 0));
		EXPECT_TRUE(poll_port(&self->ends.from, POLLOUT, 0) & POLLERR);
		EXPECT_EQ(first, self->tx->head);
		EXPECT_EQ(i + 1, ring_counter(&self->ends.from, "tx 0", "reinits"));
		ASSERT_EQ(0, rx_sync(&self->ends.to));
		ASSERT_EQ(1, room(self->rx));
		EXPECT_TRUE(next_is(self->rx, number++));
		ASSERT_EQ(0, rx_sync(&self->ends.to));
	}
	/* And all is as it was. */
	for (i = 0; i < 200; i++, number++) {
		ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST + number % 1000, number));
		ASSERT_EQ(0, rx_sync(&self->ends.to));
		ASSERT_TRUE(next_is(self->rx, number));
	}
	EXPECT_EQ(0, ring_counter(&self->ends.to, "rx 0", "reinits"));
}

/* A receiver that gives back what is no buffer gets a valid one, and the sender never sees it. */
TEST_F_TIMEOUT(pipe, impossible_releases, TIMEOUT_S)
{
	uint32_t i, number;

	for (number = 0; number < 130; number++) {
		struct netmap_slot *slot;

		ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST + number, number));
		ASSERT_EQ(0, rx_sync(&self->ends.to));
		slot = head_slot(self->rx);
		ASSERT_TRUE(next_is(self->rx, number));
		if (number % 3)
			continue;
		slot->buf_idx = number % 2 ? 0 : 0x7fffffff;
		EXPECT_TRUE(poll_port(&self->ends.to, POLLIN, 0) & POLLERR);
		/* It is the program's again, with a buffer. */
		EXPECT_EQ(slot, head_slot(self->rx));
		EXPECT_LT(1, slot->buf_idx);
		ring_advance(self->rx);
		/* What it writes where it owns nothing matters to nobody. */
		for (i = 0; i < 64; i++)
			if (i != number % 64)
				self->rx->slot[i].buf_idx = i * 7;
		self->rx->tail = 77;
	}
	EXPECT_EQ(0, ring_counter(&self->ends.from, "tx 0", "reinits"));
}

TEST_F_TIMEOUT(pipe, cursors_that_cannot_be, TIMEOUT_S)
{
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST, 0));
	self->tx->head = self->tx->cur = 1000;
	EXPECT_TRUE(poll_port(&self->ends.from, POLLOUT, 0) & POLLERR);
	EXPECT_EQ(1, self->tx->head);
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	ASSERT_TRUE(next_is(self->rx, 0));
	self->rx->head = self->rx->cur = 9;
	EXPECT_TRUE(poll_port(&self->ends.to, POLLIN, 0) & POLLERR);
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST + 1, 1));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	/* No sync was told that the first frame was released. */
	EXPECT_TRUE(next_is(self->rx, 0));
	EXPECT_TRUE(next_is(self->rx, 1));
	EXPECT_TRUE(nm_ring_empty(self->rx));
}

/* What is left of a sender that is gone is whole packets: not the beginning of one, nor what it has not synced. */
TEST_F_TIMEOUT(pipe, a_sender_that_ends_within_a_packet, TIMEOUT_S)
{
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST, 0));
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST + 1, 1, NS_MOREFRAG));
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST + 2, 2, NS_MOREFRAG));
	ASSERT_EQ(0, tx_sync(&self->ends.from));
	ASSERT_EQ(0, put_frame(&self->ends.from, self->tx, SHORTEST + 3, 3, 0));
	ASSERT_EQ(0, port_close(&self->ends.from));
	self->ends.from = (struct port){ .reg.nr_mode = NR_REG_ALL_NIC };
	ASSERT_EQ(0, open_end(&self->ends.from, "lines", variant->master ? '{' : '}', "a"));
	self->tx = tx_ring(&self->ends.from, 0);
	EXPECT_EQ(62, room(self->tx));
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST + 4, 4));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	ASSERT_EQ(2, room(self->rx));
	EXPECT_TRUE(next_is(self->rx, 0));
	EXPECT_EQ(0, head_slot(self->rx)->flags & NS_MOREFRAG);
	EXPECT_TRUE(next_is(self->rx, 4));
	EXPECT_EQ(0, ring_counter(&self->ends.from, "tx 0", "reinits"));
}

TEST_F_TIMEOUT(pipe, data_waits_for_whoever_opens_the_other_end, TIMEOUT_S)
{
	char brace = variant->master ? '}' : '{';
	uint32_t i;

	ASSERT_EQ(63, fill_ring(&self->ends.from, self->tx, 0));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	for (i = 0; i < 10; i++)
		ASSERT_TRUE(next_is(self->rx, i));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	ASSERT_EQ(0, port_close(&self->ends.to));
	EXPECT_EQ(10, fill_ring(&self->ends.from, self->tx, 63) ?: fill_ring(&self->ends.from, self->tx, 63));
	EXPECT_EQ(0, poll_port(&self->ends.from, POLLOUT, 0));
	self->ends.to = (struct port){ .reg.nr_mode = NR_REG_ALL_NIC };
	ASSERT_EQ(0, open_end(&self->ends.to, "lines", brace, "a"));
	self->rx = rx_ring(&self->ends.to, 0);
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	ASSERT_EQ(63, room(self->rx));
	for (; i < 73; i++)
		ASSERT_TRUE(next_is(self->rx, i));
	ASSERT_EQ(0, rx_sync(&self->ends.to));
	EXPECT_EQ(POLLOUT, poll_port(&self->ends.from, POLLOUT, 0));
	/* Nor does a sender that is gone take along what it has sent. */
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST, 0));
	ASSERT_EQ(0, port_close(&self->ends.from));
	EXPECT_EQ(POLLIN, poll_port(&self->ends.to, POLLIN, 0));
	EXPECT_TRUE(next_is(self->rx, 0));
	self->ends.from = (struct port){ .reg.nr_mode = NR_REG_ALL_NIC };
	ASSERT_EQ(0, open_end(&self->ends.from, "lines", variant->master ? '{' : '}', "a"));
	self->tx = tx_ring(&self->ends.from, 0);
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST + 1, 1));
	EXPECT_EQ(POLLIN, poll_port(&self->ends.to, POLLIN, 0));
	EXPECT_TRUE(next_is(self->rx, 1));
}

/* A receiver may keep a buffer, and put another one in its place: the sender gets that. */
TEST_F_TIMEOUT(pipe, extra_buffers_go_through, TIMEOUT_S)
{
	struct port other = { .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = 8 } };
	char brace = variant->master ? '}' : '{';
	uint32_t extra, i, mine;

	ASSERT_EQ(0, port_close(&self->ends.to));
	ASSERT_EQ(0, open_end(&other, "lines", brace, "a"));
	ASSERT_EQ(8, other.reg.nr_extra_bufs);
	self->ends.to = other;
	self->rx = rx_ring(&other, 0);
	extra = other.nifp->ni_bufs_head;
	ASSERT_LT(1, extra);
	mine = self->tx->slot[0].buf_idx;
	ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST, 0));
	ASSERT_EQ(0, rx_sync(&other));
	ASSERT_EQ(mine, head_slot(self->rx)->buf_idx);
	head_slot(self->rx)->buf_idx = extra;
	head_slot(self->rx)->flags = NS_BUF_CHANGED;
	ring_advance(self->rx);
	ASSERT_EQ(0, rx_sync(&other));
	for (i = 1; i < 65; i++) {
		ASSERT_EQ(0, send_frame(&self->ends.from, self->tx, SHORTEST + i, i));
		ASSERT_EQ(0, rx_sync(&other));
		ASSERT_TRUE(next_is(self->rx, i));
		ASSERT_EQ(0, rx_sync(&other));
	}
	/* It was exchanged for what the sender had in slot 0 the second time. */
	EXPECT_EQ(extra, self->tx->slot[0].buf_idx);
	EXPECT_EQ(0, ring_counter(&self->ends.from, "tx 0", "reinits"));
	EXPECT_EQ(0, ring_counter(&other, "rx 0", "reinits"));
}

/* Both ends write at random into all that they share, for some thousand syncs: then all of it is free, and the pipe can be made anew. */
TEST_F_TIMEOUT(pipe, ends_that_scribble, TIMEOUT_S)
{
	struct ends *ends = &self->ends, beside;
	uint32_t id = ends->from.reg.nr_mem_id, i;
	pid_t children[2];
	char line[64];

	ASSERT_EQ(0, open_ends(&beside, "beside", "1", true, 64));
	for (i = 0; i < 2; i++) {
		children[i] = fork();
		ASSERT_LE(0, children[i]);
		if (!children[i]) {
			struct port *port = i ? &ends->to : &ends->from;
			uint64_t state = 88172645463325252ull + i;
			struct netmap_ring *rings[] = { self->tx, self->rx, tx_ring(&ends->to, 0), rx_ring(&ends->from, 0) };
			uint32_t n;

			for (n = 0; n < 20000; n++) {
				struct netmap_ring *ring = rings[n % 4];

				state ^= state << 13;
				state ^= state >> 7;
				state ^= state << 17;
				if (n % 3)
					ring->slot[state % 64].buf_idx = state >> 32 & (state & 64 ? 0xff : 0xffffffff);
				else
					ring->slot[state % 64].flags = state >> 32;
				ring->head = ring->cur = state & 32 ? ring->tail : state >> 40 & 127;
				if (n % 8 == 0) {
					tx_sync(port);
					rx_sync(port);
				}
			}
			_exit(0);
		}
	}
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, send_frame(&beside.from, tx_ring(&beside.from, 0), SHORTEST + i, i));
		ASSERT_EQ(0, rx_sync(&beside.to));
		ASSERT_TRUE(next_is(rx_ring(&beside.to, 0), i));
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, awoken(children[i]));
	EXPECT_EQ(0, ring_counter(&beside.from, "tx 0", "reinits"));
	ASSERT_EQ(0, close_ends(&beside));
	ASSERT_EQ(0, close_ends(ends));
	snprintf(line, sizeof(line), "! grep -q '^region %u:' /sys/kernel/debug/netmap/regions", id);
	EXPECT_EQ(0, system(line));
	ASSERT_EQ(0, open_ends(ends, "lines", "a", variant->master, 64));
	self->tx = tx_ring(&ends->from, 0);
	ASSERT_EQ(0, send_frame(&ends->from, self->tx, SHORTEST, 0));
	ASSERT_EQ(0, rx_sync(&ends->to));
	EXPECT_TRUE(next_is(rx_ring(&ends->to, 0), 0));
}

TEST_HARNESS_MAIN
