// SPDX-License-Identifier: BSD-2-Clause
/* What is put into a tx ring comes out of the peer's rx ring, byte for byte. */
#include "wire.h"

/* Every length, in every tx ring in turn. The length that arrives has no frame check sequence in it. */
TEST_F_TIMEOUT(wire, carries_frames_of_all_lengths, TIMEOUT_S)
{
	const uint32_t at_once = 32;
	uint32_t len, first, ring = 0;

	for (first = SHORTEST; first <= LONGEST; first += at_once) {
		struct netmap_ring *tx = tx_ring(&self->tx, ring++ % self->tx.nifp->ni_tx_rings);

		for (len = first; len < first + at_once && len <= LONGEST; len++)
			ASSERT_EQ(0, put_frame(&self->tx, tx, len, len, 0));
		ASSERT_EQ(0, tx_sync(&self->tx));
		for (len = first; len < first + at_once && len <= LONGEST; len++)
			expect_frame(_metadata, &self->rx, len, len);
	}
	for (ring = 0; ring < self->tx.nifp->ni_tx_rings; ring++)
		EXPECT_EQ(0, drain_tx(&self->tx, tx_ring(&self->tx, ring)));
	EXPECT_EQ(0, ring_counter(&self->tx, "tx 0", "errors"));
	EXPECT_EQ(0, ring_counter(&self->rx, "rx 0", "errors"));
}

/* Many times round, with batches of sizes that have nothing to do with the rings'. */
TEST_F_TIMEOUT(wire, goes_round_and_round, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t total = 20 * tx->num_slots, sent = 0, seen = 0, batch = 1, i;
	long long packets = ring_counter(&self->rx, "rx 0", "packets");

	while (seen < total) {
		for (i = 0; i < batch && sent < total; i++, sent++)
			ASSERT_EQ(0, put_frame(&self->tx, tx, SHORTEST + sent % 64, sent, 0));
		ASSERT_EQ(0, tx_sync(&self->tx));
		for (; seen < sent; seen++)
			expect_frame(_metadata, &self->rx, SHORTEST + seen % 64, seen);
		batch = batch * 3 % 101 + 1;
	}
	EXPECT_EQ(0, drain_tx(&self->tx, tx));
	EXPECT_LE(total, ring_counter(&self->rx, "rx 0", "packets") - packets);
	EXPECT_EQ(total, ring_counter(&self->tx, "tx 0", "packets"));
	EXPECT_EQ(0, ring_counter(&self->rx, "rx 0", "drops"));
}

/* The whole ring at once: num_slots - 1 slots are the program's, and come back when they are sent. */
TEST_F_TIMEOUT(wire, takes_a_full_ring, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	const char *receiver = variant->back ? nic_name() : peer_name();
	uint32_t i, room = nm_ring_space(tx), half = tx->num_slots / 2;

	EXPECT_EQ(tx->num_slots - 1, room);
	/* Half a ring first, so that the whole one wraps. What the receiver has taken is free after its next sync. */
	for (i = 0; i < half; i++)
		ASSERT_EQ(0, put_frame(&self->tx, tx, 100, i, 0));
	ASSERT_EQ(0, tx_sync(&self->tx));
	for (i = 0; i < half; i++)
		expect_frame(_metadata, &self->rx, 100, i);
	ASSERT_EQ(0, drain_tx(&self->tx, tx));
	EXPECT_EQ(room, nm_ring_space(tx));
	for (i = 0; i < room; i++) {
		make_frame(slot_buffer(tx, head_slot(tx)), 100, i);
		head_slot(tx)->len = 100;
		ring_advance(tx);
	}
	EXPECT_TRUE(nm_ring_empty(tx));
	ASSERT_EQ(0, rx_sync(&self->rx));
	ASSERT_EQ(0, settle(receiver));
	ASSERT_EQ(0, tx_sync(&self->tx));
	for (i = 0; i < room; i++)
		expect_frame(_metadata, &self->rx, 100, i);
	ASSERT_EQ(0, drain_tx(&self->tx, tx));
	EXPECT_EQ(room, nm_ring_space(tx));
}

/* A VLAN tag is part of the packet, on the way out and on the way in, whatever the NIC does with it. */
TEST_F_TIMEOUT(wire, keeps_vlan_tags, TIMEOUT_S)
{
	static const uint32_t lengths[] = { 64, 65, 500, LONGEST + 4 };
	const char *receiver = variant->back ? nic_name() : peer_name();
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint8_t frame[2048], expected[2048];
	int i, got;

	/* A NIC filters by VLAN. */
	ASSERT_EQ(0, set_if_flags(receiver, IFF_PROMISC, 0));
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		make_frame(expected, lengths[i], i);
		/* Priority 5, VLAN 0x123. */
		memcpy(expected + 12, "\x81\x00\xa1\x23\x88\xb5", 6);
		ASSERT_EQ(0, wait_tx(&self->tx, tx));
		memcpy(slot_buffer(tx, head_slot(tx)), expected, lengths[i]);
		head_slot(tx)->len = lengths[i];
		ring_advance(tx);
		/* What has no tag is not given one. */
		ASSERT_EQ(0, send_frame(&self->tx, tx, SHORTEST, 1000 + i));
	}
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct netmap_ring *rx = wait_rx(&self->rx, LIMIT_MS);

		ASSERT_NE(NULL, rx);
		got = head_slot(rx)->len;
		memcpy(frame, slot_buffer(rx, head_slot(rx)), got);
		ring_advance(rx);
		make_frame(expected, lengths[i], i);
		memcpy(expected + 12, "\x81\x00\xa1\x23\x88\xb5", 6);
		EXPECT_EQ(lengths[i], got);
		EXPECT_EQ(0, memcmp(expected, frame, lengths[i]));
		expect_frame(_metadata, &self->rx, SHORTEST, 1000 + i);
	}
	EXPECT_EQ(0, set_if_flags(receiver, 0, IFF_PROMISC));
}

/* A packet in several tx slots arrives as one. */
TEST_F_TIMEOUT(wire, joins_fragments, TIMEOUT_S)
{
	static const uint32_t parts[][4] = {
		{ 60, 60 }, { 14, 1000 }, { 1, 200, 1, 1 }, { 757, 757 }, { 500, 500, 500, 14 }, { 300, 60 },
	};
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint8_t frame[2048];
	uint32_t round, number = 0, i, p;

	for (round = 0; round < 300; round++) {
		uint32_t len = 0, done = 0;

		i = round % ARRAY_SIZE(parts);
		for (p = 0; p < 4; p++)
			len += parts[i][p];
		make_frame(frame, len, number);
		for (p = 0; p < 4 && parts[i][p]; p++) {
			struct netmap_slot *slot;

			ASSERT_EQ(0, wait_tx(&self->tx, tx));
			slot = head_slot(tx);
			memcpy(slot_buffer(tx, slot), frame + done, parts[i][p]);
			done += parts[i][p];
			slot->len = parts[i][p];
			slot->flags = done < len ? NS_MOREFRAG : 0;
			ring_advance(tx);
		}
		ASSERT_EQ(0, tx_sync(&self->tx));
		expect_frame(_metadata, &self->rx, len, number++);
	}
	/* A packet that is not complete yet waits for its end, over syncs. */
	make_frame(frame, 200, number);
	memcpy(slot_buffer(tx, head_slot(tx)), frame, 100);
	head_slot(tx)->len = 100;
	head_slot(tx)->flags = NS_MOREFRAG;
	ring_advance(tx);
	ASSERT_EQ(0, tx_sync(&self->tx));
	ASSERT_EQ(0, wait_tx(&self->tx, tx));
	memcpy(slot_buffer(tx, head_slot(tx)), frame + 100, 100);
	head_slot(tx)->len = 100;
	head_slot(tx)->flags = 0;
	ring_advance(tx);
	ASSERT_EQ(0, tx_sync(&self->tx));
	expect_frame(_metadata, &self->rx, 200, number);
}

/* NS_REPORT in the middle of a full ring: room is there as soon as that slot is sent. */
TEST_F_TIMEOUT(wire, reports_completions, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t i, round, room = nm_ring_space(tx);

	for (round = 0; round < 5; round++) {
		for (i = 0; i < room; i++) {
			make_frame(slot_buffer(tx, head_slot(tx)), 60, i);
			head_slot(tx)->len = 60;
			head_slot(tx)->flags = i == 10 ? NS_REPORT : 0;
			ring_advance(tx);
		}
		ASSERT_EQ(0, rx_sync(&self->rx));
		ASSERT_EQ(0, settle(variant->back ? nic_name() : peer_name()));
		ASSERT_EQ(0, wait_tx(&self->tx, tx));
		for (i = 0; i < room; i++)
			expect_frame(_metadata, &self->rx, 60, i);
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
		ASSERT_EQ(room, nm_ring_space(tx));
	}
}

/* The time of the last sync, asked for or not. */
TEST_F_TIMEOUT(wire, stamps_the_time, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0), *rx = rx_ring(&self->rx, 0);
	struct timeval before, after, zero = { 0 };
	int i;

	for (i = 0; i < 5; i++) {
		rx->flags = i % 2 ? NR_TIMESTAMP : 0;
		gettimeofday(&before, NULL);
		ASSERT_EQ(0, send_frame(&self->tx, tx, 60, i));
		expect_frame(_metadata, &self->rx, 60, i);
		gettimeofday(&after, NULL);
		EXPECT_FALSE(timercmp(&rx->ts, &before, <));
		EXPECT_FALSE(timercmp(&rx->ts, &after, >));
		EXPECT_LT(rx->ts.tv_usec, 1000000);
	}
	/* Also where nothing came. */
	rx->flags = 0;
	rx->ts = zero;
	ASSERT_EQ(0, rx_sync(&self->rx));
	EXPECT_TRUE(timercmp(&rx->ts, &after, >=));
	/* And not where the administrator saves it, unless it is asked for. */
	ASSERT_EQ(0, system("echo 1 >/sys/module/netmap/parameters/no_timestamp"));
	rx->ts = zero;
	EXPECT_EQ(0, rx_sync(&self->rx));
	EXPECT_EQ(0, rx->ts.tv_sec);
	rx->flags = NR_TIMESTAMP;
	EXPECT_EQ(0, rx_sync(&self->rx));
	EXPECT_TRUE(timercmp(&rx->ts, &after, >=));
	ASSERT_EQ(0, system("echo 0 >/sys/module/netmap/parameters/no_timestamp"));
}

/* Held packets stay as they are while later ones come, and cur says from where on poll waits. */
TEST_F_TIMEOUT(wire, keeps_what_is_held, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0), *rx = rx_ring(&self->rx, 0);
	uint32_t held = 0, at;

	for (; held < 50; held++) {
		ASSERT_EQ(0, send_frame(&self->tx, tx, 60 + held, held));
		while (nm_ring_space(rx) <= held) {
			rx->cur = rx->tail;
			ASSERT_EQ(POLLIN, poll_port(&self->rx, POLLIN, LIMIT_MS));
		}
	}
	rx->cur = rx->tail;
	ASSERT_EQ(0, rx_sync(&self->rx));
	EXPECT_EQ(rx->cur, rx->tail);
	for (at = rx->head, held = 0; at != rx->tail; at = nm_ring_next(rx, at), held++) {
		EXPECT_EQ(60 + held, rx->slot[at].len);
		EXPECT_TRUE(frame_is(slot_buffer(rx, &rx->slot[at]), 60 + held, held));
	}
	EXPECT_EQ(50, held);
	rx->head = rx->cur = rx->tail;
	ASSERT_EQ(0, send_frame(&self->tx, tx, 60, 50));
	expect_frame(_metadata, &self->rx, 60, 50);
}

/* Exchanges the buffers of two slots of rings of one region. */
static void exchange(struct netmap_slot *a, struct netmap_slot *b)
{
	uint32_t index = a->buf_idx;

	a->buf_idx = b->buf_idx;
	b->buf_idx = index;
	a->flags |= NS_BUF_CHANGED;
	b->flags |= NS_BUF_CHANGED;
}

/* Packets go on from port to port without a copy: what the receiver got is sent again, by the other NIC. */
TEST_F_TIMEOUT(wire, forwards_without_copies, TIMEOUT_S)
{
	const uint32_t packets = 64, rounds = 40;
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t i, round, index;

	for (i = 0; i < packets; i++)
		ASSERT_EQ(0, put_frame(&self->tx, tx, 60 + i, i, 0));
	ASSERT_EQ(0, tx_sync(&self->tx));
	for (round = 1; round < rounds; round++) {
		for (i = 0; i < packets; i++) {
			struct netmap_ring *rx = wait_rx(&self->rx, LIMIT_MS);
			struct netmap_slot *from, *to;

			ASSERT_NE(NULL, rx);
			ASSERT_EQ(0, wait_tx(&self->tx, tx));
			from = head_slot(rx);
			to = head_slot(tx);
			ASSERT_TRUE(frame_is(slot_buffer(rx, from), 60 + i, (round - 1) * packets + i));
			make_frame(slot_buffer(rx, from), 60 + i, round * packets + i);
			index = from->buf_idx;
			to->len = from->len;
			to->flags = 0;
			exchange(from, to);
			ASSERT_EQ(index, to->buf_idx);
			ring_advance(rx);
			ring_advance(tx);
		}
		ASSERT_EQ(0, tx_sync(&self->tx));
	}
	for (i = 0; i < packets; i++)
		expect_frame(_metadata, &self->rx, 60 + i, (rounds - 1) * packets + i);
}

/* An extra buffer is as good as any. */
TEST_F_TIMEOUT(wire, sends_extra_buffers, TIMEOUT_S)
{
	const char *sender = variant->back ? peer_name() : nic_name();
	struct port extra = { .reg = { .nr_mode = NR_REG_SW, .nr_extra_bufs = 8 } };
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t index, next, i = 0;

	ASSERT_EQ(0, port_open_as(&extra, sender));
	ASSERT_EQ(8, extra.reg.nr_extra_bufs);
	for (index = extra.nifp->ni_bufs_head; index; index = next, i++) {
		struct netmap_slot *slot;
		uint32_t other;

		ASSERT_EQ(0, wait_tx(&self->tx, tx));
		slot = head_slot(tx);
		next = *(uint32_t *)NETMAP_BUF(tx, index);
		make_frame((uint8_t *)NETMAP_BUF(tx, index), 100, i);
		other = slot->buf_idx;
		slot->buf_idx = index;
		slot->len = 100;
		slot->flags = NS_BUF_CHANGED;
		ring_advance(tx);
		ASSERT_EQ(0, tx_sync(&self->tx));
		expect_frame(_metadata, &self->rx, 100, i);
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
		/* The slot's old buffer takes its place in the list. */
		*(uint32_t *)NETMAP_BUF(tx, other) = next;
		if (i == 0)
			extra.nifp->ni_bufs_head = other;
	}
	EXPECT_EQ(8, i);
	ASSERT_EQ(0, port_close(&extra));
}
static void fill_buffers(struct netmap_ring *ring, uint8_t byte)
{
	uint32_t i;

	for (i = 0; i < ring->num_slots; i++)
		memset(slot_buffer(ring, &ring->slot[i]), byte, ring->nr_buf_size);
}

/* A slot without a byte, as what a damaged frame becomes, sends nothing, and comes back like any other. */
TEST_F_TIMEOUT(wire, sends_nothing_of_an_empty_slot, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint32_t room = nm_ring_space(tx), number = 0, round, i;

	fill_buffers(tx, 0x77);
	for (round = 0; round < 3; round++) {
		/* Alone, a frame of several such slots, among others, as the first and the last one, and a whole ring. */
		put_slot(tx, 0, 0);
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
		put_slot(tx, 0, NS_MOREFRAG);
		put_slot(tx, 0, NS_MOREFRAG);
		put_slot(tx, 0, NS_REPORT);
		ASSERT_EQ(0, put_frame(&self->tx, tx, 60, number, 0));
		put_slot(tx, 0, 0);
		ASSERT_EQ(0, put_frame(&self->tx, tx, 60, number + 1, 0));
		put_slot(tx, 0, 0);
		put_slot(tx, 0, NS_REPORT);
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
		EXPECT_EQ(room, nm_ring_space(tx));
		expect_frame(_metadata, &self->rx, 60, number++);
		expect_frame(_metadata, &self->rx, 60, number++);
		for (i = 0; i < room; i++)
			put_slot(tx, 0, 0);
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
		EXPECT_EQ(room, nm_ring_space(tx));
		/* Nothing came in between. */
		ASSERT_EQ(0, send_frame(&self->tx, tx, 60, number));
		expect_frame(_metadata, &self->rx, 60, number++);
	}
	EXPECT_EQ(3 * 3, ring_counter(&self->rx, "rx 0", "packets"));
	EXPECT_EQ(0, ring_counter(&self->tx, "tx 0", "reinits"));
}

/* An empty slot is no part of a frame, wherever in it; the last one is empty if it held a check sequence alone. */
TEST_F_TIMEOUT(wire, leaves_empty_slots_out_of_a_frame, TIMEOUT_S)
{
	static const uint32_t parts[][4] = { { 100, 0, 0, 0 }, { 0, 100, 0, 50 }, { 0, 0, 60, 0 }, { 60, 0, 40, 0 }, { 0, 0, 0, 70 } };
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint8_t frame[2048];
	uint32_t i, p, len, done;

	fill_buffers(tx, 0x77);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		for (p = 0, len = 0; p < 4; p++)
			len += parts[i][p];
		make_frame(frame, len, i);
		for (p = 0, done = 0; p < 4; done += parts[i][p++]) {
			memcpy(slot_buffer(tx, head_slot(tx)), frame + done, parts[i][p]);
			put_slot(tx, parts[i][p], p < 3 ? NS_MOREFRAG : 0);
		}
		ASSERT_EQ(0, tx_sync(&self->tx));
		expect_frame(_metadata, &self->rx, len, i);
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
	}
	EXPECT_EQ(0, ring_counter(&self->tx, "tx 0", "reinits"));
}

/* What has no header is no frame, and is refused; a short one is sent with nothing of what the buffer holds behind it. */
TEST_F_TIMEOUT(wire, sends_no_more_than_there_is, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0), *rx;
	uint32_t len, i, stale;

	for (len = 1; len < 14; len++) {
		put_slot(tx, len, 0);
		EXPECT_EQ(0, tx_sync(&self->tx));
		EXPECT_EQ(len, ring_counter(&self->tx, "tx 0", "reinits")) TH_LOG("%u bytes", len);
	}
	put_slot(tx, 6, NS_MOREFRAG);
	put_slot(tx, 7, 0);
	EXPECT_EQ(POLLERR, poll_port(&self->tx, POLLOUT, 0) & POLLERR);
	for (len = 14; len < 20; len++) {
		uint8_t frame[64];

		fill_buffers(tx, 0x77);
		make_frame(frame, 60, len);
		memcpy(slot_buffer(tx, head_slot(tx)), frame, 14);
		if (len & 1) {
			/* In two slots. */
			memcpy(slot_buffer(tx, &tx->slot[nm_ring_next(tx, tx->head)]), frame + 13, 1);
			put_slot(tx, 13, NS_MOREFRAG);
			put_slot(tx, len - 13, 0);
		} else {
			put_slot(tx, len, 0);
		}
		ASSERT_EQ(0, tx_sync(&self->tx));
		rx = wait_rx(&self->rx, LIMIT_MS);
		ASSERT_NE(NULL, rx);
		for (i = len, stale = 0; i < head_slot(rx)->len; i++)
			stale += slot_buffer(rx, head_slot(rx))[i] != 0;
		EXPECT_EQ(0, stale) TH_LOG("%u bytes arrive as %u", len, head_slot(rx)->len);
		ring_advance(rx);
	}
}

TEST_HARNESS_MAIN
