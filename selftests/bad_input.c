// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a program must not be able to do with a port: nonsense in shared memory under traffic, death in the middle of a
 * sync, absurd sizes, races. Each test begins and ends with the same number of buffers in use.
 */

#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "port.h"

#define FRAME 60

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
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
	double limit = now() + 30;
	int sent, good = 0;

	for (sent = 0; sent < count; sent++) {
		uint32_t at = tx->head;
		bool here = false;
		int i;

		if (nm_ring_empty(tx)) {
			poll_once(from->fd, POLLOUT, 1000);
			at = tx->head;
		}
		frame_fill(NETMAP_BUF(tx, tx->slot[at].buf_idx), sent);
		tx->slot[at].len = FRAME;
		tx->slot[at].flags = 0;
		tx->head = tx->cur = nm_ring_next(tx, at);
		ioctl(from->fd, NIOCTXSYNC, NULL);
		while (!here && now() < limit) {
			if (poll_once(to->fd, POLLIN, 1000) <= 0)
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
};

FIXTURE_SETUP(pair)
{
	ASSERT_EQ(0, port_bind(&self->witness, test_interface(), NR_REG_ONE_SW, 0, NR_TX_RINGS_ONLY));
	self->used = region_count("buffers:", "used ");
	ASSERT_LE(0, self->used);
	ASSERT_EQ(0, port_open(&self->from, test_interface(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->to, test_peer(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(pair)
{
	port_close(&self->from);
	port_close(&self->to);
	EXPECT_EQ(self->used, region_count("buffers:", "used ")) {
		TH_LOG("buffers are lost");
	}
	EXPECT_EQ(0, region_count("missing buffers:", " "));
	ASSERT_EQ(0, port_open(&self->from, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_open(&self->to, test_peer(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(20, exchange(&self->from, &self->to, 20));
	port_close(&self->from);
	port_close(&self->to);
	port_close(&self->witness);
}

/* Threads that use a port without trusting a word of its shared memory. */
struct worker {
	struct port *port;
	atomic_bool *stop;
	/* Errnos of sync that were not 0 or EINVAL, and one of them. */
	atomic_int bad;
	atomic_int error;
	atomic_long rounds;
};

static void worker_note(struct worker *worker, int error)
{
	if (error && error != EINVAL) {
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

	for (i = 0; i < 4; i++)
		start(_metadata, &threads[i], functions[i], &workers[i]);
	sleep(seconds ? atoi(seconds) : 60);
	stop = true;
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, workers[i].bad) {
			TH_LOG("thread %d: errno %d", i, workers[i].error);
		}
		EXPECT_LT(100, workers[i].rounds);
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

/* What a child inherits is the same binding: it goes with the last of the two. */
TEST_F(pair, forked)
{
	struct port other;
	int go[2], status;
	char byte = 0;
	pid_t child;

	child = fork();
	if (child == 0) {
		port_close(&self->from);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(5, exchange(&self->from, &self->to, 5));

	ASSERT_EQ(0, pipe(go));
	child = fork();
	if (child == 0) {
		int good;

		close(go[1]);
		good = read(go[0], &byte, 1) == 1 ? exchange(&self->from, &self->to, 5) : -1;
		_exit(good);
	}
	port_close(&self->from);
	port_close(&self->to);
	EXPECT_EQ(EBUSY, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(5, WEXITSTATUS(status));
	EXPECT_EQ(0, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	port_close(&other);
}

/* A bound file goes to another process over a socket, which maps it and works with it. */
TEST_F(pair, passed_over_a_socket)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room),
	};
	struct cmsghdr *cmsg;
	int sockets[2], status;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		struct port port = self->from;

		port_close(&self->from);
		if (recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC) != 1)
			_exit(100);
		memcpy(&port.fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
		if (port_map(&port))
			_exit(101);
		_exit(exchange(&port, &self->to, 5));
	}
	cmsg = CMSG_FIRSTHDR(&message);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &self->from.fd, sizeof(int));
	ASSERT_EQ(1, sendmsg(sockets[0], &message, 0));
	port_close(&self->from);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(5, WEXITSTATUS(status));
}

/* Threads bind one file at the same time: one of them succeeds. */
static void *binder(void *argument)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };

	return (void *)(intptr_t)request(*(int *)argument, NETMAP_REQ_REGISTER, test_interface(), &reg);
}

TEST_F(pair, bound_by_many_threads)
{
	pthread_t threads[8];
	int round, i;

	for (round = 0; round < 50; round++) {
		int fd = device_open(), bound = 0;

		for (i = 0; i < 8; i++)
			start(_metadata, &threads[i], binder, &fd);
		for (i = 0; i < 8; i++) {
			void *error;

			pthread_join(threads[i], &error);
			bound += !error;
			if (error) {
				EXPECT_EQ(EBUSY, (intptr_t)error);
			}
		}
		EXPECT_EQ(1, bound);
		close(fd);
	}
}

/* Threads sync the same rings: they wait for one another. */
TEST_F(pair, synced_by_many_threads)
{
	atomic_bool stop = false;
	struct worker workers[4];
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++) {
		workers[i] = (struct worker){ .port = i % 2 ? &self->to : &self->from, .stop = &stop };
		start(_metadata, &threads[i], i % 2 ? receiver : sender, &workers[i]);
	}
	sleep(3);
	stop = true;
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, workers[i].bad);
		EXPECT_LT(10, workers[i].rounds);
	}
}

TEST_F(pair, absurd_counts)
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

static int set_flags(const char *name, bool up)
{
	struct ifreq request = { 0 };
	int error, fd = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	error = ioctl(fd, SIOCGIFFLAGS, &request);
	if (up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags &= ~IFF_UP;
	error |= ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return error;
}

/* Waits for the link of an interface. */
static bool carrier(const char *name)
{
	double limit = now() + 30;
	char path[64], value[4];

	snprintf(path, sizeof(path), "/sys/class/net/%s/carrier", name);
	while (now() < limit) {
		int fd = open(path, O_RDONLY);
		ssize_t got = read(fd, value, sizeof(value));

		close(fd);
		if (got > 0 && value[0] == '1')
			return true;
		usleep(10000);
	}
	return false;
}

/* An interface that is down can be bound; packets pass once it is up. */
TEST_F_TIMEOUT(pair, interface_down, 120)
{
	port_close(&self->from);
	ASSERT_EQ(0, set_flags(test_interface(), false));
	ASSERT_EQ(0, port_open(&self->from, test_interface(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, errno_of(ioctl(self->from.fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(0, errno_of(ioctl(self->from.fd, NIOCRXSYNC, NULL)));
	EXPECT_EQ(0, poll_once(self->from.fd, POLLIN, 0));
	ASSERT_EQ(0, set_flags(test_interface(), true));
	ASSERT_TRUE(carrier(test_interface()));
	ASSERT_TRUE(carrier(test_peer()));
	EXPECT_EQ(20, exchange(&self->from, &self->to, 20));
}

TEST_HARNESS_MAIN
