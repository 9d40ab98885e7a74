// SPDX-License-Identifier: BSD-2-Clause
/*
 * Streams of octets that can be told, over connections of which one end is in the slots of a stack port:
 *
 *	stack_octets port IF PORT N BYTES	the end in slots: serves N connections, then says what it saw
 *	stack_octets scribble IF PORT N BYTES	the same, with a thread that writes to all that is shared: verifies nothing
 *	stack_octets sockets ADDRESS PORT N ALL BYTES
 *						the other end: N connections at a time by sockets, ALL in turn
 *	stack_octets idle IF			a port without connections
 *
 * Each connection begins with its number. From then on both ends send a stream of a length, at most BYTES, and a content that
 * follow from the number, in pieces of random length, and end it; both verify each octet and the end. "scribble" ends when it is
 * killed.
 *
 * With ACKNOWLEDGED in the environment, a connection is closed only when the other end has acknowledged all of it: TCP that has no
 * memory left resets one that is closed before (tcp_check_oom()).
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <linux/sockios.h>
#define NETMAP_WITH_LIBS
#include "netmap_test.h"

#define CONNECTIONS	4096

struct stream {
	uint32_t seed;
	uint32_t at;		/* octets that have passed */
	uint32_t length;
};

struct connection {
	bool	 open, numbered, ended, shut, unsent;
	uint32_t number;
	uint32_t head;		/* octets of the number that have come */
	struct stream in, out;
};

static struct connection connections[CONNECTIONS];
static uint32_t most;		/* octets of a stream */
static uint32_t random_state = 1;
static unsigned int wrong;
static struct nm_desc *port;
static bool hostile;
static bool only_acknowledged;

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static uint32_t up_to(uint32_t max)
{
	return next_random(&random_state) % max + 1;
}

/* Number and direction make the stream. */
static struct stream stream_of(uint32_t number, uint32_t direction)
{
	uint32_t state = number * 2654435761u + direction * 40503u + 1;
	struct stream s = { 0 };

	s.seed = next_random(&state);
	s.length = next_random(&state) % most + 1;
	return s;
}

static uint8_t octet(const struct stream *s, uint32_t at)
{
	return (s->seed >> (at & 7)) + at * 7 + (at >> 8) * 13;
}

static void fail(uint32_t number, const char *what, uint32_t at)
{
	if (wrong++ < 10)
		printf("# connection %u: %s at octet %u\n", number, what, at);
}

static void produce(struct stream *s, char *to, uint32_t len)
{
	for (; len; len--)
		*to++ = octet(s, s->at++);
}

static void consume(struct connection *c, const char *from, uint32_t len)
{
	for (; len; len--, from++, c->in.at++) {
		if (c->in.at >= c->in.length) {
			fail(c->number, "more than there is", c->in.at);
			return;
		}
		if ((uint8_t)*from != octet(&c->in, c->in.at)) {
			fail(c->number, "another octet", c->in.at);
			c->in.at += len;
			return;
		}
	}
}

static void end_of(struct connection *c)
{
	if (c->ended)
		return;
	c->ended = true;
	if (!c->numbered || c->in.at != c->in.length)
		fail(c->number, "end of the stream", c->in.at);
}

/* The end in slots. */

static int served;

static void accept_all(int listener)
{
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_PST_FD_REG };
	struct nmreq_pst_fd_reg reg;

	header.nr_body = (uintptr_t)&reg;
	while ((reg.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (reg.fd >= CONNECTIONS || ioctl(port->fd, NIOCCTRL, &header))
			err(1, "register descriptor %d", reg.fd);
		connections[reg.fd] = (struct connection){ .open = true };
	}
}

static void take(struct connection *c, const char *data, uint32_t len)
{
	for (; len && !c->numbered; data++, len--) {
		c->number |= (uint32_t)(uint8_t)*data << (8 * c->head++);
		if (c->head == 4) {
			c->numbered = true;
			c->in = stream_of(c->number, 0);
			c->out = stream_of(c->number, 1);
		}
	}
	consume(c, data, len);
}

static void receive(struct netmap_ring *ring)
{
	struct netmap_stack_runs *runs = STACKMAP_RUNS(ring);
	uint32_t slots = 0, i, n;

	if (!hostile)
		for (uint32_t r = 0; r < runs->count; r++)
			slots += runs->run[r].count;
	if (!hostile && slots != nm_ring_space(ring) && !nm_ring_empty(ring))
		fail(0, "the runs have other slots than the ring", slots);
	for (uint32_t r = 0; !nm_ring_empty(ring) && r < runs->count && r < ring->num_slots; r++) {
		struct netmap_stack_run run = *(volatile struct netmap_stack_run *)&runs->run[r];
		struct connection *c = &connections[(uint32_t)run.fd % CONNECTIONS];

		for (i = run.first % ring->num_slots, n = run.count % ring->num_slots; n; i = nm_ring_next(ring, i), n--) {
			struct netmap_slot slot = *(volatile struct netmap_slot *)&ring->slot[i];

			if (hostile) {
				/* What is in the slot may be anything: the connection goes on to send. */
				c->numbered = true;
				c->ended |= !!(slot.flags & (NS_STACK_END | NS_STACK_ERROR));
				c->out.length = c->ended ? 0 : UINT32_MAX;
				continue;
			}
			if (slot.fd != run.fd || !c->open)
				fail(c->number, "a slot of another run", c->in.at);
			if (slot.flags & NS_STACK_ERROR) {
				printf("# connection %u: %s\n", c->number, strerror(slot.error));
				fail(c->number, "error", c->in.at);
				c->ended = true;
				c->out.length = c->out.at;
			} else if (slot.flags & NS_STACK_END) {
				end_of(c);
			} else {
				take(c, NETMAP_BUF(ring, slot.buf_idx) + slot.offset, slot.len);
			}
		}
	}
	ring->head = ring->cur = ring->tail;
}

/* A slot for a connection, if it has anything left to send. */
static bool send_piece(struct netmap_ring *ring, int fd)
{
	struct connection *c = &connections[fd];
	struct netmap_slot *slot = &ring->slot[ring->head % ring->num_slots];
	uint32_t left = c->out.length - c->out.at, len = up_to(ring->nr_buf_size - ring->stack_room);

	if (!c->open || !c->numbered || !left)
		return false;
	len = len < left ? len : left;
	/* Which buffer that is cannot be known beside a thread that scribbles; what is in it, that thread sees to. */
	if (hostile)
		c->out.at += len;
	else
		produce(&c->out, STACKMAP_BUF(ring, slot->buf_idx), len);
	slot->len = len;
	slot->flags = 0;
	slot->fd = fd;
	ring->head = ring->cur = nm_ring_next(ring, ring->head);
	return true;
}

/* Pieces of all connections in turn, until the ring or what there is to send has an end. */
static void send_all(struct netmap_ring *ring)
{
	bool more = true;

	while (more) {
		more = false;
		for (int fd = 0; fd < CONNECTIONS && !nm_ring_empty(ring); fd++)
			for (uint32_t n = up_to(3); n && !nm_ring_empty(ring) && send_piece(ring, fd); n--)
				more = true;
	}
}

/* Whether TCP is to be left with nothing of the connection that it would have to send again. */
static bool may_close(int fd)
{
	int left = 0;

	return !only_acknowledged || ioctl(fd, SIOCOUTQ, &left) || !left;
}

/* Closes what has been sent and received as a whole. True if something waits for TCP to accept it, or to have it acknowledged. */
static bool close_done(struct netmap_ring *ring)
{
	bool waits = false;

	for (uint32_t i = nm_ring_next(ring, ring->tail); !hostile && i != ring->head; i = nm_ring_next(ring, i)) {
		connections[(uint32_t)ring->slot[i].fd % CONNECTIONS].unsent = true;
		waits = true;
	}
	for (int fd = 0; fd < CONNECTIONS; fd++) {
		struct connection *c = &connections[fd];

		if (c->open && c->ended && !c->unsent && c->out.at == c->out.length) {
			if (!may_close(fd)) {
				waits = true;
				continue;
			}
			c->open = false;
			close(fd);
			served++;
		} else if (c->open && c->numbered && !c->shut && c->out.at == c->out.length && !c->unsent) {
			c->shut = true;
			shutdown(fd, SHUT_WR);
		}
		c->unsent = false;
	}
	return waits;
}

/*
 * Writes to everything that the port shares with the kernel. All ports lie in one region, and who writes to buffers of another
 * port harms that: buffers are those that were the port's own at the begin, which are in its slots or in TCP from then on.
 */
static uint32_t own[8192];

static void *scribble(void *arg)
{
	uint32_t owned = 0;
	struct netmap_ring *rings[2] = { NETMAP_TXRING(port->nifp, 0), NETMAP_RXRING(port->nifp, 0) };
	struct netmap_stack_runs *runs = STACKMAP_RUNS(rings[1]);
	uint32_t state = 7;

	for (int r = 0; r < 2; r++)
		for (uint32_t i = 0; i < rings[r]->num_slots && owned < 8192; i++)
			own[owned++] = rings[r]->slot[i].buf_idx;
	for (;;) {
		struct netmap_ring *ring = rings[next_random(&state) & 1];
		uint32_t value = next_random(&state), at = next_random(&state) % ring->num_slots;
		volatile struct netmap_slot *slot = &ring->slot[at];
		volatile struct netmap_stack_run *run = &runs->run[at % rings[1]->num_slots];

		switch (next_random(&state) % 12) {
		case 0:
			slot->buf_idx = value % 8 ? own[value % owned] : value % 16 ? value | 1u << 31 : value % 2;
			break;
		case 1:
			slot->len = value;
			break;
		case 2:
			slot->flags = value;
			break;
		case 3:
			slot->fd = value % 4 ? (int32_t)(value % 64) : (int32_t)value;
			break;
		case 4:
			slot->offset = value;
			break;
		case 5:
			((volatile struct netmap_ring *)ring)->head = value % (2 * ring->num_slots);
			break;
		case 6:
			((volatile struct netmap_ring *)ring)->cur = value % (2 * ring->num_slots);
			break;
		case 7:
			((volatile struct netmap_ring *)ring)->tail = value % (2 * ring->num_slots);
			break;
		case 8:
			run->fd = value;
			run->first = value;
			run->count = next_random(&state);
			break;
		case 9:
			*(volatile uint32_t *)&runs->count = value;
			break;
		default:
			/* Payload, of which much is in flight. */
			memset(NETMAP_BUF(ring, own[value % owned]), value, ring->nr_buf_size);
		}
	}
	return NULL;
}

static void open_port(const char *interface)
{
	char name[64];

	snprintf(name, sizeof(name), "stack:%s", interface);
	port = nm_open(name, NULL, 0, NULL);
	if (!port)
		err(1, "%s", name);
}

static int serve(const char *interface, int tcp_port, int count)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(tcp_port) };
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	struct netmap_ring *tx, *rx;
	bool waits = false;
	pthread_t thread;

	open_port(interface);
	tx = NETMAP_TXRING(port->nifp, 0);
	rx = NETMAP_RXRING(port->nifp, 0);
	fds[1].fd = port->fd;
	fds[0].fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(fds[0].fd, (struct sockaddr *)&at, sizeof(at)) || listen(fds[0].fd, 1024))
		err(1, "port %d", tcp_port);
	if (hostile && pthread_create(&thread, NULL, scribble, NULL))
		errx(1, "no thread");
	while (served < count) {
		if (poll(fds, 2, waits || hostile ? 10 : -1) < 0)
			err(1, "poll");
		if ((fds[1].revents & POLLERR) && !hostile)
			errx(1, "the port has an error");
		accept_all(fds[0].fd);
		receive(rx);
		send_all(tx);
		if (ioctl(port->fd, NIOCTXSYNC))
			err(1, "NIOCTXSYNC");
		waits = close_done(tx);
	}
	nm_close(port);
	printf("# %d connections, %u failures\n", served, wrong);
	return wrong != 0;
}

/* The other end. */

/* Does what can be done on a socket; false once it has sent and received all, or has failed. */
static bool move(int fd, struct connection *c)
{
	char data[8192];
	uint32_t len;
	ssize_t did;

	while (c->out.at < c->out.length) {
		struct stream before = c->out;

		len = up_to(sizeof(data));
		len = len < c->out.length - c->out.at ? len : c->out.length - c->out.at;
		produce(&c->out, data, len);
		did = send(fd, data, len, MSG_NOSIGNAL);
		c->out = before;
		if (did < 0 && errno == EAGAIN)
			break;
		if (did < 0) {
			printf("# send: %s\n", strerror(errno));
			fail(c->number, "send", c->out.at);
			return false;
		}
		c->out.at += did;
		if (c->out.at == c->out.length)
			shutdown(fd, SHUT_WR);
	}
	if (c->ended)
		return c->out.at < c->out.length;
	while ((did = recv(fd, data, up_to(sizeof(data)), 0)) > 0)
		consume(c, data, did);
	if (did < 0 && errno == EAGAIN)
		return true;
	if (did < 0) {
		printf("# recv: %s\n", strerror(errno));
		fail(c->number, "recv", c->in.at);
		return false;
	}
	end_of(c);
	return c->out.at < c->out.length;
}

static int begin(const struct sockaddr *to, socklen_t size, uint32_t number, struct connection *c)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint8_t head[4] = { number, number >> 8, number >> 16, number >> 24 };

	if (fd < 0 || connect(fd, to, size) || send(fd, head, 4, 0) != 4)
		err(1, "connection %u", number);
	/* close() waits, then. The other end's does not, so that one of them goes on. */
	if (only_acknowledged)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 300 }, sizeof(struct linger));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	*c = (struct connection){ .open = true, .numbered = true, .number = number, .in = stream_of(number, 1),
				  .out = stream_of(number, 0) };
	return fd;
}

static int use_sockets(const char *address, int tcp_port, int count, int all)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(tcp_port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(tcp_port) };
	bool six = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1;
	const struct sockaddr *to = six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in4;
	struct pollfd *fds = calloc(count, sizeof(*fds));
	int next = 0, open = 0, told = 0;

	if (!six && inet_pton(AF_INET, address, &in4.sin_addr) != 1)
		errx(2, "%s is no address", address);
	for (int i = 0; i < count; i++)
		fds[i].fd = -1;
	while (next < all || open) {
		for (int i = 0; i < count && next < all; i++) {
			if (fds[i].fd >= 0)
				continue;
			fds[i].fd = begin(to, six ? sizeof(in6) : sizeof(in4), next++, &connections[i]);
			open++;
		}
		for (int i = 0; i < count; i++)
			fds[i].events = (connections[i].ended ? 0 : POLLIN) |
					(connections[i].out.at < connections[i].out.length ? POLLOUT : 0);
		if (poll(fds, count, -1) < 0)
			err(1, "poll");
		for (int i = 0; i < count; i++)
			if (fds[i].fd >= 0 && fds[i].revents && !move(fds[i].fd, &connections[i])) {
				close(fds[i].fd);
				fds[i].fd = -1;
				open--;
			}
		if (next - open >= told + 100) {
			told = next - open;
			printf("# %d of %d done\n", told, all);
			fflush(stdout);
		}
	}
	printf("# %d connections, %u failures\n", all, wrong);
	return wrong != 0;
}

/* A port without connections has room, nothing to read, and takes what it is given for an error. */
static int idle(const char *interface)
{
	struct pollfd fd = { .events = POLLIN | POLLOUT };
	struct netmap_ring *tx, *rx;

	open_port(interface);
	tx = NETMAP_TXRING(port->nifp, 0);
	rx = NETMAP_RXRING(port->nifp, 0);
	fd.fd = port->fd;
	for (int i = 0; i < 1000; i++)
		if (ioctl(port->fd, NIOCTXSYNC) || ioctl(port->fd, NIOCRXSYNC))
			err(1, "sync");
	if (poll(&fd, 1, 0) != 1 || fd.revents != POLLOUT)
		errx(1, "poll says %#x of an empty port", fd.revents);
	fd.events = POLLIN;
	if (poll(&fd, 1, 50) != 0)
		errx(1, "poll says %#x of a port without connections", fd.revents);
	if (!nm_ring_empty(rx) || STACKMAP_RUNS(rx)->count || nm_ring_space(tx) != tx->num_slots - 1)
		errx(1, "%u slots received, %u runs, room for %u", nm_ring_space(rx), STACKMAP_RUNS(rx)->count, nm_ring_space(tx));
	nm_close(port);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	only_acknowledged = getenv("ACKNOWLEDGED");
	if (!strcmp(what, "idle"))
		return idle(argv[2]);
	hostile = !strcmp(what, "scribble");
	most = argc > 5 ? atoi(argv[argc - 1]) : 0;
	if ((hostile || !strcmp(what, "port")) && argc == 6 && most)
		return serve(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (!strcmp(what, "sockets") && argc == 7 && most && atoi(argv[4]) <= CONNECTIONS)
		return use_sockets(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	errx(2, "what it does is said at the begin of its source");
}
