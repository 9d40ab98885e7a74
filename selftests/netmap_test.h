/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the C interface share: ports by NIOCCTRL, numbered frames, counters.
 *
 * A failure of a system call is returned as a negative errno. LIMIT_MS is how long something that must happen may take
 * before the test gives up: an emulated e1000 hears nothing for a second after it was bound, and a machine may be slow.
 */
#ifndef NETMAP_TEST_H
#define NETMAP_TEST_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <net/netmap_user.h>

#define LIMIT_MS	120000
#define TIMEOUT_S	86400		/* of one test: none */

#define SHORTEST	60		/* frames, without the frame check sequence */
#define LONGEST		1514
#define PROTOCOL	0x88b5		/* for local experiments */
#define HEADER		18		/* of a frame: addresses, protocol, number */

#define UNUSED		__attribute__((__unused__))

/* An open file of /dev/netmap, bound and mapped. */
struct port {
	int fd;
	char *mem;
	size_t size;
	struct netmap_if *nifp;
	struct nmreq_register reg;
};

UNUSED static const char *nic_name(void)
{
	const char *name = getenv("TEST_IF");

	return name ? name : "eth0";
}

UNUSED static const char *peer_name(void)
{
	const char *name = getenv("TEST_PEER");

	return name ? name : "eth1";
}

/* Whether the NIC under test is one whose ports are emulated. */
UNUSED static bool is_emulated(void)
{
	const char *family = getenv("TEST_NIC");

	return family && (!strcmp(family, "emulated") || !strcmp(family, "veth") || !strcmp(family, "virtio") ||
			  !strcmp(family, "vmxnet3"));
}

/* The number in a file of one line; -1 if there is none. */
UNUSED static long number_in(const char *format, const char *name)
{
	char path[256];
	long number = -1;
	FILE *f;

	snprintf(path, sizeof(path), format, name);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%ld", &number) != 1)
			number = -1;
		fclose(f);
	}
	return number;
}

UNUSED static long parameter(const char *name)
{
	return number_in("/sys/module/netmap/parameters/%s", name);
}

UNUSED static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

UNUSED static long carrier_changes(const char *name)
{
	return number_in("/sys/class/net/%s/carrier_changes", name);
}

/* Waits for the link of an interface; false after the limit. */
UNUSED static bool has_carrier(const char *name)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (number_in("/sys/class/net/%s/carrier", name) != 1) {
		if (now_ms() >= end)
			return false;
		usleep(10000);
	}
	return true;
}

/* How many queues of a direction ("rx", "tx") an interface has. */
UNUSED static uint32_t count_queues(const char *name, const char *direction)
{
	uint32_t count = 0;
	char path[128];

	for (;; count++) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/queues/%s-%u", name, direction, count);
		if (access(path, F_OK))
			return count;
	}
}

/* Binds an open file; what the kernel answered is in reg. */
UNUSED static int port_register(int fd, const char *name, struct nmreq_register *reg)
{
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_REGISTER };

	snprintf(header.nr_name, sizeof(header.nr_name), "%s", name);
	header.nr_body = (uintptr_t)reg;
	return ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
}

/* Opens, binds and maps; the request is in port->reg. */
UNUSED static int port_open_as(struct port *port, const char *name)
{
	int err;

	port->fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
	if (port->fd < 0)
		return -errno;
	/* No more than the receiving NIC's driver has room for: what comes too fast is lost there, and its sender does not wait. */
	if (is_emulated() && !port->reg.nr_tx_slots)
		port->reg.nr_tx_slots = 128;
	err = port_register(port->fd, name, &port->reg);
	if (!err) {
		port->size = port->reg.nr_memsize;
		port->mem = mmap(NULL, port->size, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
		if (port->mem == MAP_FAILED)
			err = -errno;
	}
	if (err) {
		close(port->fd);
		return err;
	}
	port->nifp = NETMAP_IF(port->mem, port->reg.nr_offset);
	return 0;
}

UNUSED static int port_open(struct port *port, const char *name, uint32_t mode, uint16_t ring, uint64_t flags)
{
	*port = (struct port){ .reg = { .nr_mode = mode, .nr_ringid = ring, .nr_flags = flags } };
	return port_open_as(port, name);
}

UNUSED static int port_close(struct port *port)
{
	int err = munmap(port->mem, port->size) ? -errno : 0;

	return close(port->fd) ? -errno : err;
}

/* A ring by its number, those of the host after those of the NIC; NULL if the file is not bound to it. */
UNUSED static struct netmap_ring *tx_ring(const struct port *port, uint32_t i)
{
	const struct netmap_if *nifp = port->nifp;

	return nifp->ring_ofs[i] ? NETMAP_TXRING(nifp, i) : NULL;
}

UNUSED static struct netmap_ring *rx_ring(const struct port *port, uint32_t i)
{
	const struct netmap_if *nifp = port->nifp;

	return nifp->ring_ofs[i + nifp->ni_tx_rings + nifp->ni_host_tx_rings] ? NETMAP_RXRING(nifp, i) : NULL;
}

UNUSED static uint32_t all_tx_rings(const struct port *port)
{
	return port->nifp->ni_tx_rings + port->nifp->ni_host_tx_rings;
}

UNUSED static uint32_t all_rx_rings(const struct port *port)
{
	return port->nifp->ni_rx_rings + port->nifp->ni_host_rx_rings;
}

UNUSED static struct netmap_slot *head_slot(struct netmap_ring *ring)
{
	return &ring->slot[ring->head];
}

UNUSED static uint8_t *slot_buffer(struct netmap_ring *ring, const struct netmap_slot *slot)
{
	return (uint8_t *)NETMAP_BUF(ring, slot->buf_idx);
}

UNUSED static void ring_advance(struct netmap_ring *ring)
{
	ring->head = ring->cur = nm_ring_next(ring, ring->head);
}

UNUSED static int tx_sync(const struct port *port)
{
	return ioctl(port->fd, NIOCTXSYNC) ? -errno : 0;
}

UNUSED static int rx_sync(const struct port *port)
{
	return ioctl(port->fd, NIOCRXSYNC) ? -errno : 0;
}

/* The revents of one file, or a negative errno. */
UNUSED static int poll_port(const struct port *port, short events, int timeout_ms)
{
	struct pollfd pollfd = { .fd = port->fd, .events = events };
	int n = poll(&pollfd, 1, timeout_ms);

	return n < 0 ? -errno : n ? pollfd.revents : 0;
}

/* The first rx ring that holds something for the program; waits for one. NULL after timeout_ms or an error. */
UNUSED static struct netmap_ring *wait_rx(const struct port *port, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	struct netmap_ring *ring;
	int64_t left;
	uint32_t i;

	for (;;) {
		for (i = 0; i < all_rx_rings(port); i++) {
			ring = rx_ring(port, i);
			if (ring && !nm_ring_empty(ring))
				return ring;
		}
		left = end - now_ms();
		if (left < 0 || poll_port(port, POLLIN, (int)left) < 0)
			return NULL;
	}
}

/* Waits until the program has room in a tx ring. */
UNUSED static int wait_tx(const struct port *port, const struct netmap_ring *ring)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (nm_ring_empty(ring)) {
		int events = poll_port(port, POLLOUT, (int)(end - now_ms()));

		if (events < 0)
			return events;
		if (events & POLLERR)
			return -EIO;
		if (now_ms() >= end)
			return -ETIMEDOUT;
	}
	return 0;
}

/*
 * Makes sure that what was written to the NIC's registers has reached it. Two NICs see the writes of a program in no order,
 * but a NIC sees those before a read. Drivers read their counters for this.
 */
UNUSED static int settle(const char *name)
{
	char command[64];

	snprintf(command, sizeof(command), "ethtool -S %s >/dev/null", name);
	return system(command);
}

/* Waits until all that was put into a tx ring has left it. */
UNUSED static int drain_tx(const struct port *port, const struct netmap_ring *ring)
{
	int64_t end = now_ms() + LIMIT_MS;
	int err;

	do {
		err = tx_sync(port);
		if (err)
			return err;
		if (now_ms() >= end)
			return -ETIMEDOUT;
	} while (nm_tx_pending(ring));
	return 0;
}

/*
 * A frame to everybody, whose every byte follows from its number and length. Only the first HEADER bytes and the last
 * differ between neighbours if one compares carelessly, so the fill is a generator's.
 */
UNUSED static void make_frame(uint8_t *frame, uint32_t len, uint32_t number)
{
	uint32_t state = number * 2654435761u ^ len, i;
	const uint16_t protocol = htons(PROTOCOL);

	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x02nmtst", 6);
	memcpy(frame + 12, &protocol, 2);
	number = htonl(number);
	memcpy(frame + 14, &number, 4);
	for (i = HEADER; i < len; i++) {
		state = state * 1664525 + 1013904223;
		frame[i] = state >> 24;
	}
}

UNUSED static uint32_t frame_number(const uint8_t *frame)
{
	uint32_t number;

	memcpy(&number, frame + 14, 4);
	return ntohl(number);
}

/* Whether a frame of this length and number is what make_frame() makes. */
UNUSED static bool frame_is(const uint8_t *frame, uint32_t len, uint32_t number)
{
	uint8_t expected[2048];

	if (len > sizeof(expected))
		return false;
	make_frame(expected, len, number);
	return !memcmp(frame, expected, len);
}

/* Puts a frame into a tx ring, with these slot flags; it is sent by the next sync. */
UNUSED static int put_frame(const struct port *port, struct netmap_ring *ring, uint32_t len, uint32_t number,
			    uint16_t flags)
{
	struct netmap_slot *slot;
	int err = wait_tx(port, ring);

	if (err)
		return err;
	slot = head_slot(ring);
	make_frame(slot_buffer(ring, slot), len, number);
	slot->len = len;
	slot->flags = flags;
	ring_advance(ring);
	return 0;
}

/* Sends one frame through a ring, at once. */
UNUSED static int send_frame(const struct port *port, struct netmap_ring *ring, uint32_t len, uint32_t number)
{
	int err = put_frame(port, ring, len, number, 0);

	return err ? err : tx_sync(port);
}

/*
 * Takes the next frame of ours, wherever it arrives; its length, or -ETIMEDOUT. Others are dropped: the peer's stack may
 * have something to say.
 */
UNUSED static int receive_frame(const struct port *port, uint8_t *frame, uint32_t size, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	for (;;) {
		int64_t left = end - now_ms();
		struct netmap_ring *ring = wait_rx(port, left > 0 ? (int)left : 0);
		struct netmap_slot *slot;
		uint32_t len;

		if (!ring)
			return -ETIMEDOUT;
		slot = head_slot(ring);
		len = slot->len;
		if (len > size || slot->flags & NS_MOREFRAG)
			return -EMSGSIZE;
		memcpy(frame, slot_buffer(ring, slot), len);
		ring_advance(ring);
		if (len >= SHORTEST && frame[12] == PROTOCOL >> 8 && frame[13] == (PROTOCOL & 0xff))
			return len;
	}
}

/* A counter of a ring ("tx 0", "host-rx 0") of a bound file; -1 if there is none. */
UNUSED static long long ring_counter(const struct port *port, const char *ring, const char *counter)
{
	char path[64], line[512], want[64];
	long long value = -1;
	const char *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", port->fd);
	snprintf(want, sizeof(want), "netmap-ring:\t%s:", ring);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, want, strlen(want)))
			continue;
		snprintf(want, sizeof(want), " %s ", counter);
		at = strstr(line, want);
		if (at)
			value = atoll(at + strlen(want));
		break;
	}
	fclose(f);
	return value;
}

/* How many objects of a pool ("buffers", "ring pages", "interface pages") of the global region are in use. */
UNUSED static long pool_used(const char *pool)
{
	char line[256], want[64];
	long used = 0;
	FILE *f = fopen("/sys/kernel/debug/netmap/regions", "r");

	if (!f)
		return -1;
	snprintf(want, sizeof(want), "  %s: used %%ld", pool);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, want, &used) == 1)
			break;
	fclose(f);
	return used;
}

/* Buffers of closed files that wait for others, with which they were exchanged, to be closed too. */
UNUSED static long lost_buffers(void)
{
	char line[256];
	long lost = 0;
	FILE *f = fopen("/sys/kernel/debug/netmap/regions", "r");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "  lost buffers: %ld", &lost) == 1)
			break;
	fclose(f);
	return lost;
}

/* Sets or clears flags of an interface, and has them in effect in the NIC. */
UNUSED static int set_if_flags(const char *name, short set, short clear)
{
	struct ifreq ifr = { 0 };
	int err = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr)) {
		err = -errno;
	} else {
		ifr.ifr_flags = (ifr.ifr_flags | set) & ~clear;
		if (ioctl(fd, SIOCSIFFLAGS, &ifr))
			err = -errno;
	}
	close(fd);
	return err ? err : settle(name);
}

/* Whether a thread of this process sleeps: 1, 0, or a negative errno. */
UNUSED static int is_asleep(pid_t thread)
{
	char path[64], line[512], state = 0;
	const char *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", thread);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	if (fgets(line, sizeof(line), f)) {
		at = strrchr(line, ')');
		state = at && at[1] ? at[2] : 0;
	}
	fclose(f);
	return state == 'S';
}

/* Waits until a thread of this process sleeps: it has nothing else to sleep in than the call it is about to make. */
UNUSED static int wait_asleep(pid_t thread)
{
	int64_t end = now_ms() + LIMIT_MS;
	int asleep;

	do {
		if (now_ms() >= end)
			return -ETIMEDOUT;
		asleep = is_asleep(thread);
	} while (!asleep);
	return asleep < 0 ? asleep : 0;
}

/* A program of a script: SIGTERM ends it, SIGUSR1 has it do what it says. */
UNUSED static volatile sig_atomic_t stopped, toggle;

UNUSED static void on_signal(int number)
{
	if (number == SIGUSR1)
		toggle = 1;
	else
		stopped = 1;
}

UNUSED static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
}

UNUSED static int open_namespace(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

UNUSED static void enter_namespace(int fd)
{
	if (setns(fd, CLONE_NEWNET))
		err(2, "setns");
}

#endif /* NETMAP_TEST_H */
