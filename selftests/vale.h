/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of VALE switches share: ports, frames with addresses, and what is found in a receive ring. */
#ifndef NETMAP_SELFTESTS_VALE_H
#define NETMAP_SELFTESTS_VALE_H

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "port.h"

#define MOST_BYTES	(64 * 2048)

/* The address of a host, an address of a group, and that of all. */
#define HOST(n)		((const uint8_t[6]){ 2, 0, 0, 0, 0, (n) })
#define GROUP(n)	((const uint8_t[6]){ 1, 0, 0x5e, 0, 0, (n) })
#define ALL		((const uint8_t[6]){ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff })

/* A frame whose bytes follow from its number. */
static inline void frame_make(uint8_t *frame, uint32_t len, const uint8_t *to, const uint8_t *from, uint32_t number)
{
	uint32_t state = number * 2654435761u ^ len, i;

	for (i = 0; i < len; i++) {
		state = state * 1664525 + 1013904223;
		frame[i] = i < 6 ? to[i] : i < 12 ? from[i - 6] : i == 12 ? 0x88 : i == 13 ? 0xb5 : state >> 24;
	}
}

/* Puts a packet into a transmit ring, in slots of PART bytes at most; false if there is no room. */
static inline bool packet_put(struct netmap_ring *ring, const uint8_t *packet, uint32_t len, uint32_t part, uint16_t flags)
{
	uint32_t at = ring->head, done = 0;

	if (nm_ring_space(ring) < (len + part - 1) / part)
		return false;
	do {
		struct netmap_slot *slot = &ring->slot[at];
		uint32_t bytes = len - done < part ? len - done : part;

		memcpy(NETMAP_BUF(ring, slot->buf_idx), packet + done, bytes);
		slot->len = bytes;
		done += bytes;
		slot->flags = flags | (done < len ? NS_MOREFRAG : 0);
		at = nm_ring_next(ring, at);
	} while (done < len);
	ring->head = ring->cur = at;
	return true;
}

/* Sends a packet; an errno. */
static inline int packet_send(struct port *port, const uint8_t *packet, uint32_t len, uint32_t part, uint16_t flags)
{
	if (!packet_put(NETMAP_TXRING(port->nifp, 0), packet, len, part, flags))
		return ENOBUFS;
	return errno_of(ioctl(port->fd, NIOCTXSYNC, NULL));
}

/* Sends a frame from one host to another; an errno. */
static inline int frame_send(struct port *port, uint32_t len, const uint8_t *to, const uint8_t *from, uint32_t number,
			     uint16_t flags)
{
	uint8_t frame[2048];

	frame_make(frame, len, to, from, number);
	return packet_send(port, frame, len, 2048, flags);
}

/* The next packet of a receive ring, whose slots are given back; its length, -1 if there is none. */
static inline int ring_take(struct port *port, uint16_t which, uint8_t *packet)
{
	struct netmap_ring *ring = NETMAP_RXRING(port->nifp, which);
	uint32_t len = 0, count = 0, named = 0;
	bool more = true;

	if (nm_ring_empty(ring))
		ioctl(port->fd, NIOCRXSYNC, NULL);
	if (nm_ring_empty(ring))
		return -1;
	while (more) {
		struct netmap_slot *slot = &ring->slot[ring->head];

		if (nm_ring_empty(ring) || len + slot->len > MOST_BYTES)
			return -2;
		memcpy(packet + len, NETMAP_BUF(ring, slot->buf_idx), slot->len);
		len += slot->len;
		count++;
		named = NS_RFRAGS(slot);
		more = slot->flags & NS_MOREFRAG;
		ring->head = ring->cur = nm_ring_next(ring, ring->head);
	}
	/* Each slot says how many there are. */
	return named == count ? (int)len : -3;
}

static inline int packet_take(struct port *port, uint8_t *packet)
{
	return ring_take(port, 0, packet);
}

/* Whether the next packet is this frame. */
static inline bool frame_is(struct port *port, uint32_t len, const uint8_t *to, const uint8_t *from, uint32_t number)
{
	static __thread uint8_t packet[MOST_BYTES], wanted[MOST_BYTES];

	if (packet_take(port, packet) != (int)len)
		return false;
	frame_make(wanted, len, to, from, number);
	return !memcmp(packet, wanted, len);
}

/* Whether there is none. */
static inline bool is_silent(struct port *port)
{
	static __thread uint8_t packet[MOST_BYTES];

	return packet_take(port, packet) == -1;
}

static inline int vale_open(struct port *port, const char *name)
{
	return port_open(port, name, NR_REG_ALL_NIC, 0, 0);
}

/* As vale_open(), with what is in port->reg. */
static inline int vale_open_as(struct port *port, const char *name)
{
	int error;

	port->reg.nr_mode = port->reg.nr_mode ? port->reg.nr_mode : NR_REG_ALL_NIC;
	port->fd = device_open();
	error = request(port->fd, NETMAP_REQ_REGISTER, name, &port->reg);
	if (!error)
		error = port_map(port);
	if (error)
		close(port->fd);
	return error;
}

static inline int header_set(const char *name, uint32_t len)
{
	struct nmreq_port_hdr body = { .nr_hdr_len = len };
	int fd = device_open(), error = request(fd, NETMAP_REQ_PORT_HDR_SET, name, &body);

	close(fd);
	return error;
}

static inline int header_get(const char *name, uint32_t *len)
{
	struct nmreq_port_hdr body = { .nr_hdr_len = 77 };
	int fd = device_open(), error = request(fd, NETMAP_REQ_PORT_HDR_GET, name, &body);

	close(fd);
	*len = body.nr_hdr_len;
	return error;
}

#endif
