// SPDX-License-Identifier: BSD-2-Clause
/* VALE switches: which port gets which packet, what ports look like, and what bad ones cannot do. */

#include "vale.h"

#define LEN	60

FIXTURE(vale) {
	struct port a, b, c;
};

FIXTURE_SETUP(vale)
{
	ASSERT_EQ(0, vale_open(&self->a, "vale0:a"));
	ASSERT_EQ(0, vale_open(&self->b, "vale0:b"));
	ASSERT_EQ(0, vale_open(&self->c, "vale0:c"));
}

FIXTURE_TEARDOWN(vale)
{
	port_close(&self->a);
	port_close(&self->b);
	port_close(&self->c);
}

/* What is not known goes to all others, what is goes there alone, and nothing goes back where it came from. */
TEST_F(vale, learns)
{
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 1, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(2), HOST(1), 1));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(2), HOST(1), 1));
	EXPECT_TRUE(is_silent(&self->a));

	ASSERT_EQ(0, frame_send(&self->b, LEN, HOST(1), HOST(2), 2, 0));
	EXPECT_TRUE(frame_is(&self->a, LEN, HOST(1), HOST(2), 2));
	EXPECT_TRUE(is_silent(&self->c));
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 3, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(2), HOST(1), 3));
	EXPECT_TRUE(is_silent(&self->c));

	/* To a host on the same port. */
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(3), HOST(4), 4, 0));
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(4), HOST(1), 5, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(3), HOST(4), 4));
	EXPECT_TRUE(is_silent(&self->a));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(1, port_count(&self->a, " drops "));

	/* It has moved. */
	ASSERT_EQ(0, frame_send(&self->c, LEN, HOST(9), HOST(2), 6, 0));
	EXPECT_TRUE(frame_is(&self->a, LEN, HOST(9), HOST(2), 6));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(9), HOST(2), 6));
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 7, 0));
	EXPECT_TRUE(is_silent(&self->b));
}

TEST_F(vale, groups_are_flooded_and_not_learnt)
{
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 1, 0));
	ASSERT_EQ(0, frame_send(&self->a, LEN, GROUP(1), GROUP(2), 2, 0));
	ASSERT_EQ(0, frame_send(&self->b, LEN, GROUP(2), HOST(2), 3, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), 1));
	EXPECT_TRUE(frame_is(&self->c, LEN, GROUP(1), GROUP(2), 2));
	EXPECT_TRUE(frame_is(&self->c, LEN, GROUP(2), HOST(2), 3));
	EXPECT_TRUE(frame_is(&self->a, LEN, GROUP(2), HOST(2), 3));
}

TEST_F(vale, flags_of_slots)
{
	/* Not to be learnt. */
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 1, NS_NO_LEARN));
	ASSERT_EQ(0, frame_send(&self->b, LEN, HOST(1), HOST(2), 2, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(2), HOST(1), 1));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(1), HOST(2), 2));
	EXPECT_TRUE(frame_is(&self->a, LEN, HOST(1), HOST(2), 2));
	EXPECT_TRUE(frame_is(&self->b, LEN, HOST(2), HOST(1), 1));
	/* To a port, whatever the address; to our own; and to one that is not there. */
	ASSERT_EQ(0, frame_send(&self->a, LEN, HOST(2), HOST(1), 3, 2 << NS_PORT_SHIFT));
	ASSERT_EQ(0, frame_send(&self->b, LEN, ALL, HOST(1), 4, 1 << NS_PORT_SHIFT));
	ASSERT_EQ(0, frame_send(&self->b, LEN, ALL, HOST(1), 4, 200 << NS_PORT_SHIFT));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_TRUE(frame_is(&self->c, LEN, HOST(2), HOST(1), 3));
	EXPECT_TRUE(is_silent(&self->c));
	EXPECT_TRUE(is_silent(&self->a));
	EXPECT_EQ(2, port_count(&self->b, " drops "));
}

/* What is no frame is no packet of any port. */
TEST_F(vale, shortest)
{
	uint32_t len;

	for (len = 0; len < 14; len++)
		ASSERT_EQ(0, frame_send(&self->a, len, ALL, HOST(1), len, 0));
	for (len = 14; len <= 2048; len += len < 300 ? 1 : 97) {
		ASSERT_EQ(0, frame_send(&self->a, len, ALL, HOST(1), len, 0));
		ASSERT_TRUE(frame_is(&self->b, len, ALL, HOST(1), len)) {
			TH_LOG("%u", len);
		}
		ASSERT_TRUE(frame_is(&self->c, len, ALL, HOST(1), len));
	}
	EXPECT_EQ(14, port_count(&self->a, " drops "));
	EXPECT_EQ(0, port_count(&self->a, " reinits "));
}

/* Runs, and packets that go to and fro between addresses, are received in order. */
TEST_F(vale, mixed_in_a_batch)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint32_t round, number;
	uint8_t frame[LEN];

	ASSERT_EQ(0, frame_send(&self->b, LEN, ALL, HOST(2), 0, 0));
	ASSERT_EQ(0, frame_send(&self->c, LEN, ALL, HOST(3), 0, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(2), 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(3), 0));
	for (round = 1; round < 40; round++) {
		for (number = 0; number < 700; number++) {
			const uint8_t *to = number / round % 3 == 0 ? HOST(2) : number / round % 3 == 1 ? HOST(3) : ALL;

			frame_make(frame, LEN, to, number % 2 ? HOST(1) : HOST(4), number);
			ASSERT_TRUE(packet_put(ring, frame, LEN, LEN, 0));
		}
		ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		for (number = 0; number < 700; number++) {
			const uint8_t *from = number % 2 ? HOST(1) : HOST(4);
			uint32_t which = number / round % 3;

			if (which == 0)
				ASSERT_TRUE(frame_is(&self->b, LEN, HOST(2), from, number));
			if (which == 1)
				ASSERT_TRUE(frame_is(&self->c, LEN, HOST(3), from, number));
			if (which == 2)
				ASSERT_TRUE(frame_is(&self->b, LEN, ALL, from, number) &&
					    frame_is(&self->c, LEN, ALL, from, number));
		}
		ASSERT_TRUE(is_silent(&self->b) && is_silent(&self->c));
	}
}

/* Packets of many slots: any lengths, up to 64 of them; one that has no end yet waits for it. */
TEST_F(vale, fragments)
{
	static uint8_t packet[MOST_BYTES], found[MOST_BYTES];
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint32_t len, part, at;

	for (len = 60; len <= MOST_BYTES; len = len * 2 + 1) {
		for (part = (len + 63) / 64 < 14 ? 14 : (len + 63) / 64; part <= 2048; part = part * 3 - 1) {
			frame_make(packet, len, ALL, HOST(1), len + part);
			ASSERT_EQ(0, packet_send(&self->a, packet, len, part, 0));
			ASSERT_EQ(len, packet_take(&self->b, found)) {
				TH_LOG("%u in parts of %u", len, part);
			}
			ASSERT_EQ(0, memcmp(packet, found, len));
			ASSERT_EQ(len, packet_take(&self->c, found));
		}
	}
	frame_make(packet, MOST_BYTES, ALL, HOST(1), 1);
	ASSERT_EQ(0, packet_send(&self->a, packet, MOST_BYTES, 2048, 0));
	ASSERT_EQ(MOST_BYTES, packet_take(&self->b, found));
	EXPECT_EQ(0, memcmp(packet, found, MOST_BYTES));

	/* Without its end. */
	frame_make(packet, 120, ALL, HOST(1), 2);
	at = ring->head;
	ASSERT_TRUE(packet_put(ring, packet, 120, 60, 0));
	ring->head = ring->cur = nm_ring_next(ring, at);
	ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
	EXPECT_TRUE(is_silent(&self->b));
	ring->head = ring->cur = nm_ring_next(ring, ring->head);
	ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
	EXPECT_TRUE(frame_is(&self->b, 120, ALL, HOST(1), 2));
	EXPECT_EQ(0, port_count(&self->a, " reinits "));

	/* One slot too many. */
	frame_make(packet, 65 * 60, ALL, HOST(1), 3);
	ASSERT_EQ(0, packet_send(&self->a, packet, 65 * 60, 60, 0));
	EXPECT_EQ(1, port_count(&self->a, " reinits "));
	EXPECT_TRUE(is_silent(&self->b));
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 4, 0));
	EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), 4));
}

/* A ring that is full, and one that nobody has, cost their own packets. */
TEST_F(vale, slow_and_absent_receivers)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint8_t frame[LEN];
	struct port half;
	uint32_t number;

	/* A port of which only transmit rings are bound. */
	ASSERT_EQ(0, port_open(&half, "vale0:half", NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY));
	for (number = 0; number < 3000; number++) {
		frame_make(frame, LEN, ALL, HOST(1), number);
		while (!packet_put(ring, frame, LEN, LEN, 0))
			ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		if (number % 100 == 99) {
			ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
			while (!is_silent(&self->b))
				;
		}
	}
	EXPECT_EQ(3000, port_count(&self->a, " packets "));
	EXPECT_EQ(3000, port_count(&self->b, " packets "));
	EXPECT_EQ(0, port_count(&self->b, " drops "));
	EXPECT_EQ(1023, port_count(&self->c, " packets "));
	EXPECT_EQ(3000 - 1023, port_count(&self->c, " drops "));
	for (number = 0; number < 1023; number++)
		ASSERT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), number));
	EXPECT_TRUE(is_silent(&self->c));
	port_close(&half);
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 1, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), 1));
}

/* Whole packets, or nothing of them. */
TEST_F(vale, no_half_packets)
{
	static uint8_t packet[MOST_BYTES], found[MOST_BYTES];
	uint32_t number, count = 0;

	for (number = 0; number < 200; number++) {
		frame_make(packet, 10 * 60, ALL, HOST(1), number);
		ASSERT_EQ(0, packet_send(&self->a, packet, 10 * 60, 60, 0));
	}
	while (packet_take(&self->b, found) == 10 * 60) {
		frame_make(packet, 10 * 60, ALL, HOST(1), count++);
		ASSERT_EQ(0, memcmp(packet, found, 10 * 60));
	}
	EXPECT_EQ(102, count);
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(98, port_count(&self->b, " drops "));
}

/* A sleeper is woken by what comes, once for a batch. */
static void *sender(void *argument)
{
	struct port *port = argument;
	struct netmap_ring *ring = NETMAP_TXRING(port->nifp, 0);
	uint8_t frame[LEN];
	uint32_t number;

	for (number = 0; number < 100; number++) {
		frame_make(frame, LEN, ALL, HOST(1), number);
		packet_put(ring, frame, LEN, LEN, 0);
	}
	ioctl(port->fd, NIOCTXSYNC, NULL);
	return NULL;
}

TEST_F(vale, wakes)
{
	pthread_t thread;

	EXPECT_EQ(POLLOUT, poll_once(self->a.fd, POLLOUT, 0));
	EXPECT_EQ(0, poll_once(self->b.fd, POLLIN, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sender, &self->a));
	EXPECT_EQ(POLLIN, poll_once(self->b.fd, POLLIN, -1));
	pthread_join(thread, NULL);
	EXPECT_EQ(POLLIN, poll_once(self->c.fd, POLLIN, -1));
	EXPECT_LE(port_count(&self->b, " wakeups "), 2);
	EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), 0));
}

/* A sender's slots that cannot be are its own problem. */
TEST_F(vale, impossible_slots)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	uint32_t good = ring->slot[ring->head].buf_idx, i;
	static const struct {
		uint32_t buf_idx, len;
	} bad[] = { { 0, 60 }, { 1, 60 }, { UINT32_MAX, 60 }, { 0x10000000, 60 }, { 0, 0 }, { 7, 2049 }, { 7, 65535 } };
	uint8_t frame[LEN];

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t at;

		frame_make(frame, LEN, ALL, HOST(1), i);
		ASSERT_TRUE(packet_put(ring, frame, LEN, LEN, 0));
		at = ring->head;
		ASSERT_TRUE(packet_put(ring, frame, LEN, LEN, 0));
		good = ring->slot[at].buf_idx;
		ring->slot[at].buf_idx = bad[i].buf_idx == 7 ? good : bad[i].buf_idx;
		ring->slot[at].len = bad[i].len;
		ASSERT_EQ(0, ioctl(self->a.fd, NIOCTXSYNC, NULL));
		EXPECT_TRUE(frame_is(&self->b, LEN, ALL, HOST(1), i));
		EXPECT_TRUE(is_silent(&self->b));
		EXPECT_EQ(i + 1, port_count(&self->a, " reinits "));
		EXPECT_EQ(at, ring->head);
		EXPECT_EQ(good, ring->slot[at].buf_idx);
	}
	/* So are a receiver's. */
	ring = NETMAP_RXRING(self->b.nifp, 0);
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 1, 0));
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 2, 0));
	ASSERT_EQ(0, ioctl(self->b.fd, NIOCRXSYNC, NULL));
	for (i = 0; i < ring->num_slots; i++)
		ring->slot[i].buf_idx = 0xffffff;
	ring->head = ring->cur = ring->tail;
	ASSERT_EQ(0, ioctl(self->b.fd, NIOCRXSYNC, NULL));
	EXPECT_EQ(1, port_count(&self->b, " reinits "));
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 3, 0));
	while (!is_silent(&self->c))
		;
	ASSERT_EQ(0, frame_send(&self->a, LEN, ALL, HOST(1), 4, 0));
	EXPECT_TRUE(frame_is(&self->c, LEN, ALL, HOST(1), 4));
}

/* Each port has memory of its own, unless it asks for that of another. */
TEST_F(vale, memory)
{
	struct nmreq_port_info_get info = { 0 };
	struct port shared = { .reg = { .nr_mem_id = self->a.reg.nr_mem_id } }, none;

	EXPECT_NE(1, self->a.reg.nr_mem_id);
	EXPECT_NE(self->a.reg.nr_mem_id, self->b.reg.nr_mem_id);
	EXPECT_NE(self->c.reg.nr_mem_id, self->b.reg.nr_mem_id);
	EXPECT_EQ(0, request(self->a.fd, NETMAP_REQ_PORT_INFO_GET, "vale0:a", &info));
	EXPECT_EQ(self->a.reg.nr_mem_id, info.nr_mem_id);
	EXPECT_EQ(1024, info.nr_tx_slots);
	ASSERT_EQ(0, vale_open_as(&shared, "vale0:d"));
	EXPECT_EQ(self->a.reg.nr_mem_id, shared.reg.nr_mem_id);
	ASSERT_EQ(0, frame_send(&shared, LEN, ALL, HOST(4), 4, 0));
	EXPECT_TRUE(frame_is(&self->a, LEN, ALL, HOST(4), 4));
	port_close(&shared);
	none = (struct port){ .reg = { .nr_mem_id = 4711 } };
	EXPECT_EQ(EINVAL, vale_open_as(&none, "vale0:d"));
}

TEST_F(vale, exclusive)
{
	struct port other;

	EXPECT_EQ(EBUSY, port_bind(&other, "vale0:a", NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_open(&other, "vale0:e", NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(EBUSY, vale_open(&self->a, "vale0:e"));
	ASSERT_EQ(0, vale_open(&self->a, "vale0:a"));
	port_close(&other);
	ASSERT_EQ(0, port_open(&other, "vale0:e", NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	port_close(&other);
}

/* What a port has is what was asked for, within limits. */
TEST(sizes)
{
	struct port port = { .reg = { .nr_tx_rings = 100, .nr_rx_rings = 3, .nr_tx_slots = 1, .nr_rx_slots = 70000 } }, other;
	static uint8_t packet[MOST_BYTES];
	uint32_t i;

	ASSERT_EQ(0, vale_open_as(&port, "valeA:x"));
	EXPECT_EQ(16, port.reg.nr_tx_rings);
	EXPECT_EQ(3, port.reg.nr_rx_rings);
	EXPECT_EQ(2, port.reg.nr_tx_slots);
	EXPECT_EQ(4096, port.reg.nr_rx_slots);
	EXPECT_EQ(0, port.nifp->ni_host_tx_rings);
	/* A ring sends to that of its number, modulo how many there are, and to all to the first one. */
	other = (struct port){ .reg = { .nr_rx_rings = 2, .nr_rx_slots = 32 } };
	ASSERT_EQ(0, vale_open_as(&other, "valeA:y"));
	ASSERT_EQ(0, frame_send(&other, LEN, ALL, HOST(2), 0, 0));
	EXPECT_EQ(LEN, ring_take(&port, 0, packet));
	for (i = 0; i < 16; i++) {
		uint8_t frame[LEN];

		frame_make(frame, LEN, HOST(2), HOST(1), i);
		ASSERT_TRUE(packet_put(NETMAP_TXRING(port.nifp, i), frame, LEN, LEN, 0));
		ASSERT_EQ(0, ioctl(port.fd, NIOCTXSYNC, NULL));
		EXPECT_EQ(LEN, ring_take(&other, i % 2, packet));
		EXPECT_EQ(0, memcmp(packet, frame, LEN));
		EXPECT_EQ(-1, ring_take(&other, 1 - i % 2, packet));
		frame_make(frame, LEN, ALL, HOST(1), i);
		ASSERT_TRUE(packet_put(NETMAP_TXRING(port.nifp, i), frame, LEN, LEN, 0));
		ASSERT_EQ(0, ioctl(port.fd, NIOCTXSYNC, NULL));
		EXPECT_EQ(LEN, ring_take(&other, 0, packet));
	}
	port_close(&port);
	port_close(&other);
}

TEST(names)
{
	static const struct {
		const char *name;
		int error;
	} cases[] = {
		{ "vale0:", 0 }, { "vale:x", 0 }, { "vale_9aZ:x-y.z", 0 }, { "vale0:fifteen_letters", 0 },
		{ "vale0:sixteen__letters", ENXIO }, { "vale-0:x", ENXIO }, { "vale0:a b", ENXIO }, { "vale 0:x", ENXIO },
		{ "vale0:a\tb", ENXIO }, { "vale0", ENXIO }, { "Vale0:x", ENXIO }, { "vale0:lo", EINVAL },
	};
	struct port port;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int error = vale_open(&port, cases[i].name);

		EXPECT_EQ(cases[i].error, error) {
			TH_LOG("%s", cases[i].name);
		}
		if (!error)
			port_close(&port);
	}
}

static int list_from(struct nmreq_vale_list *body, char *name)
{
	struct nmreq_header header;
	int fd = device_open(), error;

	header_init(&header, NETMAP_REQ_VALE_LIST, name, body);
	error = errno_of(ioctl(fd, NIOCCTRL, &header));
	close(fd);
	strcpy(name, header.nr_name);
	return error;
}

TEST(list)
{
	static const char *const names[] = { "vale0:a", "vale0:b", "vale1:x", "vale0:c" };
	struct nmreq_vale_list body = { 0 };
	char name[NETMAP_REQ_IFNAMSIZ] = "";
	struct port ports[4];
	struct nmreq legacy;
	uint32_t i;
	int fd;

	EXPECT_EQ(ENOENT, list_from(&body, name));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, vale_open(&ports[i], names[i]));
	/* From one to the next. */
	for (i = 0; i < 4; i++) {
		static const struct {
			uint32_t switch_, port;
			const char *name;
		} want[] = { { 0, 0, "vale0:a" }, { 0, 1, "vale0:b" }, { 0, 2, "vale0:c" }, { 1, 0, "vale1:x" } };

		name[0] = 0;
		ASSERT_EQ(0, list_from(&body, name));
		EXPECT_EQ(want[i].switch_, body.nr_bridge_idx);
		EXPECT_EQ(want[i].port, body.nr_port_idx);
		EXPECT_STREQ(want[i].name, name);
		body.nr_port_idx++;
	}
	name[0] = 0;
	EXPECT_EQ(ENOENT, list_from(&body, name));
	/* By name. */
	strcpy(name, "vale0:c");
	EXPECT_EQ(0, list_from(&body, name));
	EXPECT_EQ(0, body.nr_bridge_idx);
	EXPECT_EQ(2, body.nr_port_idx);
	strcpy(name, "vale1:");
	EXPECT_EQ(0, list_from(&body, name));
	EXPECT_EQ(1, body.nr_bridge_idx);
	EXPECT_EQ(255, body.nr_port_idx);
	strcpy(name, "vale9:c");
	EXPECT_EQ(ENOENT, list_from(&body, name));
	strcpy(name, "vale0");
	EXPECT_EQ(ENOENT, list_from(&body, name));
	strcpy(name, "eth0");
	EXPECT_EQ(EINVAL, list_from(&body, name));
	/* The other interface. */
	fd = device_open();
	legacy_init(&legacy, "");
	legacy.nr_cmd = NETMAP_BDG_LIST;
	legacy.nr_arg2 = 1;
	EXPECT_EQ(0, errno_of(ioctl(fd, NIOCGINFO, &legacy)));
	EXPECT_STREQ("vale0:b", legacy.nr_name);
	legacy_init(&legacy, "vale1:x");
	legacy.nr_cmd = NETMAP_BDG_LIST;
	EXPECT_EQ(0, errno_of(ioctl(fd, NIOCGINFO, &legacy)));
	EXPECT_EQ(1, legacy.nr_arg1);
	EXPECT_EQ(0, legacy.nr_arg2);
	close(fd);
	for (i = 0; i < 4; i++)
		port_close(&ports[i]);
	body = (struct nmreq_vale_list){ 0 };
	name[0] = 0;
	EXPECT_EQ(ENOENT, list_from(&body, name));
}

/* The same name in another network namespace is another port, of another switch. */
TEST_F(vale, namespaces)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct nmreq_vale_list body = { 0 };
		char name[NETMAP_REQ_IFNAMSIZ] = "";
		struct port a;

		if (unshare(CLONE_NEWNET))
			_exit(1);
		if (list_from(&body, name) != ENOENT)
			_exit(2);
		a = (struct port){ .reg = { .nr_mem_id = self->a.reg.nr_mem_id } };
		if (vale_open_as(&a, "vale0:a") != EINVAL)
			_exit(3);
		if (vale_open(&a, "vale0:a") || frame_send(&a, LEN, ALL, HOST(1), 1, 0))
			_exit(4);
		_exit(list_from(&body, name) ? 5 : 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(is_silent(&self->b));
}

/* A switch has 254 ports, and a namespace has 8 switches. */
TEST(limits)
{
	static struct port ports[255];
	struct nmreq_register reg;
	char name[32];
	int i, count;

	for (i = 0; i < 255; i++) {
		ports[i] = (struct port){ .reg = { .nr_tx_slots = 4, .nr_rx_slots = 4 } };
		snprintf(name, sizeof(name), "vale0:p%d", i);
		ASSERT_EQ(i < 254 ? 0 : ENOMEM, vale_open_as(&ports[i], name)) {
			TH_LOG("port %d", i);
		}
		if (i % 20 == 0)
			printf("# %d ports\n", i);
	}
	/* Between two of many as between two. */
	ASSERT_EQ(0, frame_send(&ports[253], LEN, ALL, HOST(253), 0, 0));
	for (i = 0; i < 253; i++)
		ASSERT_TRUE(frame_is(&ports[i], LEN, ALL, HOST(253), 0));
	for (i = 0; i < 253; i++) {
		ASSERT_EQ(0, frame_send(&ports[i], LEN, HOST(253), HOST(i), i, 0));
		ASSERT_TRUE(frame_is(&ports[253], LEN, HOST(253), HOST(i), i));
	}
	ASSERT_EQ(0, frame_send(&ports[253], LEN, HOST(77), HOST(253), 0, 0));
	for (i = 0; i < 253; i++) {
		if (i == 77)
			ASSERT_TRUE(frame_is(&ports[i], LEN, HOST(77), HOST(253), 0));
		ASSERT_TRUE(is_silent(&ports[i]));
	}
	for (i = 0; i < 254; i++)
		port_close(&ports[i]);
	for (count = 0; count < 9; count++) {
		snprintf(name, sizeof(name), "vale%d:p", count);
		reg = (struct nmreq_register){ .nr_mode = NR_REG_ALL_NIC };
		ports[count].fd = device_open();
		ASSERT_EQ(count < 8 ? 0 : ENOMEM, request(ports[count].fd, NETMAP_REQ_REGISTER, name, &reg));
	}
	for (i = 0; i < 9; i++)
		close(ports[i].fd);
}

/* As many frames as a ring has room for, if nobody else takes them out. */
static void fill(struct netmap_ring *ring, const uint8_t *frame)
{
	uint32_t i;

	for (i = 0; i < 128 && packet_put(ring, frame, LEN, LEN, 0); i++)
		;
}

/* Ports that go while others send to them, and senders that are killed. */
static int churn(int me, int rounds)
{
	pid_t sender = 0;
	uint8_t frame[LEN];
	struct port port;
	char name[32];
	int round, i;

	for (round = 0; round < rounds; round++) {
		struct netmap_ring *ring;

		snprintf(name, sizeof(name), "vale%d:p%d", round % 3, (me + round) % 6);
		port = (struct port){ .reg = { .nr_tx_slots = 128, .nr_rx_slots = 64 } };
		if (vale_open_as(&port, name))
			return 1;
		for (i = 0; i < 3; i++) {
			frame_make(frame, LEN, i ? HOST(me + i) : ALL, HOST(me), round);
			fill(NETMAP_TXRING(port.nifp, 0), frame);
			if (ioctl(port.fd, NIOCTXSYNC, NULL) || ioctl(port.fd, NIOCRXSYNC, NULL))
				return 2;
			ring = NETMAP_RXRING(port.nifp, 0);
			ring->head = ring->cur = ring->tail;
		}
		if (sender) {
			kill(sender, SIGKILL);
			if (waitpid(sender, NULL, 0) != sender)
				return 3;
			sender = 0;
		}
		if (round % 4 == 3)
			sender = fork();
		if (round % 4 == 3 && sender == 0) {
			/* It goes on until it is killed, whatever its parent does with the port. */
			for (;;) {
				fill(NETMAP_TXRING(port.nifp, 0), frame);
				ioctl(port.fd, NIOCTXSYNC, NULL);
			}
		}
		port_close(&port);
	}
	if (sender) {
		kill(sender, SIGKILL);
		waitpid(sender, NULL, 0);
	}
	return 0;
}

TEST(comings_and_goings)
{
	const char *wish = getenv("CYCLES");
	int rounds = wish ? atoi(wish) * 3 : 100, i, status;
	pid_t children[4];

	for (i = 0; i < 4; i++) {
		children[i] = fork();
		if (children[i] == 0)
			_exit(churn(i, rounds));
	}
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(children[i], waitpid(children[i], &status, 0));
		EXPECT_EQ(0, status);
		printf("# %d of 4 done\n", i + 1);
	}
	/* Nothing is left of them. */
	{
		struct nmreq_vale_list body = { 0 };
		char name[NETMAP_REQ_IFNAMSIZ] = "";

		EXPECT_EQ(ENOENT, list_from(&body, name));
	}
}

TEST_HARNESS_MAIN
