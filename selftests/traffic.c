// SPDX-License-Identifier: BSD-2-Clause
/*
 * PACKETS numbered packets each way, never more under way than the receiver has slots: none is lost, damaged, repeated
 * or overtaken. PACKETS: 300000, on the debug kernel 30000. A long run: PACKETS=10000000 scripts/test traffic
 */
#include "kselftest_harness.h"
#include "netmap_test.h"

#define LONG_S 86400	/* scripts/test has the limit */

FIXTURE(flow)
{
	struct port tx, rx;
	uint32_t packets;
};

FIXTURE_VARIANT(flow)
{
	bool back;
	uint32_t len;		/* of the shortest packet */
	uint32_t spread;	/* how many lengths there are, a power of two */
};

FIXTURE_VARIANT_ADD(flow, forth) { .len = 60, .spread = 1 };
FIXTURE_VARIANT_ADD(flow, back) { .len = 60, .spread = 1, .back = true };
FIXTURE_VARIANT_ADD(flow, forth_in_all_sizes) { .len = 60, .spread = 1024 };
FIXTURE_VARIANT_ADD(flow, back_in_all_sizes) { .len = 490, .spread = 1024, .back = true };

FIXTURE_SETUP(flow)
{
	const char *packets = getenv("PACKETS"), *kernel = getenv("TEST_KERNEL");
	bool debug = kernel && !strcmp(kernel, "debug");

	/* Long packets are for their lengths, not for their number. */
	self->packets = (packets ? atoll(packets) : debug ? 30000 : 300000) / (variant->spread > 1 ? 10 : 1);
	ASSERT_LT(0, self->packets);
	ASSERT_EQ(0, port_open(&self->rx, variant->back ? nic_name() : peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->tx, variant->back ? peer_name() : nic_name(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(flow)
{
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->rx));
}

/* Lengths that follow from the number, and jump. */
static uint32_t length_of(const FIXTURE_VARIANT(flow) * variant, uint32_t number)
{
	return variant->len + (number * 389 & (variant->spread - 1));
}

TEST_F_TIMEOUT(flow, is_whole, LONG_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0), *rx;
	/* The receiver's tail may reach its NIC after the sender's has reached the other: half of the ring is there. */
	uint32_t sent = 0, seen = 0, window = (rx_ring(&self->rx, 0)->num_slots - 1) / 2;
	long long drops = ring_counter(&self->rx, "rx 0", "drops");
	int64_t start = now_ms(), took;
	cpu_set_t one;

	if (is_emulated()) {
		/* The receiving driver may have no more room than this, and a veth hands packets over on the processor that sends. */
		window = 100;
		CPU_ZERO(&one);
		CPU_SET(0, &one);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	}
	while (seen < self->packets) {
		/* The slots that the receiver has not given back yet count as under way: they go with its next sync. */
		ASSERT_EQ(0, rx_sync(&self->rx));
		while (sent < self->packets && sent - seen < window && !nm_ring_empty(tx)) {
			struct netmap_slot *slot = head_slot(tx);

			slot->len = length_of(variant, sent);
			slot->flags = 0;
			make_frame(slot_buffer(tx, slot), slot->len, sent++);
			ring_advance(tx);
		}
		ASSERT_EQ(0, tx_sync(&self->tx));
		if (sent == seen) {
			/* Nothing is under way, but the NIC has not said so yet. */
			ASSERT_EQ(0, wait_tx(&self->tx, tx));
			continue;
		}
		rx = wait_rx(&self->rx, LIMIT_MS);
		ASSERT_NE(NULL, rx) TH_LOG("%u of %u packets have arrived", seen, sent);
		for (; !nm_ring_empty(rx); ring_advance(rx)) {
			struct netmap_slot *slot = head_slot(rx);
			uint8_t *frame = slot_buffer(rx, slot);

			if (slot->len < SHORTEST || frame[12] != PROTOCOL >> 8 || frame[13] != (PROTOCOL & 0xff))
				continue;
			ASSERT_EQ(seen, frame_number(frame));
			ASSERT_EQ(length_of(variant, seen), slot->len);
			ASSERT_TRUE(frame_is(frame, slot->len, seen)) TH_LOG("packet %u is damaged", seen);
			if (++seen % 100000 == 0)
				TH_LOG("%u packets", seen);
		}
	}
	EXPECT_EQ(self->packets, ring_counter(&self->tx, "tx 0", "packets"));
	EXPECT_EQ(drops, ring_counter(&self->rx, "rx 0", "drops"));
	EXPECT_EQ(0, ring_counter(&self->rx, "rx 0", "errors"));
	took = now_ms() - start;
	TH_LOG("%u packets in %lld ms", self->packets, (long long)took);
}

TEST_HARNESS_MAIN
