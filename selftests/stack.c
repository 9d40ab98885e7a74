// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stack ports: binding, registration, both directions, what they tell of ends. For stack.sh, which makes hosts of both ends of the
 * wire. The peer's connections are ordinary sockets.
 */
#include <sys/un.h>
#include "kselftest_harness.h"
#include "stack_wire.h"

FIXTURE(stack) {
	struct port port;
	struct netmap_ring *tx, *rx;
	struct pair pair;
};

FIXTURE_SETUP(stack)
{
	ASSERT_EQ(stack_open(&self->port, 0), 0);
	self->tx = tx_ring(&self->port, 0);
	self->rx = rx_ring(&self->port, 0);
	ASSERT_EQ(make_pairs(&self->pair, 1, NIC_ADDRESS), 0);
}

FIXTURE_TEARDOWN(stack)
{
	close_pairs(&self->pair, 1);
	EXPECT_EQ(port_close(&self->port), 0);
}

/* Waits for slots in the receive ring. */
#define AWAIT() ASSERT_NE(wait_rx(&self->port, LIMIT_MS), NULL)

/* The slot at the head of the receive ring, which holds no data: its flags and what it says. */
#define EXPECT_TOLD(_fd, _flags, _error) do { \
	AWAIT(); \
	EXPECT_EQ(head_slot(self->rx)->len, 0); \
	EXPECT_EQ(head_slot(self->rx)->fd, (_fd)); \
	EXPECT_EQ(head_slot(self->rx)->flags, (_flags)); \
	EXPECT_EQ(head_slot(self->rx)->error, (_error)); \
	ring_advance(self->rx); \
} while (0)

/* Octets of a stream arrive in the ring, and nothing else. */
#define EXPECT_OCTETS(_fd, _number, _from, _len) do { \
	uint64_t _at = (_from), _end = _at + (_len); \
	while (_at < _end) { \
		struct netmap_slot *_slot; \
		AWAIT(); \
		_slot = head_slot(self->rx); \
		ASSERT_EQ(_slot->fd, (_fd)); \
		ASSERT_EQ(_slot->flags, 0); \
		ASSERT_GT(_slot->len, 0); \
		ASSERT_LE(_at + _slot->len, _end); \
		ASSERT_EQ(differs((uint8_t *)NETMAP_BUF(self->rx, _slot->buf_idx) + _slot->offset, (_number), _at, \
				  _slot->len), _slot->len); \
		_at += _slot->len; \
		ring_advance(self->rx); \
	} \
} while (0)

TEST_F(stack, rings)
{
	const struct netmap_stack_runs *runs = STACKMAP_RUNS(self->rx);
	uint32_t i;

	EXPECT_EQ(self->port.nifp->ni_tx_rings, 1);
	EXPECT_EQ(self->port.nifp->ni_rx_rings, 1);
	EXPECT_EQ(self->port.nifp->ni_host_tx_rings + self->port.nifp->ni_host_rx_rings, 0);
	EXPECT_GE(self->tx->stack_room, 66);
	EXPECT_EQ(self->rx->stack_room, self->tx->stack_room);
	EXPECT_EQ(runs->max, self->rx->num_slots);
	EXPECT_EQ(runs->count, 0);
	EXPECT_LE((char *)&runs->run[runs->max], self->port.mem + self->port.size);
	for (i = 0; i < self->tx->num_slots; i++) {
		EXPECT_EQ(self->tx->slot[i].fd, -1);
		EXPECT_EQ(self->tx->slot[i].offset, self->tx->stack_room);
	}
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	EXPECT_EQ(poll_port(&self->port, POLLIN | POLLOUT, 0), POLLOUT);
}

TEST_F(stack, names)
{
	struct port other;
	char name[32];

	snprintf(name, sizeof(name), "stack:0+%s", nic_name());
	ASSERT_EQ(port_open(&other, name, NR_REG_ALL_NIC, 0, 0), 0);
	port_close(&other);
	ASSERT_EQ(port_open(&other, nic_name(), NR_REG_ONE_NIC, 0, NR_STACK | NR_EXCLUSIVE), 0);
	port_close(&other);
	EXPECT_EQ(port_open(&other, nic_name(), NR_REG_ONE_NIC, 1, NR_STACK), -EINVAL);
	EXPECT_EQ(port_open(&other, nic_name(), NR_REG_SW, 0, NR_STACK), -EINVAL);
	EXPECT_EQ(port_open(&other, nic_name(), NR_REG_ALL_NIC, 0, NR_STACK | NR_TX_RINGS_ONLY), -EINVAL);
	EXPECT_EQ(port_open(&other, nic_name(), NR_REG_ALL_NIC, 0, NR_STACK | NR_RX_RINGS_ONLY), -EINVAL);
	EXPECT_EQ(port_open(&other, "stack:lo", NR_REG_ALL_NIC, 0, 0), -EOPNOTSUPP);
	EXPECT_EQ(port_open(&other, "stack:nonesuch", NR_REG_ALL_NIC, 0, 0), -ENXIO);
	EXPECT_EQ(port_open(&other, "stack:", NR_REG_ALL_NIC, 0, 0), -ENXIO);
	snprintf(name, sizeof(name), "stack:%s{1", nic_name());
	EXPECT_EQ(port_open(&other, name, NR_REG_ALL_NIC, 0, 0), -EINVAL);
}

/* Both ways, and the runs. */
TEST_F(stack, exchange)
{
	const struct netmap_stack_runs *runs = STACKMAP_RUNS(self->rx);

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 64), 64);
	AWAIT();
	EXPECT_EQ(runs->count, 1);
	EXPECT_EQ(runs->run[0].fd, self->pair.nic);
	EXPECT_EQ(runs->run[0].first, self->rx->head);
	EXPECT_EQ(runs->run[0].count, 1);
	EXPECT_EQ(head_slot(self->rx)->offset, self->rx->stack_room);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 64);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_EQ(runs->count, 0);
	ASSERT_EQ(put(&self->port, self->pair.nic, 2, 0, 10000, 1448), 10000);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	EXPECT_EQ(expect(self->pair.peer, 2, 0, 10000), 0);
}

/* What arrived before a connection was registered is not lost. */
TEST_F(stack, earlier)
{
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 5000), 5000);
	ASSERT_EQ(stack_config(&self->port, self->pair.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 5000, 5000), 5000);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 10000);
}

/* A transmit sync registers what it finds. */
TEST_F(stack, implicit)
{
	ASSERT_EQ(put(&self->port, self->pair.nic, 2, 0, 3000, 1000), 3000);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(expect(self->pair.peer, 2, 0, 3000), 0);
	EXPECT_EQ(stack_register(&self->port, self->pair.nic), -EBUSY);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
}

TEST_F(stack, refusals)
{
	struct port other, unbound = { .fd = open("/dev/netmap", O_RDWR | O_CLOEXEC) };
	int fds[2], listener, connection, fd;
	bool has_tls;
	struct pair local;
	uint16_t number;

	EXPECT_EQ(stack_register(&unbound, self->pair.nic), -ENXIO);
	EXPECT_EQ(stack_config(&unbound, self->pair.nic), -ENXIO);
	close(unbound.fd);
	EXPECT_EQ(ioctl(self->port.fd, NIOCCONFIG, NULL), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(stack_register(&self->port, -1), -EBADF);
	EXPECT_EQ(stack_register(&self->port, 60000), -EBADF);
	ASSERT_EQ(pipe(fds), 0);
	EXPECT_EQ(stack_register(&self->port, fds[0]), -ENOTSOCK);
	EXPECT_EQ(stack_register(&self->port, self->port.fd), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT_EQ(stack_register(&self->port, fd), -EPROTOTYPE);
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT_EQ(stack_register(&self->port, fd), -EPROTOTYPE);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_EQ(stack_register(&self->port, fd), -ENOTCONN);
	close(fd);
	listener = listen_at(false, "127.0.0.1", &number);
	ASSERT_GE(listener, 0);
	EXPECT_EQ(stack_register(&self->port, listener), -ENOTCONN);
	local.peer = connect_from(false, "127.0.0.1", number);
	local.nic = accept(listener, NULL, NULL);
	EXPECT_EQ(stack_register(&self->port, local.nic), -EXDEV);
	close_pairs(&local, 1);
	close(listener);

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	EXPECT_EQ(stack_register(&self->port, self->pair.nic), -EBUSY);
	connection = dup(self->pair.nic);
	EXPECT_EQ(stack_register(&self->port, connection), -EBUSY);
	close(connection);
	ASSERT_EQ(stack_open(&other, 64), 0);
	EXPECT_EQ(stack_register(&other, self->pair.nic), -EBUSY);
	EXPECT_EQ(stack_unregister(&other, self->pair.nic), -ENOENT);
	/* An upper layer protocol is not let in, where the kernel has one. */
	EXPECT_EQ(setsockopt(self->pair.nic, SOL_TCP, TCP_ULP, "tls", 3), -1);
	has_tls = errno != ENOENT;
	if (has_tls)
		EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), 0);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), -ENOENT);
	EXPECT_EQ(stack_register(&other, self->pair.nic), 0);
	EXPECT_EQ(stack_unregister(&other, self->pair.nic), 0);
	if (has_tls) {
		EXPECT_EQ(setsockopt(self->pair.nic, SOL_TCP, TCP_ULP, "tls", 3), 0);
		EXPECT_EQ(stack_register(&self->port, self->pair.nic), -EBUSY);
	}
	port_close(&other);
}

/* The same, of descriptors in slots: told once for each, and the ring goes on. */
TEST_F(stack, refusals_in_slots)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), fds[2];

	ASSERT_EQ(pipe(fds), 0);
	put(&self->port, fd, 0, 0, 30, 10);
	put(&self->port, fds[0], 0, 0, 10, 10);
	put(&self->port, -1, 0, 0, 10, 10);
	put(&self->port, self->pair.nic, 2, 0, 100, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	EXPECT_EQ(expect(self->pair.peer, 2, 0, 100), 0);
	EXPECT_TOLD(fd, NS_STACK_ERROR, EPROTOTYPE);
	EXPECT_TOLD(fds[0], NS_STACK_ERROR, ENOTSOCK);
	EXPECT_TOLD(-1, NS_STACK_ERROR, EBADF);
	close(fd);
	close(fds[0]);
	close(fds[1]);
}

TEST_F(stack, end_of_stream)
{
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 3000), 3000);
	ASSERT_EQ(shutdown(self->pair.peer, SHUT_WR), 0);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 3000);
	EXPECT_TOLD(self->pair.nic, NS_STACK_END, 0);
	/* The other half is open. */
	put(&self->port, self->pair.nic, 2, 0, 100, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(expect(self->pair.peer, 2, 0, 100), 0);
	/* And told once. */
	EXPECT_EQ(poll_port(&self->port, POLLIN, 0), 0);
}

TEST_F(stack, reset)
{
	struct linger now = { .l_onoff = 1 };

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
	setsockopt(self->pair.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(self->pair.peer);
	EXPECT_TOLD(self->pair.nic, NS_STACK_ERROR, ECONNRESET);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), -ENOENT);
	put(&self->port, self->pair.nic, 2, 0, 100, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_TOLD(self->pair.nic, NS_STACK_ERROR, ENOTCONN);
	self->pair.peer = -1;
}

/* Sending on a connection that the program has shut down. */
TEST_F(stack, shut_down)
{
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(shutdown(self->pair.nic, SHUT_WR), 0);
	put(&self->port, self->pair.nic, 2, 0, 10, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_TOLD(self->pair.nic, NS_STACK_ERROR, EPIPE);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
}

/* Slots of many connections come grouped, and the runs say so. */
TEST_F(stack, grouped)
{
	enum { COUNT = 16, ROUNDS = 4, SIZE = 3000 };
	const struct netmap_stack_runs *runs = STACKMAP_RUNS(self->rx);
	struct pair pairs[COUNT];
	uint64_t got[COUNT] = { 0 };
	int i, round;

	ASSERT_EQ(make_pairs(pairs, COUNT, NIC_ADDRESS), 0);
	for (i = 0; i < COUNT; i++)
		ASSERT_EQ(stack_register(&self->port, pairs[i].nic), 0);
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < COUNT; i++)
			ASSERT_EQ(feed(pairs[i].peer, (uint32_t)i, (uint64_t)round * SIZE, SIZE), SIZE);
	for (;;) {
		uint32_t run, seen = 0, at = self->rx->head;
		uint64_t all = 0;

		for (i = 0; i < COUNT; i++)
			all += got[i];
		if (all == COUNT * ROUNDS * SIZE)
			break;
		AWAIT();
		at = self->rx->head;
		for (run = 0; run < runs->count; run++) {
			uint32_t j;

			EXPECT_EQ(runs->run[run].first, at);
			for (i = 0; i < COUNT && pairs[i].nic != runs->run[run].fd; i++)
				;
			ASSERT_LT(i, COUNT);
			/* Once in each sync. */
			EXPECT_EQ(seen & 1u << i, 0);
			seen |= 1u << i;
			for (j = 0; j < runs->run[run].count; j++) {
				struct netmap_slot *slot = &self->rx->slot[at];

				ASSERT_EQ(slot->fd, pairs[i].nic);
				ASSERT_EQ(differs((uint8_t *)NETMAP_BUF(self->rx, slot->buf_idx) + slot->offset,
						  (uint32_t)i, got[i], slot->len), slot->len);
				got[i] += slot->len;
				at = nm_ring_next(self->rx, at);
			}
		}
		ASSERT_EQ(at, self->rx->tail);
		self->rx->head = self->rx->cur = at;
	}
	close_pairs(pairs, COUNT);
}

/* Runs of slots that are not released stay; what comes is added. */
TEST_F(stack, runs_stay)
{
	const struct netmap_stack_runs *runs = STACKMAP_RUNS(self->rx);
	struct pair other;
	uint32_t i, n;

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(stack_register(&self->port, other.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 4000), 4000);
	for (n = 0; n < 4000;) {
		AWAIT();
		EXPECT_EQ(rx_sync(&self->port), 0);
		for (n = 0, i = self->rx->head; i != self->rx->tail; i = nm_ring_next(self->rx, i))
			n += self->rx->slot[i].len;
	}
	EXPECT_EQ(runs->count, 1);
	n = runs->run[0].count;
	ASSERT_GT(n, 1);
	/* One slot is released, and another connection's data come. */
	ring_advance(self->rx);
	self->rx->cur = self->rx->tail;
	ASSERT_EQ(feed(other.peer, 2, 0, 10), 10);
	ASSERT_EQ(poll_port(&self->port, POLLIN, LIMIT_MS), POLLIN);
	EXPECT_EQ(runs->count, 2);
	EXPECT_EQ(runs->run[0].fd, self->pair.nic);
	EXPECT_EQ(runs->run[0].first, self->rx->head);
	EXPECT_EQ(runs->run[0].count, n - 1);
	EXPECT_EQ(runs->run[1].fd, other.nic);
	EXPECT_EQ(runs->run[1].count, 1);
	close_pairs(&other, 1);
}

/* A connection whose peer does not read keeps what TCP does not take, in order; another goes on. */
TEST_F(stack, peer_does_not_read)
{
	struct pair other;
	uint64_t sent = 0, at = 0;
	uint32_t i;
	int round;

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	/* Until slots stay. */
	for (round = 0; round < 100000 && nm_ring_space(self->tx) >= self->tx->num_slots / 2; round++) {
		sent += put(&self->port, self->pair.nic, 1, sent, 1448, 1448);
		ASSERT_EQ(tx_sync(&self->port), 0);
	}
	ASSERT_LT(nm_ring_space(self->tx), self->tx->num_slots / 2);
	for (i = nm_ring_next(self->tx, self->tx->tail); i != self->tx->head; i = nm_ring_next(self->tx, i))
		EXPECT_EQ(self->tx->slot[i].fd, self->pair.nic);
	for (round = 0; round < 100; round++) {
		ASSERT_EQ(put(&self->port, other.nic, 2, at, 1000, 300), 1000);
		ASSERT_EQ(tx_sync(&self->port), 0);
		ASSERT_EQ(expect(other.peer, 2, at, 1000), 0);
		at += 1000;
	}
	/* Now it reads. The port sends what is in the ring in poll(), which also tells when there is room. */
	for (at = 0; at < sent;) {
		size_t part = sent - at < 100000 ? (size_t)(sent - at) : 100000;
		struct pollfd pollfds[] = { { .fd = self->port.fd, .events = POLLIN }, { .fd = self->pair.peer, .events = POLLIN } };

		ASSERT_GT(poll(pollfds, 2, LIMIT_MS), 0);
		if (ioctl(self->pair.peer, FIONREAD, &i) || i == 0)
			continue;
		part = i < part ? i : part;
		ASSERT_EQ(expect(self->pair.peer, 1, at, part), 0);
		at += part;
	}
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	close_pairs(&other, 1);
}

/* A program that does not sync keeps the peer waiting, and nothing is lost. */
TEST_F(stack, program_does_not_sync)
{
	uint64_t sent = 0, got = 0;
	int quiet = 0;

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	/* Until the window is closed, for a while. */
	while (quiet < 20) {
		size_t n = feed(self->pair.peer, 1, sent, 1 << 20);

		sent += n;
		quiet = n ? 0 : quiet + 1;
		usleep(10000);
	}
	/* More than a ring has room for. */
	ASSERT_GT(sent, self->rx->num_slots * 1000ul);
	while (got < sent) {
		struct netmap_slot *slot;

		AWAIT();
		slot = head_slot(self->rx);
		ASSERT_EQ(differs((uint8_t *)NETMAP_BUF(self->rx, slot->buf_idx) + slot->offset, 1, got, slot->len), slot->len);
		got += slot->len;
		ring_advance(self->rx);
	}
	EXPECT_EQ(got, sent);
}

TEST_F(stack, ipv6)
{
	struct pair pair;

	ASSERT_EQ(make_pairs(&pair, 1, NIC_ADDRESS6), 0);
	ASSERT_EQ(stack_register(&self->port, pair.nic), 0);
	ASSERT_EQ(feed(pair.peer, 1, 0, 5000), 5000);
	EXPECT_OCTETS(pair.nic, 1, 0, 5000);
	ASSERT_EQ(put(&self->port, pair.nic, 2, 0, 50000, 1500), 50000);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(expect(pair.peer, 2, 0, 50000), 0);
	close_pairs(&pair, 1);
}

/* A connection that is not there yet keeps its slots. */
TEST_F(stack, connecting)
{
	struct sockaddr_storage at;
	uint16_t number;
	int listener = listen_at(true, PEER_ADDRESS, &number), sd, peer;

	ASSERT_GE(listener, 0);
	sd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ASSERT_EQ(connect(sd, (struct sockaddr *)&at, address(&at, PEER_ADDRESS, number)), -1);
	ASSERT_EQ(errno, EINPROGRESS);
	ASSERT_EQ(put(&self->port, sd, 3, 0, 4000, 1000), 4000);
	EXPECT_EQ(tx_sync(&self->port), 0);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	ASSERT_GE(peer, 0);
	/* poll() sends what is left. */
	while (nm_tx_pending(self->tx))
		ASSERT_GE(poll_port(&self->port, POLLIN, 10), 0);
	EXPECT_EQ(expect(peer, 3, 0, 4000), 0);
	close(peer);
	close(sd);
	close(listener);
}

/* Impossible slots set the ring back, and nothing of them is sent. */
TEST_F(stack, impossible)
{
	struct netmap_slot *slot;
	uint32_t used;
	int i;

	for (i = 0; i < 4; i++) {
		put(&self->port, self->pair.nic, 1, 10 * (uint64_t)i, 10, 10);
		slot = head_slot(self->tx);
		slot->fd = self->pair.nic;
		slot->len = 10;
		used = slot->buf_idx;
		if (i == 0)
			slot->offset = (uint16_t)(self->tx->nr_buf_size - 9);
		else if (i == 1)
			slot->len = (uint16_t)(self->tx->nr_buf_size - slot->offset + 1);
		else if (i == 2)
			slot->buf_idx = 0;
		else
			slot->buf_idx = 0x7fffffff;
		ring_advance(self->tx);
		EXPECT_EQ(poll_port(&self->port, POLLOUT, 0) & POLLERR, POLLERR);
		EXPECT_EQ(expect(self->pair.peer, 1, 10 * (uint64_t)i, 10), 0);
		slot->offset = (uint16_t)self->tx->stack_room;
		slot->len = 0;
		slot->buf_idx = used;
	}
	put(&self->port, self->pair.nic, 1, 40, 10, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(expect(self->pair.peer, 1, 40, 10), 0);
}

/* A buffer that TCP has is nobody's to send again. */
TEST_F(stack, in_flight)
{
	uint32_t buffer = head_slot(self->tx)->buf_idx, own;
	struct netmap_slot *slot;

	put(&self->port, self->pair.nic, 1, 0, 10, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	slot = head_slot(self->tx);
	own = slot->buf_idx;
	ASSERT_NE(own, buffer);
	slot->buf_idx = buffer;
	slot->fd = self->pair.nic;
	slot->len = 10;
	ring_advance(self->tx);
	EXPECT_EQ(poll_port(&self->port, POLLOUT, 0) & POLLERR, POLLERR);
	slot->buf_idx = own;
	slot->len = 0;
	EXPECT_EQ(expect(self->pair.peer, 1, 0, 10), 0);
}

/* The socket is closed although the port knows it, and what TCP had not taken is told to be dropped; its number is another's. */
TEST_F(stack, closed_and_reused)
{
	uint64_t sent = 0, seen = 0;
	struct pair other;
	char data[65536];
	int round, number = self->pair.nic;
	ssize_t n;

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	for (round = 0; round < 100000 && nm_ring_space(self->tx) >= self->tx->num_slots / 2; round++) {
		sent += put(&self->port, number, 1, sent, 1448, 1448);
		ASSERT_EQ(tx_sync(&self->port), 0);
	}
	ASSERT_EQ(dup2(other.nic, number), number);
	close(other.nic);
	/* The new one has the number. */
	ASSERT_EQ(put(&self->port, number, 2, 0, 1000, 300), 1000);
	ASSERT_EQ(tx_sync(&self->port), 0);
	EXPECT_TOLD(number, NS_STACK_ERROR, ESTALE);
	EXPECT_EQ(expect(other.peer, 2, 0, 1000), 0);
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	EXPECT_EQ(read(other.peer, data, 1), -1);
	/* The old one ends as TCP ends it: what was accepted, then the end. */
	fcntl(self->pair.peer, F_SETFL, 0);
	while ((n = read(self->pair.peer, data, sizeof(data))) > 0) {
		ASSERT_EQ(differs((uint8_t *)data, 1, seen, (size_t)n), n);
		seen += (uint64_t)n;
	}
	EXPECT_EQ(n, 0);
	EXPECT_GT(seen, 0);
	EXPECT_LT(seen, sent);
	close(other.peer);
}

/* A number that is no socket any more. */
TEST_F(stack, closed_and_a_file)
{
	int number = self->pair.nic, file = open("/dev/null", O_RDONLY);

	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(dup2(file, number), number);
	close(file);
	put(&self->port, number, 1, 0, 10, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_TOLD(number, NS_STACK_ERROR, ENOTSOCK);
}

/* The number is registered again for another socket while the old one is open by another descriptor. */
TEST_F(stack, replaced)
{
	int number = self->pair.nic, kept = dup(number);
	struct pair other;
	char data[100];

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(dup2(other.nic, number), number);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	/* The old one is an ordinary socket. */
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_EQ(expect(kept, 1, 0, 100), 0);
	ASSERT_EQ(feed(other.peer, 2, 0, 100), 100);
	EXPECT_OCTETS(number, 2, 0, 100);
	EXPECT_EQ(read(kept, data, 1), -1);
	close(kept);
	close(other.nic);
	close(other.peer);
}

/* What was not published is read from the socket, and the socket is an ordinary one. */
TEST_F(stack, unregistered)
{
	uint32_t got = 0;

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 1000), 1000);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 1000);
	ASSERT_EQ(feed(self->pair.peer, 1, 1000, 9000), 9000);
	ASSERT_EQ(shutdown(self->pair.peer, SHUT_WR), 0);
	/* Until all is there, in the port. */
	settle(nic_name());
	ASSERT_EQ(stack_unregister(&self->port, self->pair.nic), 0);
	EXPECT_EQ(expect(self->pair.nic, 1, 1000, 9000), 0);
	EXPECT_EQ(expect(self->pair.nic, 1, 0, 1), -EPIPE);
	EXPECT_EQ(ioctl(self->pair.nic, FIONREAD, &got), 0);
	EXPECT_EQ(got, 0);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	EXPECT_EQ(feed(self->pair.nic, 2, 0, 100), 100);
	EXPECT_EQ(expect(self->pair.peer, 2, 0, 100), 0);
}

/* The port is closed: what is in slots that were not released is read from the sockets. */
TEST_F(stack, port_closed)
{
	enum { COUNT = 4 };
	struct pair pairs[COUNT];
	struct port port;
	struct netmap_ring *rx;
	uint32_t i;
	int j;

	ASSERT_EQ(stack_open(&port, 0), 0);
	rx = rx_ring(&port, 0);
	ASSERT_EQ(make_pairs(pairs, COUNT, NIC_ADDRESS), 0);
	for (j = 0; j < COUNT; j++) {
		ASSERT_EQ(stack_register(&port, pairs[j].nic), 0);
		ASSERT_EQ(feed(pairs[j].peer, (uint32_t)j, 0, 5000), 5000);
	}
	/* Some of it is in the ring, the rest is not. */
	ASSERT_NE(wait_rx(&port, LIMIT_MS), NULL);
	i = rx->slot[rx->head].len;
	for (j = 0; pairs[j].nic != rx->slot[rx->head].fd; j++)
		;
	/* The first slot is done with. */
	ring_advance(rx);
	put(&port, pairs[0].nic, 10, 0, 20000, 1448);
	EXPECT_EQ(tx_sync(&port), 0);
	ASSERT_EQ(port_close(&port), 0);
	EXPECT_EQ(expect(pairs[j].nic, (uint32_t)j, i, 5000 - i), 0);
	for (i = 0; i < COUNT; i++) {
		if ((int)i != j)
			EXPECT_EQ(expect(pairs[i].nic, i, 0, 5000), 0);
		EXPECT_EQ(feed(pairs[i].peer, i, 5000, 100), 100);
		EXPECT_EQ(expect(pairs[i].nic, i, 5000, 100), 0);
	}
	EXPECT_EQ(expect(pairs[0].peer, 10, 0, 20000), 0);
	close_pairs(pairs, COUNT);
}

/* recv() finds what the port has not taken, and nothing breaks. */
TEST_F(stack, ordinary_read)
{
	char data[100];

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	EXPECT_EQ(recv(self->pair.nic, data, sizeof(data), MSG_DONTWAIT), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(send(self->pair.nic, "x", 1, 0), 1);
	EXPECT_EQ(recv(self->pair.peer, data, 1, MSG_PEEK), 1);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
}

/* Urgent data are in line. */
TEST_F(stack, urgent)
{
	uint8_t data[3] = { octet(1, 0), octet(1, 1), octet(1, 2) };

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(send(self->pair.peer, data, 3, MSG_OOB), 3);
	ASSERT_EQ(feed(self->pair.peer, 1, 3, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 103);
}

/* More than the buffers of the port: TCP gets copies. */
TEST_F(stack, many_buffers)
{
	enum { COUNT = 8, SIZE = 400000 };
	struct pair pairs[COUNT];
	uint64_t put_so_far[COUNT] = { 0 }, got[COUNT] = { 0 };
	int i, done = 0;

	ASSERT_EQ(make_pairs(pairs, COUNT, NIC_ADDRESS), 0);
	while (done < COUNT) {
		struct pollfd pollfds[COUNT + 1];

		for (i = 0; i < COUNT; i++) {
			size_t left = SIZE - put_so_far[i];

			put_so_far[i] += put(&self->port, pairs[i].nic, (uint32_t)i, put_so_far[i], left < 5000 ? left : 5000, 100);
		}
		ASSERT_EQ(tx_sync(&self->port), 0);
		for (i = 0; i < COUNT; i++) {
			uint8_t data[65536];
			ssize_t n = read(pairs[i].peer, data, sizeof(data));

			if (n > 0) {
				ASSERT_EQ(differs(data, (uint32_t)i, got[i], (size_t)n), n);
				got[i] += (uint64_t)n;
				done += got[i] == SIZE;
			}
			pollfds[i] = (struct pollfd){ .fd = pairs[i].peer, .events = POLLIN };
		}
		pollfds[COUNT] = (struct pollfd){ .fd = self->port.fd, .events = POLLIN };
		if (nm_ring_empty(self->tx))
			ASSERT_GT(poll(pollfds, COUNT + 1, LIMIT_MS), 0);
	}
	close_pairs(pairs, COUNT);
}

TEST_HARNESS_MAIN
