// SPDX-License-Identifier: BSD-2-Clause
/* VALE switches: what ports there can be, of which names and sizes, how they are listed, and where they are known. */

#include "vale.h"

#define LEN	60

FIXTURE(ports) {
	struct port a, b, c;
};

FIXTURE_SETUP(ports)
{
	ASSERT_EQ(0, vale_open(&self->a, "vale0:a"));
	ASSERT_EQ(0, vale_open(&self->b, "vale0:b"));
	ASSERT_EQ(0, vale_open(&self->c, "vale0:c"));
}

FIXTURE_TEARDOWN(ports)
{
	port_close(&self->a);
	port_close(&self->b);
	port_close(&self->c);
}

/* Each port has memory of its own, unless it asks for that of another. */
TEST_F(ports, memory)
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

TEST_F(ports, exclusive)
{
	struct port other, refused;

	EXPECT_EQ(EBUSY, port_bind(&other, "vale0:a", NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_open(&other, "vale0:e", NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(EBUSY, port_bind(&refused, "vale0:e", NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(EBUSY, port_bind(&refused, "vale0:e", NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY));
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
TEST_F(ports, namespaces)
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

TEST_HARNESS_MAIN
