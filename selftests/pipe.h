/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of pipes share: the two ends of one, and frames that go through it. */
#ifndef PIPE_H
#define PIPE_H

#include "netmap_test.h"
#include <sys/wait.h>

#define BOTH		(POLLIN | POLLOUT)

/* The two ends, of which one sends in what follows, and the other receives. */
struct ends {
	struct port from, to;
};

/* Opens an end: base{id or base}id, whose request is in port->reg. */
UNUSED static int open_end(struct port *port, const char *base, char brace, const char *id)
{
	char name[NETMAP_REQ_IFNAMSIZ];

	snprintf(name, sizeof(name), "%s%c%s", base, brace, id);
	return port_open_as(port, name);
}

/* Opens both ends, that which sends being the master if it says so; with rings of that many slots, or 0. */
UNUSED static int open_ends(struct ends *ends, const char *base, const char *id, bool master, uint32_t slots)
{
	int err;

	*ends = (struct ends){ .from.reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = slots, .nr_rx_slots = slots },
			       .to.reg.nr_mode = NR_REG_ALL_NIC };
	err = open_end(&ends->from, base, master ? '{' : '}', id);
	if (err)
		return err;
	err = open_end(&ends->to, base, master ? '}' : '{', id);
	if (err)
		port_close(&ends->from);
	return err;
}

UNUSED static int close_ends(struct ends *ends)
{
	int err = port_close(&ends->from);

	return port_close(&ends->to) ?: err;
}

/* How many slots a program may use. */
UNUSED static uint32_t room(const struct netmap_ring *ring)
{
	return (ring->tail + ring->num_slots - ring->head) % ring->num_slots;
}

/* Puts as many frames as there is room for into a ring, numbered from there on, and syncs; how many, or a negative errno. */
UNUSED static int fill_ring(const struct port *port, struct netmap_ring *ring, uint32_t number)
{
	uint32_t count = 0, left = room(ring);
	int err = 0;

	for (; count < left && !err; count++)
		err = put_frame(port, ring, SHORTEST + (number + count) % 1000, number + count, 0);
	err = err ?: tx_sync(port);
	return err ?: (int)count;
}

/* Whether the next frame in a ring that was synced is the one of this number. It is released by the next sync. */
UNUSED static bool next_is(struct netmap_ring *ring, uint32_t number)
{
	struct netmap_slot *slot = head_slot(ring);
	bool is;

	if (nm_ring_empty(ring))
		return false;
	is = slot->len == SHORTEST + number % 1000 && frame_is(slot_buffer(ring, slot), slot->len, number);
	ring_advance(ring);
	return is;
}

/* A process that sleeps in poll() until one of the events is there, which it exits with, or 255. */
UNUSED static pid_t sleeper(const struct port *port, short events)
{
	pid_t child = fork();

	if (!child)
		_exit(poll_port(port, events, LIMIT_MS) & 0xff);
	if (child > 0 && wait_asleep(child))
		return -1;
	return child;
}

/* What it saw. */
UNUSED static int awoken(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

#endif /* PIPE_H */
