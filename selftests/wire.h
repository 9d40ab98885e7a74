/* SPDX-License-Identifier: BSD-2-Clause */
/* The fixture of tests whose frames leave one port and arrive at another: both ends of a wire, in both directions. */
#ifndef WIRE_H
#define WIRE_H

#include "kselftest_harness.h"
#include "netmap_test.h"

FIXTURE(wire)
{
	struct port tx, rx;
};

FIXTURE_VARIANT(wire)
{
	bool back;		/* from the peer to the NIC */
};

FIXTURE_VARIANT_ADD(wire, forth) {};
FIXTURE_VARIANT_ADD(wire, back) { .back = true };

FIXTURE_SETUP(wire)
{
	/* The receiver first: what arrives while a queue is being taken is the driver's. */
	ASSERT_EQ(0, port_open(&self->rx, variant->back ? nic_name() : peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->tx, variant->back ? peer_name() : nic_name(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(wire)
{
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->rx));
}

/* Takes the next frame of ours and checks it. */
static inline void expect_frame(struct __test_metadata *_metadata, const struct port *port, uint32_t len, uint32_t number)
{
	uint8_t frame[2048];
	int got = receive_frame(port, frame, sizeof(frame), LIMIT_MS);

	ASSERT_EQ(len, got) TH_LOG("frame %u", number);
	ASSERT_EQ(number, frame_number(frame));
	ASSERT_TRUE(frame_is(frame, len, number)) TH_LOG("frame %u of %u bytes is damaged", number, len);
}

/* Puts one slot, with what the buffer holds; it is handed over by the next sync. */
static inline void put_slot(struct netmap_ring *ring, uint32_t len, uint16_t flags)
{
	head_slot(ring)->len = len;
	head_slot(ring)->flags = flags;
	ring_advance(ring);
}

#endif
