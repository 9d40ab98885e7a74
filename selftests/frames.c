// SPDX-License-Identifier: BSD-2-Clause
/*
 * A veth pair with a port at its other end, or a program of XDP there: what the port sends goes as frames of XDP, without the stack's
 * packets. All of it is with emulated_xdp=2.
 */
#include <pthread.h>
#include "kselftest_harness.h"
#include "netmap_test.h"
#include "program.h"
#include "stack.h"

#define FEW	20	/* few enough for the room that a socket has */

FIXTURE(frames)
{
	struct port from, to;
	int tap;		/* sees what the stack makes packets of, at the receiver */
};

/* Gives both ends so many queues each way, of two that there may be; none has a program. */
static bool set_queues(int queues)
{
	char command[128];

	snprintf(command, sizeof(command), "ethtool -L %s rx %d tx %d && ethtool -L %s rx %d tx %d", nic_name(), queues, queues,
		 peer_name(), queues, queues);
	return !system(command);
}

FIXTURE_SETUP(frames)
{
	ASSERT_TRUE(set_queues(1));
	/* It has rings to send alone: no program is attached at its end. */
	ASSERT_EQ(0, port_open(&self->from, peer_name(), NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY));
	ASSERT_EQ(0, port_open(&self->to, nic_name(), NR_REG_ALL_NIC, 0, 0));
	self->tap = packet_socket(nic_name(), ETH_P_ALL, false);
	ASSERT_LE(0, self->tap);
	ASSERT_TRUE(has_carrier(peer_name()));
	EXPECT_TRUE(is_kind(&self->to, "xdp"));
	EXPECT_TRUE(is_kind(&self->from, "skb"));
}

FIXTURE_TEARDOWN(frames)
{
	close(self->tap);
	if (self->to.fd >= 0)
		EXPECT_EQ(0, port_close(&self->to));
	EXPECT_EQ(0, port_close(&self->from));
	EXPECT_EQ(-ENOENT, find_link(nic_name()));
	EXPECT_EQ(-ENOENT, find_link(peer_name()));
	EXPECT_TRUE(set_queues(2));
}

/* What the device of a name counts under "what" for all of its queues together, by ethtool. */
static long counted(const char *name, const char *what)
{
	char command[160];
	FILE *stream;
	long sum = -1;

	snprintf(command, sizeof(command), "ethtool -S %s | awk -v what=_%s: '$1 ~ what { sum += $2; n++ } END { print n ? sum : -1 }'",
		 name, what);
	stream = popen(command, "r");
	if (stream && fscanf(stream, "%ld", &sum) != 1)
		sum = -1;
	return stream && !pclose(stream) ? sum : -1;
}

/* How many frames of ours the tap has seen since it was last asked. */
static uint32_t seen_by(int tap)
{
	uint8_t frame[2048];
	uint32_t seen = 0;
	int len;

	while ((len = recv(tap, frame, sizeof(frame), MSG_DONTWAIT)) > 0)
		seen += len >= SHORTEST && frame_is(frame, len, frame_number(frame));
	return seen;
}

/* Frames of so many bytes, each of which arrives before the next is sent: past the stack or not. */
static void expect_frames(struct __test_metadata *_metadata, FIXTURE_DATA(frames) *self, bool past)
{
	uint8_t frame[2048];
	uint32_t i;

	seen_by(self->tap);
	for (i = 0; i < FEW; i++) {
		ASSERT_EQ(0, send_frame(&self->from, tx_ring(&self->from, 0), SHORTEST + i, i));
		ASSERT_EQ(SHORTEST + i, receive_frame(&self->to, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", i);
		EXPECT_TRUE(frame_is(frame, SHORTEST + i, i));
	}
	EXPECT_EQ(past ? 0 : FEW, seen_by(self->tap));
}

TEST_F_TIMEOUT(frames, of_all_lengths_arrive, TIMEOUT_S)
{
	struct netmap_ring *ring = tx_ring(&self->from, 0);
	uint8_t frame[2048];
	uint32_t len;

	for (len = SHORTEST; len <= LONGEST; len++) {
		ASSERT_EQ(0, send_frame(&self->from, ring, len, len));
		ASSERT_EQ(len, receive_frame(&self->to, frame, sizeof(frame), LIMIT_MS));
		EXPECT_TRUE(frame_is(frame, len, len)) TH_LOG("%u bytes", len);
	}
	EXPECT_EQ(0, seen_by(self->tap));
	EXPECT_EQ(LONGEST - SHORTEST + 1, ring_counter(&self->from, "tx 0", "packets"));
	EXPECT_EQ(LONGEST - SHORTEST + 1, ring_counter(&self->to, "rx 0", "packets"));
	EXPECT_EQ(0, ring_counter(&self->to, "rx 0", "errors"));
}

/* Shorter ones are padded by zeros, whatever the page had before. */
TEST_F_TIMEOUT(frames, are_padded, TIMEOUT_S)
{
	struct netmap_ring *ring = tx_ring(&self->from, 0);
	uint8_t frame[2048], expected[SHORTEST];
	uint32_t i, len;

	/* More than the pool has of them. */
	for (i = 0; i < 2000; i++) {
		len = HEADER + i % (SHORTEST - HEADER);
		memset(expected, 0, sizeof(expected));
		make_frame(expected, len, i);
		ASSERT_EQ(0, send_frame(&self->from, ring, i % 3 ? len : LONGEST, i));
		ASSERT_EQ(i % 3 ? SHORTEST : LONGEST, receive_frame(&self->to, frame, sizeof(frame), LIMIT_MS));
		if (i % 3)
			EXPECT_EQ(0, memcmp(frame, expected, SHORTEST)) TH_LOG("%u bytes", len);
	}
	EXPECT_EQ(0, seen_by(self->tap));
}

/* What fits is not touched by what does not, and the sender gets rid of all. */
TEST_F_TIMEOUT(frames, a_full_ring_drops, TIMEOUT_S)
{
	uint32_t slots = self->to.reg.nr_rx_slots, i;
	uint8_t frame[2048];

	for (i = 0; i < 2 * slots; i++)
		ASSERT_EQ(0, put_frame(&self->from, tx_ring(&self->from, 0), SHORTEST, i, 0));
	ASSERT_EQ(0, drain_tx(&self->from, tx_ring(&self->from, 0)));
	EXPECT_EQ(2 * slots, ring_counter(&self->from, "tx 0", "packets"));
	/* The other end has yet to look at some of them. */
	for (i = 0; i < LIMIT_MS && ring_counter(&self->to, "rx 0", "drops") != slots + 1; i++)
		usleep(1000);
	for (i = 0; i < slots - 1; i++) {
		ASSERT_EQ(SHORTEST, receive_frame(&self->to, frame, sizeof(frame), LIMIT_MS));
		EXPECT_TRUE(frame_is(frame, SHORTEST, i)) TH_LOG("frame %u", i);
	}
	EXPECT_EQ(slots + 1, ring_counter(&self->to, "rx 0", "drops"));
	ASSERT_EQ(0, rx_sync(&self->to));
	expect_frames(_metadata, self, true);
}

/* What is longer than the other end takes is dropped, and what comes after it is not held up. */
TEST_F_TIMEOUT(frames, longer_than_the_peers_mtu_are_dropped, TIMEOUT_S)
{
	struct netmap_ring *ring = tx_ring(&self->from, 0);
	uint8_t frame[2048];
	uint32_t i;

	ASSERT_EQ(0, set_mtu(nic_name(), 1000));
	for (i = 0; i < FEW; i++)
		ASSERT_EQ(0, put_frame(&self->from, ring, i % 4 == 1 ? 1400 : SHORTEST, i, 0));
	ASSERT_EQ(0, drain_tx(&self->from, ring));
	for (i = 0; i < FEW; i++) {
		if (i % 4 == 1)
			continue;
		ASSERT_EQ(SHORTEST, receive_frame(&self->to, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", i);
		EXPECT_TRUE(frame_is(frame, SHORTEST, i)) TH_LOG("frame %u", i);
	}
	EXPECT_EQ(FEW / 4, ring_counter(&self->from, "tx 0", "drops"));
	ASSERT_EQ(0, set_mtu(nic_name(), 1500));
	EXPECT_EQ(0, seen_by(self->tap));
}

/* An administrator takes the program away: then the stack's packets are made again. */
TEST_F_TIMEOUT(frames, the_program_goes, TIMEOUT_S)
{
	union bpf_attr attr = { .link_detach = { .link_fd = find_link(nic_name()) } };

	expect_frames(_metadata, self, true);
	ASSERT_LE(0, (int)attr.link_detach.link_fd);
	ASSERT_EQ(0, bpf(BPF_LINK_DETACH, &attr));
	close(attr.link_detach.link_fd);
	expect_frames(_metadata, self, false);
	ASSERT_EQ(0, port_close(&self->to));
	ASSERT_EQ(0, port_open(&self->to, nic_name(), NR_REG_ALL_NIC, 0, 0));
	expect_frames(_metadata, self, true);
}

/* The receiver's port is closed, and the stack gets what is sent, which goes as frames of XDP all the same. */
static void expect_at_the_stack(struct __test_metadata *_metadata, FIXTURE_DATA(frames) *self)
{
	const struct timeval limit = { .tv_sec = LIMIT_MS / 1000 };
	struct netmap_ring *ring = tx_ring(&self->from, 0);
	long before = counted(peer_name(), "xdp_xmit");
	uint8_t frame[2048];
	uint32_t i;
	int got;

	ASSERT_LE(0, before);
	ASSERT_EQ(0, setsockopt(self->tap, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	seen_by(self->tap);
	/* More than the pool of the sender has: pages that the stack has had are used again. */
	for (i = 0; i < 2000; i++) {
		uint32_t len = SHORTEST + i * 7 % (LONGEST - SHORTEST);

		ASSERT_EQ(0, send_frame(&self->from, ring, len, i));
		/* The hosts say things, too. */
		do {
			got = recv(self->tap, frame, sizeof(frame), 0);
			ASSERT_LT(0, got);
		} while (frame[12] != PROTOCOL >> 8);
		ASSERT_EQ(len, got);
		EXPECT_TRUE(frame_is(frame, len, i)) TH_LOG("frame %u", i);
	}
	EXPECT_EQ(before + 2000, counted(peer_name(), "xdp_xmit"));
}

/* A program of somebody else passes them to the stack. */
TEST_F_TIMEOUT(frames, of_others_reach_the_stack, TIMEOUT_S)
{
	int error = port_close(&self->to), program = load_program(XDP_PASS), link;

	self->to.fd = -1;
	ASSERT_EQ(0, error);
	link = attach(nic_name(), program);
	ASSERT_LE(0, link);
	expect_at_the_stack(_metadata, self);
	close(link);
	close(program);
}

/* Without a program the stack takes such frames if it wants packets put together. */
TEST_F_TIMEOUT(frames, reach_a_stack_with_gro, TIMEOUT_S)
{
	int error = port_close(&self->to), before = feature(nic_name(), ETHTOOL_GGRO, 0);

	self->to.fd = -1;
	ASSERT_EQ(0, error);
	ASSERT_LE(0, before);
	ASSERT_LE(0, feature(nic_name(), ETHTOOL_SGRO, 1));
	expect_at_the_stack(_metadata, self);
	EXPECT_LE(0, feature(nic_name(), ETHTOOL_SGRO, before));
}

/* A program of somebody else sends them back where they came from. */
TEST_F_TIMEOUT(frames, come_back, TIMEOUT_S)
{
	int error = port_close(&self->to), program = load_program(XDP_TX), link;
	struct netmap_ring *ring;
	uint8_t frame[2048];
	uint32_t i;

	self->to.fd = -1;
	ASSERT_EQ(0, error);
	link = attach(nic_name(), program);
	ASSERT_LE(0, link);
	/* With rings to receive it has a program of its own. */
	ASSERT_EQ(0, port_close(&self->from));
	ASSERT_EQ(0, port_open(&self->from, peer_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_TRUE(is_kind(&self->from, "xdp"));
	ring = tx_ring(&self->from, 0);
	for (i = 0; i < 2000; i++) {
		uint32_t len = SHORTEST + i * 7 % (LONGEST - SHORTEST);

		ASSERT_EQ(0, send_frame(&self->from, ring, len, i));
		ASSERT_EQ(len, receive_frame(&self->from, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", i);
		EXPECT_TRUE(frame_is(frame, len, i)) TH_LOG("frame %u", i);
	}
	EXPECT_EQ(0, seen_by(self->tap));
	close(link);
	close(program);
}

/*
 * Has the receiver's NAPI run in threads, which get what this processor has to spare, and this thread on no other; false if there are no
 * such threads.
 */
static bool hold_napi_back(const char *name)
{
	const struct sched_param idle = { 0 };
	bool any = false, all = true;
	char command[128];
	cpu_set_t one;
	FILE *stream;
	int pid;

	snprintf(command, sizeof(command), "echo 1 >/sys/class/net/%s/threaded && grep -ls '^napi/%s-' /proc/[0-9]*/comm | cut -d / -f 3",
		 name, name);
	stream = popen(command, "r");
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	while (stream && fscanf(stream, "%d", &pid) == 1) {
		any = true;
		all &= !sched_setaffinity(pid, sizeof(one), &one) && !sched_setscheduler(pid, SCHED_IDLE, &idle);
	}
	return stream && !pclose(stream) && any && all && !sched_setaffinity(0, sizeof(one), &one);
}

#define MANY	511	/* frames at once, more than the veth has room for */

/* Sends them by a ring that has as many slots; nothing of the other end runs meanwhile. */
static void overfill(struct __test_metadata *_metadata, FIXTURE_DATA(frames) *self)
{
	const struct sched_param first = { .sched_priority = 1 }, usual = { 0 };
	long before = counted(peer_name(), "xdp_xmit_errors");
	struct netmap_ring *ring;
	uint32_t i;

	ASSERT_LE(0, before);
	ASSERT_EQ(0, port_close(&self->from));
	self->from.reg = (struct nmreq_register){
		.nr_mode = NR_REG_ALL_NIC, .nr_flags = NR_TX_RINGS_ONLY, .nr_tx_slots = MANY + 1
	};
	ASSERT_EQ(0, port_open_as(&self->from, peer_name()));
	ASSERT_TRUE(hold_napi_back(nic_name()));
	ring = tx_ring(&self->from, 0);
	for (i = 0; i < MANY; i++) {
		struct netmap_slot *slot = head_slot(ring);

		ASSERT_FALSE(nm_ring_empty(ring));
		slot->len = SHORTEST;
		make_frame(slot_buffer(ring, slot), SHORTEST, i);
		ring_advance(ring);
	}
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_FIFO, &first));
	EXPECT_EQ(0, tx_sync(&self->from));
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_OTHER, &usual));
	EXPECT_LT(before, counted(peer_name(), "xdp_xmit_errors"));
}

static void expect_many(struct __test_metadata *_metadata, FIXTURE_DATA(frames) *self)
{
	uint8_t frame[2048];
	uint32_t i;

	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(SHORTEST, receive_frame(&self->to, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", i);
		ASSERT_TRUE(frame_is(frame, SHORTEST, i)) TH_LOG("frame %u", i);
	}
	EXPECT_EQ(0, ring_counter(&self->to, "rx 0", "drops"));
}

/* What the veth has no room for waits in the ring, and goes on by itself, in its order. */
TEST_F_TIMEOUT(frames, wait_for_the_peer, TIMEOUT_S)
{
	overfill(_metadata, self);
	expect_many(_metadata, self);
	EXPECT_EQ(MANY, ring_counter(&self->from, "tx 0", "packets"));
	EXPECT_EQ(0, ring_counter(&self->from, "tx 0", "drops"));
}

/* So it does when the sender closes its port. */
TEST_F_TIMEOUT(frames, wait_when_the_sender_ends, TIMEOUT_S)
{
	overfill(_metadata, self);
	ASSERT_EQ(0, port_close(&self->from));
	expect_many(_metadata, self);
	ASSERT_EQ(0, port_open(&self->from, peer_name(), NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY));
}

/* The receiver ends while the veth is full: what waits goes another way, and nothing of it is kept. */
TEST_F_TIMEOUT(frames, wait_when_the_receiver_ends, TIMEOUT_S)
{
	overfill(_metadata, self);
	ASSERT_EQ(0, port_close(&self->to));
	ASSERT_EQ(0, drain_tx(&self->from, tx_ring(&self->from, 0)));
	ASSERT_EQ(0, port_open(&self->to, nic_name(), NR_REG_ALL_NIC, 0, 0));
	expect_frames(_metadata, self, true);
}

/* With several queues a veth chooses one by the processor: then packets of the stack keep the order, whatever processor sends. */
TEST_F_TIMEOUT(frames, keep_their_order, TIMEOUT_S)
{
	struct netmap_ring *ring;
	long before;
	uint32_t i;

	ASSERT_EQ(0, port_close(&self->from));
	ASSERT_EQ(0, port_close(&self->to));
	ASSERT_TRUE(set_queues(2));
	ASSERT_EQ(0, port_open(&self->from, peer_name(), NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY));
	ASSERT_EQ(0, port_open(&self->to, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_TRUE(is_kind(&self->to, "xdp"));
	before = counted(peer_name(), "xdp_xmit");
	ring = tx_ring(&self->from, 1);
	for (i = 0; i < 2000; i++) {
		uint8_t frame[2048];
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(i % 2, &one);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
		ASSERT_EQ(0, put_frame(&self->from, ring, SHORTEST, i, 0));
		ASSERT_EQ(0, tx_sync(&self->from));
		if (i % 8 < 7)
			continue;
		for (uint32_t number = i - 7; number <= i; number++) {
			ASSERT_EQ(SHORTEST, receive_frame(&self->to, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", number);
			ASSERT_TRUE(frame_is(frame, SHORTEST, number)) TH_LOG("frame %u", number);
		}
	}
	EXPECT_EQ(before, counted(peer_name(), "xdp_xmit"));
	EXPECT_EQ(0, port_close(&self->from));
	EXPECT_EQ(0, port_close(&self->to));
	ASSERT_TRUE(set_queues(1));
	ASSERT_EQ(0, port_open(&self->from, peer_name(), NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY));
	ASSERT_EQ(0, port_open(&self->to, nic_name(), NR_REG_ALL_NIC, 0, 0));
}

struct flood {
	struct port *from;
	volatile bool stop;
	int error;
};

static void *send_all_the_time(void *arg)
{
	struct flood *flood = arg;
	uint32_t i;

	for (i = 0; !flood->stop && !flood->error; i++)
		flood->error = send_frame(flood->from, tx_ring(flood->from, 0), SHORTEST, i);
	return NULL;
}

/* The receiver comes and goes under traffic. */
TEST_F_TIMEOUT(frames, cycles_under_traffic, TIMEOUT_S)
{
	int cycles = atoi(getenv("CYCLES") ?: "50"), i;
	struct flood flood = { .from = &self->from };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, send_all_the_time, &flood));
	for (i = 0; i < cycles; i++) {
		printf("# cycle %d\n", i);
		ASSERT_EQ(0, port_close(&self->to));
		ASSERT_EQ(0, port_open(&self->to, nic_name(), NR_REG_ALL_NIC, 0, 0));
		EXPECT_TRUE(is_kind(&self->to, "xdp"));
		ASSERT_NE(NULL, wait_rx(&self->to, LIMIT_MS));
	}
	flood.stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, flood.error);
}

TEST_HARNESS_MAIN
