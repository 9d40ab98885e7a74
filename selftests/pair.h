/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ports at the ends of a wire, frames from one to the other, and threads that use a port without trusting a word of
 * its shared memory. Each test with a pair begins and ends with the same number of buffers in use and a wire that works.
 */
#ifndef NETMAP_SELFTESTS_PAIR_H
#define NETMAP_SELFTESTS_PAIR_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "port.h"

#define FRAME 60

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* A broadcast frame with a sequence number. */
static void frame_fill(char *buffer, uint32_t number)
{
	memset(buffer, 0xff, 6);
	memset(buffer + 6, 2, 6);
	buffer[12] = (char)0x88;
	buffer[13] = (char)0xb5;
	memcpy(buffer + 14, &number, sizeof(number));
	memset(buffer + 18, (char)number, FRAME - 18);
}

/* Whether it is such a frame; its number. */
static bool frame_check(const char *buffer, uint16_t len, uint32_t *number)
{
	char expect[FRAME];

	if (len < FRAME || (unsigned char)buffer[12] != 0x88 || (unsigned char)buffer[13] != 0xb5)
		return false;
	memcpy(number, buffer + 14, sizeof(*number));
	frame_fill(expect, *number);
	return !memcmp(buffer, expect, FRAME);
}

/* Sends COUNT frames from FROM to TO, one at a time, and gives the number of those that came intact, in order. */
static int exchange(struct port *from, struct port *to, int count)
{
	struct netmap_ring *tx = NETMAP_TXRING(from->nifp, 0);
	double limit = now() + 120;
	int sent, good = 0;

	for (sent = 0; sent < count; sent++) {
		uint32_t at = tx->head;
		bool here = false;
		int i;

		if (nm_ring_empty(tx)) {
			poll_once(from->fd, POLLOUT, 120000);
			at = tx->head;
		}
		frame_fill(NETMAP_BUF(tx, tx->slot[at].buf_idx), sent);
		tx->slot[at].len = FRAME;
		tx->slot[at].flags = 0;
		tx->head = tx->cur = nm_ring_next(tx, at);
		ioctl(from->fd, NIOCTXSYNC, NULL);
		while (!here && now() < limit) {
			if (poll_once(to->fd, POLLIN, 120000) <= 0)
				break;
			for (i = 0; i < to->reg.nr_rx_rings; i++) {
				struct netmap_ring *rx = NETMAP_RXRING(to->nifp, i);

				while (!nm_ring_empty(rx)) {
					struct netmap_slot *slot = &rx->slot[rx->head];
					uint32_t number;

					if (frame_check(NETMAP_BUF(rx, slot->buf_idx), slot->len, &number) &&
					    number == sent)
						here = true;
					rx->head = rx->cur = nm_ring_next(rx, rx->head);
				}
			}
		}
		good += here;
	}
	return good;
}

FIXTURE(pair) {
	/* Keeps the region while the others come and go. */
	struct port witness;
	struct port from, to;
	long used;
	/* Buffers of others may have been named, the witness's too. */
	bool scribbled;
};

FIXTURE_SETUP(pair)
{
	ASSERT_EQ(0, port_bind(&self->witness, test_interface(), NR_REG_ONE_SW, 0, NR_TX_RINGS_ONLY));
	self->used = region_count("  buffers:", "used ");
	self->scribbled = false;
	ASSERT_LE(0, self->used);
	ASSERT_EQ(0, port_open(&self->from, test_interface(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->to, test_peer(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(pair)
{
	port_close(&self->from);
	port_close(&self->to);
	/* What was exchanged with the witness waits for its end. */
	EXPECT_EQ(self->used, region_count("  buffers:", "used ") - region_count("lost buffers", ": "));
	if (!self->scribbled)
		EXPECT_EQ(0, region_count("lost buffers", ": "));
	ASSERT_EQ(0, port_open(&self->from, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_open(&self->to, test_peer(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(20, exchange(&self->from, &self->to, 20));
	port_close(&self->from);
	port_close(&self->to);
	port_close(&self->witness);
	EXPECT_EQ(-1, region_count("region", " "));
}

/* Threads that use a port without trusting a word of its shared memory. */
struct worker {
	struct port *port;
	atomic_bool *stop;
	/* How many syncs failed, and the errno of one of them. */
	atomic_int bad;
	atomic_int error;
	atomic_long rounds;
};

/* Waits until each thread has done more than so many rounds. */
static void wait_rounds(const struct worker *workers, int count, long rounds)
{
	int i;

	for (i = 0; i < count; i++)
		while (workers[i].rounds <= rounds)
			usleep(1000);
}

static void worker_note(struct worker *worker, int error)
{
	if (error) {
		worker->bad++;
		worker->error = error;
	}
	worker->rounds++;
}

static void *sender(void *argument)
{
	struct worker *worker = argument;
	struct port *port = worker->port;
	const uint32_t slots = port->reg.nr_tx_slots;

	while (!*worker->stop) {
		int i;

		for (i = 0; i < port->reg.nr_tx_rings; i++) {
			struct netmap_ring *ring = NETMAP_TXRING(port->nifp, i);
			uint32_t head = *(volatile uint32_t *)&ring->head % slots;
			uint32_t tail = *(volatile uint32_t *)&ring->tail % slots;

			while (head != tail) {
				ring->slot[head].len = FRAME;
				head = head + 1 == slots ? 0 : head + 1;
			}
			ring->cur = head;
			ring->head = head;
		}
		worker_note(worker, errno_of(ioctl(port->fd, NIOCTXSYNC, NULL)));
		poll_once(port->fd, POLLOUT, 1);
	}
	return NULL;
}

static void *receiver(void *argument)
{
	struct worker *worker = argument;
	struct port *port = worker->port;
	const uint32_t slots = port->reg.nr_rx_slots;

	while (!*worker->stop) {
		int i;

		poll_once(port->fd, POLLIN, 1);
		for (i = 0; i < port->reg.nr_rx_rings; i++) {
			struct netmap_ring *ring = NETMAP_RXRING(port->nifp, i);
			uint32_t tail = *(volatile uint32_t *)&ring->tail % slots;

			ring->cur = tail;
			ring->head = tail;
		}
		worker_note(worker, errno_of(ioctl(port->fd, NIOCRXSYNC, NULL)));
	}
	return NULL;
}

static void start(struct __test_metadata *_metadata, pthread_t *thread, void *(*function)(void *), void *argument)
{
	ASSERT_EQ(0, pthread_create(thread, NULL, function, argument));
}

#endif
