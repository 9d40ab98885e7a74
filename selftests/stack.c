// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stack ports: binding, both directions, what they tell of ends. For stack.sh, which makes hosts of both ends of the wire. The
 * peer's connections are ordinary sockets.
 */
#include "stack_fixture.h"

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
	/* More than the part of a ring that one connection may have, and until the window is closed, for a while. */
	while (quiet < 20 || sent <= self->rx->num_slots / 4 * 1448ul) {
		size_t n = feed(self->pair.peer, 1, sent, 1 << 20);

		sent += n;
		quiet = n ? 0 : quiet + 1;
		usleep(10000);
	}
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
