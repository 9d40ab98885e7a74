// SPDX-License-Identifier: BSD-2-Clause
/* example-receive INTERFACE N: take the next N packets that arrive at INTERFACE, print their lengths. */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <net/netmap_user.h>

int main(int argc, char **argv)
{
	struct nmreq req = { .nr_version = NETMAP_API, .nr_flags = NR_REG_ALL_NIC };
	long wanted = argc == 3 ? atol(argv[2]) : 0, taken = 0;
	struct pollfd fd = { .fd = open("/dev/netmap", O_RDWR), .events = POLLIN };
	struct netmap_if *nifp;
	char *mem;

	if (wanted <= 0)
		errx(2, "usage: example-receive INTERFACE N");
	snprintf(req.nr_name, sizeof(req.nr_name), "%s", argv[1]);
	if (fd.fd < 0 || ioctl(fd.fd, NIOCREGIF, &req))
		err(1, "%s", argv[1]);
	mem = mmap(NULL, req.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.fd, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap");
	nifp = NETMAP_IF(mem, req.nr_offset);
	fprintf(stderr, "listening\n");

	while (taken < wanted && poll(&fd, 1, -1) == 1 && !(fd.revents & POLLERR))
		for (uint32_t r = 0; r < nifp->ni_rx_rings; r++) {
			struct netmap_ring *ring = NETMAP_RXRING(nifp, r);

			for (; taken < wanted && !nm_ring_empty(ring); taken++) {
				struct netmap_slot *slot = &ring->slot[ring->head];
				unsigned char *buf = (unsigned char *)NETMAP_BUF(ring, slot->buf_idx);

				printf("%u bytes, type %02x%02x\n", slot->len, buf[12], buf[13]);
				ring->head = ring->cur = nm_ring_next(ring, ring->head);
			}
		}
	return taken < wanted;
}
