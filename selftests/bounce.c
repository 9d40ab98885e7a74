// SPDX-License-Identifier: BSD-2-Clause
/*
 * A device that reaches memory through bounce buffers only cannot map more of the region than there are of those: the bind
 * fails, nothing is left behind, and the NIC is as before. The machine must have few of them (swiotlb=force).
 */
#include "host.h"

#define LEN	100
/* Buffers for 96 MiB, where the kernel's bounce buffers have 64. */
#define MANY	49152

FIXTURE(bounce) {
	int near, far;
};

FIXTURE_SETUP(bounce)
{
	self->near = packet_socket(nic_name(), PROTOCOL, false);
	self->far = packet_socket(peer_name(), PROTOCOL, false);
	ASSERT_LE(0, self->near);
	ASSERT_LE(0, self->far);
}

FIXTURE_TEARDOWN(bounce)
{
	close(self->near);
	close(self->far);
}

TEST_F_TIMEOUT(bounce, what_cannot_be_mapped_is_not_bound, TIMEOUT_S)
{
	long before = pool_used("buffers"), changes = carrier_changes(nic_name());
	uint32_t number = 0;
	struct port port = { .reg = { .nr_mode = NR_REG_ALL_NIC } };
	int round;

	for (round = 0; round < 3; round++) {
		struct nmreq_register many = { .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = MANY };
		int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);

		ASSERT_LE(0, fd);
		EXPECT_EQ(-ENOMEM, port_register(fd, nic_name(), &many));
		/* The file can have another try, with less. */
		many.nr_extra_bufs = 0;
		EXPECT_EQ(0, port_register(fd, nic_name(), &many));
		EXPECT_EQ(0, close(fd));
		EXPECT_EQ(before, pool_used("buffers"));
		EXPECT_TRUE(stack_carries(self->near, self->far, LEN, number));
		number += 2;
	}
	/* What was mapped before the failure is free again. */
	ASSERT_EQ(0, port_open_as(&port, nic_name()));
	EXPECT_EQ(0, port_close(&port));
	EXPECT_TRUE(stack_carries(self->near, self->far, LEN, number));
	EXPECT_EQ(changes, carrier_changes(nic_name()));
}

TEST_HARNESS_MAIN
