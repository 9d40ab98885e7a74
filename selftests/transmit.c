// SPDX-License-Identifier: BSD-2-Clause
/* What a program sends through a driver that knows nothing of netmap: on ports that are emulated. */
#include <pthread.h>
#include "host.h"

/* A statistic of an interface. */
static long statistic(const char *name, const char *what)
{
	char format[128];

	snprintf(format, sizeof(format), "/sys/class/net/%%s/statistics/%s", what);
	return number_in(format, name);
}

/* Waits until a statistic has a value; drivers count when they find a packet sent, which may be late. */
static bool statistic_becomes(struct __test_metadata *_metadata, const char *name, const char *what, long value)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (statistic(name, what) != value) {
		if (now_ms() >= end) {
			TH_LOG("%s of %s is %ld, not %ld", what, name, statistic(name, what), value);
			return false;
		}
		usleep(10000);
	}
	return true;
}

/* Cuts the wire, or mends it; 0 on success. A veth has a carrier if its peer is up. */
static int set_link(bool on)
{
	const char *family = getenv("TEST_NIC"), *id = getenv("TEST_IF_ID");
	char command[128];

	if (family && !strcmp(family, "veth"))
		snprintf(command, sizeof(command), "ip link set %s %s", peer_name(), on ? "up" : "down");
	else
		snprintf(command, sizeof(command), "monitor set_link %s %s", id, on ? "on" : "off");
	return system(command);
}

static bool carrier_is(const char *name, int on)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (number_in("/sys/class/net/%s/carrier", name) != on) {
		if (now_ms() >= end)
			return false;
		usleep(10000);
	}
	return true;
}

/* Fills the ring; how many frames that were. */
static uint32_t fill(const struct port *port, struct netmap_ring *ring, uint32_t number)
{
	uint32_t count = 0;

	for (; !nm_ring_empty(ring); count++)
		put_frame(port, ring, SHORTEST, number + count, 0);
	return count;
}

FIXTURE(sender)
{
	struct port port;
	struct netmap_ring *ring;
	long before;	/* what the interface has sent */
};

FIXTURE_SETUP(sender)
{
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ONE_NIC, 0, 0));
	self->ring = tx_ring(&self->port, 0);
	self->before = statistic(nic_name(), "tx_packets");
}

FIXTURE_TEARDOWN(sender)
{
	EXPECT_EQ(0, port_close(&self->port));
}

/*
 * What is longer than the device sends, or than the longest frame it has ever sent by more slots than one, is dropped and
 * counted, and nothing else is.
 */
TEST_F_TIMEOUT(sender, drops_what_is_too_long, TIMEOUT_S)
{
	static const uint32_t lengths[] = { LONGEST, LONGEST + 5, SHORTEST, 2048, LONGEST + 4, LONGEST + 6, 100 };
	struct netmap_ring *ring = self->ring;
	uint32_t i, room = nm_ring_space(ring);
	struct port peer;
	int from;

	ASSERT_EQ(0, port_open(&peer, peer_name(), NR_REG_ALL_NIC, 0, 0));
	for (i = 0; i < ARRAY_SIZE(lengths); i++)
		ASSERT_EQ(0, put_frame(&self->port, ring, lengths[i], i, 0));
	/* Two slots, too long together. */
	ASSERT_EQ(0, put_frame(&self->port, ring, 1000, i, NS_MOREFRAG));
	ASSERT_EQ(0, put_frame(&self->port, ring, 1000, i, 0));
	ASSERT_EQ(0, put_frame(&self->port, ring, SHORTEST, i, 0));
	ASSERT_EQ(0, drain_tx(&self->port, ring));
	EXPECT_EQ(room, nm_ring_space(ring));
	EXPECT_EQ(4, ring_counter(&self->port, "tx 0", "errors"));
	EXPECT_EQ(5, ring_counter(&self->port, "tx 0", "packets"));
	EXPECT_EQ(LONGEST + SHORTEST + LONGEST + 4 + 100 + SHORTEST, ring_counter(&self->port, "tx 0", "bytes"));
	EXPECT_EQ(0, ring_counter(&self->port, "tx 0", "reinits"));
	/* All too long: none is before them or behind. */
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, put_frame(&self->port, ring, 2000, i, 0));
	ASSERT_EQ(0, drain_tx(&self->port, ring));
	EXPECT_EQ(room, nm_ring_space(ring));
	EXPECT_EQ(104, ring_counter(&self->port, "tx 0", "errors"));
	EXPECT_EQ(5, ring_counter(&self->port, "tx 0", "packets"));
	for (from = 0, i = 0; i < ARRAY_SIZE(lengths) + 1; i++) {
		uint32_t len = i < ARRAY_SIZE(lengths) ? lengths[i] : SHORTEST;
		uint8_t frame[2048];

		/* A receiver may have no room for a tag. */
		if (len > LONGEST)
			continue;
		do
			from = receive_frame(&peer, frame, sizeof(frame), LIMIT_MS);
		while (from == LONGEST + 4);
		ASSERT_EQ(len, from);
		EXPECT_TRUE(frame_is(frame, len, i)) TH_LOG("frame %u", i);
	}
	EXPECT_EQ(0, port_close(&peer));
}

/* Frames that the receiver has not looked at yet stay as they are, however many come after them. */
TEST_F_TIMEOUT(sender, leaves_alone_what_is_on_its_way, TIMEOUT_S)
{
	int stack = packet_socket(peer_name(), PROTOCOL, false), bytes = 1 << 26;
	uint32_t i, len, count = 3000;

	ASSERT_LE(0, stack);
	ASSERT_EQ(0, setsockopt(stack, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)));
	for (i = 0; i < count; i++) {
		len = SHORTEST + i * 7 % (LONGEST - SHORTEST);
		ASSERT_EQ(0, send_frame(&self->port, self->ring, len, i));
		/* One at a time, for a NIC drops what it has no room for. */
		if (i % 16 == 15)
			ASSERT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", self->before + i + 1));
	}
	for (i = 0; i < count; i++) {
		len = SHORTEST + i * 7 % (LONGEST - SHORTEST);
		ASSERT_TRUE(stack_gets(stack, len, i)) TH_LOG("frame %u", i);
	}
	close(stack);
}

static pid_t sleeper;

static void *mend(void *arg)
{
	int *err = arg;

	*err = wait_asleep(sleeper);
	if (!*err)
		*err = set_link(true);
	return NULL;
}

/* Without a carrier nothing is handed over and nothing is lost; who sleeps is woken when it is there again. */
TEST_F_TIMEOUT(sender, waits_for_the_carrier, TIMEOUT_S)
{
	struct netmap_ring *ring = self->ring;
	pthread_t mender;
	uint32_t count;
	int err = -1;

	ASSERT_EQ(0, send_frame(&self->port, ring, SHORTEST, 0));
	ASSERT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", self->before + 1));
	ASSERT_EQ(0, set_link(false));
	ASSERT_TRUE(carrier_is(nic_name(), 0));
	count = fill(&self->port, ring, 1);
	EXPECT_EQ(ring->num_slots - 1, count);
	ASSERT_EQ(0, tx_sync(&self->port));
	EXPECT_EQ(0, nm_ring_space(ring));
	EXPECT_EQ(1, ring_counter(&self->port, "tx 0", "packets"));
	EXPECT_EQ(0, poll_port(&self->port, POLLOUT, 0));
	EXPECT_EQ(self->before + 1, statistic(nic_name(), "tx_packets"));
	sleeper = gettid();
	ASSERT_EQ(0, pthread_create(&mender, NULL, mend, &err));
	EXPECT_EQ(POLLOUT, poll_port(&self->port, POLLOUT, LIMIT_MS) & (POLLOUT | POLLERR));
	ASSERT_EQ(0, pthread_join(mender, NULL));
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, wait_tx(&self->port, ring));
	while (nm_ring_space(ring) < count)
		ASSERT_EQ(0, tx_sync(&self->port));
	EXPECT_EQ(1 + count, ring_counter(&self->port, "tx 0", "packets"));
	EXPECT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", self->before + 1 + count));
	ASSERT_TRUE(carrier_is(peer_name(), 1));
}

/* And what waited goes without another sync, if nobody sleeps. */
TEST_F_TIMEOUT(sender, goes_with_the_carrier, TIMEOUT_S)
{
	uint32_t round, sent = 0;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, set_link(false));
		ASSERT_TRUE(carrier_is(nic_name(), 0));
		sent += fill(&self->port, self->ring, 0);
		ASSERT_EQ(0, tx_sync(&self->port));
		EXPECT_EQ(0, nm_ring_space(self->ring));
		ASSERT_EQ(0, set_link(true));
		ASSERT_TRUE(carrier_is(nic_name(), 1));
		ASSERT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", self->before + sent));
		EXPECT_EQ(sent, ring_counter(&self->port, "tx 0", "packets"));
		ASSERT_EQ(0, tx_sync(&self->port));
		EXPECT_EQ(self->ring->num_slots - 1, nm_ring_space(self->ring));
	}
	ASSERT_TRUE(carrier_is(peer_name(), 1));
}

/* A port that is closed does not wait for a carrier, nor does its module, and what it had is not sent later. */
TEST_F_TIMEOUT(sender, does_not_wait_for_the_carrier_at_close, TIMEOUT_S)
{
	long admode = parameter("admode");
	char command[64];

	ASSERT_EQ(0, set_link(false));
	ASSERT_TRUE(carrier_is(nic_name(), 0));
	fill(&self->port, self->ring, 0);
	ASSERT_EQ(0, tx_sync(&self->port));
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, system("rmmod netmap"));
	ASSERT_EQ(0, set_link(true));
	ASSERT_TRUE(carrier_is(nic_name(), 1));
	ASSERT_TRUE(carrier_is(peer_name(), 1));
	EXPECT_EQ(self->before, statistic(nic_name(), "tx_packets"));
	snprintf(command, sizeof(command), "insmod netmap.ko admode=%ld", admode);
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ONE_NIC, 0, 0));
}

/* What a sync was given is sent, though the port is closed at once. */
TEST_F_TIMEOUT(sender, loses_nothing_at_close, TIMEOUT_S)
{
	uint32_t round, sent = 0;

	for (round = 0; round < 30; round++) {
		sent += fill(&self->port, self->ring, 0);
		ASSERT_EQ(0, tx_sync(&self->port));
		ASSERT_EQ(0, port_close(&self->port));
		ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ONE_NIC, 0, 0));
		self->ring = tx_ring(&self->port, 0);
	}
	EXPECT_LT(0, sent);
	EXPECT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", self->before + sent));
}

/* Packets that are on their way need no module: it goes, and they are what they were. */
TEST_F_TIMEOUT(sender, outlives_the_module, TIMEOUT_S)
{
	int stack = packet_socket(peer_name(), PROTOCOL, false);
	long admode = parameter("admode");
	uint32_t i, round, count = 100;
	char command[64];

	ASSERT_LE(0, stack);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < count; i++)
			ASSERT_EQ(0, put_frame(&self->port, self->ring, SHORTEST, i, 0));
		ASSERT_EQ(0, drain_tx(&self->port, self->ring));
		ASSERT_EQ(0, port_close(&self->port));
		ASSERT_EQ(0, system("rmmod netmap"));
		for (i = 0; i < count; i++)
			ASSERT_TRUE(stack_gets(stack, SHORTEST, i)) TH_LOG("frame %u", i);
		snprintf(command, sizeof(command), "insmod netmap.ko admode=%ld", admode);
		ASSERT_EQ(0, system(command));
		ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ONE_NIC, 0, 0));
		self->ring = tx_ring(&self->port, 0);
	}
	close(stack);
}

/* The driver's ring is small, if it can be made so, and stopped again and again. */
FIXTURE(small)
{
	struct port port;
	bool resized;
};

static int set_ring(const char *how)
{
	char command[128];

	snprintf(command, sizeof(command), "ethtool -G %s tx %s 2>/dev/null", nic_name(), how);
	return system(command);
}

FIXTURE_SETUP(small)
{
	self->resized = !set_ring("64");
	ASSERT_TRUE(has_carrier(nic_name()));
	ASSERT_TRUE(has_carrier(peer_name()));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ONE_NIC, 0, 0));
}

FIXTURE_TEARDOWN(small)
{
	EXPECT_EQ(0, port_close(&self->port));
	if (self->resized)
		EXPECT_EQ(0, set_ring("256"));
	EXPECT_TRUE(has_carrier(nic_name()));
	EXPECT_TRUE(has_carrier(peer_name()));
}

/* Who sleeps for room behind a queue that its driver has stopped is woken when it takes packets again, and none is lost. */
TEST_F_TIMEOUT(small, wakes_who_waits_for_room, TIMEOUT_S)
{
	struct netmap_ring *ring = tx_ring(&self->port, 0);
	long before = statistic(nic_name(), "tx_packets");
	uint32_t sent = 0;

	while (sent < 20 * ring->num_slots) {
		ASSERT_EQ(0, wait_tx(&self->port, ring)) TH_LOG("after %u frames", sent);
		sent += fill(&self->port, ring, sent);
	}
	while (nm_ring_space(ring) < ring->num_slots - 1) {
		/* All slots are as if they were used, so that it sleeps until another one is free. */
		ring->cur = ring->tail;
		ASSERT_EQ(POLLOUT, poll_port(&self->port, POLLOUT, LIMIT_MS) & (POLLOUT | POLLERR));
	}
	EXPECT_EQ(sent, ring_counter(&self->port, "tx 0", "packets"));
	EXPECT_EQ(0, ring_counter(&self->port, "tx 0", "drops"));
	EXPECT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", before + sent));
	TH_LOG("%lld wake-ups, %lld syncs", ring_counter(&self->port, "tx 0", "wakeups"),
	       ring_counter(&self->port, "tx 0", "syncs"));
}

/* What a stopped queue did not take goes by itself: no other sync comes, and nobody sleeps. */
TEST_F_TIMEOUT(small, goes_by_itself, TIMEOUT_S)
{
	struct netmap_ring *ring = tx_ring(&self->port, 0);
	long before = statistic(nic_name(), "tx_packets");
	uint32_t round, waited = 0, sent = 0;

	for (round = 0; round < 20; round++) {
		sent += fill(&self->port, ring, sent);
		ASSERT_EQ(0, tx_sync(&self->port));
		waited += ring->num_slots - 1 - nm_ring_space(ring);
		ASSERT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", before + sent));
		ASSERT_EQ(0, tx_sync(&self->port));
		EXPECT_EQ(ring->num_slots - 1, nm_ring_space(ring));
	}
	EXPECT_EQ(sent, ring_counter(&self->port, "tx 0", "packets"));
	/* A driver whose ring cannot be made small may have had room for all. */
	if (self->resized)
		EXPECT_LT(0, waited);
	TH_LOG("%u of %u frames waited", waited, sent);
}

/* It goes before the port is closed, even if that comes at once. */
TEST_F_TIMEOUT(small, goes_before_the_end, TIMEOUT_S)
{
	long before = statistic(nic_name(), "tx_packets");
	uint32_t round, sent = 0;

	for (round = 0; round < 30; round++) {
		sent += fill(&self->port, tx_ring(&self->port, 0), sent);
		ASSERT_EQ(0, tx_sync(&self->port));
		ASSERT_EQ(0, port_close(&self->port));
		ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ONE_NIC, 0, 0));
	}
	EXPECT_TRUE(statistic_becomes(_metadata, nic_name(), "tx_packets", before + sent));
}

TEST_HARNESS_MAIN
