// SPDX-License-Identifier: BSD-2-Clause
/* Every request of both control interfaces and its errors, and what a file answers that is not bound. */

#include "port.h"

#define BAD_POINTER ((void *)8)

/* A copy of DATA on a page that the kernel can read and not write. */
static void *read_only(const void *data, size_t size)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(page, data, size);
	mprotect(page, 4096, PROT_READ);
	return page;
}

FIXTURE(unbound) {
	int fd;
};

FIXTURE_SETUP(unbound)
{
	self->fd = device_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(unbound)
{
	close(self->fd);
}

TEST_F(unbound, legacy_versions)
{
	/* Those of programs, and what some ask for who mean the newest. */
	static const uint32_t far[] = { 21, 100, 0x10000, 0x7fffffff, UINT32_MAX };
	struct nmreq req;
	uint32_t i;

	for (i = 0; i <= 20 + ARRAY_SIZE(far); i++) {
		uint32_t version = i <= 20 ? i : far[i - 21];
		int expect = version >= 11 ? 0 : EINVAL;

		legacy_init(&req, "");
		req.nr_version = version;
		EXPECT_EQ(expect, errno_of(ioctl(self->fd, NIOCGINFO, &req))) {
			TH_LOG("version %u", version);
		}
		EXPECT_EQ(expect ? NETMAP_API : version, req.nr_version);
		if (expect) {
			legacy_init(&req, test_interface());
			req.nr_version = version;
			EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, NIOCREGIF, &req)));
			EXPECT_EQ(NETMAP_API, req.nr_version);
		}
	}
}

TEST_F(unbound, control_versions)
{
	struct nmreq_port_info_get info;
	struct nmreq_header header;
	uint16_t version;

	for (version = 0; version <= 20; version++) {
		int expect = version == 14 || version == 15 ? 0 : EINVAL;

		memset(&info, 0, sizeof(info));
		header_init(&header, NETMAP_REQ_PORT_INFO_GET, "", &info);
		header.nr_version = version;
		EXPECT_EQ(expect, errno_of(ioctl(self->fd, NIOCCTRL, &header))) {
			TH_LOG("version %u", version);
		}
		EXPECT_EQ(expect ? NETMAP_API : version, header.nr_version);
	}
}

TEST_F(unbound, bad_pointers)
{
	const unsigned long requests[] = { NIOCGINFO, NIOCREGIF, NIOCCTRL };
	struct nmreq_header header;
	size_t i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, requests[i], NULL)));
		EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, requests[i], BAD_POINTER)));
		EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, requests[i], (void *)-4096L)));
	}
	EXPECT_EQ(EFAULT, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), BAD_POINTER));
	EXPECT_EQ(EFAULT, request(self->fd, NETMAP_REQ_PORT_INFO_GET, "", BAD_POINTER));
	EXPECT_EQ(EFAULT, request(self->fd, NETMAP_REQ_POOLS_INFO_GET, test_interface(), BAD_POINTER));
	header_init(&header, NETMAP_REQ_PORT_INFO_GET, "", &(struct nmreq_port_info_get){ 0 });
	header.nr_options = (uintptr_t)BAD_POINTER;
	EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
}

/* The answer cannot be written: the bind is undone, and file and port are as before. */
TEST_F(unbound, answer_cannot_be_written)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC, .nr_flags = NR_EXCLUSIVE };
	struct nmreq legacy;
	struct port port;

	EXPECT_EQ(EFAULT, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), read_only(&reg, sizeof(reg))));
	legacy_init(&legacy, test_interface());
	legacy.nr_flags = NR_REG_ALL_NIC | NR_EXCLUSIVE;
	EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, NIOCREGIF, read_only(&legacy, sizeof(legacy)))));
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCTXSYNC, NULL)));
	ASSERT_EQ(0, port_bind(&port, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	port_close(&port);
	EXPECT_EQ(0, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
}

TEST_F(unbound, unknown_requests)
{
	/* Of a switch that does not exist, and what is not served. */
	static const struct { uint16_t type; int error; } of_nothing[] = {
		{ NETMAP_REQ_VALE_ATTACH, EINVAL }, { NETMAP_REQ_VALE_DETACH, ENXIO }, { NETMAP_REQ_VALE_LIST, ENOENT },
		{ NETMAP_REQ_PORT_HDR_SET, ENXIO }, { NETMAP_REQ_PORT_HDR_GET, ENXIO }, { NETMAP_REQ_VALE_NEWIF, EINVAL },
		{ NETMAP_REQ_VALE_POLLING_ENABLE, EINVAL }, { NETMAP_REQ_VALE_POLLING_DISABLE, ENXIO },
		{ NETMAP_REQ_SYNC_KLOOP_START, EOPNOTSUPP },
	};
	static const struct { uint16_t type; int error; } bodiless[] = {
		{ NETMAP_REQ_VALE_DELIF, ENXIO }, { NETMAP_REQ_SYNC_KLOOP_STOP, EOPNOTSUPP }, { NETMAP_REQ_CSB_ENABLE, EOPNOTSUPP },
	};
	static const uint16_t unknown[] = { 0, 16, 100, 0xffff };
	char body[256] = { 0 };
	char config[0x110] = { 0 };
	size_t i;

	for (i = 0; i < sizeof(of_nothing) / sizeof(of_nothing[0]); i++) {
		EXPECT_EQ(of_nothing[i].error, request(self->fd, of_nothing[i].type, "vale0:p", body)) TH_LOG("%zu", i);
		EXPECT_EQ(EINVAL, request(self->fd, of_nothing[i].type, "vale0:p", NULL)) TH_LOG("%zu", i);
	}
	for (i = 0; i < sizeof(bodiless) / sizeof(bodiless[0]); i++) {
		EXPECT_EQ(bodiless[i].error, request(self->fd, bodiless[i].type, "vale0:p", NULL));
		EXPECT_EQ(EINVAL, request(self->fd, bodiless[i].type, "vale0:p", body));
	}
	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		EXPECT_EQ(EINVAL, request(self->fd, unknown[i], "", body));
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCCONFIG, config)));
	EXPECT_EQ(EOPNOTSUPP, errno_of(ioctl(self->fd, _IO('i', 147), NULL)));
	EXPECT_EQ(EOPNOTSUPP, errno_of(ioctl(self->fd, _IO('x', 1), NULL)));
}

TEST_F(unbound, legacy_commands)
{
	static const int of_nothing[] = {
		[NETMAP_BDG_ATTACH] = EINVAL, [NETMAP_BDG_DETACH] = ENXIO, [NETMAP_BDG_VNET_HDR] = ENXIO,
		[NETMAP_BDG_NEWIF] = EINVAL, [NETMAP_BDG_DELIF] = ENXIO, [NETMAP_BDG_POLLING_ON] = EINVAL, [NETMAP_BDG_POLLING_OFF] = ENXIO,
		[NETMAP_VNET_HDR_GET] = ENXIO,
	};
	struct nmreq req;
	uint16_t cmd;

	for (cmd = 1; cmd <= 12; cmd++) {
		legacy_init(&req, "vale0:p");
		req.nr_cmd = cmd;
		EXPECT_EQ(of_nothing[cmd] ?: EOPNOTSUPP, errno_of(ioctl(self->fd, NIOCREGIF, &req))) TH_LOG("command %d", cmd);
	}
	legacy_init(&req, test_interface());
	req.nr_cmd = 77;
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, NIOCREGIF, &req)));
	/* A question has one command. */
	for (cmd = 0; cmd <= 12; cmd++) {
		legacy_init(&req, "");
		req.nr_cmd = cmd;
		EXPECT_EQ(cmd == NETMAP_BDG_LIST ? ENOENT : 0, errno_of(ioctl(self->fd, NIOCGINFO, &req)));
	}
}

TEST_F(unbound, header_fields)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	struct nmreq_header header;

	header_init(&header, NETMAP_REQ_REGISTER, test_interface(), &reg);
	header.nr_reserved = 1;
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
	EXPECT_EQ(EINVAL, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), NULL));
}

TEST_F(unbound, names)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	struct nmreq_port_info_get info = { 0 };
	struct nmreq_pools_info pools = { 0 };
	struct nmreq_header header;
	struct nmreq req;

	EXPECT_EQ(ENXIO, request(self->fd, NETMAP_REQ_REGISTER, "nosuchdev", &reg));
	EXPECT_EQ(ENXIO, request(self->fd, NETMAP_REQ_PORT_INFO_GET, "nosuchdev", &info));
	EXPECT_EQ(ENXIO, request(self->fd, NETMAP_REQ_POOLS_INFO_GET, "nosuchdev", &pools));
	EXPECT_EQ(ENXIO, request(self->fd, NETMAP_REQ_REGISTER, "", &reg));
	EXPECT_EQ(ENXIO, request(self->fd, NETMAP_REQ_REGISTER, "a name of more than fifteen characters", &reg));
	EXPECT_EQ(ENXIO, request(self->fd, NETMAP_REQ_REGISTER, "../etc", &reg));
	header_init(&header, NETMAP_REQ_REGISTER, "", &reg);
	memset(header.nr_name, 'x', sizeof(header.nr_name));
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
	legacy_init(&req, "nosuchdev");
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCREGIF, &req)));
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCGINFO, &req)));
	memset(req.nr_name, 'x', sizeof(req.nr_name));
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, NIOCREGIF, &req)));
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, NIOCGINFO, &req)));
}

/* None is served: a bind with options is refused, a question answered all the same. Both say so in each option. */
TEST_F(unbound, options)
{
	struct nmreq_port_info_get info = { 0 };
	struct nmreq_pools_info pools = { 0 };
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	const struct {
		uint16_t type;
		void *body;
		int expect;
	} cases[] = {
		{ NETMAP_REQ_REGISTER, &reg, EOPNOTSUPP },
		{ NETMAP_REQ_PORT_INFO_GET, &info, 0 },
		{ NETMAP_REQ_POOLS_INFO_GET, &pools, 0 },
	};
	struct nmreq_option options[2];
	struct nmreq_header header;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		header_init(&header, cases[i].type, test_interface(), cases[i].body);
		header.nr_options = (uintptr_t)&options[0];
		memset(options, 0, sizeof(options));
		options[0].nro_reqtype = 1234;
		options[0].nro_size = UINT64_MAX;
		EXPECT_EQ(cases[i].expect, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
		EXPECT_EQ(EOPNOTSUPP, options[0].nro_status);

		options[0].nro_next = (uintptr_t)&options[1];
		options[0].nro_status = 0;
		options[1].nro_reqtype = NETMAP_REQ_OPT_CSB;
		EXPECT_EQ(cases[i].expect, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
		EXPECT_EQ(EOPNOTSUPP, options[0].nro_status);
		EXPECT_EQ(EOPNOTSUPP, options[1].nro_status);
		EXPECT_EQ((uintptr_t)&options[1], options[0].nro_next);
		EXPECT_EQ(UINT64_MAX, options[0].nro_size);
		EXPECT_EQ(1234, options[0].nro_reqtype);
	}
	EXPECT_LT(0, info.nr_memsize);
	EXPECT_EQ(info.nr_memsize, pools.nr_memsize);

	/* The question itself is at fault. */
	header_init(&header, NETMAP_REQ_PORT_INFO_GET, "nosuchdev", &info);
	header.nr_options = (uintptr_t)&options[0];
	options[0].nro_status = options[1].nro_status = 0;
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
	EXPECT_EQ(EOPNOTSUPP, options[0].nro_status);
	EXPECT_EQ(EOPNOTSUPP, options[1].nro_status);

	/* A bind that cannot be is told why before its options count. */
	reg.nr_mode = 77;
	header_init(&header, NETMAP_REQ_REGISTER, test_interface(), &reg);
	header.nr_options = (uintptr_t)&options[0];
	options[0].nro_status = options[1].nro_status = 0;
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
	EXPECT_EQ(EOPNOTSUPP, options[0].nro_status);
	EXPECT_EQ(EOPNOTSUPP, options[1].nro_status);

	/* After all that the file is not bound, and can be. */
	reg.nr_mode = NR_REG_ALL_NIC;
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCRXSYNC, NULL)));
	header.nr_options = 0;
	EXPECT_EQ(0, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
}

/* Lists that are wrong, of whatever request. What was read of them before that has status 0. */
static void check_bad_options(struct __test_metadata *_metadata, int fd, struct nmreq_header *header, size_t body, int good)
{
	struct nmreq_option options[3];
	static struct nmreq_option many[100 + 1000 / sizeof(struct nmreq_option)];
	const uint64_t most = 4096 - body;	/* of all options */
	int i;

	header->nr_options = (uintptr_t)&options[0];
	memset(options, 0, sizeof(options));

	/* A known type twice. */
	options[0] = (struct nmreq_option){ .nro_reqtype = 1234, .nro_status = 77, .nro_next = (uintptr_t)&options[1] };
	options[1] = (struct nmreq_option){ .nro_reqtype = NETMAP_REQ_OPT_CSB, .nro_status = 77,
					    .nro_next = (uintptr_t)&options[2] };
	options[2] = (struct nmreq_option){ .nro_reqtype = NETMAP_REQ_OPT_CSB, .nro_status = 77 };
	EXPECT_EQ(EINVAL, errno_of(ioctl(fd, NIOCCTRL, header)));
	EXPECT_EQ(0, options[0].nro_status);
	EXPECT_EQ(EINVAL, options[1].nro_status);
	EXPECT_EQ(EINVAL, options[2].nro_status);
	EXPECT_EQ((uintptr_t)&options[2], options[1].nro_next);

	/* Type 0. */
	options[0].nro_status = options[2].nro_status = 77;
	options[1].nro_reqtype = 0;
	EXPECT_EQ(EINVAL, errno_of(ioctl(fd, NIOCCTRL, header)));
	EXPECT_EQ(0, options[0].nro_status);
	EXPECT_EQ(EINVAL, options[1].nro_status);
	EXPECT_EQ(77, options[2].nro_status);

	/* A list without end, of unknown types: where the end is nobody knows, so no status is written. */
	options[0].nro_status = options[1].nro_status = 77;
	options[1].nro_reqtype = 4321;
	options[1].nro_next = (uintptr_t)&options[0];
	EXPECT_EQ(EMSGSIZE, errno_of(ioctl(fd, NIOCCTRL, header)));
	options[1].nro_next = (uintptr_t)&options[1];
	EXPECT_EQ(EMSGSIZE, errno_of(ioctl(fd, NIOCCTRL, header)));
	EXPECT_EQ(77, options[0].nro_status);
	EXPECT_EQ(77, options[1].nro_status);

	/* 99 unknown ones, and one that is small enough in bytes alone: C netmap keeps a pointer for each, too. */
	for (i = 0; i < 99; i++)
		many[i] = (struct nmreq_option){ .nro_reqtype = 1234, .nro_next = (uintptr_t)&many[i + 1] };
	many[99] = (struct nmreq_option){ .nro_reqtype = NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS, .nro_size = 1000 };
	header->nr_options = (uintptr_t)many;
	EXPECT_EQ(EMSGSIZE, errno_of(ioctl(fd, NIOCCTRL, header)));
	many[99].nro_size = 900;
	EXPECT_EQ(good, errno_of(ioctl(fd, NIOCCTRL, header)));
	EXPECT_EQ(EOPNOTSUPP, many[99].nro_status);
	header->nr_options = (uintptr_t)&options[0];

	/* A size that no request can have. */
	options[0].nro_status = options[1].nro_status = 77;
	options[1].nro_reqtype = NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS;
	options[1].nro_size = UINT64_MAX;
	EXPECT_EQ(EMSGSIZE, errno_of(ioctl(fd, NIOCCTRL, header)));
	EXPECT_EQ(0, options[0].nro_status);
	EXPECT_EQ(0, options[1].nro_status);

	/* The sum counts where a known type is. */
	options[1].nro_next = 0;
	options[1].nro_size = most - 24;
	EXPECT_EQ(good, errno_of(ioctl(fd, NIOCCTRL, header)));
	options[1].nro_size = most - 23;
	EXPECT_EQ(EMSGSIZE, errno_of(ioctl(fd, NIOCCTRL, header)));
	options[1].nro_size = most;
	options[1].nro_next = (uintptr_t)&options[2];
	options[2].nro_reqtype = 1234;
	header->nr_options = (uintptr_t)&options[1];
	EXPECT_EQ(good, errno_of(ioctl(fd, NIOCCTRL, header)));
	EXPECT_EQ(EOPNOTSUPP, options[1].nro_status);
	EXPECT_EQ(EOPNOTSUPP, options[2].nro_status);

	/* The list leads nowhere. */
	options[1].nro_status = 77;
	options[1].nro_size = 0;
	options[1].nro_next = (uintptr_t)BAD_POINTER;
	EXPECT_EQ(EFAULT, errno_of(ioctl(fd, NIOCCTRL, header)));
	EXPECT_EQ(0, options[1].nro_status);
}

TEST_F(unbound, wrong_options)
{
	struct nmreq_port_info_get info = { 0 };
	struct nmreq_pools_info pools = { 0 };
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	struct nmreq_header header;

	header_init(&header, NETMAP_REQ_REGISTER, test_interface(), &reg);
	check_bad_options(_metadata, self->fd, &header, sizeof(reg), EOPNOTSUPP);
	header_init(&header, NETMAP_REQ_PORT_INFO_GET, "", &info);
	check_bad_options(_metadata, self->fd, &header, sizeof(info), 0);
	header_init(&header, NETMAP_REQ_POOLS_INFO_GET, test_interface(), &pools);
	check_bad_options(_metadata, self->fd, &header, sizeof(pools), 0);
	header_init(&header, NETMAP_REQ_REGISTER, test_interface(), &reg);
	EXPECT_EQ(0, errno_of(ioctl(self->fd, NIOCCTRL, &header)));
}

TEST_F(unbound, modes)
{
	static const uint32_t unknown[] = { NR_REG_DEFAULT, NR_REG_PIPE_MASTER, NR_REG_PIPE_SLAVE, 9, 15, UINT32_MAX };
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	size_t i;

	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		reg.nr_mode = unknown[i];
		EXPECT_EQ(EINVAL, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
	}
	reg.nr_mode = NR_REG_ALL_NIC;
	reg.nr_flags = NR_TX_RINGS_ONLY | NR_RX_RINGS_ONLY;
	EXPECT_EQ(EINVAL, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
	reg.nr_flags = 0;
	reg.nr_mode = NR_REG_ONE_NIC;
	reg.nr_ringid = 500;
	EXPECT_EQ(EINVAL, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
	reg.nr_mode = NR_REG_ONE_SW;
	EXPECT_EQ(EINVAL, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
	reg.nr_mode = NR_REG_ALL_NIC;
	reg.nr_mem_id = 777;
	EXPECT_EQ(EINVAL, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
}

TEST_F(unbound, calls_before_bind)
{
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(ENXIO, errno_of(ioctl(self->fd, NIOCRXSYNC, NULL)));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(POLLERR, poll_once(self->fd, POLLIN | POLLOUT, 10000));
	EXPECT_EQ(POLLERR, poll_once(self->fd, 0, 10000));
}

TEST_F(unbound, region_info)
{
	struct nmreq_port_info_get info = { 0 };
	struct nmreq req;

	ASSERT_EQ(0, request(self->fd, NETMAP_REQ_PORT_INFO_GET, "", &info));
	EXPECT_EQ(1, info.nr_mem_id);
	EXPECT_LT(0, info.nr_memsize);
	legacy_init(&req, "");
	ASSERT_EQ(0, errno_of(ioctl(self->fd, NIOCGINFO, &req)));
	EXPECT_EQ(info.nr_memsize, req.nr_memsize);
	EXPECT_EQ(1, req.nr_arg2);
}

/* What is said about a port before, by both interfaces, is what a bind then gives. */
TEST_F(unbound, port_info)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
	struct nmreq_port_info_get info = { 0 };
	struct nmreq_pools_info pools = { 0 };
	struct nmreq req;

	ASSERT_EQ(0, request(self->fd, NETMAP_REQ_PORT_INFO_GET, test_interface(), &info));
	ASSERT_EQ(0, request(self->fd, NETMAP_REQ_POOLS_INFO_GET, test_interface(), &pools));
	legacy_init(&req, test_interface());
	ASSERT_EQ(0, errno_of(ioctl(self->fd, NIOCGINFO, &req)));
	ASSERT_EQ(0, request(self->fd, NETMAP_REQ_REGISTER, test_interface(), &reg));
	EXPECT_LT(0, info.nr_tx_rings);
	EXPECT_LT(0, info.nr_rx_rings);
	EXPECT_EQ(info.nr_tx_rings, reg.nr_tx_rings);
	EXPECT_EQ(info.nr_rx_rings, reg.nr_rx_rings);
	EXPECT_EQ(info.nr_tx_slots, reg.nr_tx_slots);
	EXPECT_EQ(info.nr_rx_slots, reg.nr_rx_slots);
	EXPECT_EQ(info.nr_host_tx_rings, reg.nr_host_tx_rings);
	EXPECT_EQ(info.nr_host_rx_rings, reg.nr_host_rx_rings);
	EXPECT_EQ(info.nr_memsize, reg.nr_memsize);
	EXPECT_EQ(info.nr_mem_id, reg.nr_mem_id);
	EXPECT_EQ(info.nr_tx_rings, req.nr_tx_rings);
	EXPECT_EQ(info.nr_rx_slots, req.nr_rx_slots);
	EXPECT_EQ(info.nr_memsize, req.nr_memsize);
	EXPECT_EQ(info.nr_memsize, pools.nr_memsize);
	EXPECT_LE(pools.nr_if_pool_offset, reg.nr_offset);
	EXPECT_GT(pools.nr_ring_pool_offset, reg.nr_offset);
	EXPECT_LE(pools.nr_buf_pool_offset + (uint64_t)pools.nr_buf_pool_objtotal * pools.nr_buf_pool_objsize,
		  pools.nr_memsize);
}

TEST_HARNESS_MAIN
