// SPDX-License-Identifier: BSD-2-Clause
/*
 * Carries frames from one place to another and back, for scripts. Prints "ready", and ends at SIGTERM.
 *
 *	relay taps ONE OTHER
 *
 * makes two tap devices and is the wire between them. What one's sender leaves to the hardware (checksums, cutting by TSO) is left to
 * the other, as between virtual machines.
 *
 *	relay host INTERFACE
 *
 * is between INTERFACE and its own host: swaps buffers of all its rings with those of its host rings. It then prints
 *
 *	to-host N to-wire N parts N
 *
 * slots carried, and slots of frames in several. The exit status is 0; 1 if a port could not be bound; 3 if one went away.
 */
#include <linux/if_tun.h>
#include "netmap_test.h"

#define LOOK_MS		200		/* a signal may come just before poll() */

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static int make_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(2, "/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
		err(2, "%s", name);
	return fd;
}

static int taps(char **names)
{
	static uint8_t frame[1 << 17];
	struct pollfd fds[2];
	ssize_t len;
	int i;

	for (i = 0; i < 2; i++)
		fds[i] = (struct pollfd){ .fd = make_tap(names[i]), .events = POLLIN };
	ready();
	while (!stopped) {
		if (poll(fds, 2, LOOK_MS) < 0 && errno != EINTR)
			err(2, "poll");
		for (i = 0; i < 2; i++) {
			if (!(fds[i].revents & POLLIN))
				continue;
			len = read(fds[i].fd, frame, sizeof(frame));
			/* The other end may be down: then it is lost, as on a wire. */
			if (len > 0 && write(fds[!i].fd, frame, len) != len && errno != EIO)
				err(2, "%s", names[!i]);
		}
	}
	return 0;
}

/* What is carried one way: from the rings of one file to those of the other. */
struct way {
	struct port *from, *to;
	unsigned long slots;
};

static unsigned long parts;

/* The ring of the other file for what comes from a ring; there is one as long as the file has one of that direction. */
static struct netmap_ring *ring_for(const struct port *to, uint32_t number)
{
	uint32_t all = all_tx_rings(to), i;

	for (i = 0; i < all; i++) {
		struct netmap_ring *ring = tx_ring(to, (number + i) % all);

		if (ring)
			return ring;
	}
	errx(2, "no transmit ring");
}

/* True if something has to wait for room. */
static bool carry(struct way *way)
{
	bool waits = false, any = false;
	uint32_t i;

	for (i = 0; i < all_rx_rings(way->from); i++) {
		struct netmap_ring *from = rx_ring(way->from, i), *to;

		if (!from)
			continue;
		to = ring_for(way->to, i);
		while (!nm_ring_empty(from) && !nm_ring_empty(to)) {
			struct netmap_slot *packet = head_slot(from), *free = head_slot(to);
			uint32_t buffer = free->buf_idx;

			free->buf_idx = packet->buf_idx;
			free->len = packet->len;
			free->flags = NS_BUF_CHANGED | (packet->flags & NS_MOREFRAG);
			parts += !!(packet->flags & NS_MOREFRAG);
			packet->buf_idx = buffer;
			packet->flags = NS_BUF_CHANGED;
			ring_advance(from);
			ring_advance(to);
			way->slots++;
			any = true;
		}
		waits |= !nm_ring_empty(from);
	}
	if (any)
		ioctl(way->to->fd, NIOCTXSYNC);
	return waits;
}

static int host(const char *name)
{
	struct port wire = { .reg = { .nr_mode = NR_REG_ALL_NIC } }, stack = { .reg = { .nr_mode = NR_REG_SW } };
	struct way up = { &wire, &stack, 0 }, down = { &stack, &wire, 0 };
	struct pollfd fds[2];
	int e, i;

	e = port_open_as(&wire, name) ?: port_open_as(&stack, name);
	if (e) {
		puts(strerrorname_np(-e));
		return 1;
	}
	ready();
	while (!stopped) {
		bool to_host = carry(&up), to_wire = carry(&down);

		/* What waits for room in one file is no reason to come back from the other's poll(). */
		fds[0] = (struct pollfd){ .fd = wire.fd, .events = (to_host ? 0 : POLLIN) | (to_wire ? POLLOUT : 0) };
		fds[1] = (struct pollfd){ .fd = stack.fd, .events = (to_wire ? 0 : POLLIN) | (to_host ? POLLOUT : 0) };
		if (poll(fds, 2, LOOK_MS) < 0 && errno != EINTR)
			err(2, "poll");
		for (i = 0; i < 2; i++)
			if (fds[i].revents & POLLERR)
				return 3;
	}
	printf("to-host %lu to-wire %lu parts %lu\n", up.slots, down.slots, parts);
	return 0;
}

int main(int argc, char **argv)
{
	catch_signals();
	if (argc == 4 && !strcmp(argv[1], "taps"))
		return taps(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "host"))
		return host(argv[2]);
	fprintf(stderr, "usage: relay taps ONE OTHER | host INTERFACE\n");
	return 2;
}
