/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of host rings and of forwarding share: the stack's ends, and frames of host rings. */
#ifndef HOST_H
#define HOST_H

#include <stddef.h>
#include <sys/ioctl.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include "kselftest_harness.h"
#include "netmap_test.h"

/* Longer than anything sent here. */
#define ROOM	70000

/* A packet socket on an interface for one protocol, 0 for sending only; a negative errno. */
static inline int packet_socket(const char *name, uint16_t protocol, bool vnet_hdr)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int bytes = 1 << 22;
	struct timeval limit = { .tv_sec = LIMIT_MS / 1000 };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };

	if (fd < 0)
		return -errno;
	at.sll_ifindex = all.mr_ifindex = if_nametoindex(name);
	if ((vnet_hdr && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one))) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static inline int stack_send(int fd, uint32_t len, uint32_t number)
{
	static uint8_t frame[ROOM];

	make_frame(frame, len, number);
	return send(fd, frame, len, 0) == len ? 0 : -errno;
}

/* Whether the next frame that the socket gets is this one. */
static inline bool stack_gets(int fd, uint32_t len, uint32_t number)
{
	static uint8_t frame[ROOM], expected[ROOM];

	make_frame(expected, len, number);
	return recv(fd, frame, sizeof(frame), MSG_TRUNC) == len && !memcmp(frame, expected, len);
}

/* Whether a frame of the stack gets through in both directions, where two sockets are the ends. */
static inline bool stack_carries(int near, int far, uint32_t len, uint32_t number)
{
	return !stack_send(near, len, number) && stack_gets(far, len, number) && !stack_send(far, len, number + 1) &&
	       stack_gets(near, len, number + 1);
}

/* Copies the next frame of a ring, of one or more slots, and releases it; its length. */
static inline uint32_t take_frame(struct netmap_ring *ring, uint8_t *to, uint32_t *slots)
{
	uint32_t len = 0;
	uint16_t flags;

	*slots = 0;
	do {
		struct netmap_slot *slot = head_slot(ring);

		flags = slot->flags;
		memcpy(to + len, slot_buffer(ring, slot), slot->len);
		len += slot->len;
		++*slots;
		ring_advance(ring);
	} while (flags & NS_MOREFRAG && !nm_ring_empty(ring));
	return len;
}

static inline struct netmap_ring *host_tx(const struct port *port)
{
	return tx_ring(port, port->nifp->ni_tx_rings);
}

static inline struct netmap_ring *host_rx(const struct port *port)
{
	return rx_ring(port, port->nifp->ni_rx_rings);
}

/* Waits for a number of slots in a ring; false after the limit. */
static inline bool wait_slots(const struct port *port, const struct netmap_ring *ring, uint32_t count)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (nm_ring_space(ring) < count) {
		int64_t left = end - now_ms();

		/* Something is there already, so that poll() would not sleep: ask again. */
		if (left < 0 || (nm_ring_empty(ring) ? poll_port(port, POLLIN, (int)left) : rx_sync(port)) < 0)
			return false;
	}
	return true;
}

#endif
