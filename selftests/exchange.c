// SPDX-License-Identifier: BSD-2-Clause
/*
 * Packets both ways between two ports, for scripts that do something to a NIC meanwhile.
 *
 *	exchange INTERFACE NETNS PEER [QUEUE]
 *
 * binds all queues of INTERFACE, and of PEER in the network namespace NETNS, or at both ends QUEUE alone, prints "bound", and
 * sends packets from each to the other, through all queues in turn, with at most WINDOW under way. Those that do not arrive
 * are given up after STALL_MS. It stays in its own namespace and does not keep the other.
 * At SIGTERM it says of either end what it has received, in a line of its own:
 *
 *	INTERFACE whole N empty N parts N wrong N foreign N long N
 *
 * whole packets, those without a byte, slots of packets in several, packets with other bytes than were sent, packets of others,
 * and slots with more bytes than a buffer has. If poll() says POLLERR of a port it prints, and ends,
 *
 *	gone INTERFACE ERRNO
 *
 * where ERRNO is what a sync says then. The exit status is 0; 1 if a port could not be bound; 3 if one went away.
 */
#include "netmap_test.h"

#define WINDOW		64
#define STALL_MS	200

struct end {
	const char *name;
	struct port port;
	uint32_t next;			/* number of the packet to send */
	uint32_t ring;			/* to send it through */
	int under_way;			/* packets to this end */
	int64_t heard;			/* when the last one arrived, or was given up, in ms */
	bool inside;			/* the next slot goes on with a packet */
	unsigned long whole, empty, parts, wrong, foreign, long_ones;
};

static void bind_end(struct end *end, const char *queue)
{
	int e = port_open(&end->port, end->name, queue ? NR_REG_ONE_NIC : NR_REG_ALL_NIC, queue ? atoi(queue) : 0, 0);

	if (e) {
		printf("%s %s\n", end->name, strerrorname_np(-e));
		exit(1);
	}
	end->heard = now_ms();
}

static void look_at(struct end *end, struct netmap_ring *ring, const struct netmap_slot *slot)
{
	const uint8_t *frame = slot_buffer(ring, slot);
	bool more = slot->flags & NS_MOREFRAG;

	if (slot->len > ring->nr_buf_size)
		end->long_ones++;
	else if (end->inside || more)
		end->parts++;
	else if (!slot->len)
		end->empty++;
	else if (slot->len < SHORTEST || frame[12] != PROTOCOL >> 8 || frame[13] != (PROTOCOL & 0xff))
		end->foreign++;
	else if (!frame_is(frame, slot->len, frame_number(frame)))
		end->wrong++;
	else
		end->whole++;
	end->inside = more;
}

static void receive(struct end *end)
{
	uint32_t i;

	for (i = 0; i < all_rx_rings(&end->port); i++) {
		struct netmap_ring *ring = rx_ring(&end->port, i);

		if (!ring)
			continue;
		for (; !nm_ring_empty(ring); ring_advance(ring)) {
			look_at(end, ring, head_slot(ring));
			end->heard = now_ms();
			if (end->under_way)
				end->under_way--;
		}
	}
}

/* Returns true if there is no room. */
static bool send_to(struct end *from, struct end *to)
{
	uint32_t rings = from->port.nifp->ni_tx_rings, tried = 0;
	bool any = false;

	if (now_ms() - to->heard > STALL_MS) {
		to->under_way = 0;
		to->heard = now_ms();
	}
	while (to->under_way < WINDOW && tried < rings) {
		struct netmap_ring *ring = tx_ring(&from->port, from->ring);

		from->ring = (from->ring + 1) % rings;
		if (!ring || nm_ring_empty(ring)) {
			tried++;
			continue;
		}
		tried = 0;
		head_slot(ring)->len = SHORTEST + (from->next * 389 & 1023);
		head_slot(ring)->flags = 0;
		make_frame(slot_buffer(ring, head_slot(ring)), head_slot(ring)->len, from->next++);
		ring_advance(ring);
		to->under_way++;
		any = true;
	}
	/* An error is seen by poll(), too. */
	if (any)
		ioctl(from->port.fd, NIOCTXSYNC);
	return tried == rings;
}

static void gone(const struct end *end)
{
	int e = ioctl(end->port.fd, NIOCRXSYNC) ? errno : 0;

	printf("gone %s %s\n", end->name, e ? strerrorname_np(e) : "0");
	exit(3);
}

int main(int argc, char **argv)
{
	static struct end ends[2];
	struct pollfd fds[2];
	int here, there, i;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: exchange INTERFACE NETNS PEER [QUEUE]\n");
		return 2;
	}
	catch_signals();
	ends[0].name = argv[1];
	ends[1].name = argv[3];
	here = open_namespace("/proc/self/ns/net");
	there = open_namespace(argv[2]);
	bind_end(&ends[0], argv[4]);
	enter_namespace(there);
	bind_end(&ends[1], argv[4]);
	enter_namespace(here);
	close(there);
	close(here);
	puts("bound");
	fflush(stdout);
	while (!stopped) {
		for (i = 0; i < 2; i++) {
			bool full = send_to(&ends[i], &ends[!i]);

			fds[i] = (struct pollfd){ .fd = ends[i].port.fd, .events = full ? POLLIN | POLLOUT : POLLIN };
		}
		if (poll(fds, 2, STALL_MS) < 0 && errno != EINTR)
			err(2, "poll");
		for (i = 0; i < 2; i++) {
			if (fds[i].revents & POLLERR)
				gone(&ends[i]);
			receive(&ends[i]);
		}
	}
	for (i = 0; i < 2; i++)
		printf("%s whole %lu empty %lu parts %lu wrong %lu foreign %lu long %lu\n", ends[i].name, ends[i].whole,
		       ends[i].empty, ends[i].parts, ends[i].wrong, ends[i].foreign, ends[i].long_ones);
	return 0;
}
