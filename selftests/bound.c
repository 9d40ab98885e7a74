// SPDX-License-Identifier: BSD-2-Clause
/* What a bound file gives: rings, memory, readiness, and what it answers to nonsense in them. */

#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "port.h"

FIXTURE(bound) {
	struct port port;
	int tx, rx, host_tx, host_rx;
};

FIXTURE_SETUP(bound)
{
	ASSERT_EQ(0, port_open(&self->port, test_interface(), NR_REG_ALL_NIC, 0, 0));
	self->tx = self->port.reg.nr_tx_rings;
	self->rx = self->port.reg.nr_rx_rings;
	self->host_tx = self->port.reg.nr_host_tx_rings;
	self->host_rx = self->port.reg.nr_host_rx_rings;
}

FIXTURE_TEARDOWN(bound)
{
	port_close(&self->port);
}

TEST_F(bound, interface_and_rings)
{
	struct netmap_if *nifp = self->port.nifp;
	int i;

	EXPECT_STREQ(test_interface(), nifp->ni_name);
	EXPECT_EQ(NETMAP_API, nifp->ni_version);
	EXPECT_EQ(self->tx, nifp->ni_tx_rings);
	EXPECT_EQ(self->rx, nifp->ni_rx_rings);
	EXPECT_EQ(self->host_tx, nifp->ni_host_tx_rings);
	EXPECT_EQ(self->host_rx, nifp->ni_host_rx_rings);
	EXPECT_EQ(0, nifp->ni_bufs_head);
	for (i = 0; i < self->tx; i++) {
		struct netmap_ring *ring = NETMAP_TXRING(nifp, i);

		EXPECT_EQ(i, ring->ringid);
		EXPECT_EQ(0, ring->dir);
		EXPECT_EQ(self->port.reg.nr_tx_slots, ring->num_slots);
		EXPECT_EQ(ring->head, ring->cur);
		EXPECT_EQ(ring->num_slots - 1, nm_ring_space(ring));
	}
	for (i = 0; i < self->rx; i++) {
		struct netmap_ring *ring = NETMAP_RXRING(nifp, i);
		uint32_t slot;

		EXPECT_EQ(i, ring->ringid);
		EXPECT_EQ(1, ring->dir);
		EXPECT_EQ(self->port.reg.nr_rx_slots, ring->num_slots);
		for (slot = 0; slot < ring->num_slots; slot++) {
			char *buffer = NETMAP_BUF(ring, ring->slot[slot].buf_idx);

			ASSERT_LE(2, ring->slot[slot].buf_idx);
			ASSERT_LE(self->port.mem, buffer);
			ASSERT_GE(self->port.mem + self->port.reg.nr_memsize, buffer + ring->nr_buf_size);
		}
	}
	/* The host rings are not bound. */
	EXPECT_EQ(0, nifp->ring_ofs[self->tx]);
}

TEST_F(bound, second_bind)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	struct nmreq req;

	EXPECT_EQ(EBUSY, request(self->port.fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
	EXPECT_EQ(EBUSY, request(self->port.fd, NETMAP_REQ_REGISTER, test_peer(), &reg));
	legacy_init(&req, test_interface());
	EXPECT_EQ(EBUSY, errno_of(ioctl(self->port.fd, NIOCREGIF, &req)));
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
}

TEST_F(bound, exclusive)
{
	struct port other;

	/* The rings are in use. */
	EXPECT_EQ(EBUSY, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(EBUSY, port_bind(&other, test_interface(), NR_REG_ONE_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(0, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, 0));
	port_close(&other);
	port_close(&self->port);

	/* Nobody else gets rings that are bound exclusively; others are free. */
	ASSERT_EQ(0, port_bind(&self->port, test_interface(), NR_REG_ONE_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(EBUSY, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(EBUSY, port_bind(&other, test_interface(), NR_REG_ONE_NIC, 0, 0));
	EXPECT_EQ(0, port_bind(&other, test_interface(), NR_REG_SW, 0, NR_EXCLUSIVE));
	port_close(&other);
	port_close(&self->port);
	EXPECT_EQ(0, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	port_close(&other);
}

/* The rings that a file gets in each mode, as its offsets tell: tx, host tx, rx, host rx. */
TEST_F(bound, rings_of_modes)
{
	static const struct {
		uint32_t mode;
		uint64_t flags;
		bool nic_tx, host_tx, nic_rx, host_rx, one;
	} cases[] = {
		{ NR_REG_ALL_NIC, 0, true, false, true, false, false },
		{ NR_REG_ALL_NIC, NR_TX_RINGS_ONLY, true, false, false, false, false },
		{ NR_REG_ALL_NIC, NR_RX_RINGS_ONLY, false, false, true, false, false },
		{ NR_REG_SW, 0, false, true, false, true, false },
		{ NR_REG_NIC_SW, 0, true, true, true, true, false },
		{ NR_REG_NIC_SW, NR_RX_RINGS_ONLY, false, false, true, true, false },
		{ NR_REG_ONE_NIC, 0, true, false, true, false, true },
		{ NR_REG_ONE_SW, 0, false, true, false, true, true },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool wanted[] = { cases[i].nic_tx, cases[i].host_tx, cases[i].nic_rx, cases[i].host_rx };
		const int counts[] = { self->tx, self->host_tx, self->rx, self->host_rx };
		struct port port;
		int kind, ring, at = 0;

		ASSERT_EQ(0, port_open(&port, test_interface(), cases[i].mode, 0, cases[i].flags));
		for (kind = 0; kind < 4; kind++) {
			for (ring = 0; ring < counts[kind]; ring++, at++) {
				bool expect = wanted[kind] && (!cases[i].one || ring == 0);

				EXPECT_EQ(expect, port.nifp->ring_ofs[at] != 0) {
					TH_LOG("case %zu, kind %d, ring %d", i, kind, ring);
				}
			}
		}
		port_close(&port);
	}
}

/* The spellings of the legacy interface. */
TEST_F(bound, legacy_ring_numbers)
{
	static const struct {
		uint32_t flags;
		uint16_t ringid;
		bool nic, host;
	} cases[] = {
		{ 0, 0, true, false },
		{ 0, NETMAP_HW_RING, true, false },
		{ 0, NETMAP_SW_RING, false, true },
		{ 0, NETMAP_NO_TX_POLL | NETMAP_DO_RX_POLL, true, false },
		{ NR_REG_NIC_SW, 0, true, true },
		{ NR_REG_ONE_NIC, 0, true, false },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nmreq req;
		struct netmap_if *nifp;
		int fd = device_open();

		legacy_init(&req, test_interface());
		req.nr_version = 11;
		req.nr_flags = cases[i].flags;
		req.nr_ringid = cases[i].ringid;
		ASSERT_EQ(0, errno_of(ioctl(fd, NIOCREGIF, &req)));
		EXPECT_EQ(self->port.reg.nr_memsize, req.nr_memsize);
		EXPECT_EQ(self->tx, req.nr_tx_rings);
		/* One mapping serves all files of the region. */
		nifp = NETMAP_IF(self->port.mem, req.nr_offset);
		EXPECT_EQ(cases[i].nic, nifp->ring_ofs[0] != 0);
		EXPECT_EQ(cases[i].host, nifp->ring_ofs[self->tx] != 0);
		close(fd);
	}
}

TEST_F(bound, mmap)
{
	uint64_t size = self->port.reg.nr_memsize;
	int fd = self->port.fd;
	char *part;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, size + 4096, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 4096));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, size));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 100));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	/* Beyond what any file can have, so that the kernel refuses by itself; 32 bits cannot say so. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, -4096));
	EXPECT_EQ(sizeof(long) < 8 ? EINVAL : EOVERFLOW, errno);
	part = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, self->port.reg.nr_offset & ~(uintptr_t)4095);
	ASSERT_NE(MAP_FAILED, part);
	EXPECT_EQ(0, memcmp(part + (self->port.reg.nr_offset & 4095), self->port.nifp, 16));
	munmap(part, 4096);
}

/* All of the region is there for who touches it or locks it, also what nobody uses, and belongs to nobody still. */
TEST_F_TIMEOUT(bound, all_memory, 120)
{
	volatile char *mem = self->port.mem;
	uint64_t size = self->port.reg.nr_memsize, offset;
	long used = region_count("buffers:", "used ");
	struct port other;

	mem[size - 1] = 1;
	EXPECT_EQ(1, mem[size - 1]);
	mem[size - 1] = 0;
	EXPECT_EQ(0, mlock(self->port.mem, size)) {
		TH_LOG("%s", strerror(errno));
	}
	for (offset = 0; offset < size; offset += 4096)
		(void)mem[offset];
	EXPECT_EQ(used, region_count("buffers:", "used "));
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
	/* And is given out as before. */
	other = (struct port){ .reg = { .nr_mode = NR_REG_SW, .nr_extra_bufs = 100 } };
	other.fd = device_open();
	EXPECT_EQ(0, request(other.fd, NETMAP_REQ_REGISTER, test_interface(), &other.reg));
	EXPECT_EQ(100, other.reg.nr_extra_bufs);
	close(other.fd);
	EXPECT_EQ(0, munlock(self->port.mem, size));
	EXPECT_EQ(used, region_count("buffers:", "used "));
}

static long clusters(void)
{
	return region_count("clusters:", "clusters: ");
}

/*
 * Whoever touches the end of the region has all of it taken, piece by piece: others get at the region meanwhile, and a
 * program that is killed takes no more. If this process is kept from running, it may be late: so there are several tries.
 */
TEST_F_TIMEOUT(bound, killed_in_the_midst_of_all_memory, 1200)
{
	bool stopped = false;
	int tries, status;

	for (tries = 0; tries < 10 && !stopped; tries++) {
		volatile char *end = self->port.mem + self->port.reg.nr_memsize - 1;
		long before = clusters(), after;
		pid_t child;

		ASSERT_LT(0, before);
		child = fork();
		if (child == 0) {
			*end = 1;
			for (;;)
				pause();
		}
		while (clusters() == before)
			;
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		after = clusters();
		EXPECT_LT(before, after);
		/* What was left to do, for another who touches it. */
		EXPECT_TRUE(*end == 0 || *end == 1);
		stopped = clusters() > after;
		/* With its last user the region goes. */
		port_close(&self->port);
		ASSERT_EQ(0, port_open(&self->port, test_interface(), NR_REG_ALL_NIC, 0, 0));
	}
	EXPECT_TRUE(stopped);
}

/* The buffers of a ring are mapped with pages of 2 MiB, and are memory that the kernel can pin. */
TEST_F(bound, large_pages)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->port.nifp, 0);
	char copy[64];
	uint32_t slot;
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	for (slot = 0; slot < ring->num_slots; slot++)
		memset(NETMAP_BUF(ring, ring->slot[slot].buf_idx), slot, ring->nr_buf_size);
	/* The kernel aligns mappings to large pages for programs of 64 bits alone. */
	if (sizeof(void *) == 8 && region_count("clusters:", "huge ") > 0) {
		EXPECT_LT(0, port_count(&self->port, "huge "));
	}
	for (slot = 0; slot < ring->num_slots; slot++) {
		struct iovec from = { NETMAP_BUF(ring, ring->slot[slot].buf_idx), sizeof(copy) };

		/* The pipe refers to the pages themselves. */
		ASSERT_EQ(sizeof(copy), vmsplice(ends[1], &from, 1, 0));
		ASSERT_EQ(sizeof(copy), read(ends[0], copy, sizeof(copy)));
		ASSERT_EQ((char)slot, copy[17]);
	}
	/* A part of a large page is unmapped, and the rest comes back when it is touched. */
	munmap((void *)((uintptr_t)NETMAP_BUF(ring, ring->slot[0].buf_idx) & ~(uintptr_t)4095), 4096);
	slot = ring->num_slots - 1;
	EXPECT_EQ((char)slot, NETMAP_BUF(ring, ring->slot[slot].buf_idx)[17]);
}

TEST_F(bound, extra_buffers)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = 1000 };
	struct netmap_ring *ring = NETMAP_TXRING(self->port.nifp, 0);
	long before = region_count("buffers:", "used ");
	struct netmap_if *nifp;
	uint32_t buffer, count;
	int fd = device_open();

	ASSERT_EQ(0, request(fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
	EXPECT_EQ(1000, reg.nr_extra_bufs);
	EXPECT_EQ(before + 1000, region_count("buffers:", "used "));
	nifp = NETMAP_IF(self->port.mem, reg.nr_offset);
	for (count = 0, buffer = nifp->ni_bufs_head; buffer && count <= 1000; count++)
		buffer = *(uint32_t *)NETMAP_BUF(ring, buffer);
	EXPECT_EQ(1000, count);
	close(fd);
	EXPECT_EQ(before, region_count("buffers:", "used "));
}

TEST_F(bound, readiness)
{
	struct timeval none = { 0 };
	int fd = self->port.fd;
	fd_set readable, writable;

	EXPECT_EQ(POLLOUT, poll_once(fd, POLLOUT, 10000));
	EXPECT_EQ(POLLOUT, poll_once(fd, POLLIN | POLLOUT, 0) & ~POLLIN);
	EXPECT_EQ(POLLOUT | POLLWRNORM, poll_once(fd, POLLOUT | POLLWRNORM, 0));
	EXPECT_EQ(0, poll_once(fd, POLLPRI, 0));
	FD_ZERO(&readable);
	FD_ZERO(&writable);
	FD_SET(fd, &writable);
	EXPECT_EQ(1, select(fd + 1, &readable, &writable, NULL, &none));
	EXPECT_TRUE(FD_ISSET(fd, &writable));
}

/* Both kinds of epoll tell of space to send; edge triggered, once. */
TEST_F(bound, epoll)
{
	struct epoll_event event = { .events = EPOLLOUT };
	int epoll = epoll_create1(0);

	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->port.fd, &event));
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 10000));
	EXPECT_EQ(EPOLLOUT, event.events);
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 10000));
	event.events = EPOLLOUT | EPOLLET;
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_MOD, self->port.fd, &event));
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 10000));
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	/* The file goes while epoll still has it. */
	port_close(&self->port);
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	close(epoll);
}

/* The ring that a program wrote nonsense into is set back, poll() tells it so, and the ring goes on. */
TEST_F(bound, impossible_cursors)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->port.nifp, 0);
	struct netmap_ring *rx = NETMAP_RXRING(self->port.nifp, 0);
	long long reinits = port_count(&self->port, "reinits ");
	uint32_t tail = ring->tail;

	ring->head = ring->cur = ring->num_slots;
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(reinits + 1, port_count(&self->port, "reinits "));
	EXPECT_EQ(0, ring->head);
	EXPECT_EQ(0, ring->cur);
	EXPECT_EQ(tail, ring->tail);
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(reinits + 1, port_count(&self->port, "reinits "));

	ring->cur = UINT32_MAX;
	EXPECT_EQ(POLLERR, poll_once(self->port.fd, POLLOUT, 0) & POLLERR);
	EXPECT_EQ(POLLOUT, poll_once(self->port.fd, POLLOUT, 0));

	/* The kernel's own cursor is just written again. */
	ring->tail = 3;
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(tail, ring->tail);

	/* It is a receive sync all the same, whose time is in the ring. */
	rx->head = rx->cur = (rx->tail + 1) % rx->num_slots;
	rx->ts = (struct timeval){ 0 };
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCRXSYNC, NULL)));
	EXPECT_LT(0, rx->ts.tv_sec);
	EXPECT_EQ(reinits + 3, port_count(&self->port, "reinits "));
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCRXSYNC, NULL)));
	EXPECT_EQ(reinits + 3, port_count(&self->port, "reinits "));
}

/* Likewise for buffers that do not exist and packets that are too long. */
TEST_F(bound, impossible_slots)
{
	static const uint32_t buffers[] = { 0, 1, UINT32_MAX, 0x7fffffff };
	struct netmap_ring *ring = NETMAP_TXRING(self->port.nifp, 0);
	long long reinits = port_count(&self->port, "reinits ");
	size_t i;

	for (i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		uint32_t at = ring->head, old = ring->slot[at].buf_idx;

		ring->slot[at].buf_idx = buffers[i];
		ring->slot[at].len = 60;
		ring->slot[at].flags = NS_BUF_CHANGED;
		ring->head = ring->cur = nm_ring_next(ring, at);
		EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
		EXPECT_EQ(++reinits, port_count(&self->port, "reinits "));
		EXPECT_EQ(at, ring->head);
		EXPECT_EQ(old, ring->slot[at].buf_idx);
		EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
	}
	ring->slot[ring->head].len = ring->nr_buf_size + 1;
	ring->head = ring->cur = nm_ring_next(ring, ring->head);
	EXPECT_EQ(POLLERR, poll_once(self->port.fd, POLLOUT, 0) & POLLERR);
	EXPECT_EQ(++reinits, port_count(&self->port, "reinits "));
	EXPECT_EQ(0, errno_of(ioctl(self->port.fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(reinits, port_count(&self->port, "reinits "));
}

TEST_F(bound, fdinfo)
{
	char path[64], line[256], expect[64];
	bool named = false;
	int rings = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->port.fd);
	snprintf(expect, sizeof(expect), "netmap-port:\t%s\n", test_interface());
	ioctl(self->port.fd, NIOCTXSYNC, NULL);
	file = fopen(path, "r");
	ASSERT_NE(NULL, file);
	while (fgets(line, sizeof(line), file)) {
		named |= !strcmp(line, expect);
		rings += !strncmp(line, "netmap-ring:", 12);
		if (!strncmp(line, "netmap-ring:\ttx 0:", 18)) {
			EXPECT_NE(NULL, strstr(line, " syncs "));
			EXPECT_EQ(NULL, strstr(line, " syncs 0 "));
		}
	}
	fclose(file);
	EXPECT_TRUE(named);
	EXPECT_EQ(self->tx + self->rx, rings);
}

TEST_HARNESS_MAIN
