// SPDX-License-Identifier: BSD-2-Clause
/*
 * example-http INTERFACE PORT LENGTH: an HTTP/1.1 server that answers each GET with LENGTH bytes. Its connections are made by
 * sockets; their data goes through the stack port of the interface, a system call for all that has come and one for all that leaves.
 * cc -O2 -o example-http example-http.c, once "make install" has installed the headers; before, with -I include/uapi.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <stdbool.h>
#include <stddef.h>
#include <netinet/in.h>
#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>
#include <poll.h>

#define CONNECTIONS	65536

/* A connection, by its descriptor. */
struct connection {
	bool	 listed;	/* in busy[] */
	bool	 last;		/* no request follows: it is closed when all is sent */
	unsigned unsent;	/* the turn in which it had slots that TCP has not accepted */
	unsigned requests;	/* not answered yet */
	size_t	 sent;		/* bytes of the response under way */
	size_t	 used;		/* bytes of the next request */
	char	 head[2048];
};

static struct connection connections[CONNECTIONS];
static int busy[CONNECTIONS];	/* what has requests to be answered, or is to be closed */
static unsigned int busy_count;
static unsigned int turn = 1;	/* of the loop */
static char *response;
static size_t size;

static void is_busy(int fd)
{
	if (!connections[fd].listed)
		busy[busy_count++] = fd;
	connections[fd].listed = true;
}

/* False if it ends although connections may wait still, as without free descriptors: poll() would not sleep for the listener then. */
static bool accept_all(int listener, int port)
{
	struct nmreq_pst_fd_reg reg;
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_PST_FD_REG, .nr_body = (uintptr_t)&reg };

	while ((reg.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 || errno == ECONNABORTED) {
		if (reg.fd >= CONNECTIONS || (reg.fd >= 0 && ioctl(port, NIOCCTRL, &header))) {
			warn("connection %d", reg.fd);
			close(reg.fd);
		} else if (reg.fd >= 0) {
			memset(&connections[reg.fd], 0, offsetof(struct connection, head));
		}
	}
	return errno == EAGAIN;
}

/* Takes a piece of a stream: requests end with an empty line. What is no GET ends the connection. */
static void take(int fd, const char *data, size_t len)
{
	struct connection *c = &connections[fd];

	for (; len && !c->last; data++, len--) {
		c->head[c->used++] = *data;
		if (c->used >= 4 && !memcmp(c->head + c->used - 4, "\r\n\r\n", 4)) {
			c->head[c->used] = '\0';
			c->last = strncmp(c->head, "GET ", 4) || strstr(c->head, " HTTP/1.0\r\n") ||
				  strcasestr(c->head, "\r\nConnection: close\r\n");
			c->requests += !strncmp(c->head, "GET ", 4);
			c->used = 0;
		} else if (c->used == sizeof(c->head) - 1) {
			c->last = true;
		}
	}
	if (c->requests || c->last)
		is_busy(fd);
}

static void receive(struct netmap_ring *ring)
{
	struct netmap_stack_runs *runs = STACKMAP_RUNS(ring);
	uint32_t i, n;

	if (nm_ring_empty(ring))
		return;
	for (struct netmap_stack_run *run = runs->run; run < runs->run + runs->count; run++)
		for (i = run->first, n = run->count; n; i = nm_ring_next(ring, i), n--) {
			struct netmap_slot *slot = &ring->slot[i];

			if (slot->flags & (NS_STACK_END | NS_STACK_ERROR)) {
				connections[run->fd].last = true;
				if (slot->flags & NS_STACK_ERROR)
					connections[run->fd].requests = 0;
				is_busy(run->fd);
			} else {
				take(run->fd, NETMAP_BUF(ring, slot->buf_idx) + slot->offset, slot->len);
			}
		}
	ring->head = ring->cur = ring->tail;
}

/*
 * Puts responses into slots, as long as there are any; but not for a client that does not take what it has been sent: its slots stay
 * in the ring, and would fill it.
 */
static void answer(struct netmap_ring *ring, int fd)
{
	size_t room = ring->nr_buf_size - ring->stack_room;
	struct connection *c = &connections[fd];

	if (c->unsent == turn)
		return;
	for (; c->requests && !nm_ring_empty(ring); ring->head = ring->cur = nm_ring_next(ring, ring->head)) {
		struct netmap_slot *slot = &ring->slot[ring->head];

		slot->len = size - c->sent < room ? size - c->sent : room;
		memcpy(STACKMAP_BUF(ring, slot->buf_idx), response + c->sent, slot->len);
		slot->fd = fd;
		slot->flags = 0;
		c->sent += slot->len;
		if (c->sent == size) {
			c->sent = 0;
			c->requests--;
		}
	}
}

/*
 * Forgets what has been answered, and closes what is to be closed once TCP has accepted all of it. True if an answer waits for
 * room in the ring.
 */
static bool settle(struct netmap_ring *ring)
{
	unsigned int i, n = 0;
	bool waits = false;

	turn++;
	for (i = nm_ring_next(ring, ring->tail); i != ring->head; i = nm_ring_next(ring, i))
		connections[ring->slot[i].fd].unsent = turn;
	for (i = 0; i < busy_count; i++) {
		struct connection *c = &connections[busy[i]];

		waits |= c->requests && c->unsent != turn;
		c->listed = c->requests || (c->last && c->unsent == turn);
		if (c->listed)
			busy[n++] = busy[i];
		else if (c->last)
			close(busy[i]);
	}
	busy_count = n;
	return waits;
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int on = 1, body = argc == 4 ? atoi(argv[3]) : -1;
	char name[64], head[128];
	struct nm_desc *port;

	if (body < 0)
		errx(2, "usage: example-http INTERFACE PORT LENGTH");
	size = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", body) + body;
	response = malloc(size + 1);
	memset(response, '.', size);
	memcpy(response, head, strlen(head));

	snprintf(name, sizeof(name), "stack:%s", argv[1]);
	port = nm_open(name, NULL, 0, NULL);
	if (!port)
		err(1, "%s", name);
	at.sin6_port = htons(atoi(argv[2]));
	fds[0].fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(fds[0].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fds[0].fd, (struct sockaddr *)&at, sizeof(at)) || listen(fds[0].fd, 1024))
		err(1, "port %s", argv[2]);
	fds[1].fd = port->fd;
	fprintf(stderr, "listening\n");

	for (bool all = true;;) {
		/* What waits for TCP to accept it leaves by itself, but nobody says when it has. */
		if (poll(fds, 2, busy_count || !all ? 10 : -1) < 0 && errno != EINTR)
			err(1, "poll");
		if (fds[1].revents & POLLERR)
			errx(1, "%s: the port is gone, or a ring was reinitialised", name);
		receive(NETMAP_RXRING(port->nifp, 0));
		/* Not before: what has been received may be of a descriptor that was closed and is accepted again here. */
		all = accept_all(fds[0].fd, port->fd);
		fds[0].events = all ? POLLIN : 0;
		for (unsigned int i = 0; i < busy_count; i++)
			answer(NETMAP_TXRING(port->nifp, 0), busy[i]);
		ioctl(port->fd, NIOCTXSYNC);
		fds[1].events = settle(NETMAP_TXRING(port->nifp, 0)) ? POLLIN | POLLOUT : POLLIN;
	}
}
