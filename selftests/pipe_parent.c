// SPDX-License-Identifier: BSD-2-Clause
/* Pipes on a network device: the memory of its port, and what becomes of them when the device changes or goes. */
#include "capabilities.h"
#include "pipe.h"
#include "kselftest_harness.h"

static int run(const char *format, const char *a, const char *b)
{
	char command[256];

	snprintf(command, sizeof(command), format, a, b);
	return system(command);
}

/* A NIC's frames reach a pipe without a copy, and the other way round: the buffers are of one region. */
TEST(frames_pass_between_nic_and_pipe)
{
	struct netmap_ring *tx, *rx, *nic;
	struct port port, peer;
	struct ends ends;
	uint32_t i;

	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&peer, peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, open_ends(&ends, nic_name(), "x", true, 0));
	ASSERT_TRUE(has_carrier(nic_name()) && has_carrier(peer_name()));
	EXPECT_EQ(port.reg.nr_mem_id, ends.from.reg.nr_mem_id);
	EXPECT_EQ(port.reg.nr_tx_slots, ends.from.reg.nr_tx_slots);
	EXPECT_EQ(port.reg.nr_rx_slots, ends.to.reg.nr_tx_slots);
	EXPECT_EQ(1, ends.from.reg.nr_tx_rings);
	tx = tx_ring(&ends.from, 0);
	rx = rx_ring(&ends.to, 0);
	for (i = 0; i < 600; i++) {
		struct netmap_slot *from, *to;
		uint32_t idx;

		ASSERT_EQ(0, send_frame(&peer, tx_ring(&peer, 0), SHORTEST + i % 900, i));
		do {
			nic = wait_rx(&port, LIMIT_MS);
			ASSERT_NE(NULL, nic);
			from = head_slot(nic);
			ring_advance(nic);
			/* The stack of the peer may have something to say. */
		} while (!frame_is(slot_buffer(nic, from), from->len, i));
		ASSERT_EQ(0, wait_tx(&ends.from, tx));
		to = head_slot(tx);
		idx = to->buf_idx;
		to->buf_idx = from->buf_idx;
		from->buf_idx = idx;
		to->len = from->len;
		to->flags = from->flags = NS_BUF_CHANGED;
		idx = to->buf_idx;
		ring_advance(tx);
		ASSERT_EQ(0, tx_sync(&ends.from));
		ASSERT_EQ(0, rx_sync(&ends.to));
		ASSERT_EQ(1, room(rx));
		ASSERT_EQ(idx, head_slot(rx)->buf_idx);
		ASSERT_TRUE(frame_is(slot_buffer(rx, head_slot(rx)), SHORTEST + i % 900, i));
		ring_advance(rx);
		ASSERT_EQ(0, rx_sync(&ends.to));
	}
	/* And a frame that came by the pipe leaves by the NIC. */
	ASSERT_EQ(0, send_frame(&ends.from, tx, 200, 4711));
	ASSERT_EQ(0, rx_sync(&ends.to));
	ASSERT_EQ(1, room(rx));
	{
		struct netmap_slot *from = head_slot(rx), *to = head_slot(tx_ring(&port, 0));
		uint32_t idx = to->buf_idx;
		uint8_t frame[2048];

		to->buf_idx = from->buf_idx;
		to->len = from->len;
		from->buf_idx = idx;
		to->flags = from->flags = NS_BUF_CHANGED;
		ring_advance(rx);
		ring_advance(tx_ring(&port, 0));
		ASSERT_EQ(0, tx_sync(&port));
		ASSERT_EQ(0, rx_sync(&ends.to));
		ASSERT_EQ(200, receive_frame(&peer, frame, sizeof(frame), LIMIT_MS));
		EXPECT_TRUE(frame_is(frame, 200, 4711));
	}
	EXPECT_EQ(0, ring_counter(&ends.from, "tx 0", "reinits"));
	EXPECT_EQ(0, ring_counter(&ends.to, "rx 0", "reinits"));
	/* The NIC's port goes first, and the pipe stays. */
	EXPECT_EQ(0, port_close(&port));
	EXPECT_EQ(0, send_frame(&ends.from, tx, SHORTEST, 1));
	EXPECT_EQ(0, rx_sync(&ends.to));
	EXPECT_EQ(1, room(rx));
	EXPECT_EQ(0, close_ends(&ends));
	EXPECT_EQ(0, port_close(&peer));
	EXPECT_EQ(0, lost_buffers());
}

/* A pipe does not take the device, and what it is given later has the same memory. */
TEST(the_device_need_not_be_bound)
{
	struct port port, other;
	struct ends ends;
	uint32_t id;

	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_close(&port));
	ASSERT_EQ(0, open_ends(&ends, nic_name(), "x", false, 0));
	EXPECT_EQ(1, ends.from.reg.nr_mem_id);
	EXPECT_LT(1, ends.from.reg.nr_tx_slots);
	EXPECT_NE(0, run("grep -q '^%s: ' /sys/kernel/debug/netmap/ports", nic_name(), ""));
	ASSERT_EQ(0, close_ends(&ends));
	/* Of a region that is no device's at first. */
	other = (struct port){ .reg.nr_mode = NR_REG_ALL_NIC };
	ASSERT_EQ(0, open_end(&other, "nothing", '{', "x"));
	id = other.reg.nr_mem_id;
	ends.from = ends.to = (struct port){ .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_mem_id = id } };
	ASSERT_EQ(0, open_end(&ends.from, nic_name(), '{', "x"));
	EXPECT_EQ(id, ends.from.reg.nr_mem_id);
	ASSERT_EQ(0, port_close(&other));
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(id, port.reg.nr_mem_id);
	ASSERT_EQ(0, port_open(&other, peer_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(1, other.reg.nr_mem_id);
	ASSERT_TRUE(has_carrier(nic_name()) && has_carrier(peer_name()));
	{
		uint8_t frame[2048];

		ASSERT_EQ(0, send_frame(&port, tx_ring(&port, 0), 300, 5));
		ASSERT_EQ(300, receive_frame(&other, frame, sizeof(frame), LIMIT_MS));
		EXPECT_TRUE(frame_is(frame, 300, 5));
		ASSERT_EQ(0, send_frame(&other, tx_ring(&other, 0), 301, 6));
		ASSERT_EQ(301, receive_frame(&port, frame, sizeof(frame), LIMIT_MS));
		EXPECT_TRUE(frame_is(frame, 301, 6));
	}
	EXPECT_EQ(0, port_close(&port));
	EXPECT_EQ(0, port_close(&other));
	EXPECT_EQ(0, port_close(&ends.from));
}

TEST(looked_at_without_being_there)
{
	struct nmreq_port_info_get body = { 0 };
	struct nmreq_pools_info pools = { 0 };
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_PORT_INFO_GET,
				       .nr_body = (uintptr_t)&body };
	int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);

	snprintf(header.nr_name, sizeof(header.nr_name), "%s}info", nic_name());
	ASSERT_EQ(0, ioctl(fd, NIOCCTRL, &header));
	EXPECT_EQ(1, body.nr_mem_id);
	EXPECT_EQ(1, body.nr_tx_rings);
	EXPECT_LT(1, body.nr_tx_slots);
	header.nr_reqtype = NETMAP_REQ_POOLS_INFO_GET;
	header.nr_body = (uintptr_t)&pools;
	ASSERT_EQ(0, ioctl(fd, NIOCCTRL, &header));
	EXPECT_EQ(1, pools.nr_mem_id);
	close(fd);
}

TEST(a_device_asks_for_privileges)
{
	pid_t child = fork();

	ASSERT_LE(0, child);
	if (!child) {
		struct ends ends;

		if (keep_capabilities(0))
			_exit(1);
		_exit(open_ends(&ends, nic_name(), "p", true, 0) == -EPERM ? 0 : 2);
	}
	EXPECT_EQ(0, awoken(child));
}

FIXTURE(passing)
{
	struct ends ends;
};

FIXTURE_SETUP(passing)
{
	ASSERT_EQ(0, run("ip link add %s type veth peer name %s", "nmpipe0", "nmpipe1"));
	ASSERT_EQ(0, open_ends(&self->ends, "nmpipe0", "x", true, 64));
}

FIXTURE_TEARDOWN(passing)
{
	EXPECT_EQ(0, close_ends(&self->ends));
	run("ip link del %s 2>/dev/null || ip link del %s 2>/dev/null", "nmpipe1", "nmpipe2");
}

TEST_F_TIMEOUT(passing, the_device_gets_another_name, TIMEOUT_S)
{
	struct port again = { .reg.nr_mode = NR_REG_ALL_NIC };

	ASSERT_EQ(0, run("ip link set %s name %s", "nmpipe0", "nmpipe2"));
	EXPECT_EQ(0, run("grep -q '^%s{x: pipe' %s", "nmpipe2", "/sys/kernel/debug/netmap/ports"));
	ASSERT_EQ(0, open_end(&again, "nmpipe2", '}', "x"));
	ASSERT_EQ(0, send_frame(&self->ends.from, tx_ring(&self->ends.from, 0), 60, 1));
	ASSERT_EQ(0, rx_sync(&again));
	EXPECT_EQ(1, room(rx_ring(&again, 0)));
	EXPECT_EQ(0, port_close(&again));
}

TEST_F_TIMEOUT(passing, the_device_goes, TIMEOUT_S)
{
	struct port again = { .reg.nr_mode = NR_REG_ALL_NIC };
	pid_t child;

	ASSERT_EQ(0, send_frame(&self->ends.from, tx_ring(&self->ends.from, 0), 60, 1));
	child = sleeper(&self->ends.from, POLLIN);
	ASSERT_LT(0, child);
	ASSERT_EQ(0, run("ip link del %s%s", "nmpipe0", ""));
	EXPECT_TRUE(awoken(child) & POLLERR);
	EXPECT_EQ(-ENXIO, tx_sync(&self->ends.from));
	EXPECT_EQ(-ENXIO, rx_sync(&self->ends.to));
	EXPECT_TRUE(poll_port(&self->ends.to, POLLIN, 0) & POLLERR);
	/* The name is that of nothing, now. */
	ASSERT_EQ(0, open_end(&again, "nmpipe0", '}', "x"));
	EXPECT_NE(1, again.reg.nr_mem_id);
	EXPECT_EQ(0, rx_sync(&again));
	EXPECT_TRUE(nm_ring_empty(rx_ring(&again, 0)));
	EXPECT_EQ(0, port_close(&again));
}

TEST_F_TIMEOUT(passing, the_device_leaves_for_another_namespace, TIMEOUT_S)
{
	ASSERT_EQ(0, run("ip netns add %s && ip link set nmpipe0 netns %s", "nmpipe", "nmpipe"));
	EXPECT_EQ(-ENXIO, tx_sync(&self->ends.from));
	EXPECT_TRUE(poll_port(&self->ends.to, POLLIN, 0) & POLLERR);
	EXPECT_EQ(0, run("ip netns del %s%s", "nmpipe", ""));
}

TEST_HARNESS_MAIN
