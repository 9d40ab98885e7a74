/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of stack ports share: connections over the wire between TEST_IF and TEST_PEER, whose two sides one process has, and
 * ports. stack.sh has made hosts of the two ends: the peer is in a network namespace, and sockets are made there by a visit.
 */
#ifndef NETMAP_STACK_WIRE_H
#define NETMAP_STACK_WIRE_H

#include <sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include "netmap_test.h"

#define NIC_ADDRESS	"192.0.2.1"
#define PEER_ADDRESS	"192.0.2.2"
#define NIC_ADDRESS6	"2001:db8::1"
#define PEER_ADDRESS6	"2001:db8::2"

/* Visits the peer's namespace, or comes home. */
UNUSED static int visit(bool peer)
{
	int error, fd = open(peer ? "/run/netns/peer" : "/proc/1/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	error = setns(fd, CLONE_NEWNET) ? -errno : 0;
	close(fd);
	return error;
}

UNUSED static socklen_t address(struct sockaddr_storage *to, const char *text, uint16_t port)
{
	struct sockaddr_in *four = (struct sockaddr_in *)to;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (strchr(text, ':')) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &six->sin6_addr);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(port);
	inet_pton(AF_INET, text, &four->sin_addr);
	return sizeof(*four);
}

/* A listening socket at one side; its port is chosen by the kernel. */
UNUSED static int listen_at(bool peer, const char *text, uint16_t *port)
{
	struct sockaddr_storage at;
	socklen_t len = address(&at, text, 0);
	int fd, error = visit(peer);

	*port = 0;
	if (error)
		return error;
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&at, &len))
		error = -errno;
	*port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port :
		      ((struct sockaddr_in *)&at)->sin_port);
	visit(false);
	return error ? error : fd;
}

UNUSED static int connect_here(const char *text, uint16_t port)
{
	struct sockaddr_storage at;
	socklen_t len = address(&at, text, port);
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 || connect(fd, (struct sockaddr *)&at, len) ? -errno : fd;
}

UNUSED static int connect_from(bool peer, const char *text, uint16_t port)
{
	int fd, error = visit(peer);

	if (error)
		return error;
	fd = connect_here(text, port);
	visit(false);
	return fd;
}

/* A connection: the end at the NIC under test, which accepted it, and the peer's. */
struct pair {
	int nic, peer;
};

/* Both ends are non-blocking. */
UNUSED static int make_pairs(struct pair *pairs, int count, const char *text)
{
	uint16_t port;
	int i, listener = listen_at(false, text, &port);

	if (listener < 0)
		return listener;
	for (i = 0; i < count; i++) {
		pairs[i].peer = connect_from(true, text, port);
		if (pairs[i].peer < 0)
			return pairs[i].peer;
		pairs[i].nic = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (pairs[i].nic < 0)
			return -errno;
		fcntl(pairs[i].peer, F_SETFL, O_NONBLOCK);
	}
	close(listener);
	return 0;
}

UNUSED static void close_pairs(struct pair *pairs, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		close(pairs[i].nic);
		close(pairs[i].peer);
	}
}

/* Registers a connection, or not any more. */
UNUSED static int stack_request(int fd, uint16_t type, int connection)
{
	struct nmreq_pst_fd_reg body = { .fd = connection };
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = type, .nr_body = (uintptr_t)&body };

	return ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
}

UNUSED static int stack_register(const struct port *port, int connection)
{
	return stack_request(port->fd, NETMAP_REQ_PST_FD_REG, connection);
}

UNUSED static int stack_unregister(const struct port *port, int connection)
{
	return stack_request(port->fd, NETMAP_REQ_PST_FD_UNREG, connection);
}

UNUSED static int stack_config(const struct port *port, int connection)
{
	struct nm_ifreq request;

	memset(&request, 0, sizeof(request));
	memcpy(request.data, &connection, sizeof(connection));
	return ioctl(port->fd, NIOCCONFIG, &request) ? -errno : 0;
}

/* A stack port with so many slots in each ring, 0 for the default. */
UNUSED static int stack_open(struct port *port, uint32_t slots)
{
	char name[32];

	snprintf(name, sizeof(name), "stack:%s", nic_name());
	*port = (struct port){ .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = slots ? slots : 1024, .nr_rx_slots = slots } };
	return port_open_as(port, name);
}

/* The octet at `at` of the stream `number`. */
UNUSED static uint8_t octet(uint32_t number, uint64_t at)
{
	uint32_t x = (uint32_t)at * 2654435761u + number * 40503u + (uint32_t)(at >> 32);

	return (uint8_t)(x >> 24 ^ x >> 11);
}

UNUSED static void fill(uint8_t *to, uint32_t number, uint64_t from, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = octet(number, from + i);
}

/* Where the octets first differ from the stream; len if nowhere. */
UNUSED static size_t differs(const uint8_t *data, uint32_t number, uint64_t from, size_t len)
{
	size_t i;

	for (i = 0; i < len && data[i] == octet(number, from + i); i++)
		;
	return i;
}

/* Puts octets of a stream into slots of at most `most` octets each, without a sync; how many found room. */
UNUSED static size_t put(const struct port *port, int fd, uint32_t number, uint64_t from, size_t len, size_t most)
{
	struct netmap_ring *ring = tx_ring(port, 0);
	size_t done = 0, room = ring->nr_buf_size - ring->stack_room;

	if (most > room)
		most = room;
	while (done < len && !nm_ring_empty(ring)) {
		struct netmap_slot *slot = head_slot(ring);
		size_t part = len - done < most ? len - done : most;

		fill((uint8_t *)STACKMAP_BUF(ring, slot->buf_idx), number, from + done, part);
		slot->len = (uint16_t)part;
		slot->fd = fd;
		done += part;
		ring_advance(ring);
	}
	return done;
}

/* Reads octets of a stream from a socket until there are `len`; 0, or the error. */
UNUSED static int expect(int fd, uint32_t number, uint64_t from, size_t len)
{
	int64_t end = now_ms() + LIMIT_MS;
	uint8_t data[65536];

	while (len > 0) {
		struct pollfd pollfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&pollfd, 1, (int)(end - now_ms())) != 1)
			return -ETIMEDOUT;
		n = read(fd, data, len < sizeof(data) ? len : sizeof(data));
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EPIPE;
		if (differs(data, number, from, (size_t)n) != (size_t)n)
			return -EBADMSG;
		from += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Writes octets of a stream to a blocking or non-blocking socket until it takes no more; how many. */
UNUSED static size_t feed(int fd, uint32_t number, uint64_t from, size_t len)
{
	uint8_t data[4096];
	size_t done = 0;

	while (done < len) {
		size_t part = len - done < sizeof(data) ? len - done : sizeof(data);
		ssize_t n;

		fill(data, number, from + done, part);
		n = write(fd, data, part);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

#endif
