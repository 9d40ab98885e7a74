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

#define ROOM 16384

/* Receives a packet of any number of slots; its length, and how many slots it was in. `frame` has ROOM. */
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
		ASSERT_LE(len + slot->len, ROOM);
		memcpy(frame + len, slot_buffer(rx, slot), slot->len);
		len += slot->len;
		++*slots;
		ring_advance(rx);
	} while (flags & NS_MOREFRAG);
	return len;
}

TEST_F_TIMEOUT(small, packets_arrive_in_slots, TIMEOUT_S)
{
	uint8_t frame[ROOM], got[ROOM];
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
	uint8_t frame[ROOM], got[ROOM];
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

/* With an MTU of 9000: up to nine slots, both ways. The drivers restart for it. */
#define MTU 9000
#define JUMBO (MTU + 14)

FIXTURE(jumbo)
{
	struct port tx, rx;
	bool refused;
};

FIXTURE_VARIANT(jumbo)
{
	bool back;
};

FIXTURE_VARIANT_ADD(jumbo, forth) {};
FIXTURE_VARIANT_ADD(jumbo, back) { .back = true };

static int set_mtu(const char *name, int mtu)
{
	char command[64];

	snprintf(command, sizeof(command), "ip link set %s mtu %d", name, mtu);
	return system(command);
}

static void set_mtus(struct __test_metadata *_metadata, int mtu)
{
	const char *names[] = { nic_name(), peer_name() };
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, set_mtu(names[i], mtu));
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(has_carrier(names[i]));
}

FIXTURE_SETUP(jumbo)
{
	const char *family = getenv("TEST_NIC");

	set_mtus(_metadata, MTU);
	/* This driver has the NIC split such packets, which is no business of ours. */
	self->refused = family && !strcmp(family, "e1000e");
	if (self->refused) {
		ASSERT_EQ(-EBUSY, port_open(&self->rx, nic_name(), NR_REG_ALL_NIC, 0, 0));
		return;
	}
	ASSERT_EQ(0, port_open(&self->rx, variant->back ? nic_name() : peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->tx, variant->back ? peer_name() : nic_name(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(jumbo)
{
	if (!self->refused) {
		EXPECT_EQ(0, port_close(&self->tx));
		EXPECT_EQ(0, port_close(&self->rx));
	}
	set_mtus(_metadata, 1500);
}

TEST_F_TIMEOUT(jumbo, passes_in_slots, TIMEOUT_S)
{
	uint8_t frame[ROOM], got[ROOM];
	uint32_t len, slots, number = 0;

	if (self->refused)
		return;
	for (len = SHORTEST; len <= JUMBO; len += number % 3 ? 61 : 2) {
		make_frame(frame, len, number++);
		send_split(_metadata, &self->tx, frame, len);
		ASSERT_EQ(len, receive_split(_metadata, &self->rx, got, &slots));
		ASSERT_EQ(0, memcmp(frame, got, len)) TH_LOG("%u bytes", len);
		EXPECT_EQ((len + 1023) / 1024, slots) TH_LOG("%u bytes", len);
	}
	EXPECT_EQ(0, ring_counter(&self->rx, "rx 0", "errors"));
	/* Packets, not slots; the peer's stack may have said something, too. */
	EXPECT_EQ(number, ring_counter(&self->tx, "tx 0", "packets"));
	EXPECT_LE(number, ring_counter(&self->rx, "rx 0", "packets"));
	EXPECT_GT(2 * number, ring_counter(&self->rx, "rx 0", "packets"));
}

TEST_HARNESS_MAIN
