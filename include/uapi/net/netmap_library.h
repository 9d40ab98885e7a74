/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions of NETMAP_WITH_LIBS. Part of netmap_user.h, not to be included alone.
 *
 * They are defined here, a copy in each file that includes this, so that a program needs no library to link to. Those
 * that begin with _nm_ are not for programs.
 */
#ifndef _NET_NETMAP_LIBRARY_H_
#define _NET_NETMAP_LIBRARY_H_

#ifndef HAVE_NETMAP_WITH_LIBS
#error "define NETMAP_WITH_LIBS and include <net/netmap_user.h>"
#endif

/* No warning about functions that a file does not use. */
#define _NM_LIB static __attribute__((__unused__))

/* nm_is_identifier() - whether [s, e) holds only letters, digits and '_' */
_NM_LIB int nm_is_identifier(const char *s, const char *e)
{
	for (; s != e; s++)
		if (!isalnum((unsigned char)*s) && *s != '_')
			return 0;
	return 1;
}

/* _nm_number() - a decimal number of at most max at *s, which moves behind it; -1 if none or larger */
_NM_LIB long _nm_number(const char **s, long max)
{
	long n = 0;

	if (!isdigit((unsigned char)**s))
		return -1;
	for (; isdigit((unsigned char)**s); (*s)++) {
		n = n * 10 + (**s - '0');
		if (n > max)
			return -1;
	}
	return n;
}

/* _nm_is_suffix() - whether a port's name ends before s. A '-' ends it only before a number: br-lan is a name. */
_NM_LIB int _nm_is_suffix(const char *s)
{
	if (*s == '-') {
		if (!isdigit((unsigned char)s[1]))
			return 0;
		for (s++; isdigit((unsigned char)*s); s++)
			;
		return *s == '\0' || *s == '/' || *s == '@';
	}
	return strchr("^*{}/@", *s) != NULL;
}

_NM_LIB int _nm_parse_error(char *err, const char *what, const char *where)
{
	if (err)
		snprintf(err, MAXERRMSG, "%s at '%.40s'", what, where);
	errno = EINVAL;
	return -1;
}

/**
 * nm_parse() - fill d->req from a port's name
 * @ifname:	"netmap:" and an interface, "stack:" and an interface for its stack port, or a VALE port "valeS:P"; then
 *		optionally which rings, flags and region. "stack:N+IF", with any number N, is the same as "stack:IF".
 * @d:		what is not in the name stays as it is, but for the mode, which becomes NR_REG_ALL_NIC where it is 0
 * @err:	at least MAXERRMSG bytes for a message, or NULL
 *
 *	^	rings of the host stack		^N	pair N of those
 *	*	NIC and host stack		-N	pair N of the NIC
 *	{N	master end of pipe N		}N	slave end
 *	/	and any of x (exclusive), R (rx only), T (tx only), r (monitor rx), t (monitor tx), z (without copies)
 *	@N	memory region N
 *
 * Return: 0, or -1 with errno EINVAL.
 */
_NM_LIB int nm_parse(const char *ifname, struct nm_desc *d, char *err)
{
	const char *name = ifname, *s, *colon;
	uint32_t mode = NR_REG_DEFAULT, flags = 0;
	long ring = 0, region = 0;
	size_t len;

	if (!strncmp(ifname, NM_BDG_NAME, strlen(NM_BDG_NAME))) {
		colon = strchr(ifname, ':');
		if (!colon)
			return _nm_parse_error(err, "no ':' in VALE name", ifname);
		if (!nm_is_identifier(ifname + strlen(NM_BDG_NAME), colon))
			return _nm_parse_error(err, "invalid switch name", ifname);
		for (s = colon + 1; *s && !_nm_is_suffix(s); s++)
			;
		if (!nm_is_identifier(colon + 1, s))
			return _nm_parse_error(err, "invalid VALE port name", colon + 1);
	} else if (!strncmp(ifname, "netmap:", 7)) {
		name += 7;
		for (s = name; *s && !_nm_is_suffix(s); s++)
			;
	} else if (!strncmp(ifname, "stack:", 6)) {
		name += 6;
		for (s = name; isdigit((unsigned char)*s); s++)
			;
		if (s != name && *s == '+')
			name = s + 1;
		for (s = name; *s && !_nm_is_suffix(s); s++)
			;
		flags = NR_STACK;
	} else {
		return _nm_parse_error(err, "not netmap:, stack: or vale", ifname);
	}
	len = (size_t)(s - name);
	if (len == 0 || len >= sizeof(d->req.nr_name))
		return _nm_parse_error(err, len ? "name too long" : "no name", name);

	switch (*s) {
	case '^':
		mode = isdigit((unsigned char)s[1]) ? NR_REG_ONE_SW : NR_REG_SW;
		break;
	case '*':
		mode = NR_REG_NIC_SW;
		break;
	case '-':
		mode = NR_REG_ONE_NIC;
		break;
	case '{':
		mode = NR_REG_PIPE_MASTER;
		break;
	case '}':
		mode = NR_REG_PIPE_SLAVE;
		break;
	}
	if (mode != NR_REG_DEFAULT) {
		s++;
		if (mode != NR_REG_SW && mode != NR_REG_NIC_SW) {
			ring = _nm_number(&s, NETMAP_RING_MASK - 1);
			if (ring < 0)
				return _nm_parse_error(err, "no ring number, or too large", s);
		}
	}
	while (*s == '/' || *s == '@') {
		if (*s++ == '@') {
			if (region)
				return _nm_parse_error(err, "second region", s);
			region = _nm_number(&s, UINT16_MAX);
			if (region <= 0)
				return _nm_parse_error(err, "invalid region", s);
			continue;
		}
		if (*s == '\0')
			return _nm_parse_error(err, "no flags", s - 1);
		for (; *s && *s != '@'; s++) {
			switch (*s) {
			case 'x':
				flags |= NR_EXCLUSIVE;
				break;
			case 'z':
				flags |= NR_ZCOPY_MON;
				break;
			case 't':
				flags |= NR_MONITOR_TX;
				break;
			case 'r':
				flags |= NR_MONITOR_RX;
				break;
			case 'T':
				flags |= NR_TX_RINGS_ONLY;
				break;
			case 'R':
				flags |= NR_RX_RINGS_ONLY;
				break;
			default:
				return _nm_parse_error(err, "unknown flag", s);
			}
		}
	}
	if (*s)
		return _nm_parse_error(err, "unexpected character", s);

	memset(d->req.nr_name, 0, sizeof(d->req.nr_name));
	memcpy(d->req.nr_name, name, len);
	if (mode != NR_REG_DEFAULT) {
		d->req.nr_flags = (d->req.nr_flags & ~(uint32_t)NR_REG_MASK) | mode;
		d->req.nr_ringid = (uint16_t)((d->req.nr_ringid & ~NETMAP_RING_MASK) | ring);
	} else if ((d->req.nr_flags & NR_REG_MASK) == NR_REG_DEFAULT) {
		d->req.nr_flags |= NR_REG_ALL_NIC;
	}
	d->req.nr_flags |= flags;
	if (region)
		d->req.nr_arg2 = (uint16_t)region;
	d->self = d;
	return 0;
}

/* _nm_ring_range() - the bound rings of one direction, of nic rings followed by host rings; first > last for none */
_NM_LIB void _nm_ring_range(const struct nm_desc *d, uint32_t nic, uint32_t host, uint16_t *first,
			      uint16_t *last)
{
	uint32_t ring = d->req.nr_ringid & NETMAP_RING_MASK, from = 0, count = nic;

	switch (d->req.nr_flags & NR_REG_MASK) {
	case NR_REG_SW:
		from = nic;
		count = host;
		break;
	case NR_REG_NIC_SW:
		count = nic + host;
		break;
	case NR_REG_ONE_NIC:
		from = ring;
		count = 1;
		break;
	case NR_REG_ONE_SW:
		from = nic + ring;
		count = 1;
		break;
	case NR_REG_PIPE_MASTER:
	case NR_REG_PIPE_SLAVE:
		count = 1;
		break;
	}
	*first = (uint16_t)(count ? from : 1);
	*last = (uint16_t)(count ? from + count - 1 : 0);
}

/* _nm_set_rings() - the bound rings. The number of host rings is known after mapping; before, one is assumed. */
_NM_LIB void _nm_set_rings(struct nm_desc *d)
{
	_nm_ring_range(d, d->req.nr_tx_rings, d->nifp ? d->nifp->ni_host_tx_rings : 1, &d->first_tx_ring,
		      &d->last_tx_ring);
	_nm_ring_range(d, d->req.nr_rx_rings, d->nifp ? d->nifp->ni_host_rx_rings : 1, &d->first_rx_ring,
		      &d->last_rx_ring);
	d->cur_tx_ring = d->first_tx_ring;
	d->cur_rx_ring = d->first_rx_ring;
}

/* _nm_tx_ring(), _nm_rx_ring() - a ring, or NULL where it was not bound */
_NM_LIB struct netmap_ring *_nm_tx_ring(const struct nm_desc *d, uint32_t i)
{
	return d->nifp->ring_ofs[i] ? NETMAP_TXRING(d->nifp, i) : NULL;
}

_NM_LIB struct netmap_ring *_nm_rx_ring(const struct nm_desc *d, uint32_t i)
{
	i += d->nifp->ni_tx_rings + d->nifp->ni_host_tx_rings;
	return d->nifp->ring_ofs[i] ? NETMAP_TXRING(d->nifp, i) : NULL;
}

/**
 * nm_mmap() - map the region of a bound descriptor, unless it is mapped
 * @d:		descriptor
 * @parent:	where it has the same region mapped as far as d needs it, that mapping is shared; or NULL
 *
 * Return: 0, or EINVAL with errno from mmap().
 */
_NM_LIB int nm_mmap(struct nm_desc *d, const struct nm_desc *parent)
{
	struct netmap_ring *ring = NULL;

	if (d->done_mmap)
		return 0;
	if (IS_NETMAP_DESC(parent) && parent->mem && parent->req.nr_arg2 == d->req.nr_arg2 &&
	    parent->memsize >= d->req.nr_memsize) {
		d->mem = parent->mem;
		d->memsize = parent->memsize;
	} else {
		void *mem = mmap(NULL, d->req.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);

		if (mem == MAP_FAILED)
			return EINVAL;
		d->mem = mem;
		d->memsize = d->req.nr_memsize;
		d->done_mmap = 1;
	}
	*(struct netmap_if **)(uintptr_t)&d->nifp = NETMAP_IF(d->mem, d->req.nr_offset);
	_nm_set_rings(d);
	if (d->first_rx_ring <= d->last_rx_ring)
		ring = _nm_rx_ring(d, d->first_rx_ring);
	if (!ring && d->first_tx_ring <= d->last_tx_ring)
		ring = _nm_tx_ring(d, d->first_tx_ring);
	*(struct netmap_ring **)(uintptr_t)&d->some_ring = ring;
	*(void **)(uintptr_t)&d->buf_start = ring ? NETMAP_BUF(ring, 0) : NULL;
	*(void **)(uintptr_t)&d->buf_end = (char *)d->mem + d->memsize;
	return 0;
}

/**
 * nm_close() - unbind, unmap and free
 * @d:		descriptor, or NULL. One that shares its mapping must be closed first.
 *
 * Return: 0, or EINVAL if d is no descriptor.
 */
_NM_LIB int nm_close(struct nm_desc *d)
{
	if (!IS_NETMAP_DESC(d))
		return EINVAL;
	if (d->done_mmap)
		munmap(d->mem, d->memsize);
	if (d->fd >= 0)
		close(d->fd);
	memset((void *)d, 0, sizeof(*d));
	free(d);
	return 0;
}

/* _nm_import() - what flags (NM_OPEN_*) say of another descriptor's request */
_NM_LIB void _nm_import(struct nmreq *req, const struct nmreq *from, uint64_t flags)
{
	if (flags & NM_OPEN_ARG1)
		req->nr_arg1 = from->nr_arg1;
	if (flags & NM_OPEN_ARG2)
		req->nr_arg2 = from->nr_arg2;
	if (flags & NM_OPEN_ARG3)
		req->nr_arg3 = from->nr_arg3;
	if (flags & NM_OPEN_RING_CFG) {
		req->nr_tx_slots = from->nr_tx_slots;
		req->nr_rx_slots = from->nr_rx_slots;
		req->nr_tx_rings = from->nr_tx_rings;
		req->nr_rx_rings = from->nr_rx_rings;
	}
	if (flags & NM_OPEN_IFNAME) {
		memcpy(req->nr_name, from->nr_name, sizeof(req->nr_name));
		req->nr_ringid = from->nr_ringid;
		req->nr_flags = from->nr_flags;
	}
}

/**
 * nm_open() - open the control device, bind it to a port and map the region
 * @ifname:	name as for nm_parse()
 * @req:	first values of the request, which the name and arg override; or NULL
 * @flags:	NM_OPEN_*: what to take from arg; NETMAP_NO_TX_POLL, NETMAP_DO_RX_POLL
 * @arg:	another descriptor, or NULL. Its mapping is shared if it is of the same region.
 *
 * Return: the descriptor, to be closed with nm_close(); or NULL with errno, and a line on stderr. errno is 0, and
 * nothing is printed, if the name is none of netmap's.
 */
_NM_LIB struct nm_desc *nm_open(const char *ifname, const struct nmreq *req, uint64_t flags, const struct nm_desc *arg)
{
	char err[MAXERRMSG] = "";
	struct nm_desc *d;
	int saved;

	if (strncmp(ifname, "netmap:", 7) && strncmp(ifname, "stack:", 6) &&
	    strncmp(ifname, NM_BDG_NAME, strlen(NM_BDG_NAME))) {
		errno = 0;
		return NULL;
	}
	d = (struct nm_desc *)calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->self = d;
	d->fd = -1;
	if (req)
		d->req = *req;
	if (!(flags & NM_OPEN_IFNAME) && nm_parse(ifname, d, err))
		goto fail;
	d->req.nr_ringid &= NETMAP_RING_MASK;
	if (IS_NETMAP_DESC(arg))
		_nm_import(&d->req, &arg->req, flags);
	d->req.nr_version = NETMAP_API;
	d->req.nr_ringid |= (uint16_t)(flags & (NETMAP_NO_TX_POLL | NETMAP_DO_RX_POLL));

	d->fd = open(NETMAP_DEVICE_NAME, O_RDWR);
	if (d->fd < 0) {
		snprintf(err, sizeof(err), "open " NETMAP_DEVICE_NAME ": %s", strerror(errno));
		goto fail;
	}
	if (ioctl(d->fd, NIOCREGIF, &d->req)) {
		snprintf(err, sizeof(err), "NIOCREGIF: %s", strerror(errno));
		goto fail;
	}
	_nm_set_rings(d);
	if ((arg || !(flags & NM_OPEN_NO_MMAP)) && nm_mmap(d, arg)) {
		snprintf(err, sizeof(err), "mmap: %s", strerror(errno));
		goto fail;
	}
	return d;

fail:
	saved = errno;
	fprintf(stderr, "%s: %s\n", ifname, err);
	nm_close(d);
	errno = saved;
	return NULL;
}

/**
 * nm_inject() - put a packet into a tx ring with room; the next sync or poll() sends it
 * @d:		descriptor
 * @buf:	packet
 * @size:	its length, bytes; a packet larger than a buffer takes several slots (NS_MOREFRAG)
 *
 * Return: size, or 0 if no ring has room.
 */
_NM_LIB int nm_inject(struct nm_desc *d, const void *buf, size_t size)
{
	int n = d->last_tx_ring - d->first_tx_ring + 1;
	uint32_t ri = d->cur_tx_ring;

	/* A slot's len has 16 bits, one too few for the largest buffers. */
	for (; size > 0 && n > 0; n--, ri = ri == d->last_tx_ring ? d->first_tx_ring : ri + 1) {
		struct netmap_ring *ring = _nm_tx_ring(d, ri);
		const char *from = (const char *)buf;
		size_t left = size, most;
		uint32_t i;

		if (!ring)
			continue;
		most = ring->nr_buf_size < 0xffff ? ring->nr_buf_size : 0xffff;
		if (nm_ring_space(ring) < (size - 1) / most + 1)
			continue;
		for (i = ring->head; left > 0; i = nm_ring_next(ring, i)) {
			struct netmap_slot *slot = &ring->slot[i];
			size_t len = left < most ? left : most;

			nm_pkt_copy(from, NETMAP_BUF(ring, slot->buf_idx), (int)len);
			from += len;
			left -= len;
			slot->len = (uint16_t)len;
			slot->flags = (uint16_t)((slot->flags & NS_BUF_CHANGED) | (left ? NS_MOREFRAG : 0));
		}
		ring->head = ring->cur = i;
		d->cur_tx_ring = (uint16_t)ri;
		return (int)size;
	}
	return 0;
}

/* _nm_take() - move over the packet at the ring's head, which stays valid until the next sync; its first slot */
_NM_LIB struct netmap_slot *_nm_take(struct netmap_ring *ring, struct timeval *ts, uint32_t *caplen, uint32_t *len)
{
	uint32_t i = ring->head;
	struct netmap_slot *first = &ring->slot[i], *slot = first;
	int adjacent = 1;

	*ts = ring->ts;
	*caplen = *len = slot->len;
	i = nm_ring_next(ring, i);
	while ((slot->flags & NS_MOREFRAG) && i != ring->tail) {
		struct netmap_slot *next = &ring->slot[i];

		adjacent = adjacent && slot->len == ring->nr_buf_size && next->buf_idx == slot->buf_idx + 1;
		if (adjacent)
			*caplen += next->len;
		*len += next->len;
		slot = next;
		i = nm_ring_next(ring, i);
	}
	ring->head = ring->cur = i;
	return first;
}

/**
 * nm_dispatch() - hand received packets to a callback
 * @d:		descriptor
 * @cnt:	at most so many packets; 0 or less for all that are there
 * @cb:		callback; the packet is valid until it returns
 * @arg:	its first argument
 *
 * Does not wait and does not sync: poll() before.
 *
 * Return: number of packets.
 */
_NM_LIB int nm_dispatch(struct nm_desc *d, int cnt, nm_cb_t cb, unsigned char *arg)
{
	int n = d->last_rx_ring - d->first_rx_ring + 1, got = 0;
	uint32_t ri = d->cur_rx_ring;

	d->hdr.d = d;
	d->hdr.buf = NULL;
	d->hdr.flags = NM_MORE_PKTS;
	for (; n > 0 && (cnt <= 0 || got < cnt); n--, ri = ri == d->last_rx_ring ? d->first_rx_ring : ri + 1) {
		struct netmap_ring *ring = _nm_rx_ring(d, ri);

		while (ring && !nm_ring_empty(ring) && (cnt <= 0 || got < cnt)) {
			/* One packet late, because only now it is known that it is not the last. */
			if (d->hdr.buf)
				cb(arg, &d->hdr, d->hdr.buf);
			d->hdr.slot = _nm_take(ring, &d->hdr.ts, &d->hdr.caplen, &d->hdr.len);
			d->hdr.buf = (uint8_t *)NETMAP_BUF_OFFSET(ring, d->hdr.slot);
			d->cur_rx_ring = (uint16_t)ri;
			got++;
		}
	}
	d->hdr.flags = 0;
	if (d->hdr.buf)
		cb(arg, &d->hdr, d->hdr.buf);
	return got;
}

/**
 * nm_nextpkt() - the next received packet
 * @d:		descriptor
 * @hdr:	its ts, caplen and len are written, as much as a pcap_pkthdr has
 *
 * Does not wait and does not sync: poll() before.
 *
 * Return: the packet's first byte, valid until the next sync or poll(); NULL if there is no packet.
 */
_NM_LIB unsigned char *nm_nextpkt(struct nm_desc *d, struct nm_pkthdr *hdr)
{
	int n = d->last_rx_ring - d->first_rx_ring + 1;
	uint32_t ri = d->cur_rx_ring;

	for (; n > 0; n--, ri = ri == d->last_rx_ring ? d->first_rx_ring : ri + 1) {
		struct netmap_ring *ring = _nm_rx_ring(d, ri);
		struct netmap_slot *slot;

		if (!ring || nm_ring_empty(ring))
			continue;
		slot = _nm_take(ring, &hdr->ts, &hdr->caplen, &hdr->len);
		d->cur_rx_ring = (uint16_t)ri;
		return (unsigned char *)NETMAP_BUF_OFFSET(ring, slot);
	}
	return NULL;
}

#endif /* _NET_NETMAP_LIBRARY_H_ */
