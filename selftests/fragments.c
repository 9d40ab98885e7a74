// SPDX-License-Identifier: BSD-2-Clause
/* Buffers that are smaller than a packet (buf_size=1024): it arrives in several slots. */
#include "kselftest_harness.h"
#include "netmap_test.h"

FIXTURE(small)
{
	struct port tx, rx;
};

FIXTURE_SETUP(small)
{
	ASSERT_EQ(1024, parameter("buf_size"));
	ASSERT_EQ(0, port_open(&self->rx, peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->tx, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(1024, rx_ring(&self->rx, 0)->nr_buf_size);
}

FIXTURE_TEARDOWN(small)
{
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->rx));
}

static void send_split(struct __test_metadata *_metadata, const struct port *port, const uint8_t *frame, uint32_t len)
{
	struct netmap_ring *tx = tx_ring(port, 0);
	uint32_t done = 0, part;

	for (; done < len; done += part) {
		part = len - done > 1024 ? 1024 : len - done;
		ASSERT_EQ(0, wait_tx(port, tx));
		memcpy(slot_buffer(tx, head_slot(tx)), frame + done, part);
		head_slot(tx)->len = part;
		head_slot(tx)->flags = done + part < len ? NS_MOREFRAG : 0;
		ring_advance(tx);
	}
	ASSERT_EQ(0, tx_sync(port));
}

/* Receives a packet of any number of slots; its length, and how many slots it was in. */
static uint32_t receive_split(struct __test_metadata *_metadata, const struct port *port, uint8_t *frame,
			      uint32_t *slots)
{
	uint32_t len = 0;
	uint16_t flags;

	*slots = 0;
	do {
		struct netmap_ring *rx = wait_rx(port, LIMIT_MS);
		struct netmap_slot *slot;

		ASSERT_NE(NULL, rx);
		slot = head_slot(rx);
		flags = slot->flags;
		ASSERT_LE(slot->len, 1024);
		ASSERT_LE(len + slot->len, 2048);
		memcpy(frame + len, slot_buffer(rx, slot), slot->len);
		len += slot->len;
		++*slots;
		ring_advance(rx);
	} while (flags & NS_MOREFRAG);
	return len;
}

TEST_F_TIMEOUT(small, packets_arrive_in_slots, TIMEOUT_S)
{
	uint8_t frame[2048], got[2048];
	uint32_t len, slots, number = 0;

	/* Around the size of a buffer, with and without the check sequence that the NIC may store, each length. */
	for (len = 1000; len <= 1050; len++, number++) {
		make_frame(frame, len, number);
		send_split(_metadata, &self->tx, frame, len);
		ASSERT_EQ(len, receive_split(_metadata, &self->rx, got, &slots));
		EXPECT_TRUE(frame_is(got, len, number));
		/* An empty last slot would be a lie. */
		EXPECT_EQ(len > 1024 ? 2 : 1, slots) TH_LOG("%u bytes", len);
	}
	for (len = SHORTEST; len <= LONGEST; len += 7, number++) {
		make_frame(frame, len, number);
		send_split(_metadata, &self->tx, frame, len);
		ASSERT_EQ(len, receive_split(_metadata, &self->rx, got, &slots));
		EXPECT_TRUE(frame_is(got, len, number));
	}
}

/*
 * The tag that the NIC has taken out goes in again, and everything behind it moves. Where it would need a slot more than
 * the NIC has filled, the packet is lost, an error is counted, and an empty slot tells of it.
 */
TEST_F_TIMEOUT(small, tags_move_what_follows, TIMEOUT_S)
{
	uint8_t frame[2048], got[2048];
	uint32_t len, slots, received, lost = 0;

	ASSERT_EQ(0, set_if_flags(peer_name(), IFF_PROMISC, 0));
	for (len = 1010; len <= 1040; len++) {
		make_frame(frame, len, len);
		memcpy(frame + 12, "\x81\x00\x20\x05\x88\xb5", 6);
		send_split(_metadata, &self->tx, frame, len);
		received = receive_split(_metadata, &self->rx, got, &slots);
		if (len > 1024 && len <= 1028 && !received) {
			EXPECT_EQ(++lost, ring_counter(&self->rx, "rx 0", "errors"));
			continue;
		}
		ASSERT_EQ(len, received);
		EXPECT_EQ(0, memcmp(frame, got, len)) TH_LOG("%u bytes", len);
	}
	EXPECT_EQ(0, set_if_flags(peer_name(), 0, IFF_PROMISC));
}

TEST_HARNESS_MAIN
