/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rings and buffers from a program's side, and with NETMAP_WITH_LIBS the small library nm_open(), nm_inject(), ...
 * See netmap(4).
 *
 *	ioctl(fd, NIOCREGIF, &req);
 *	mem = mmap(NULL, req.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
 *	nifp = NETMAP_IF(mem, req.nr_offset);
 *	ring = NETMAP_RXRING(nifp, 0);
 *	while (!nm_ring_empty(ring)) {
 *		slot = &ring->slot[ring->head];
 *		use(NETMAP_BUF(ring, slot->buf_idx), slot->len);
 *		ring->head = ring->cur = nm_ring_next(ring, ring->head);
 *	}
 */
#ifndef _NET_NETMAP_USER_H_
#define _NET_NETMAP_USER_H_

#include <stdint.h>
#include <ctype.h>
#include <string.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>
#ifndef IFNAMSIZ
#include <net/if.h>
#endif
#include <net/netmap.h>
#include <net/netmap_stack.h>

#define NETMAP_DEVICE_NAME "/dev/netmap"

#ifndef likely
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#endif

/* Through void *, because what is found at an offset is aligned for its type although char * does not say so. */
#define _NETMAP_OFFSET(type, ptr, offset) \
	((type)(void *)((char *)(ptr) + (offset)))

/* The file's netmap_if, from the mapping's address and the nr_offset of the bind request. */
#define NETMAP_IF(_base, _ofs)	_NETMAP_OFFSET(struct netmap_if *, _base, _ofs)

/* Ring number index; those of the host stack follow those of the NIC. Equal to nifp where the ring is not there. */
#define NETMAP_TXRING(nifp, index) \
	_NETMAP_OFFSET(struct netmap_ring *, nifp, (nifp)->ring_ofs[index])
#define NETMAP_RXRING(nifp, index) \
	_NETMAP_OFFSET(struct netmap_ring *, nifp, \
		       (nifp)->ring_ofs[(index) + (nifp)->ni_tx_rings + (nifp)->ni_host_tx_rings])

/* Address of a buffer (char *), from its index; and the index, from an address in the buffer. */
#define NETMAP_BUF(ring, index) \
	((char *)(ring) + (ring)->buf_ofs + (size_t)(index) * (ring)->nr_buf_size)
#define NETMAP_BUF_IDX(ring, buf) \
	(((char *)(buf) - ((char *)(ring) + (ring)->buf_ofs)) / (ring)->nr_buf_size)

/* The offset of the packet in a slot's buffer: read it, write it, and the address of the packet. */
#define NETMAP_ROFFSET(ring, slot) \
	((slot)->ptr & (ring)->offset_mask)
#define NETMAP_WOFFSET(ring, slot, offset) \
	do { \
		(slot)->ptr = ((slot)->ptr & ~(ring)->offset_mask) | ((offset) & (ring)->offset_mask); \
	} while (0)
#define NETMAP_BUF_OFFSET(ring, slot) \
	(NETMAP_BUF(ring, (slot)->buf_idx) + NETMAP_ROFFSET(ring, slot))

/* nm_ring_next() - the index after i */
static inline uint32_t nm_ring_next(const struct netmap_ring *ring, uint32_t i)
{
	return unlikely(i + 1 == ring->num_slots) ? 0 : i + 1;
}

/* nm_ring_space() - slots of the program: packets received, or room to send */
static inline uint32_t nm_ring_space(const struct netmap_ring *ring)
{
	uint32_t head = ring->head, tail = ring->tail;

	return tail >= head ? tail - head : tail + ring->num_slots - head;
}

/* nm_tx_pending() - not 0 while packets wait in the tx ring; the kernel learns of sent ones in a sync only */
static inline int nm_tx_pending(const struct netmap_ring *ring)
{
	return nm_ring_next(ring, ring->tail) != ring->head;
}

/*
 * nm_pkt_copy() - copy len bytes of packet
 *
 * Exactly len bytes, of any alignment; multiples of 64 are fastest. Nothing for a len that is not positive.
 */
static inline void nm_pkt_copy(const void *src, void *dst, int len)
{
	const char *from = (const char *)src;
	char *to = (char *)dst;

	if (unlikely(len >= 1024 || len % 64)) {
		if (len > 0)
			memcpy(to, from, (size_t)len);
		return;
	}
	for (; len > 0; len -= 64) {
		memcpy(to, from, 64);
		from += 64;
		to += 64;
	}
}

/*
 * The spelling of the paper of 2012.
 *
 * A ring had a field avail then, the number of slots of the program, from cur on. It is nm_ring_space(ring) now, and
 * instead of counting it down one moves head (and cur) forward:
 *
 *	while (ring->avail-- > 0) { ... ring->cur = NETMAP_NEXT(ring, ring->cur); }
 *	while (!nm_ring_empty(ring)) { ... ring->head = ring->cur = nm_ring_next(ring, ring->cur); }
 */
#ifndef NETMAP_NEXT
#define NETMAP_NEXT(ring, i)	nm_ring_next(ring, i)
#endif

/* A program's messages to stderr (it includes <stdio.h>): D() with time and place, RD() lps a second, ND() none. */
#ifndef ND
#define ND(_fmt, ...) do {} while (0)
#define D(_fmt, ...) \
	do { \
		struct timeval _nm_now; \
		gettimeofday(&_nm_now, NULL); \
		fprintf(stderr, "%03d.%06d %s [%d] " _fmt "\n", (int)(_nm_now.tv_sec % 1000), \
			(int)_nm_now.tv_usec, __FUNCTION__, __LINE__, ##__VA_ARGS__); \
	} while (0)
#define RD(lps, _fmt, ...) \
	do { \
		static time_t _nm_second; \
		static int _nm_said; \
		struct timeval _nm_time; \
		gettimeofday(&_nm_time, NULL); \
		if (_nm_second != _nm_time.tv_sec) { \
			_nm_second = _nm_time.tv_sec; \
			_nm_said = 0; \
		} \
		if (_nm_said++ < (lps)) \
			D(_fmt, ##__VA_ARGS__); \
	} while (0)
#endif

#if defined(NETMAP_WITH_LIBS) && !defined(HAVE_NETMAP_WITH_LIBS)
#define HAVE_NETMAP_WITH_LIBS

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/**
 * struct nm_pkthdr - a received packet; begins like libpcap's pcap_pkthdr
 * @ts:		time of the sync that brought it
 * @caplen:	bytes that lie at @buf in one piece
 * @len:	bytes of the packet; more than @caplen where it is in several buffers that are not adjacent
 * @flags:	NM_MORE_PKTS if the callback will be called again in this nm_dispatch()
 * @d:		where it was received
 * @slot:	its first slot
 * @buf:	its first byte
 */
struct nm_pkthdr {
	struct timeval	ts;
	uint32_t	caplen;
	uint32_t	len;
	uint64_t	flags;
#define NM_MORE_PKTS	1
	struct nm_desc	*d;
	struct netmap_slot *slot;
	uint8_t		*buf;
};

/* The layout of libpcap's pcap_stat; the library leaves it to the program. */
struct nm_stat {
	unsigned int ps_recv;
	unsigned int ps_drop;
	unsigned int ps_ifdrop;
};

#define NM_ERRBUF_SIZE	512

/**
 * struct nm_desc - a port opened by nm_open()
 * @self:	address of this structure, by which a descriptor is known from other pointers
 * @fd:		of /dev/netmap, for poll() and the sync ioctls
 * @mem:	the region
 * @memsize:	its size, bytes
 * @done_mmap:	whether nm_close() has to unmap it
 * @nifp:	the rings
 * @first_tx_ring: first and @last_tx_ring: last bound tx ring; @cur_tx_ring: where nm_inject() begins to look for room
 * @first_rx_ring: first and @last_rx_ring: last bound rx ring; @cur_rx_ring: the ring of the last packet
 * @req:	the bind request as the kernel answered it
 * @hdr:	the packet that nm_dispatch() is at
 * @some_ring:	any ring, to translate between indices and addresses
 * @buf_start:	first byte of buffer 0
 * @buf_end:	first byte after the region
 *
 * The fields from @snaplen on are the program's; the library neither reads nor writes them.
 */
struct nm_desc {
	struct nm_desc	*self;
	int		fd;
	void		*mem;
	size_t		memsize;
	int		done_mmap;
	struct netmap_if *const nifp;
	uint16_t	first_tx_ring, last_tx_ring, cur_tx_ring;
	uint16_t	first_rx_ring, last_rx_ring, cur_rx_ring;
	struct nmreq	req;
	struct nm_pkthdr hdr;
	struct netmap_ring *const some_ring;
	void		*const buf_start;
	void		*const buf_end;
	int		snaplen;
	int		promisc;
	int		to_ms;
	char		*errbuf;
	uint32_t	if_flags;
	uint32_t	if_reqcap;
	uint32_t	if_curcap;
	struct nm_stat	st;
	char		msg[NM_ERRBUF_SIZE];
};

#define P2NMD(p)		((const struct nm_desc *)(p))
#define IS_NETMAP_DESC(d)	((d) && P2NMD(d)->self == P2NMD(d))
#define NETMAP_FD(d)		(P2NMD(d)->fd)

/* What nm_open() takes from arg, besides NETMAP_NO_TX_POLL and NETMAP_DO_RX_POLL that may be added. */
enum {
	NM_OPEN_NO_MMAP		= 0x040000,	/* do not map, but for an arg */
	NM_OPEN_IFNAME		= 0x080000,	/* nr_name, nr_ringid, nr_flags of arg; ifname is not parsed */
	NM_OPEN_ARG1		= 0x100000,	/* nr_arg1 */
	NM_OPEN_ARG2		= 0x200000,	/* nr_arg2, the region */
	NM_OPEN_ARG3		= 0x400000,	/* nr_arg3, extra buffers */
	NM_OPEN_RING_CFG	= 0x800000	/* numbers of rings and slots */
};

/* Called for each packet with the user's argument, the header and the first byte. */
typedef void (*nm_cb_t)(unsigned char *user, const struct nm_pkthdr *hdr, const unsigned char *buf);

#define MAXERRMSG 80	/* bytes of a message by nm_parse() */

#include "netmap_library.h"

#endif /* NETMAP_WITH_LIBS */

#endif /* _NET_NETMAP_USER_H_ */
