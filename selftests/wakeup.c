// SPDX-License-Identifier: BSD-2-Clause
/* Who sleeps on a port is woken when there is something for him, however he sleeps. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include "kselftest_harness.h"
#include "netmap_test.h"

/* Each waits for events of a file and returns them as poll() would, 0 after LIMIT_MS. */
typedef int (*waiter)(int fd, short events);

static int by_poll(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };
	int n = poll(&pollfd, 1, LIMIT_MS);

	return n < 0 ? -errno : n ? pollfd.revents : 0;
}

static int by_select(int fd, short events)
{
	struct timeval limit = { .tv_sec = LIMIT_MS / 1000 };
	fd_set in, out;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	if (events & POLLIN)
		FD_SET(fd, &in);
	if (events & POLLOUT)
		FD_SET(fd, &out);
	n = select(fd + 1, &in, &out, NULL, &limit);
	if (n < 0)
		return -errno;
	return n ? (FD_ISSET(fd, &in) ? POLLIN : 0) | (FD_ISSET(fd, &out) ? POLLOUT : 0) : 0;
}

/* The epoll descriptor is made at the first call and kept, or it would not be edge-triggered. */
static int epoll_fd = -1;

static int by_epoll(int fd, short events, uint32_t trigger)
{
	struct epoll_event event = { .events = trigger };
	int n;

	event.events |= (events & POLLIN ? EPOLLIN : 0) | (events & POLLOUT ? EPOLLOUT : 0);
	if (epoll_fd < 0) {
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
			return -errno;
	}
	n = epoll_wait(epoll_fd, &event, 1, LIMIT_MS);
	if (n < 0)
		return -errno;
	if (!n)
		return 0;
	return (event.events & EPOLLIN ? POLLIN : 0) | (event.events & EPOLLOUT ? POLLOUT : 0) |
	       (event.events & EPOLLERR ? POLLERR : 0);
}

static int by_epoll_level(int fd, short events)
{
	return by_epoll(fd, events, 0);
}

static int by_epoll_edge(int fd, short events)
{
	return by_epoll(fd, events, EPOLLET);
}

/* A request of aio: one wait queue is all that it can wait on. */
static aio_context_t aio_context;

static int by_aio(int fd, short events)
{
	struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = fd, .aio_buf = events };
	struct __kernel_old_timespec limit = { .tv_sec = LIMIT_MS / 1000 };
	struct iocb *list[] = { &iocb };
	struct io_event event;
	int n;

	if (!aio_context && syscall(SYS_io_setup, 1, &aio_context))
		return -errno;
	if (syscall(SYS_io_submit, aio_context, 1, list) != 1)
		return -errno;
	n = syscall(SYS_io_getevents, aio_context, 1, 1, &event, &limit);
	if (n < 0)
		return -errno;
	return n ? (int)event.res : 0;
}

/* A ring of one request of io_uring, which can wait on two queues. */
static struct {
	int fd;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *sqes;
} uring = { .fd = -1 };

static int uring_open(void)
{
	size_t size;

	memset(&uring.params, 0, sizeof(uring.params));
	uring.fd = syscall(SYS_io_uring_setup, 1, &uring.params);
	if (uring.fd < 0)
		return -errno;
	if (!(uring.params.features & IORING_FEAT_SINGLE_MMAP) || !(uring.params.features & IORING_FEAT_EXT_ARG))
		return -EOPNOTSUPP;
	size = uring.params.sq_off.array + uring.params.sq_entries * sizeof(uint32_t);
	if (size < uring.params.cq_off.cqes + uring.params.cq_entries * sizeof(struct io_uring_cqe))
		size = uring.params.cq_off.cqes + uring.params.cq_entries * sizeof(struct io_uring_cqe);
	uring.rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, uring.fd, IORING_OFF_SQ_RING);
	uring.sqes = mmap(NULL, uring.params.sq_entries * sizeof(*uring.sqes), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, uring.fd, IORING_OFF_SQES);
	return uring.rings == MAP_FAILED || (void *)uring.sqes == MAP_FAILED ? -errno : 0;
}

static uint32_t *uring_word(uint32_t offset)
{
	return (uint32_t *)(uring.rings + offset);
}

static int by_io_uring(int fd, short events)
{
	struct __kernel_timespec limit = { .tv_sec = LIMIT_MS / 1000 };
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&limit };
	struct io_uring_cqe *cqe;
	uint32_t tail, head;
	int err;

	if (uring.fd < 0) {
		err = uring_open();
		if (err)
			return err;
	}
	tail = *uring_word(uring.params.sq_off.tail);
	uring.sqes[0] = (struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = events };
	uring_word(uring.params.sq_off.array)[tail & (uring.params.sq_entries - 1)] = 0;
	__atomic_store_n(uring_word(uring.params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, uring.fd, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
		    sizeof(arg)) < 0)
		return errno == ETIME ? 0 : -errno;
	head = *uring_word(uring.params.cq_off.head);
	if (head == __atomic_load_n(uring_word(uring.params.cq_off.tail), __ATOMIC_ACQUIRE))
		return 0;
	cqe = (struct io_uring_cqe *)(uring.rings + uring.params.cq_off.cqes);
	err = cqe[head & (uring.params.cq_entries - 1)].res;
	__atomic_store_n(uring_word(uring.params.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return err;
}

/* The model of the 82599 does something; other NICs do not do it. */
static int model_fault(const char *what)
{
	char command[128];

	snprintf(command, sizeof(command), "model %s fault %s >/dev/null", nic_name(), what);
	return system(command);
}

static bool is_model(void)
{
	const char *family = getenv("TEST_NIC");

	return family && !strcmp(family, "ixgbe");
}

FIXTURE(sleeper)
{
	struct port tx, rx;
	pid_t thread;			/* that sleeps */
	uint32_t number;		/* of the frame to send */
	int err;			/* of the sender */
};

FIXTURE_VARIANT(sleeper)
{
	waiter wait;
	bool edge;		/* does not sync before it sleeps */
};

FIXTURE_VARIANT_ADD(sleeper, poll) { .wait = by_poll };
FIXTURE_VARIANT_ADD(sleeper, select) { .wait = by_select };
FIXTURE_VARIANT_ADD(sleeper, epoll_level) { .wait = by_epoll_level };
FIXTURE_VARIANT_ADD(sleeper, epoll_edge) { .wait = by_epoll_edge, .edge = true };

FIXTURE_VARIANT_ADD(sleeper, aio) { .wait = by_aio };
FIXTURE_VARIANT_ADD(sleeper, io_uring) { .wait = by_io_uring };

FIXTURE_SETUP(sleeper)
{
	epoll_fd = -1;
	uring.fd = -1;
	aio_context = 0;
	self->thread = gettid();
	ASSERT_EQ(0, port_open(&self->rx, peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->tx, nic_name(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(sleeper)
{
	if (is_model())
		EXPECT_EQ(0, model_fault("clear"));
	if (epoll_fd >= 0)
		close(epoll_fd);
	if (uring.fd >= 0)
		close(uring.fd);
	if (aio_context)
		syscall(SYS_io_destroy, aio_context);
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->rx));
}

/* Sends a frame when the other thread sleeps. */
static void *send_to_sleeper(void *arg)
{
	FIXTURE_DATA(sleeper) *self = arg;

	self->err = wait_asleep(self->thread);
	if (!self->err)
		self->err = send_frame(&self->tx, tx_ring(&self->tx, 0), 60, self->number);
	return NULL;
}

TEST_F_TIMEOUT(sleeper, is_woken_by_a_packet, TIMEOUT_S)
{
	long long wakeups = ring_counter(&self->rx, "rx 0", "wakeups");
	uint8_t frame[2048];
	pthread_t sender;
	int events;

	ASSERT_LE(0, wakeups);
	for (self->number = 0; self->number < 20; self->number++) {
		ASSERT_EQ(0, pthread_create(&sender, NULL, send_to_sleeper, self));
		events = variant->wait(self->rx.fd, POLLIN);
		ASSERT_EQ(0, pthread_join(sender, NULL));
		ASSERT_EQ(0, self->err);
		ASSERT_EQ(POLLIN, events) TH_LOG("frame %u", self->number);
		/* What was announced is there, without another system call. */
		ASSERT_EQ(60, receive_frame(&self->rx, frame, sizeof(frame), 0));
		EXPECT_TRUE(frame_is(frame, 60, self->number));
	}
	EXPECT_LE(wakeups + 1, ring_counter(&self->rx, "rx 0", "wakeups"));
}

/* Room in a tx ring that was full. */
TEST_F_TIMEOUT(sleeper, is_woken_by_room, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	uint8_t frame[2048];
	int round, i, ring, taken = 0, sent = 0;

	/* The other rings have room too, and would say so. */
	for (ring = 1; ring < self->tx.nifp->ni_tx_rings; ring++) {
		struct netmap_ring *other = tx_ring(&self->tx, ring);

		other->cur = other->tail;
	}
	for (round = 0; round < 20; round++) {
		while (!nm_ring_empty(tx)) {
			make_frame(slot_buffer(tx, head_slot(tx)), 60, sent++);
			head_slot(tx)->len = 60;
			head_slot(tx)->flags = 0;
			ring_advance(tx);
		}
		/* What the receiver has taken is free after its next sync. */
		ASSERT_EQ(0, rx_sync(&self->rx));
		if (variant->edge)
			ASSERT_EQ(0, tx_sync(&self->tx));
		/* An emulated port may have taken all by then, of which no event tells. */
		if (!variant->edge || nm_ring_empty(tx))
			ASSERT_EQ(POLLOUT, variant->wait(self->tx.fd, POLLOUT));
		ASSERT_FALSE(nm_ring_empty(tx));
		for (i = 0; taken < sent; i++, taken++)
			if (receive_frame(&self->rx, frame, sizeof(frame), LIMIT_MS) < 0)
				break;
		ASSERT_EQ(sent, taken);
	}
}

/*
 * A process that lets the hardware go on when the thread has found no room, and sleeps or looks again and again. No thread of the
 * same process: what it runs would end the sleep by a signal.
 */
static pid_t start_hardware(const struct port *port, pid_t thread)
{
	long long syncs = ring_counter(port, "tx 0", "syncs");
	int64_t end = now_ms() + LIMIT_MS;
	pid_t pid = fork();
	int asleep = 0;

	if (pid)
		return pid;
	while (!asleep && now_ms() < end && ring_counter(port, "tx 0", "syncs") < syncs + 3)
		asleep = is_asleep(thread);
	_exit(asleep < 0 || model_fault("stop tx off"));
}

/*
 * Room in a tx ring that is full of slots without a byte. No interrupt follows them; where the hardware can be told to take its
 * time, it does, and no other interrupt comes either.
 */
TEST_F_TIMEOUT(sleeper, is_woken_by_the_room_of_empty_slots, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	int round, ring, status;
	pid_t starter = 0;

	for (ring = 1; ring < self->tx.nifp->ni_tx_rings; ring++) {
		struct netmap_ring *other = tx_ring(&self->tx, ring);

		other->cur = other->tail;
	}
	for (round = 0; round < 5; round++) {
		while (!nm_ring_empty(tx)) {
			head_slot(tx)->len = 0;
			head_slot(tx)->flags = 0;
			ring_advance(tx);
		}
		if (is_model()) {
			ASSERT_EQ(0, model_fault("stop tx on"));
			ASSERT_EQ(0, model_fault("lose-interrupts 1000000000"));
			starter = start_hardware(&self->tx, self->thread);
			ASSERT_LT(0, starter);
		}
		if (variant->edge)
			ASSERT_EQ(0, tx_sync(&self->tx));
		/* An edge-triggered wait tells no more of what a sync has found. */
		if (nm_ring_empty(tx))
			EXPECT_EQ(POLLOUT, variant->wait(self->tx.fd, POLLOUT));
		EXPECT_FALSE(nm_ring_empty(tx));
		if (is_model()) {
			ASSERT_EQ(starter, waitpid(starter, &status, 0));
			EXPECT_EQ(0, status);
			ASSERT_EQ(0, model_fault("clear"));
		}
		ASSERT_EQ(0, drain_tx(&self->tx, tx));
	}
}

FIXTURE(polled)
{
	struct port tx, rx;
};

FIXTURE_VARIANT(polled)
{
	uint64_t flags;
};

FIXTURE_VARIANT_ADD(polled, plain) {};
FIXTURE_VARIANT_ADD(polled, no_tx_poll) { .flags = NR_NO_TX_POLL };
FIXTURE_VARIANT_ADD(polled, do_rx_poll) { .flags = NR_DO_RX_POLL };

FIXTURE_SETUP(polled)
{
	ASSERT_EQ(0, port_open(&self->rx, peer_name(), NR_REG_ALL_NIC, 0, variant->flags));
	ASSERT_EQ(0, port_open(&self->tx, nic_name(), NR_REG_ALL_NIC, 0, variant->flags));
}

FIXTURE_TEARDOWN(polled)
{
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->rx));
}

/* Poll for something else sends what waits, unless the file was bound with NR_NO_TX_POLL. */
TEST_F_TIMEOUT(polled, sends_or_not, TIMEOUT_S)
{
	struct netmap_ring *tx = tx_ring(&self->tx, 0);
	bool sends = !(variant->flags & NR_NO_TX_POLL);
	long long packets = ring_counter(&self->tx, "tx 0", "packets");
	uint8_t frame[2048];

	ASSERT_EQ(0, put_frame(&self->tx, tx, 60, 1, 0));
	EXPECT_EQ(0, poll_port(&self->tx, POLLIN, 0));
	EXPECT_EQ(packets + sends, ring_counter(&self->tx, "tx 0", "packets"));
	/* Asked for output it does in any case. */
	EXPECT_EQ(POLLOUT, poll_port(&self->tx, POLLOUT, 0));
	EXPECT_EQ(packets + 1, ring_counter(&self->tx, "tx 0", "packets"));
	ASSERT_EQ(60, receive_frame(&self->rx, frame, sizeof(frame), LIMIT_MS));
	EXPECT_EQ(1, frame_number(frame));
}

/* Poll for output looks for input too, if the file was bound with NR_DO_RX_POLL. */
TEST_F_TIMEOUT(polled, receives_or_not, TIMEOUT_S)
{
	bool receives = variant->flags & NR_DO_RX_POLL;
	struct netmap_ring *rx = rx_ring(&self->rx, 0);
	long long syncs = ring_counter(&self->rx, "rx 0", "syncs");
	int64_t end = now_ms() + LIMIT_MS;

	ASSERT_EQ(0, send_frame(&self->tx, tx_ring(&self->tx, 0), 60, 7));
	do {
		EXPECT_EQ(POLLOUT, poll_port(&self->rx, POLLOUT, 0));
	} while (receives && nm_ring_empty(rx) && now_ms() < end);
	if (receives) {
		ASSERT_FALSE(nm_ring_empty(rx));
		EXPECT_EQ(7, frame_number(slot_buffer(rx, head_slot(rx))));
	} else {
		EXPECT_EQ(syncs, ring_counter(&self->rx, "rx 0", "syncs"));
		EXPECT_TRUE(nm_ring_empty(rx));
	}
}

/* One file of all rings is woken by any of them, two files of one ring are both woken. */
FIXTURE(two)
{
	struct port tx, first, second;
	int events[2];
};

FIXTURE_SETUP(two)
{
	ASSERT_EQ(0, port_open(&self->first, peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->second, peer_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&self->tx, nic_name(), NR_REG_ALL_NIC, 0, 0));
}

FIXTURE_TEARDOWN(two)
{
	EXPECT_EQ(0, port_close(&self->tx));
	EXPECT_EQ(0, port_close(&self->first));
	EXPECT_EQ(0, port_close(&self->second));
}

static pid_t second_thread;

static void *sleep_on_second(void *arg)
{
	FIXTURE_DATA(two) *self = arg;

	__atomic_store_n(&second_thread, gettid(), __ATOMIC_RELEASE);
	self->events[1] = by_poll(self->second.fd, POLLIN);
	return NULL;
}

static void *wake_both(void *arg)
{
	FIXTURE_DATA(two) *self = arg;
	pid_t second;

	while (!(second = __atomic_load_n(&second_thread, __ATOMIC_ACQUIRE)))
		sched_yield();
	if (!wait_asleep(second) && !wait_asleep(getpid()))
		send_frame(&self->tx, tx_ring(&self->tx, 0), 60, 1);
	return NULL;
}

TEST_F_TIMEOUT(two, sleepers_are_both_woken, TIMEOUT_S)
{
	pthread_t sleeper, waker;

	second_thread = 0;
	ASSERT_EQ(gettid(), getpid());
	ASSERT_EQ(0, pthread_create(&sleeper, NULL, sleep_on_second, self));
	ASSERT_EQ(0, pthread_create(&waker, NULL, wake_both, self));
	EXPECT_EQ(POLLIN, by_poll(self->first.fd, POLLIN));
	ASSERT_EQ(0, pthread_join(sleeper, NULL));
	ASSERT_EQ(0, pthread_join(waker, NULL));
	EXPECT_EQ(POLLIN, self->events[1]);
}

/* A file may be in an epoll set before it is bound. */
FIXTURE(late)
{
	struct port tx;
	pid_t thread;
	uint32_t number;
	int fd, epoll, err;
};

FIXTURE_VARIANT(late)
{
	uint32_t trigger;
};

FIXTURE_VARIANT_ADD(late, level) {};
FIXTURE_VARIANT_ADD(late, edge) { .trigger = EPOLLET };

FIXTURE_SETUP(late)
{
	struct epoll_event event = { .events = EPOLLIN | variant->trigger };

	self->thread = gettid();
	ASSERT_EQ(0, port_open(&self->tx, nic_name(), NR_REG_ALL_NIC, 0, 0));
	self->fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, self->epoll);
	ASSERT_EQ(0, epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->fd, &event));
}

FIXTURE_TEARDOWN(late)
{
	close(self->epoll);
	close(self->fd);
	EXPECT_EQ(0, port_close(&self->tx));
}

static void *send_to_late(void *arg)
{
	FIXTURE_DATA(late) *self = arg;

	self->err = wait_asleep(self->thread);
	if (!self->err)
		self->err = send_frame(&self->tx, tx_ring(&self->tx, 0), 60, self->number);
	return NULL;
}

TEST_F_TIMEOUT(late, is_woken, TIMEOUT_S)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	struct epoll_event event;
	pthread_t sender;

	ASSERT_EQ(1, epoll_wait(self->epoll, &event, 1, LIMIT_MS));
	EXPECT_EQ(EPOLLERR, event.events);
	ASSERT_EQ(0, port_register(self->fd, peer_name(), &reg));
	/* Nothing is there any more, and nothing yet. */
	while (epoll_wait(self->epoll, &event, 1, 0) == 1)
		ASSERT_EQ(0, ioctl(self->fd, NIOCRXSYNC));
	ASSERT_EQ(0, pthread_create(&sender, NULL, send_to_late, self));
	ASSERT_EQ(1, epoll_wait(self->epoll, &event, 1, LIMIT_MS));
	EXPECT_EQ(EPOLLIN, event.events);
	ASSERT_EQ(0, pthread_join(sender, NULL));
	EXPECT_EQ(0, self->err);
}

/* Not bound: an error at once, not a sleep. */
TEST(unbound_file_does_not_sleep)
{
	int fd = open("/dev/netmap", O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(POLLERR, by_poll(fd, POLLIN));
	EXPECT_EQ(POLLERR, by_poll(fd, POLLOUT));
	EXPECT_EQ(0, close(fd));
}

TEST_HARNESS_MAIN
