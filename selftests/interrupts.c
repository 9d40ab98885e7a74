// SPDX-License-Identifier: BSD-2-Clause
/* An interrupt is for one queue: who sleeps on another ring is left alone. For NICs of several queues. */
#include <pthread.h>
#include <sys/eventfd.h>
#include "kselftest_harness.h"
#include "netmap_test.h"

#define FRAMES	20

/* A thread that sleeps on a ring of its own, and takes what comes. */
struct reader {
	struct port port;
	int stop;			/* ends the thread */
	pthread_t thread;
	pid_t tid;
	uint32_t frames;
	int err;
};

static void *read_frames(void *arg)
{
	struct reader *reader = arg;
	struct pollfd fds[] = {
		{ .fd = reader->port.fd, .events = POLLIN },
		{ .fd = reader->stop, .events = POLLIN },
	};
	uint8_t frame[2048];

	__atomic_store_n(&reader->tid, gettid(), __ATOMIC_RELEASE);
	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		if (fds[0].revents & POLLERR) {
			reader->err = -EIO;
			break;
		}
		while (receive_frame(&reader->port, frame, sizeof(frame), 0) > 0)
			__atomic_fetch_add(&reader->frames, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static int wait_reading(struct reader *reader)
{
	pid_t tid;

	while (!(tid = __atomic_load_n(&reader->tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	return wait_asleep(tid);
}

FIXTURE(queues)
{
	struct port tx;
	struct reader reader[2];
};

FIXTURE_SETUP(queues)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct reader *reader = &self->reader[i];

		ASSERT_EQ(0, port_open(&reader->port, peer_name(), NR_REG_ONE_NIC, i, 0));
		reader->stop = eventfd(0, EFD_CLOEXEC);
		ASSERT_LE(0, reader->stop);
	}
	ASSERT_EQ(0, port_open(&self->tx, nic_name(), NR_REG_ALL_NIC, 0, 0));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&self->reader[i].thread, NULL, read_frames, &self->reader[i]));
}

FIXTURE_TEARDOWN(queues)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct reader *reader = &self->reader[i];

		EXPECT_EQ(0, eventfd_write(reader->stop, 1));
		EXPECT_EQ(0, pthread_join(reader->thread, NULL));
		EXPECT_EQ(0, reader->err);
		close(reader->stop);
		EXPECT_EQ(0, port_close(&reader->port));
	}
	EXPECT_EQ(0, port_close(&self->tx));
}

/* What is not IP arrives at queue 0. */
TEST_F_TIMEOUT(queues, wake_their_own_sleepers, TIMEOUT_S)
{
	struct reader *first = &self->reader[0], *second = &self->reader[1];
	static const char *const rings[][2] = { { "tx 0", "rx 0" }, { "tx 1", "rx 1" } };
	long long before[2][2], packets;
	uint32_t sent;
	int i, j;

	ASSERT_EQ(0, wait_reading(first));
	ASSERT_EQ(0, wait_reading(second));
	for (i = 0; i < 2; i++)
		for (j = 0; j < 2; j++) {
			before[i][j] = ring_counter(&self->reader[i].port, rings[i][j], "wakeups");
			ASSERT_LE(0, before[i][j]);
		}
	packets = ring_counter(&second->port, "rx 1", "packets");
	for (sent = 0; sent < FRAMES; sent++) {
		ASSERT_EQ(0, wait_asleep(first->tid));
		ASSERT_EQ(0, send_frame(&self->tx, tx_ring(&self->tx, 0), 60, sent));
		while (__atomic_load_n(&first->frames, __ATOMIC_ACQUIRE) <= sent)
			sched_yield();
	}
	/* One for each frame, or for a few: a thread may look again before it sleeps. */
	EXPECT_LT(before[0][1], ring_counter(&first->port, "rx 0", "wakeups"));
	EXPECT_EQ(before[0][0], ring_counter(&first->port, "tx 0", "wakeups"));
	EXPECT_EQ(before[1][0], ring_counter(&second->port, "tx 1", "wakeups"));
	/* What the peer's stack has to say may arrive anywhere. */
	EXPECT_EQ(packets, ring_counter(&second->port, "rx 1", "packets"));
	EXPECT_EQ(before[1][1], ring_counter(&second->port, "rx 1", "wakeups"));
}

TEST_HARNESS_MAIN
