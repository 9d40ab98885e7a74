// SPDX-License-Identifier: BSD-2-Clause
/*
 * A port in the hands of a script. PORT is a name as nm_open() takes it, as netmap:eth0-1.
 *
 *	port bind PORT		bind and close; print "bound", or the errno's name
 *	port hold PORT		bind, print "bound", drop what arrives, sleep in poll(); print "gone ERRNO" and end when
 *				poll() says POLLERR, where ERRNO is what a sync says then
 *	port keep PORT		the same, but do not end then
 *	port cycle PORT N	bind and close N times; print how long both took
 *	port race INTERFACE	print "racing", bind and close until the interface is gone; exit status 1 if it was bound after that
 *	port listen PORT PROTOCOL  bind, print "bound", end when a packet of this Ethernet protocol (hexadecimal) arrives
 *	port xdp INTERFACE	attach an XDP program that passes everything, print "attached" or the errno's name
 *	port xdp-hold INTERFACE	the same, and keep it attached until the standard input ends
 *	port xdp-stack INTERFACE	likewise, but the program is run by the stack, and takes packets in several pieces
 *	port xsk-hold INTERFACE	bind an AF_XDP socket to queue 0, print "bound" or the errno's name, and keep it likewise
 *	port xsk-zero INTERFACE	the same without a copy of packets, by the driver, and let go of it
 *
 * The exit status is 0; 1 if the port could not be bound; 3 if it went away (hold, listen).
 */
#define NETMAP_WITH_LIBS
#include <err.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <sys/syscall.h>
#include "netmap_test.h"

struct bound {
	int fd;
	size_t size;
	char *mem;
	struct netmap_if *nifp;
};

/* Binds and maps; 0 or a negative errno. */
static int bind_port(const char *name, struct bound *bound)
{
	struct nm_desc desc = { .req = { .nr_version = NETMAP_API } };
	char message[MAXERRMSG];

	if (nm_parse(name, &desc, message))
		errx(2, "%s", message);
	bound->fd = open("/dev/netmap", O_RDWR);
	if (bound->fd < 0)
		return -errno;
	if (ioctl(bound->fd, NIOCREGIF, &desc.req)) {
		int err = errno;

		close(bound->fd);
		return -err;
	}
	bound->size = desc.req.nr_memsize;
	bound->mem = mmap(NULL, bound->size, PROT_READ | PROT_WRITE, MAP_SHARED, bound->fd, 0);
	if (bound->mem == MAP_FAILED)
		err(2, "mmap");
	bound->nifp = NETMAP_IF(bound->mem, desc.req.nr_offset);
	return 0;
}

static void close_port(struct bound *bound)
{
	if (munmap(bound->mem, bound->size) || close(bound->fd))
		err(2, "close");
}

/* Drops what has arrived; true if there was a packet of the protocol. */
static bool drop(const struct bound *bound, long protocol)
{
	const struct netmap_if *nifp = bound->nifp;
	uint32_t i, rings = nifp->ni_rx_rings + nifp->ni_host_rx_rings;
	bool seen = false;

	for (i = 0; i < rings; i++) {
		struct netmap_ring *ring;

		if (!nifp->ring_ofs[nifp->ni_tx_rings + nifp->ni_host_tx_rings + i])
			continue;
		ring = NETMAP_RXRING(nifp, i);
		while (!nm_ring_empty(ring)) {
			const uint8_t *frame = slot_buffer(ring, head_slot(ring));

			seen |= head_slot(ring)->len >= 14 && (frame[12] << 8 | frame[13]) == protocol;
			ring_advance(ring);
		}
	}
	return seen;
}

static int hold(const char *name, long protocol, bool keep)
{
	struct pollfd pollfd = { .events = POLLIN };
	struct bound bound;
	int e = bind_port(name, &bound);

	if (e) {
		puts(strerrorname_np(-e));
		return 1;
	}
	puts("bound");
	fflush(stdout);
	pollfd.fd = bound.fd;
	for (;;) {
		if (poll(&pollfd, 1, -1) < 0)
			err(2, "poll");
		if (pollfd.revents & POLLERR)
			break;
		if (drop(&bound, protocol)) {
			close_port(&bound);
			return 0;
		}
	}
	e = ioctl(bound.fd, NIOCRXSYNC) ? errno : 0;
	printf("gone %s\n", e ? strerrorname_np(e) : "0");
	fflush(stdout);
	while (keep)
		pause();
	close_port(&bound);
	return 3;
}

static long microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static int cycle(const char *name, long count)
{
	long most[2] = { 0, 0 }, sum[2] = { 0, 0 }, i, start, took;
	struct bound bound;
	int e;

	for (i = 0; i < count; i++) {
		start = microseconds();
		e = bind_port(name, &bound);
		if (e) {
			printf("%s in cycle %ld\n", strerrorname_np(-e), i);
			return 1;
		}
		took = microseconds() - start;
		sum[0] += took;
		most[0] = took > most[0] ? took : most[0];
		start = microseconds();
		close_port(&bound);
		took = microseconds() - start;
		sum[1] += took;
		most[1] = took > most[1] ? took : most[1];
		if ((i + 1) % 100 == 0) {
			printf("%ld cycles\n", i + 1);
			fflush(stdout);
		}
	}
	printf("%ld cycles; ms to bind: mean %.1f, most %.1f; to close: mean %.1f, most %.1f\n", count,
	       sum[0] / 1e3 / count, most[0] / 1e3, sum[1] / 1e3 / count, most[1] / 1e3);
	return 0;
}

/* Binds a device that somebody is about to unregister. */
static int race(const char *name)
{
	struct ifreq lo = { .ifr_name = "lo" };
	char port[32];
	int e, s = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(port, sizeof(port), "netmap:%s", name);
	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &lo))
		err(2, "lo");
	for (;;) {
		struct bound bound;
		struct pollfd pollfd = { .events = POLLIN };

		e = bind_port(port, &bound);
		puts("racing");
		fflush(stdout);
		if (e) {
			puts(strerrorname_np(-e));
			return e != -ENXIO;
		}
		if (!if_nametoindex(name)) {
			/* Whoever unregisters it is done when this has had the RTNL mutex: if it was bound before that, it is told. */
			pollfd.fd = bound.fd;
			if (ioctl(s, SIOCSIFFLAGS, &lo) || poll(&pollfd, 1, 0) < 0)
				err(2, "lo");
			if (!(pollfd.revents & POLLERR)) {
				puts("bound after it was gone");
				return 1;
			}
		}
		close_port(&bound);
	}
}

static int xdp(const char *name, int mode, bool keep)
{
	static const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_XDP, .insns = (uintptr_t)program, .insn_cnt = 2,
				.license = (uintptr_t)"GPL",
				.prog_flags = mode == XDP_FLAGS_SKB_MODE ? BPF_F_XDP_HAS_FRAGS : 0 };
	union bpf_attr link = { .link_create = { .target_ifindex = if_nametoindex(name), .attach_type = BPF_XDP,
						 .flags = mode } };
	char c;

	link.link_create.prog_fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if ((int)link.link_create.prog_fd < 0)
		err(2, "BPF_PROG_LOAD");
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link)) < 0) {
		puts(strerrorname_np(errno));
		return 1;
	}
	puts("attached");
	fflush(stdout);
	while (keep && read(0, &c, 1) > 0)
		;
	return 0;
}

/* An AF_XDP socket; it needs no program to be bound. */
static int xsk(const char *name, int flags, bool keep)
{
	enum { FRAMES = 64, SIZE = 2048 };
	static char memory[FRAMES * SIZE] __attribute__((aligned(4096)));
	struct xdp_umem_reg umem = { .addr = (uintptr_t)memory, .len = sizeof(memory), .chunk_size = SIZE };
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP, .sxdp_flags = flags };
	int fd = socket(AF_XDP, SOCK_RAW, 0), frames = FRAMES;
	char c;

	if (fd < 0)
		err(2, "AF_XDP");
	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &frames, sizeof(frames)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &frames, sizeof(frames)) ||
	    setsockopt(fd, SOL_XDP, XDP_RX_RING, &frames, sizeof(frames)))
		err(2, "setsockopt");
	address.sxdp_ifindex = if_nametoindex(name);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		puts(strerrorname_np(errno));
		return 1;
	}
	puts("bound");
	fflush(stdout);
	while (keep && read(0, &c, 1) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	struct bound bound;
	int e;

	if (!strcmp(what, "bind") && argc == 3) {
		e = bind_port(argv[2], &bound);
		puts(e ? strerrorname_np(-e) : "bound");
		if (!e)
			close_port(&bound);
		return e != 0;
	}
	if (!strcmp(what, "hold") && argc == 3)
		return hold(argv[2], -1, false);
	if (!strcmp(what, "keep") && argc == 3)
		return hold(argv[2], -1, true);
	if (!strcmp(what, "listen") && argc == 4)
		return hold(argv[2], strtol(argv[3], NULL, 16), false);
	if (!strcmp(what, "cycle") && argc == 4 && atol(argv[3]) > 0)
		return cycle(argv[2], atol(argv[3]));
	if (!strcmp(what, "race") && argc == 3)
		return race(argv[2]);
	if (!strcmp(what, "xdp-stack") && argc == 3)
		return xdp(argv[2], XDP_FLAGS_SKB_MODE, true);
	if (!strncmp(what, "xdp", 3) && argc == 3)
		return xdp(argv[2], XDP_FLAGS_DRV_MODE, !strcmp(what, "xdp-hold"));
	if (!strcmp(what, "xsk-hold") && argc == 3)
		return xsk(argv[2], XDP_COPY, true);
	if (!strcmp(what, "xsk-zero") && argc == 3)
		return xsk(argv[2], XDP_ZEROCOPY, false);
	fprintf(stderr, "usage: port bind PORT | hold PORT | keep PORT | cycle PORT N | race INTERFACE | listen PORT PROTOCOL | xdp INTERFACE\n");
	return 2;
}
