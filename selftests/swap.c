// SPDX-License-Identifier: BSD-2-Clause
/*
 * Programs that hand buffers around, for scripts that do something to the NIC or to its programs meanwhile. Each prints
 * "bound" when it is ready, and a report in one line at SIGTERM. The exit status is 0; 1 if a port could not be bound; 3 if
 * one went away.
 *
 *	swap reflect INTERFACE NETNS PEER
 *
 * A generator at PEER, in the network namespace NETNS, sends numbered frames to a reflector at INTERFACE, which has one
 * file for its receive rings and one for its transmit rings, swaps the buffer of each frame it receives with one of a
 * transmit slot, and so sends it back. It always keeps some frames in hand, which it passes on when no more come. Both look
 * at every byte, and at the number: none comes twice. At SIGUSR1 it passes on what it has in hand, closes its transmit
 * rings, says "closed", and keeps what comes; at the next one it binds them again, and says "bound".
 *
 *	reflected N returned N stale N wrong N errors N
 *
 * Frames that were sent back and that came back, those with a number that was there before, those with other bytes than
 * were sent, and system calls that failed.
 *
 *	swap hold INTERFACE COUNT
 *
 * has COUNT extra buffers with a host ring, writes a pattern into all of them, looks whether it is still there a moment
 * later, closes, and takes others, for which it says "bound" again.
 *
 *	held N changed N
 *
 * Buffers that were looked at, and those that somebody else had written.
 *
 *	swap lose INTERFACE COUNT ROUNDS
 *
 * is ROUNDS programs, one after the other, that put COUNT extra buffers with a pattern into the slots of their own host
 * rings, forget those that were there, and the list, and are killed. It ends by itself.
 *
 *	killed N
 *
 *	swap fill INTERFACE SLOTS
 *
 * fills a transmit ring of SLOTS slots with frames of the longest kind, syncs once, and closes.
 *
 *	filled N
 */
#include <sys/wait.h>
#include "netmap_test.h"

#define WINDOW		128		/* frames under way */
#define IN_HAND		48		/* of them with the reflector */
#define QUIET_MS	50		/* after which nothing more is expected to come */
#define STALL_MS	400		/* after which frames are lost */
#define ROUNDS_HELD	8		/* looks at the same buffers */
#define PATTERN		0x5a

static void bind_port(struct port *port, const char *name, uint32_t mode, uint64_t flags, uint32_t extra)
{
	int e;

	port->reg = (struct nmreq_register){ .nr_mode = mode, .nr_flags = flags, .nr_extra_bufs = extra };
	e = port_open_as(port, name);
	if (e) {
		printf("%s %s\n", name, strerrorname_np(-e));
		exit(1);
	}
}

static void say_bound(void)
{
	puts("bound");
	fflush(stdout);
}

static unsigned long reflected, returned, stale, wrong, errors;

static void check(int result)
{
	if (result != -ENXIO) {
		errors += result < 0;
		return;
	}
	puts("gone");
	exit(3);
}

/* The length of a frame follows from its number. */
static uint32_t length_of(uint32_t number)
{
	return SHORTEST + (number * 389 & 1023);
}

/*
 * The numbers that came. They need not come in order: what an emulated NIC could not take yet is delivered after what came
 * when it could again.
 */
#define REMEMBERED	65536

struct numbers {
	uint32_t highest;
	bool came[REMEMBERED];	/* of the last REMEMBERED numbers up to the highest, each at its remainder */
};

/* Says whether a number has not come yet. One that is too far behind to be remembered counts as one that has. */
static bool is_new(struct numbers *numbers, uint32_t number)
{
	while (numbers->highest < number)
		numbers->came[++numbers->highest % REMEMBERED] = false;
	if (numbers->highest - number >= REMEMBERED || numbers->came[number % REMEMBERED])
		return false;
	numbers->came[number % REMEMBERED] = true;
	return true;
}

/* Looks at a frame, and says whether it is one of ours. */
static bool look_at(struct netmap_ring *ring, const struct netmap_slot *slot, struct numbers *numbers)
{
	const uint8_t *frame = slot_buffer(ring, slot);
	uint32_t number;

	if (slot->len < SHORTEST || frame[12] != PROTOCOL >> 8 || frame[13] != (PROTOCOL & 0xff)) {
		/* There is nothing else on this wire. */
		wrong++;
		return false;
	}
	number = frame_number(frame);
	if (slot->len != length_of(number) || !frame_is(frame, slot->len, number))
		wrong++;
	else if (!is_new(numbers, number))
		stale++;
	return true;
}

/* The reflector; the slots of its receive rings before `seen` have been looked at. */
static struct port from, to;
static bool closed;
static uint32_t seen[64];
static struct numbers received;
static int64_t news;

static void swap(struct netmap_slot *a, struct netmap_slot *b)
{
	uint32_t index = a->buf_idx;

	b->len = a->len;
	a->buf_idx = b->buf_idx;
	b->buf_idx = index;
	a->flags |= NS_BUF_CHANGED;
	b->flags |= NS_BUF_CHANGED;
}

static void reflect(bool all)
{
	uint32_t i;

	for (i = 0; !closed && i < from.nifp->ni_rx_rings; i++) {
		struct netmap_ring *rx = rx_ring(&from, i), *tx = tx_ring(&to, i);
		uint32_t keep = all || now_ms() - news > QUIET_MS ? 0 : IN_HAND;

		for (; seen[i] != rx->tail; seen[i] = nm_ring_next(rx, seen[i])) {
			look_at(rx, &rx->slot[seen[i]], &received);
			news = now_ms();
		}
		for (; nm_ring_space(rx) > keep && !nm_ring_empty(tx); ring_advance(rx)) {
			swap(head_slot(rx), head_slot(tx));
			ring_advance(tx);
			reflected++;
		}
	}
	if (!closed)
		check(tx_sync(&to));
	check(rx_sync(&from));
}

static void open_or_close(const char *name)
{
	if (closed) {
		bind_port(&to, name, NR_REG_ALL_NIC, NR_TX_RINGS_ONLY, 0);
		say_bound();
	} else {
		reflect(true);
		port_close(&to);
		puts("closed");
	}
	closed = !closed;
}

static void generate(struct port *port, struct netmap_ring *tx, int *under_way, uint32_t *next)
{
	for (; *under_way < WINDOW && !nm_ring_empty(tx); ++*under_way) {
		struct netmap_slot *slot = head_slot(tx);

		slot->len = length_of(*next);
		slot->flags = 0;
		make_frame(slot_buffer(tx, slot), slot->len, (*next)++);
		ring_advance(tx);
	}
	check(tx_sync(port));
}

static void collect(struct port *port, int *under_way, int64_t *heard)
{
	static struct numbers numbers;
	uint32_t i;

	check(rx_sync(port));
	for (i = 0; i < port->nifp->ni_rx_rings; i++) {
		struct netmap_ring *rx = rx_ring(port, i);

		for (; !nm_ring_empty(rx); ring_advance(rx)) {
			look_at(rx, head_slot(rx), &numbers);
			returned++;
			*heard = now_ms();
			if (*under_way)
				--*under_way;
		}
	}
}

static int reflect_main(char **argv)
{
	int here = open_namespace("/proc/self/ns/net"), there = open_namespace(argv[3]), under_way = 0;
	struct port generator;
	struct pollfd fds[2];
	uint32_t next = 1;
	int64_t heard = now_ms();

	bind_port(&from, argv[2], NR_REG_ALL_NIC, NR_RX_RINGS_ONLY, 0);
	bind_port(&to, argv[2], NR_REG_ALL_NIC, NR_TX_RINGS_ONLY, 0);
	enter_namespace(there);
	bind_port(&generator, argv[4], NR_REG_ALL_NIC, 0, 0);
	enter_namespace(here);
	say_bound();
	while (!stopped) {
		generate(&generator, tx_ring(&generator, 0), &under_way, &next);
		reflect(false);
		if (toggle) {
			toggle = 0;
			open_or_close(argv[2]);
		}
		collect(&generator, &under_way, &heard);
		if (now_ms() - heard > STALL_MS) {
			under_way = 0;
			heard = now_ms();
		}
		fds[0] = (struct pollfd){ .fd = from.fd, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = generator.fd, .events = POLLIN };
		poll(fds, 2, QUIET_MS / 5);
		errors += !!((fds[0].revents | fds[1].revents) & POLLERR);
	}
	printf("reflected %lu returned %lu stale %lu wrong %lu errors %lu\n", reflected, returned, stale, wrong, errors);
	return 0;
}

/* The list of extra buffers, which begins with *at. */
static uint8_t *next_extra(const struct port *port, uint32_t *at)
{
	uint8_t *buffer = (uint8_t *)NETMAP_BUF(tx_ring(port, port->nifp->ni_tx_rings), *at);

	memcpy(at, buffer, sizeof(*at));
	return buffer;
}

static bool is_pattern(const uint8_t *bytes, size_t len)
{
	return bytes[0] == PATTERN && !memcmp(bytes, bytes + 1, len - 1);
}

static int hold_main(char **argv)
{
	unsigned long held = 0, changed = 0;
	struct port port;

	while (!stopped) {
		uint32_t size, at, i;

		/* A ring to the stack: nothing is diverted. */
		bind_port(&port, argv[2], NR_REG_ONE_SW, NR_TX_RINGS_ONLY, atoi(argv[3]));
		size = tx_ring(&port, port.nifp->ni_tx_rings)->nr_buf_size - sizeof(at);
		for (at = port.nifp->ni_bufs_head; at;)
			memset(next_extra(&port, &at) + sizeof(at), PATTERN, size);
		say_bound();
		for (i = 0; i < ROUNDS_HELD; i++) {
			usleep(5000); /* somebody else's time */
			for (at = port.nifp->ni_bufs_head; at; held++)
				changed += !is_pattern(next_extra(&port, &at) + sizeof(at), size);
		}
		port_close(&port);
	}
	printf("held %lu changed %lu\n", held, changed);
	return 0;
}

static void lose(const char *name, uint32_t count)
{
	struct netmap_ring *ring;
	struct port port;
	uint32_t at, slot;

	bind_port(&port, name, NR_REG_ONE_SW, NR_TX_RINGS_ONLY, count);
	ring = tx_ring(&port, port.nifp->ni_tx_rings);
	for (at = port.nifp->ni_bufs_head, slot = 0; at && slot < ring->num_slots; slot++) {
		ring->slot[slot].buf_idx = at;
		ring->slot[slot].flags = NS_BUF_CHANGED;
		memset(next_extra(&port, &at), PATTERN, ring->nr_buf_size);
	}
	port.nifp->ni_bufs_head = 0;
	raise(SIGKILL);
}

static int lose_main(char **argv)
{
	int rounds = atoi(argv[4]), killed, status;

	say_bound();
	for (killed = 0; killed < rounds && !stopped; killed++) {
		pid_t child = fork();

		if (!child)
			lose(argv[2], atoi(argv[3]));
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
			return 1;
	}
	printf("killed %d\n", killed);
	return 0;
}

static int fill_main(char **argv)
{
	struct port port = { .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = atoi(argv[3]) } };
	struct netmap_ring *ring;
	uint32_t filled;
	int e = port_open_as(&port, argv[2]);

	if (e) {
		printf("%s %s\n", argv[2], strerrorname_np(-e));
		return 1;
	}
	ring = tx_ring(&port, 0);
	for (filled = 0; !nm_ring_empty(ring); filled++) {
		head_slot(ring)->len = LONGEST;
		make_frame(slot_buffer(ring, head_slot(ring)), LONGEST, filled);
		ring_advance(ring);
	}
	check(tx_sync(&port));
	port_close(&port);
	printf("filled %u\n", filled);
	return errors != 0;
}

int main(int argc, char **argv)
{

	catch_signals();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && !strcmp(argv[1], "reflect"))
		return reflect_main(argv);
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return hold_main(argv);
	if (argc == 5 && !strcmp(argv[1], "lose"))
		return lose_main(argv);
	if (argc == 4 && !strcmp(argv[1], "fill"))
		return fill_main(argv);
	fprintf(stderr, "usage: swap reflect INTERFACE NETNS PEER | hold INTERFACE COUNT | lose INTERFACE COUNT ROUNDS | fill INTERFACE SLOTS\n");
	return 2;
}
