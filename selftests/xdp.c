// SPDX-License-Identifier: BSD-2-Clause
/*
 * An emulated port that receives by XDP: who else may attach a program, and what happens to the port when its own one is gone.
 * All of it is with emulated_xdp=2.
 */
#include <pthread.h>
#include <sys/wait.h>
#include "capabilities.h"
#include "kselftest_harness.h"
#include "netmap_test.h"
#include "program.h"
#include "stack.h"

static bool has_program(void)
{
	char command[80];

	snprintf(command, sizeof(command), "ip link show dev %s | grep -q 'prog/xdp id [0-9]* name netmap'", nic_name());
	return !system(command);
}

static int run(const char *format, const char *name)
{
	char command[160];

	snprintf(command, sizeof(command), format, name);
	return system(command);
}

static bool both_have_carriers(void)
{
	return has_carrier(nic_name()) && has_carrier(peer_name());
}

static int send_numbered(int peer, uint32_t len, uint32_t number)
{
	uint8_t frame[2048];

	make_frame(frame, len, number);
	return write(peer, frame, len) == len ? 0 : -errno;
}

#define FRAMES	20	/* few enough for the room that a socket has */

/* Frames come into the ring: by XDP, before a packet socket of the same interface sees them, or by the hook, after that. */
static void expect_frames(struct __test_metadata *_metadata, const struct port *port, int peer, bool by_xdp)
{
	int tap = packet_socket(nic_name(), ETH_P_ALL, false);
	uint8_t frame[2048];
	uint32_t i, seen = 0;
	int len;

	ASSERT_LE(0, tap);
	ASSERT_TRUE(both_have_carriers());
	for (i = 0; i < FRAMES; i++) {
		ASSERT_EQ(0, send_numbered(peer, 60 + i, i));
		ASSERT_EQ(60 + i, receive_frame(port, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", i);
		EXPECT_TRUE(frame_is(frame, 60 + i, i));
	}
	while ((len = recv(tap, frame, sizeof(frame), MSG_DONTWAIT)) > 0)
		seen += frame_is(frame, len, frame_number(frame)) && len >= SHORTEST;
	EXPECT_EQ(by_xdp ? 0 : FRAMES, seen);
	close(tap);
	EXPECT_EQ(by_xdp, is_kind(port, "xdp"));
	EXPECT_EQ(!by_xdp, is_kind(port, "skb"));
}

FIXTURE(xdp)
{
	struct port port;
	int peer;		/* a packet socket of the peer */
	int program;
};

FIXTURE_SETUP(xdp)
{
	self->peer = packet_socket(peer_name(), 0, false);
	ASSERT_LE(0, self->peer);
	self->program = load_program(XDP_PASS);
	ASSERT_LE(0, self->program);
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(xdp)
{
	if (self->port.fd >= 0)
		EXPECT_EQ(0, port_close(&self->port));
	/* The interface is as it was when close() returns. */
	EXPECT_FALSE(has_program());
	EXPECT_EQ(-ENOENT, find_link(nic_name()));
	close(self->program);
	close(self->peer);
	EXPECT_TRUE(both_have_carriers());
}

static int close_port(struct port *port)
{
	int error = port_close(port);

	port->fd = -1;
	return error;
}

TEST_F_TIMEOUT(xdp, receives, TIMEOUT_S)
{
	EXPECT_TRUE(has_program());
	expect_frames(_metadata, &self->port, self->peer, true);
	EXPECT_EQ(FRAMES, ring_counter(&self->port, "rx 0", "packets"));
}

TEST_F_TIMEOUT(xdp, the_parameter_is_for_the_next_port, TIMEOUT_S)
{
	ASSERT_EQ(0, system("echo 0 >/sys/module/netmap/parameters/emulated_xdp"));
	EXPECT_NE(0, system("echo 3 >/sys/module/netmap/parameters/emulated_xdp"));
	expect_frames(_metadata, &self->port, self->peer, true);
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_FALSE(has_program());
	expect_frames(_metadata, &self->port, self->peer, false);
	ASSERT_EQ(0, system("echo 1 >/sys/module/netmap/parameters/emulated_xdp"));
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	/* Only where it does not touch the link. */
	expect_frames(_metadata, &self->port, self->peer, !strcmp(getenv("TEST_NIC"), "virtio"));
	ASSERT_EQ(0, system("echo 2 >/sys/module/netmap/parameters/emulated_xdp"));
}

TEST_F_TIMEOUT(xdp, the_link_stays_up_on_virtio, TIMEOUT_S)
{
	long changes = carrier_changes(nic_name());

	if (strcmp(getenv("TEST_NIC"), "virtio"))
		return;
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_TRUE(is_kind(&self->port, "xdp"));
	EXPECT_EQ(changes, carrier_changes(nic_name()));
}

TEST_F_TIMEOUT(xdp, others_get_ebusy, TIMEOUT_S)
{
	EXPECT_EQ(-EBUSY, attach(nic_name(), self->program));
	EXPECT_NE(0, run("ip link set dev %s xdp off 2>/tmp/xdp", nic_name()));
	EXPECT_EQ(0, system("grep -q \"Can't replace active BPF XDP link\" /tmp/xdp"));
	expect_frames(_metadata, &self->port, self->peer, true);
}

TEST_F_TIMEOUT(xdp, one_that_was_there_stays, TIMEOUT_S)
{
	struct port port;
	int link;

	ASSERT_EQ(0, close_port(&self->port));
	link = attach(nic_name(), self->program);
	ASSERT_LE(0, link);
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, run("dmesg | tail -n 5 | grep -q '%s: emulated (skb), no XDP: another program is attached'", nic_name()));
	expect_frames(_metadata, &port, self->peer, false);
	/* It may go, and the next to bind rings gets what it can. */
	close(link);
	expect_frames(_metadata, &port, self->peer, false);
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_SW, 0, 0));
	expect_frames(_metadata, &port, self->peer, false);
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, port_close(&port));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	expect_frames(_metadata, &self->port, self->peer, true);
}

/* What an administrator does to the link is done, and packets come another way. */
TEST_F_TIMEOUT(xdp, the_link_is_detached, TIMEOUT_S)
{
	union bpf_attr attr = { .link_detach = { .link_fd = find_link(nic_name()) } };

	ASSERT_LE(0, (int)attr.link_detach.link_fd);
	ASSERT_EQ(0, bpf(BPF_LINK_DETACH, &attr));
	close(attr.link_detach.link_fd);
	expect_frames(_metadata, &self->port, self->peer, false);
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	expect_frames(_metadata, &self->port, self->peer, true);
}

TEST_F_TIMEOUT(xdp, the_program_is_updated, TIMEOUT_S)
{
	union bpf_attr attr = { .link_update = { .link_fd = find_link(nic_name()), .new_prog_fd = self->program } };

	ASSERT_LE(0, (int)attr.link_update.link_fd);
	ASSERT_EQ(0, bpf(BPF_LINK_UPDATE, &attr));
	close(attr.link_update.link_fd);
	expect_frames(_metadata, &self->port, self->peer, false);
}

/* Who may not load programs has his packets by the hook. */
TEST_F_TIMEOUT(xdp, needs_capabilities, TIMEOUT_S)
{
	int status;
	pid_t child;

	ASSERT_EQ(0, close_port(&self->port));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		uint32_t kept = 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW | 1 << CAP_DAC_OVERRIDE;

		if (keep_capabilities(kept) || port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0) ||
		    !is_kind(&self->port, "skb"))
			_exit(1);
		_exit(run("dmesg | tail -n 5 | grep -q '%s: emulated (skb), no XDP: that takes CAP_BPF'", nic_name()) ? 2 : 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* Where the NIC takes out VLAN tags, it does not meanwhile; and if the user wants it, the stack says what they were. */
TEST_F_TIMEOUT(xdp, tags_stay_in, TIMEOUT_S)
{
	int flags = feature(nic_name(), ETHTOOL_GFLAGS, 0), round;
	uint8_t frame[100];

	ASSERT_LE(0, flags);
	EXPECT_FALSE(flags & ETH_FLAG_RXVLAN);
	ASSERT_TRUE(both_have_carriers());
	ASSERT_EQ(0, set_if_flags(nic_name(), IFF_PROMISC, 0));
	for (round = 0; round < 2; round++) {
		struct netmap_ring *ring;

		make_frame(frame, sizeof(frame), round);
		/* Priority 5, VLAN 0x123. */
		memcpy(frame + 12, "\x81\x00\xa1\x23", 4);
		ASSERT_EQ(sizeof(frame), write(self->peer, frame, sizeof(frame)));
		do {
			ring = wait_rx(&self->port, LIMIT_MS);
			ASSERT_NE(NULL, ring);
			if (slot_buffer(ring, head_slot(ring))[12] == 0x81)
				break;
			ring_advance(ring);
		} while (true);
		EXPECT_EQ(sizeof(frame), head_slot(ring)->len);
		EXPECT_EQ(0, memcmp(frame, slot_buffer(ring, head_slot(ring)), sizeof(frame)));
		ring_advance(ring);
		if (strcmp(getenv("TEST_NIC"), "emulated"))
			break;
		ASSERT_LE(0, feature(nic_name(), ETHTOOL_SFLAGS, flags | ETH_FLAG_RXVLAN));
		ASSERT_TRUE(feature(nic_name(), ETHTOOL_GFLAGS, 0) & ETH_FLAG_RXVLAN);
		ASSERT_TRUE(both_have_carriers());
	}
	ASSERT_EQ(0, set_if_flags(nic_name(), 0, IFF_PROMISC));
	ASSERT_LE(0, feature(nic_name(), ETHTOOL_SFLAGS, flags));
}

TEST(tags_are_taken_out_again_afterwards)
{
	int before = feature(nic_name(), ETHTOOL_GFLAGS, 0);
	struct port port;

	ASSERT_LE(0, before);
	if (!strcmp(getenv("TEST_NIC"), "emulated")) {
		ASSERT_LE(0, feature(nic_name(), ETHTOOL_SFLAGS, before | ETH_FLAG_RXVLAN));
		before = feature(nic_name(), ETHTOOL_GFLAGS, 0);
		ASSERT_TRUE(before & ETH_FLAG_RXVLAN);
	}
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_FALSE(feature(nic_name(), ETHTOOL_GFLAGS, 0) & ETH_FLAG_RXVLAN);
	ASSERT_EQ(0, port_close(&port));
	EXPECT_EQ(before, feature(nic_name(), ETHTOOL_GFLAGS, 0));
	EXPECT_TRUE(both_have_carriers());
}

/* Other numbers of queues: igb goes on, virtio-net refuses them while there is a program. */
TEST_F_TIMEOUT(xdp, channels_change, TIMEOUT_S)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	uint32_t before;

	ASSERT_EQ(0, ethtool_request(nic_name(), &channels));
	before = channels.combined_count;
	if (before > 1) {
		channels.cmd = ETHTOOL_SCHANNELS;
		channels.combined_count = 1;
		if (!strcmp(getenv("TEST_NIC"), "virtio")) {
			EXPECT_EQ(-EINVAL, ethtool_request(nic_name(), &channels));
		} else {
			ASSERT_EQ(0, ethtool_request(nic_name(), &channels));
			expect_frames(_metadata, &self->port, self->peer, true);
			channels.combined_count = before;
			ASSERT_EQ(0, ethtool_request(nic_name(), &channels));
		}
	}
	expect_frames(_metadata, &self->port, self->peer, true);
}

/* Frames for which the driver has no room with a program: it is refused then, and packets come another way. */
TEST_F_TIMEOUT(xdp, the_mtu_is_too_large, TIMEOUT_S)
{
	bool fits = !strcmp(getenv("TEST_NIC"), "virtio");

	EXPECT_EQ(fits, !set_mtu(nic_name(), 9000));
	expect_frames(_metadata, &self->port, self->peer, true);
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, set_mtu(nic_name(), 9000));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	expect_frames(_metadata, &self->port, self->peer, fits);
	ASSERT_EQ(0, set_mtu(nic_name(), 1500));
}

TEST_F_TIMEOUT(xdp, down_and_up, TIMEOUT_S)
{
	ASSERT_EQ(0, set_if_flags(nic_name(), 0, IFF_UP));
	EXPECT_TRUE(is_kind(&self->port, "xdp"));
	ASSERT_EQ(0, set_if_flags(nic_name(), IFF_UP, 0));
	expect_frames(_metadata, &self->port, self->peer, true);
	/* Attached and detached while it is down. */
	ASSERT_EQ(0, set_if_flags(nic_name(), 0, IFF_UP));
	ASSERT_EQ(0, port_close(&self->port));
	EXPECT_FALSE(has_program());
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_TRUE(is_kind(&self->port, "xdp"));
	ASSERT_EQ(0, set_if_flags(nic_name(), IFF_UP, 0));
	expect_frames(_metadata, &self->port, self->peer, true);
}

static bool is_dead(const struct port *port)
{
	struct pollfd pollfd = { .fd = port->fd, .events = POLLIN };

	do {
		if (poll(&pollfd, 1, LIMIT_MS) != 1)
			return false;
		/* What came before that is still there. */
		rx_sync(port);
	} while (!(pollfd.revents & POLLERR) && pollfd.revents & POLLIN);
	return pollfd.revents & POLLERR;
}

/* It takes its program along, until the port ends, which it does at once. */
TEST_F_TIMEOUT(xdp, moves_to_another_namespace, TIMEOUT_S)
{
	int64_t end = now_ms() + LIMIT_MS;

	ASSERT_EQ(0, system("mkdir -p /run/netns && ip netns add xdp"));
	ASSERT_EQ(0, run("ip link set %s netns xdp", nic_name()));
	EXPECT_TRUE(is_dead(&self->port));
	while (!run("ip -n xdp link show dev %s | grep -q prog/xdp", nic_name()))
		ASSERT_GT(end, now_ms());
	ASSERT_EQ(0, run("ip -n xdp link set %s netns 1", nic_name()));
	ASSERT_EQ(0, system("ip netns del xdp"));
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, set_if_flags(nic_name(), IFF_UP, 0));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	expect_frames(_metadata, &self->port, self->peer, true);
}

/* The driver leaves the device, and has the core take the program away before the port hears of it. */
TEST_F_TIMEOUT(xdp, the_device_goes, TIMEOUT_S)
{
	char device[256] = "", driver[256] = "", command[600];
	int64_t end = now_ms() + LIMIT_MS;

	snprintf(command, sizeof(command), "/sys/class/net/%s/device", nic_name());
	ASSERT_NE(NULL, realpath(command, device));
	snprintf(command, sizeof(command), "/sys/class/net/%s/device/driver", nic_name());
	ASSERT_NE(NULL, realpath(command, driver));
	snprintf(command, sizeof(command), "echo %s >%s/unbind", strrchr(device, '/') + 1, driver);
	ASSERT_EQ(0, system(command));
	EXPECT_TRUE(is_dead(&self->port));
	ASSERT_EQ(0, close_port(&self->port));
	snprintf(command, sizeof(command), "echo %s >%s/bind", strrchr(device, '/') + 1, driver);
	ASSERT_EQ(0, system(command));
	/* It gets the name that is free. */
	while (set_if_flags(nic_name(), IFF_UP, 0)) {
		ASSERT_GT(end, now_ms());
		usleep(10000);
	}
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	expect_frames(_metadata, &self->port, self->peer, true);
}

struct flood {
	volatile bool stop;
	int peer;
};

static void *send_all_the_time(void *arg)
{
	struct flood *flood = arg;
	uint32_t i;

	for (i = 0; !flood->stop; i++)
		send_numbered(flood->peer, 60, i);
	return NULL;
}

/* Ports come and go under traffic: nobody may be in a program, or a ring, that is gone. */
TEST_F_TIMEOUT(xdp, cycles_under_traffic, TIMEOUT_S)
{
	int cycles = strcmp(getenv("TEST_NIC"), "virtio") ? 3 : atoi(getenv("CYCLES") ?: "50"), i;
	struct flood flood = { .peer = self->peer };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, send_all_the_time, &flood));
	for (i = 0; i < cycles; i++) {
		printf("# cycle %d\n", i);
		ASSERT_EQ(0, port_close(&self->port));
		ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
		ASSERT_TRUE(both_have_carriers());
		EXPECT_TRUE(is_kind(&self->port, "xdp"));
		ASSERT_NE(NULL, wait_rx(&self->port, LIMIT_MS));
	}
	flood.stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_HARNESS_MAIN
