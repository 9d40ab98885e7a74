/* SPDX-License-Identifier: BSD-2-Clause */
/* Every function and macro of the headers, as programs use them. Compiled in each language and never run. */
#define NETMAP_WITH_LIBS
#include <stdio.h>
#include <net/netmap_user.h>

static void on_packet(unsigned char *user, const struct nm_pkthdr *hdr, const unsigned char *buf)
{
	RD(5, "%p %u of %u bytes at %p", (void *)user, hdr->caplen, hdr->len, (const void *)buf);
}

int use_rings(struct netmap_ring *ring, struct netmap_slot *slot, struct nm_csb_atok *atok, struct nm_csb_ktoa *ktoa);
int use_stack(struct netmap_ring *ring, struct netmap_slot *slot);
int use_library(const char *name, const struct nm_desc *parent);
int use_legacy(int fd, void *mem);

int use_rings(struct netmap_ring *ring, struct netmap_slot *slot, struct nm_csb_atok *atok, struct nm_csb_ktoa *ktoa)
{
	char *buf = NETMAP_BUF(ring, slot->buf_idx);
	uint32_t hwtail, hwcur;

	nm_sync_kloop_appl_write(atok, ring->cur, ring->head);
	nm_sync_kloop_appl_read(ktoa, &hwtail, &hwcur);
	NETMAP_WOFFSET(ring, slot, NETMAP_ROFFSET(ring, slot) + 2);
	nm_pkt_copy(buf, NETMAP_BUF_OFFSET(ring, slot), slot->len);
	slot->buf_idx = (uint32_t)NETMAP_BUF_IDX(ring, buf);
	slot->flags |= NS_BUF_CHANGED | NS_REPORT;
	ring->head = ring->cur = NETMAP_NEXT(ring, nm_ring_next(ring, ring->cur));
	return (int)nm_ring_space(ring) + nm_ring_empty(ring) + nm_tx_pending(ring) + NS_RFRAGS(slot);
}

int use_stack(struct netmap_ring *ring, struct netmap_slot *slot)
{
	struct netmap_stack_runs *runs = STACKMAP_RUNS(ring);
	uint32_t i, n = slot->flags & (NS_STACK_END | NS_STACK_ERROR) ? slot->error : 0;

	for (i = 0; i < runs->count; i++)
		if (runs->run[i].fd == slot->fd)
			n += runs->run[i].count;
	slot->offset = (uint16_t)ring->stack_room;
	return STACKMAP_BUF(ring, slot->buf_idx) == NETMAP_BUF(ring, slot->buf_idx) + slot->offset && n;
}

int use_library(const char *name, const struct nm_desc *parent)
{
	struct nm_desc *d = nm_open(name, NULL, NM_OPEN_NO_MMAP | NM_OPEN_ARG3 | NETMAP_NO_TX_POLL, parent);
	struct nm_pkthdr hdr;
	struct nm_stat stat = { 0, 0, 0 };
	unsigned char *buf;

	if (!d || nm_mmap(d, parent))
		return -1;
	D("%s: fd %d, %u received", d->req.nr_name, NETMAP_FD(d), stat.ps_recv);
	ND("nothing");
	nm_dispatch(d, -1, on_packet, NULL);
	while ((buf = nm_nextpkt(d, &hdr)) != NULL)
		nm_inject(d, buf, hdr.len);
	return IS_NETMAP_DESC(d) ? nm_close(d) : nm_parse(name, d, NULL);
}

int use_legacy(int fd, void *mem)
{
	struct nmreq req;
	struct netmap_if *nifp;

	memset(&req, 0, sizeof(req));
	if (ioctl(fd, NIOCREG, &req) || ioctl(fd, NIOCREGIF, &req) || ioctl(fd, NIOCGINFO, &req) || ioctl(fd, NIOCTXSYNC, NULL))
		return -1;
	nifp = NETMAP_IF(mem, req.nr_offset);
	return NETMAP_TXRING(nifp, 0)->num_slots == NETMAP_RXRING(nifp, nifp->ni_rx_rings)->num_slots;
}
