// SPDX-License-Identifier: BSD-2-Clause
/*
 * What of the stack's packets goes where while host rings are bound: those for a taken transmit queue to its host ring, all
 * others to the driver.
 */

#include "host.h"

#define QUEUES	64

FIXTURE(capture)
{
	int stack, peer;
	uint32_t queues;
	char maps[QUEUES][64];		/* which CPUs send on which queue, as it was */
	uint8_t frame[ROOM];
};

static void map_path(char *path, size_t size, uint32_t queue)
{
	snprintf(path, size, "/sys/class/net/%s/queues/tx-%u/xps_cpus", nic_name(), queue);
}

static int write_map(uint32_t queue, const char *map)
{
	char path[128];
	FILE *f;

	map_path(path, sizeof(path), queue);
	f = fopen(path, "w");
	if (!f)
		return -errno;
	return fputs(map, f) < 0 || fclose(f) ? -errno : 0;
}

/* Has all CPUs send on one queue. */
static int send_on(uint32_t queues, uint32_t queue)
{
	char all[32];
	uint32_t i;
	int err = 0;

	/* A NIC with a single queue has no map. */
	if (queues == 1)
		return 0;
	snprintf(all, sizeof(all), "%lx", (1ul << sysconf(_SC_NPROCESSORS_CONF)) - 1);
	for (i = 0; i < queues && !err; i++)
		err = write_map(i, i == queue ? all : "0");
	return err;
}

FIXTURE_SETUP(capture)
{
	char path[128];
	uint32_t i;

	self->queues = count_queues(nic_name(), "tx");
	ASSERT_GE(self->queues, 1);
	ASSERT_LE(self->queues, QUEUES);
	for (i = 0; self->queues > 1 && i < self->queues; i++) {
		FILE *f;

		map_path(path, sizeof(path), i);
		f = fopen(path, "r");
		ASSERT_NE(NULL, f);
		ASSERT_NE(NULL, fgets(self->maps[i], sizeof(self->maps[i]), f));
		fclose(f);
	}
	self->stack = packet_socket(nic_name(), PROTOCOL, false);
	ASSERT_GE(self->stack, 0);
	self->peer = packet_socket(peer_name(), PROTOCOL, false);
	ASSERT_GE(self->peer, 0);
}

FIXTURE_TEARDOWN(capture)
{
	uint32_t i;

	for (i = 0; self->queues > 1 && i < self->queues; i++)
		EXPECT_EQ(0, write_map(i, self->maps[i]));
	close(self->stack);
	close(self->peer);
}

/* Without a taken queue nothing is a host ring's: the host stays on the wire. */
TEST_F_TIMEOUT(capture, host_rings_alone_cut_nobody_off, TIMEOUT_S)
{
	struct port host;
	uint32_t queue;

	ASSERT_EQ(0, port_open(&host, nic_name(), NR_REG_SW, 0, 0));
	for (queue = 0; queue < self->queues; queue++) {
		ASSERT_EQ(0, send_on(self->queues, queue));
		EXPECT_TRUE(stack_carries(self->stack, self->peer, SHORTEST, 2 * queue)) TH_LOG("queue %u", queue);
	}
	ASSERT_EQ(0, rx_sync(&host));
	EXPECT_TRUE(nm_ring_empty(host_rx(&host)));
	/* The other direction is there: what the program sends up. */
	ASSERT_EQ(0, send_frame(&host, host_tx(&host), SHORTEST, 1000));
	EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 1000));
	ASSERT_EQ(0, port_close(&host));
}

/* Of one taken queue and the others: each packet goes where its queue says, and comes back to the NIC with the queue. */
TEST_F_TIMEOUT(capture, by_queue, TIMEOUT_S)
{
	struct port host, nic;
	uint32_t taken, queue, slots, number = 0;

	ASSERT_EQ(0, port_open(&host, nic_name(), NR_REG_SW, 0, 0));
	for (taken = 0; taken < self->queues; taken++) {
		ASSERT_EQ(0, port_open(&nic, nic_name(), NR_REG_ONE_NIC, taken, NR_TX_RINGS_ONLY));
		for (queue = 0; queue < self->queues; queue++, number++) {
			ASSERT_EQ(0, send_on(self->queues, queue));
			ASSERT_EQ(0, stack_send(self->stack, SHORTEST, number));
			if (queue != taken) {
				EXPECT_TRUE(stack_gets(self->peer, SHORTEST, number));
				continue;
			}
			ASSERT_TRUE(wait_slots(&host, host_rx(&host), 1));
			ASSERT_EQ(SHORTEST, take_frame(host_rx(&host), self->frame, &slots));
			EXPECT_TRUE(frame_is(self->frame, SHORTEST, number));
		}
		ASSERT_EQ(0, rx_sync(&host));
		EXPECT_TRUE(nm_ring_empty(host_rx(&host)));
		ASSERT_EQ(0, port_close(&nic));
		ASSERT_EQ(0, send_on(self->queues, taken));
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, ++number));
		EXPECT_TRUE(stack_gets(self->peer, SHORTEST, number));
	}
	ASSERT_EQ(0, port_close(&host));
}

/* A queue whose host ring nobody has bound is none to send on: its packets take another one, or are lost without one. */
TEST_F_TIMEOUT(capture, a_queue_without_its_host_ring_is_kept_off, TIMEOUT_S)
{
	struct port host = { .reg = { .nr_mode = NR_REG_ONE_SW, .nr_ringid = self->queues > 1, .nr_host_tx_rings = 2,
				      .nr_host_rx_rings = 2 } };
	long dropped = number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name());
	uint32_t taken, slots, lost = self->queues == 1;
	struct netmap_ring *ring;
	struct port nic;

	/* Nobody has any host ring. */
	ASSERT_EQ(0, port_open(&nic, nic_name(), NR_REG_ONE_NIC, 0, NR_TX_RINGS_ONLY));
	ASSERT_EQ(0, send_on(self->queues, 0));
	ASSERT_EQ(0, stack_send(self->stack, SHORTEST, 1));
	if (!lost)
		EXPECT_TRUE(stack_gets(self->peer, SHORTEST, 1));
	EXPECT_EQ(dropped + lost, number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name()));
	ASSERT_EQ(0, port_close(&nic));
	ASSERT_EQ(0, stack_send(self->stack, SHORTEST, 2));
	EXPECT_TRUE(stack_gets(self->peer, SHORTEST, 2));

	/* Somebody has that of the last queue alone, of two. */
	ASSERT_EQ(0, port_open_as(&host, nic_name()));
	ASSERT_EQ(2, host.nifp->ni_host_rx_rings);
	ring = rx_ring(&host, host.nifp->ni_rx_rings + host.reg.nr_ringid);
	for (taken = 0; taken <= host.reg.nr_ringid; taken++) {
		ASSERT_EQ(0, port_open(&nic, nic_name(), NR_REG_ONE_NIC, taken, NR_TX_RINGS_ONLY));
		ASSERT_EQ(0, send_on(self->queues, taken));
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, 3 + taken));
		if (taken == host.reg.nr_ringid) {
			ASSERT_TRUE(wait_slots(&host, ring, 1));
			ASSERT_EQ(SHORTEST, take_frame(ring, self->frame, &slots));
			EXPECT_TRUE(frame_is(self->frame, SHORTEST, 3 + taken));
		} else {
			EXPECT_TRUE(stack_gets(self->peer, SHORTEST, 3 + taken));
		}
		ASSERT_EQ(0, port_close(&nic));
	}
	EXPECT_EQ(dropped + lost, number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name()));
	ASSERT_EQ(0, port_close(&host));
}

/* What is in a host ring that is closed is lost, and counted; what is sent from then on takes another queue, if there is one. */
TEST_F_TIMEOUT(capture, what_nobody_took_is_counted, TIMEOUT_S)
{
	struct port host, nic;
	long dropped = number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name());
	uint32_t i, slots, count = 10;

	ASSERT_EQ(0, port_open(&nic, nic_name(), NR_REG_ONE_NIC, 0, NR_TX_RINGS_ONLY));
	ASSERT_EQ(0, port_open(&host, nic_name(), NR_REG_SW, 0, 0));
	ASSERT_EQ(0, send_on(self->queues, 0));
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, i));
	ASSERT_TRUE(wait_slots(&host, host_rx(&host), count));
	ASSERT_EQ(SHORTEST, take_frame(host_rx(&host), self->frame, &slots));
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, i));
	ASSERT_EQ(0, port_close(&host));
	/* Those in the ring were the program's. */
	EXPECT_EQ(dropped + count, number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name()));
	ASSERT_EQ(0, stack_send(self->stack, SHORTEST, 1000));
	if (self->queues > 1)
		EXPECT_TRUE(stack_gets(self->peer, SHORTEST, 1000));
	EXPECT_EQ(dropped + count + (self->queues == 1),
		  number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name()));
	ASSERT_EQ(0, port_close(&nic));
}

TEST_HARNESS_MAIN
