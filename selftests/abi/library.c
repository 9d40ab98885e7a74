// SPDX-License-Identifier: BSD-2-Clause
/*
 * What netmap_user.h's functions do, on a region made here instead of by the kernel: names, and packets through rings.
 * Linked with include.c, the second file of the program that has them.
 */
#define NETMAP_WITH_LIBS
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <net/netmap_user.h>

#define SLOTS	4u
#define BYTES	64u
#define RINGS	6u	/* 2 tx, host tx, 2 rx, host rx */
#define BUFFERS	(2 + RINGS * SLOTS)
#define MOST	8

static int number, failed;

static void check(int good, const char *what, const char *detail)
{
	failed |= !good;
	printf("%sok %d %s%s%s\n", good ? "" : "not ", ++number, what, *detail ? " " : "", detail);
}

/* A name, and the request it makes of one that already holds mode and flags; mode 15 where it is refused. */
static const struct {
	const char *name, *port;
	unsigned int mode, ring, flags, region;
} names[] = {
	{ "netmap:eth0", "eth0", NR_REG_ALL_NIC, 0, 0, 0 },
	{ "netmap:eth0-3", "eth0", NR_REG_ONE_NIC, 3, 0, 0 },
	{ "netmap:br-lan", "br-lan", NR_REG_ALL_NIC, 0, 0, 0 },
	{ "netmap:br-lan-1/x", "br-lan", NR_REG_ONE_NIC, 1, NR_EXCLUSIVE, 0 },
	{ "netmap:eth0.5", "eth0.5", NR_REG_ALL_NIC, 0, 0, 0 },
	{ "netmap:eth0^", "eth0", NR_REG_SW, 0, 0, 0 },
	{ "netmap:eth0^1", "eth0", NR_REG_ONE_SW, 1, 0, 0 },
	{ "netmap:eth0*", "eth0", NR_REG_NIC_SW, 0, 0, 0 },
	{ "netmap:eth0*/RT", "eth0", NR_REG_NIC_SW, 0, NR_RX_RINGS_ONLY | NR_TX_RINGS_ONLY, 0 },
	{ "netmap:eth0/rtz", "eth0", NR_REG_ALL_NIC, 0, NR_MONITOR_RX | NR_MONITOR_TX | NR_ZCOPY_MON, 0 },
	{ "netmap:eth0{7", "eth0", NR_REG_PIPE_MASTER, 7, 0, 0 },
	{ "netmap:eth0}7/x@9", "eth0", NR_REG_PIPE_SLAVE, 7, NR_EXCLUSIVE, 9 },
	{ "netmap:eth0@2/T", "eth0", NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY, 2 },
	{ "vale0:a", "vale0:a", NR_REG_ALL_NIC, 0, 0, 0 },
	{ "vale_x:p1{4094", "vale_x:p1", NR_REG_PIPE_MASTER, 4094, 0, 0 },
	{ "stack:eth0", "eth0", NR_REG_ALL_NIC, 0, NR_STACK, 0 },
	{ "stack:0+eth0", "eth0", NR_REG_ALL_NIC, 0, NR_STACK, 0 },
	{ "stack:1234567890+enp193s0f0np0/x", "enp193s0f0np0", NR_REG_ALL_NIC, 0, NR_STACK | NR_EXCLUSIVE, 0 },
	{ "stack:eth0-0", "eth0", NR_REG_ONE_NIC, 0, NR_STACK, 0 },
	{ "stack:7", "7", NR_REG_ALL_NIC, 0, NR_STACK, 0 },
	{ "stack:", "", 15, 0, 0, 0 },
	{ "stack:0+", "", 15, 0, 0, 0 },
	{ "netmap:123456789012345", "123456789012345", NR_REG_ALL_NIC, 0, 0, 0 },
	{ "netmap:1234567890123456", "", 15, 0, 0, 0 },
	{ "netmap:", "", 15, 0, 0, 0 },
	{ "netmap:^", "", 15, 0, 0, 0 },
	{ "netmap:eth0{", "", 15, 0, 0, 0 },
	{ "netmap:eth0-4095", "eth0", 15, 0, 0, 0 },
	{ "netmap:eth0{99999999999999999999", "", 15, 0, 0, 0 },
	{ "netmap:eth0*1", "", 15, 0, 0, 0 },
	{ "netmap:eth0/", "", 15, 0, 0, 0 },
	{ "netmap:eth0/q", "", 15, 0, 0, 0 },
	{ "netmap:eth0@", "", 15, 0, 0, 0 },
	{ "netmap:eth0@0", "", 15, 0, 0, 0 },
	{ "netmap:eth0@65536", "", 15, 0, 0, 0 },
	{ "netmap:eth0@1@2", "", 15, 0, 0, 0 },
	{ "vale0", "", 15, 0, 0, 0 },
	{ "vale-0:a", "", 15, 0, 0, 0 },
	{ "vale0:a-b", "", 15, 0, 0, 0 },
	{ "eth0", "", 15, 0, 0, 0 },
};

static void check_names(void)
{
	char err[MAXERRMSG];
	struct nm_desc *d;
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int bad, result;

		d = (struct nm_desc *)calloc(1, sizeof(*d));
		memset(err, 0, sizeof(err));
		errno = 0;
		result = nm_parse(names[i].name, d, err);
		if (names[i].mode == 15)
			bad = result != -1 || errno != EINVAL || !err[0] || d->req.nr_name[0];
		else
			bad = result || strcmp(d->req.nr_name, names[i].port) || d->req.nr_ringid != names[i].ring ||
			      d->req.nr_flags != (names[i].mode | names[i].flags) || d->req.nr_arg2 != names[i].region;
		check(!bad, names[i].mode == 15 ? "refuses" : "understands", names[i].name);
		free(d);
	}

	d = (struct nm_desc *)calloc(1, sizeof(*d));
	d->req.nr_flags = NR_REG_ONE_NIC | NR_EXCLUSIVE;
	d->req.nr_ringid = 2;
	nm_parse("netmap:eth0", d, NULL);
	check(d->req.nr_flags == (NR_REG_ONE_NIC | NR_EXCLUSIVE) && d->req.nr_ringid == 2,
	      "a name without rings leaves the request's own", "");
	nm_parse("netmap:eth0^", d, NULL);
	check(d->req.nr_flags == (NR_REG_SW | NR_EXCLUSIVE) && d->req.nr_ringid == 0, "a name with rings replaces them", "");
	free(d);

	errno = ENOENT;
	check(!nm_open("eth0", NULL, 0, NULL) && errno == 0, "nm_open leaves other names alone", "");
}

/* A region: netmap_if, rings, buffers. As the kernel does, tail is one behind head in tx rings, equal in rx rings. */
static struct nm_desc *make_port(void)
{
	size_t ring_bytes = sizeof(struct netmap_ring) + SLOTS * sizeof(struct netmap_slot), buffers;
	struct nm_desc *d = (struct nm_desc *)calloc(1, sizeof(*d));
	char *mem = NULL;
	unsigned int i, j;

	ring_bytes = (ring_bytes + NM_CACHE_ALIGN - 1) / NM_CACHE_ALIGN * NM_CACHE_ALIGN;
	buffers = NM_CACHE_ALIGN + RINGS * ring_bytes;
	d->memsize = buffers + BUFFERS * BYTES;
	if (posix_memalign((void **)&mem, NM_CACHE_ALIGN, d->memsize))
		exit(1);
	memset(mem, 0, d->memsize);
	((uint32_t *)(void *)mem)[offsetof(struct netmap_if, ni_tx_rings) / 4] = 2;
	((uint32_t *)(void *)mem)[offsetof(struct netmap_if, ni_rx_rings) / 4] = 2;
	((uint32_t *)(void *)mem)[offsetof(struct netmap_if, ni_host_tx_rings) / 4] = 1;
	((uint32_t *)(void *)mem)[offsetof(struct netmap_if, ni_host_rx_rings) / 4] = 1;
	for (i = 0; i < RINGS; i++) {
		size_t at = NM_CACHE_ALIGN + i * ring_bytes;
		struct netmap_ring *ring = (struct netmap_ring *)(void *)(mem + at);

		((int64_t *)(void *)(mem + sizeof(struct netmap_if)))[i] = (int64_t)at;
		*(int64_t *)(uintptr_t)&ring->buf_ofs = (int64_t)(buffers - at);
		*(uint32_t *)(uintptr_t)&ring->num_slots = SLOTS;
		*(uint32_t *)(uintptr_t)&ring->nr_buf_size = BYTES;
		ring->tail = i < RINGS / 2 ? SLOTS - 1 : 0;
		for (j = 0; j < SLOTS; j++)
			ring->slot[j].buf_idx = 2 + i * SLOTS + j;
	}
	d->self = d;
	d->fd = -1;
	d->mem = mem;
	d->req.nr_tx_rings = d->req.nr_rx_rings = 2;
	d->req.nr_memsize = (uint32_t)d->memsize;
	return d;
}

/* Bind it in a mode, through a parent's mapping as nm_open() would. */
static struct nm_desc *bind_port(struct nm_desc *parent, unsigned int mode, unsigned int ring)
{
	struct nm_desc *d = (struct nm_desc *)calloc(1, sizeof(*d));

	d->self = d;
	d->fd = -1;
	d->req = parent->req;
	d->req.nr_flags = mode;
	d->req.nr_ringid = (uint16_t)ring;
	if (nm_mmap(d, parent))
		exit(1);
	return d;
}

/* A packet of len bytes arrives: byte i of it is mark + i. */
static void receive(struct nm_desc *d, unsigned int ri, unsigned int len, unsigned int mark)
{
	struct netmap_ring *ring = NETMAP_RXRING(d->nifp, ri);
	unsigned int i;

	for (i = 0; i < len; i++)
		NETMAP_BUF(ring, ring->slot[(ring->tail + i / BYTES) % SLOTS].buf_idx)[i % BYTES] = (char)(mark + i);
	for (; len > BYTES; len -= BYTES, ring->tail = nm_ring_next(ring, ring->tail)) {
		ring->slot[ring->tail].len = BYTES;
		ring->slot[ring->tail].flags = NS_MOREFRAG;
	}
	ring->slot[ring->tail].len = (uint16_t)len;
	ring->slot[ring->tail].flags = 0;
	ring->tail = nm_ring_next(ring, ring->tail);
}

static unsigned int seen, seen_mark[MOST], seen_len[MOST], seen_caplen[MOST], seen_more[MOST];

static void on_packet(unsigned char *user, const struct nm_pkthdr *hdr, const unsigned char *buf)
{
	(void)user;
	if (seen == MOST)
		return;
	seen_mark[seen] = buf[0];
	seen_len[seen] = hdr->len;
	seen_caplen[seen] = hdr->caplen;
	seen_more[seen++] = hdr->flags & NM_MORE_PKTS;
}

static void check_receive(struct nm_desc *port)
{
	struct nm_desc *d = bind_port(port, NR_REG_NIC_SW, 0);
	struct nm_pkthdr hdr;
	unsigned char *buf;

	check(d->first_rx_ring == 0 && d->last_rx_ring == 2 && d->mem == port->mem && !d->done_mmap &&
	      (char *)d->buf_start == NETMAP_BUF(d->some_ring, 0), "a shared mapping, NIC and host rings", "");
	check(nm_dispatch(d, -1, on_packet, NULL) == 0 && seen == 0, "nothing received, nothing dispatched", "");
	receive(d, 0, 60, 1);
	receive(d, 1, 150, 2);
	receive(d, 2, 20, 3);
	check(nm_dispatch(d, -1, on_packet, NULL) == 3 && seen_mark[0] == 1 && seen_mark[1] == 2 && seen_mark[2] == 3 &&
	      seen_more[0] && seen_more[1] && !seen_more[2], "dispatch from all rings, the last packet told apart", "");
	check(seen_len[1] == 150 && seen_caplen[1] == 150, "a packet in adjacent buffers is in one piece", "");

	receive(d, 1, 100, 4);	/* slots 3 and 0 */
	receive(d, 1, 10, 5);
	seen = 0;
	check(nm_dispatch(d, 1, on_packet, NULL) == 1 && seen == 1 && seen_len[0] == 100 && seen_caplen[0] == BYTES,
	      "a limited dispatch; a packet across the ring's end is in two pieces", "");
	memset(&hdr, 0xa5, sizeof(hdr));
	buf = nm_nextpkt(d, &hdr);
	check(buf && buf[0] == 5 && hdr.len == 10 && hdr.caplen == 10 && hdr.flags == 0xa5a5a5a5a5a5a5a5ULL,
	      "nm_nextpkt writes no more than a pcap_pkthdr", "");
	check(!nm_nextpkt(d, &hdr), "nm_nextpkt at the end", "");
	check(nm_close(d) == 0 && nm_close(NULL) == EINVAL, "nm_close", "");
}

static void check_send(struct nm_desc *port)
{
	struct nm_desc *d = bind_port(port, NR_REG_ALL_NIC, 0);
	struct netmap_ring *first = NETMAP_TXRING(d->nifp, 0), *second = NETMAP_TXRING(d->nifp, 1);
	unsigned char packet[3 * BYTES];
	unsigned int i;

	for (i = 0; i < sizeof(packet); i++)
		packet[i] = (unsigned char)i;
	check(!nm_tx_pending(first) && nm_ring_space(first) == 3, "an empty tx ring", "");
	first->slot[0].flags = NS_BUF_CHANGED;
	check(nm_inject(d, packet, 2 * BYTES) == 2 * BYTES && first->head == 2 && first->cur == 2 &&
	      first->slot[0].flags == (NS_BUF_CHANGED | NS_MOREFRAG) && first->slot[1].flags == 0 &&
	      first->slot[1].len == BYTES && !memcmp(NETMAP_BUF(first, first->slot[1].buf_idx), packet + BYTES, BYTES),
	      "a packet as large as two buffers", "");
	check(nm_tx_pending(first) && nm_inject(d, packet, 65) == 65 && first->head == 2 && second->head == 2 &&
	      second->slot[1].len == 1, "a packet goes to the next ring where there is no room", "");
	check(nm_inject(d, packet, 3 * BYTES) == 0 && first->head == 2 && second->head == 2, "no room in any ring", "");
	check(nm_inject(d, packet, 0) == 0, "an empty packet", "");
	nm_close(d);

	d = bind_port(port, NR_REG_ONE_SW, 0);
	check(d->first_tx_ring == 2 && d->last_tx_ring == 2 && nm_inject(d, packet, 60) == 60 &&
	      NETMAP_TXRING(d->nifp, 2)->head == 1, "one host ring", "");
	nm_close(d);

	((int64_t *)(void *)((char *)port->mem + sizeof(struct netmap_if)))[0] = 0;
	((int64_t *)(void *)((char *)port->mem + sizeof(struct netmap_if)))[1] = 0;
	d = bind_port(port, NR_REG_ALL_NIC, 0);
	check(nm_inject(d, packet, 60) == 0 && d->some_ring == NETMAP_RXRING(d->nifp, 0), "rings that are not bound", "");
	nm_close(d);
}

static void check_copy(void)
{
	unsigned char from[1100], to[1100];
	int len, bad = 0;
	unsigned int i;

	for (i = 0; i < sizeof(from); i++)
		from[i] = (unsigned char)(i * 7 + 1);
	for (len = -1; len <= 1099; len++) {
		memset(to, 0, sizeof(to));
		nm_pkt_copy(from, to, len);
		bad |= len > 0 && memcmp(from, to, (size_t)len);
		bad |= to[len < 0 ? 0 : len] != 0;
	}
	check(!bad, "nm_pkt_copy copies exactly what it is told", "");
}

int main(void)
{
	struct nm_desc *port = make_port();

	check_names();
	check_receive(port);
	check_send(port);
	check_copy();
	printf("1..%d\n", number);
	free(port->mem);
	free(port);
	return failed;
}
