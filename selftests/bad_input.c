// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a program must not be able to do with a port: nonsense in shared memory under traffic, death in the middle of a
 * sync, absurd sizes, random requests.
 */

#include <signal.h>
#include <sys/wait.h>

#include "pair.h"

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Writes nonsense over one word of a ring: what is likely to be taken for sense, and what is not. */
static void scribble(struct netmap_ring *ring, uint32_t slots, uint64_t *state)
{
	static const uint32_t edges[] = { 0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };
	uint64_t dice = random_next(state);
	uint32_t value = random_next(state);
	volatile uint32_t *words = (volatile uint32_t *)ring;
	size_t header = sizeof(*ring) / sizeof(uint32_t);

	switch (dice & 7) {
	case 0:
		value = edges[value % 8];
		break;
	case 1:
	case 2:
	case 3:
		value %= slots;
		break;
	case 4:
		value %= 200000;
		break;
	}
	dice >>= 3;
	if ((dice & 3) == 0)
		ring->head = value;
	else if ((dice & 3) == 1)
		ring->cur = value;
	else if ((dice & 12) == 0)
		words[(dice >> 8) % header] = value;
	else
		words[header + (dice >> 8) % (slots * 4)] = value;
}

static void *scribbler(void *argument)
{
	struct worker *worker = argument;
	struct port *port = worker->port;
	uint64_t state = 88172645463325252ull ^ (uintptr_t)port;
	int i;

	while (!*worker->stop) {
		for (i = 0; i < port->reg.nr_tx_rings; i++)
			scribble(NETMAP_TXRING(port->nifp, i), port->reg.nr_tx_slots, &state);
		for (i = 0; i < port->reg.nr_rx_rings; i++)
			scribble(NETMAP_RXRING(port->nifp, i), port->reg.nr_rx_slots, &state);
		worker->rounds++;
		/* Some quiet, or no packet would ever pass. */
		if (worker->rounds % 64 == 0)
			usleep(random_next(&state) % 500);
	}
	return NULL;
}

TEST_F_TIMEOUT(pair, scribbling, 240)
{
	atomic_bool stop = false;
	struct worker workers[] = {
		{ .port = &self->from, .stop = &stop }, { .port = &self->to, .stop = &stop },
		{ .port = &self->from, .stop = &stop }, { .port = &self->to, .stop = &stop },
	};
	void *(*const functions[])(void *) = { sender, receiver, scribbler, scribbler };
	const char *seconds = getenv("TEST_SECONDS");
	pthread_t threads[4];
	int i;

	self->scribbled = true;
	for (i = 0; i < 4; i++)
		start(_metadata, &threads[i], functions[i], &workers[i]);
	sleep(seconds ? atoi(seconds) : 60);
	wait_rounds(workers, 4, 100);
	stop = true;
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, workers[i].bad) {
			TH_LOG("thread %d: errno %d", i, workers[i].error);
		}
	}
	/* It was under traffic, and it hurt. */
	EXPECT_LT(0, port_count(&self->from, "packets "));
	EXPECT_LT(0, port_count(&self->to, "packets "));
	EXPECT_LT(0, port_count(&self->from, "reinits "));
	EXPECT_LT(0, port_count(&self->to, "reinits "));
	/* The rings work again: one sync puts the cursors right, and the last one finds nothing wrong. */
	for (i = 0; i < 2 * self->from.reg.nr_tx_slots; i++) {
		if (!ioctl(self->from.fd, NIOCTXSYNC, NULL) && !ioctl(self->to.fd, NIOCRXSYNC, NULL))
			break;
	}
	EXPECT_EQ(0, errno_of(ioctl(self->from.fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(0, errno_of(ioctl(self->to.fd, NIOCRXSYNC, NULL)));
}

/* A program with threads in all kinds of calls is killed. */
TEST_F_TIMEOUT(pair, killed, 120)
{
	int round;

	port_close(&self->from);
	port_close(&self->to);
	for (round = 0; round < 30; round++) {
		int ready[2], status;
		pid_t child;
		char byte;

		ASSERT_EQ(0, pipe(ready));
		child = fork();
		if (child == 0) {
			atomic_bool stop = false;
			struct port from, to;
			struct worker workers[] = {
				{ .port = &from, .stop = &stop }, { .port = &to, .stop = &stop },
				{ .port = &from, .stop = &stop }, { .port = &to, .stop = &stop },
			};
			void *(*const functions[])(void *) = { sender, receiver, sender, receiver };
			pthread_t threads[4];
			int i;

			if (port_open(&from, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE) ||
			    port_open(&to, test_peer(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE))
				_exit(1);
			for (i = 0; i < 4; i++)
				pthread_create(&threads[i], NULL, functions[i], &workers[i]);
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &byte, 1)) {
			TH_LOG("round %d: the program cannot bind", round);
		}
		close(ready[0]);
		usleep(1000 * (round % 10));
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
}

/* A program unmaps the region, and maps something else there, while a thread of it syncs. */
TEST_F(pair, unmapped_under_sync)
{
	uint64_t size = self->from.reg.nr_memsize;
	atomic_bool stop = false;
	struct port *port = &self->from;
	char *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
	struct port syncing = *port;
	struct worker worker = { .port = &syncing, .stop = &stop };
	pthread_t thread;
	int round;

	ASSERT_NE(MAP_FAILED, own);
	syncing.nifp = NETMAP_IF(own, port->reg.nr_offset);
	start(_metadata, &thread, sender, &worker);
	for (round = 0; round < 200; round++) {
		ASSERT_EQ(0, munmap(port->mem, size));
		ASSERT_EQ(port->mem, mmap(port->mem, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
		ASSERT_EQ(port->mem, mmap(port->mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, port->fd, 0));
		ASSERT_NE(0, *(volatile uint32_t *)&port->nifp->ni_tx_rings);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, worker.bad);
	munmap(own, size);
}

TEST_F_TIMEOUT(pair, absurd_counts, 240)
{
	static const uint32_t counts[] = { 1, 2, 3, 7, 1000, 16384, 16385, 100000, 0x7fffffff, 0x80000000, UINT32_MAX };
	size_t i;

	port_close(&self->from);
	port_close(&self->to);
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct nmreq_register reg = {
			.nr_mode = NR_REG_NIC_SW,
			.nr_tx_slots = counts[i], .nr_rx_slots = counts[i],
			.nr_tx_rings = counts[i], .nr_rx_rings = counts[i],
			.nr_host_tx_rings = counts[i], .nr_host_rx_rings = counts[i],
		};
		int fd = device_open(), error;

		error = request(fd, NETMAP_REQ_REGISTER, test_peer(), &reg);
		EXPECT_TRUE(error == 0 || error == EINVAL || error == ENOMEM) {
			TH_LOG("%u slots: errno %d", counts[i], error);
		}
		if (!error) {
			EXPECT_GE(16384, reg.nr_tx_slots);
			EXPECT_GE(16384, reg.nr_rx_slots);
			EXPECT_LE(2, reg.nr_tx_slots);
			EXPECT_GE(64, reg.nr_tx_rings);
			EXPECT_GE(64, reg.nr_host_tx_rings);
		}
		close(fd);

		memset(&reg, 0, sizeof(reg));
		reg.nr_mode = NR_REG_ONE_NIC;
		reg.nr_extra_bufs = counts[i];
		fd = device_open();
		error = request(fd, NETMAP_REQ_REGISTER, test_peer(), &reg);
		EXPECT_TRUE(error == 0 || error == ENOMEM) {
			TH_LOG("%u extra buffers: errno %d", counts[i], error);
		}
		if (!error) {
			EXPECT_GE(counts[i], reg.nr_extra_bufs);
			EXPECT_GE(163840, reg.nr_extra_bufs);
		}
		close(fd);
		EXPECT_EQ(self->used, region_count("buffers:", "used "));
	}
}

/* Random requests: whatever comes back, the file can be closed and nothing is lost. */
TEST_F_TIMEOUT(pair, random_requests, 120)
{
	static const unsigned long requests[] = { NIOCGINFO, NIOCREGIF, NIOCCTRL, NIOCTXSYNC, NIOCRXSYNC, NIOCCONFIG };
	uint64_t state = 1234567891011ull;
	int round;

	for (round = 0; round < 3000; round++) {
		union {
			struct nmreq_header header;
			struct nmreq legacy;
			uint64_t words[64];
		} argument;
		uint64_t body[64], options[2][16];
		unsigned long which = requests[random_next(&state) % 6];
		int fd = device_open(), calls, i;

		for (calls = 0; calls < 3; calls++) {
			for (i = 0; i < 64; i++) {
				argument.words[i] = random_next(&state) >> (random_next(&state) % 64);
				body[i] = random_next(&state) >> (random_next(&state) % 64);
			}
			if (which == NIOCCTRL) {
				header_init(&argument.header, random_next(&state) % 17,
					    random_next(&state) % 4 ? test_peer() : "", body);
				for (i = 0; i < 2; i++) {
					memset(options[i], 0, sizeof(options[i]));
					options[i][0] = random_next(&state) % 2 ? (uintptr_t)options[1 - i] : 0;
					options[i][1] = random_next(&state) % 7;
					options[i][2] = random_next(&state) >> (random_next(&state) % 64);
				}
				if (random_next(&state) % 4 == 0)
					argument.header.nr_options = (uintptr_t)options[0];
				((struct nmreq_register *)body)->nr_mode = random_next(&state) % 10;
				((struct nmreq_register *)body)->nr_mem_id = random_next(&state) % 3;
				((struct nmreq_register *)body)->nr_extra_bufs %= 1000;
			} else if (which != NIOCCONFIG) {
				strcpy(argument.legacy.nr_name, test_peer());
				argument.legacy.nr_version = 11 + random_next(&state) % 5;
				argument.legacy.nr_cmd = random_next(&state) % 4 ? 0 : random_next(&state) % 20;
				argument.legacy.nr_arg2 = random_next(&state) % 3;
				argument.legacy.nr_arg3 %= 1000;
			}
			ioctl(fd, which, &argument);
			if (which == NIOCTXSYNC || which == NIOCRXSYNC)
				which = NIOCREGIF;
		}
		ioctl(fd, NIOCTXSYNC, NULL);
		poll_once(fd, POLLIN | POLLOUT, 0);
		close(fd);
	}
}

TEST_HARNESS_MAIN
