// SPDX-License-Identifier: BSD-2-Clause
/* What may be asked of pipes on nothing and of null ports: sizes, regions, namespaces, and what is refused. */
#include <sched.h>
#include <sys/prctl.h>
#include "capabilities.h"
#include "pipe.h"
#include "kselftest_harness.h"

/* Opens an end with what is in reg. */
static int try_end(struct port *port, const char *name, struct nmreq_register reg)
{
	*port = (struct port){ .reg = reg };
	port->reg.nr_mode = port->reg.nr_mode ?: NR_REG_ALL_NIC;
	return port_open_as(port, name);
}

/* The errno with which it is refused. */
static int refusal(const char *name, struct nmreq_register reg)
{
	struct port port;
	int err = try_end(&port, name, reg);

	if (!err)
		port_close(&port);
	return -err;
}

/* Whether debugfs has a region. */
static bool has_region(uint32_t id)
{
	char command[96];

	snprintf(command, sizeof(command), "grep -q '^region %u:' /sys/kernel/debug/netmap/regions", id);
	return system(command) == 0;
}

TEST(rings_are_those_of_the_first_request)
{
	struct port a, b;

	ASSERT_EQ(0, try_end(&a, "base{x", (struct nmreq_register){ .nr_tx_slots = 32, .nr_rx_slots = 4096,
								    .nr_tx_rings = 3, .nr_rx_rings = 2 }));
	EXPECT_EQ(32, a.reg.nr_tx_slots);
	EXPECT_EQ(4096, a.reg.nr_rx_slots);
	EXPECT_EQ(3, a.reg.nr_tx_rings);
	EXPECT_EQ(2, a.reg.nr_rx_rings);
	EXPECT_EQ(0, a.reg.nr_host_tx_rings);
	EXPECT_EQ(0, a.reg.nr_host_rx_rings);
	EXPECT_EQ(4096, rx_ring(&a, 1)->num_slots);
	EXPECT_STREQ("base{x", a.nifp->ni_name);
	/* What the other end asks for does not matter any more. */
	ASSERT_EQ(0, try_end(&b, "base}x", (struct nmreq_register){ .nr_tx_slots = 77, .nr_tx_rings = 9 }));
	EXPECT_EQ(4096, b.reg.nr_tx_slots);
	EXPECT_EQ(32, b.reg.nr_rx_slots);
	EXPECT_EQ(2, b.reg.nr_tx_rings);
	EXPECT_EQ(3, b.reg.nr_rx_rings);
	/* Each ring has its own at the other end. */
	ASSERT_EQ(0, send_frame(&a, tx_ring(&a, 2), 100, 7));
	ASSERT_EQ(0, rx_sync(&b));
	EXPECT_TRUE(nm_ring_empty(rx_ring(&b, 0)));
	EXPECT_TRUE(nm_ring_empty(rx_ring(&b, 1)));
	EXPECT_EQ(1, room(rx_ring(&b, 2)));
	ASSERT_EQ(4095, fill_ring(&b, tx_ring(&b, 1), 0));
	ASSERT_EQ(0, rx_sync(&a));
	EXPECT_EQ(4095, room(rx_ring(&a, 1)));
	EXPECT_EQ(0, port_close(&a));
	EXPECT_EQ(0, port_close(&b));
	/* As C netmap has it, but that what is asked for is the ring of whoever asks. */
	ASSERT_EQ(0, try_end(&b, "base}x", (struct nmreq_register){ .nr_tx_slots = 40, .nr_tx_rings = 2 }));
	EXPECT_EQ(40, b.reg.nr_tx_slots);
	EXPECT_EQ(1024, b.reg.nr_rx_slots);
	EXPECT_EQ(2, b.reg.nr_tx_rings);
	EXPECT_EQ(1, b.reg.nr_rx_rings);
	EXPECT_EQ(0, port_close(&b));
	ASSERT_EQ(0, try_end(&a, "base{x", (struct nmreq_register){ .nr_tx_slots = 1, .nr_rx_slots = 1000000,
								    .nr_rx_rings = 3 }));
	EXPECT_EQ(2, a.reg.nr_tx_slots);
	EXPECT_EQ(4096, a.reg.nr_rx_slots);
	EXPECT_EQ(0, port_close(&a));
	ASSERT_EQ(0, try_end(&a, "base{x", (struct nmreq_register){ .nr_tx_slots = 2, .nr_rx_slots = 2,
								    .nr_tx_rings = 65535 }));
	EXPECT_EQ(256, a.reg.nr_tx_rings);
	EXPECT_EQ(0, port_close(&a));
}

/* Files may have a ring of an end each; a lane is there as long as either of its rings is bound. */
TEST(single_rings)
{
	struct nmreq_register two = { .nr_tx_rings = 2, .nr_rx_rings = 2, .nr_tx_slots = 16, .nr_rx_slots = 16,
				      .nr_mode = NR_REG_ONE_NIC };
	struct port a[2], b[2];
	uint32_t i;

	for (i = 0; i < 2; i++) {
		two.nr_ringid = i;
		ASSERT_EQ(0, try_end(&a[i], "base{one", two));
		EXPECT_EQ(NULL, tx_ring(&a[i], !i));
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, send_frame(&a[i], tx_ring(&a[i], i), 100 + i, i));
	ASSERT_EQ(0, port_close(&a[0]));
	for (i = 0; i < 2; i++) {
		two.nr_ringid = i;
		ASSERT_EQ(0, try_end(&b[i], "base}one", two));
		ASSERT_EQ(0, rx_sync(&b[i]));
	}
	/* The lane of ring 0 had nobody when its sender was closed. */
	EXPECT_TRUE(nm_ring_empty(rx_ring(&b[0], 0)));
	EXPECT_EQ(1, room(rx_ring(&b[1], 1)));
	ASSERT_EQ(0, port_close(&a[1]));
	ASSERT_EQ(0, port_close(&b[0]));
	ASSERT_EQ(0, port_close(&b[1]));
	two.nr_ringid = 2;
	EXPECT_EQ(EINVAL, refusal("base{one", two));
}

TEST(regions)
{
	struct port a, b, c, d;
	uint32_t id;

	ASSERT_EQ(0, try_end(&a, "base{r", (struct nmreq_register){ 0 }));
	id = a.reg.nr_mem_id;
	EXPECT_LT(1, id);
	EXPECT_TRUE(a.nifp->ni_flags & NI_PRIV_MEM);
	EXPECT_TRUE(has_region(id));
	/* One for all pipes of a base, another one for those of another. */
	ASSERT_EQ(0, try_end(&b, "base{other", (struct nmreq_register){ 0 }));
	EXPECT_EQ(id, b.reg.nr_mem_id);
	EXPECT_EQ(a.reg.nr_memsize, b.reg.nr_memsize);
	ASSERT_EQ(0, try_end(&c, "beside{r", (struct nmreq_register){ 0 }));
	EXPECT_NE(id, c.reg.nr_mem_id);
	EXPECT_EQ(0, port_close(&c));
	EXPECT_FALSE(has_region(c.reg.nr_mem_id));
	EXPECT_EQ(EINVAL, refusal("beside{r", (struct nmreq_register){ .nr_mem_id = c.reg.nr_mem_id }));
	/* Or a region that there is. */
	ASSERT_EQ(0, try_end(&c, "beside{r", (struct nmreq_register){ .nr_mem_id = id }));
	EXPECT_EQ(id, c.reg.nr_mem_id);
	ASSERT_EQ(0, try_end(&d, "global{r", (struct nmreq_register){ .nr_mem_id = 1 }));
	EXPECT_EQ(1, d.reg.nr_mem_id);
	EXPECT_FALSE(d.nifp->ni_flags & NI_PRIV_MEM);
	EXPECT_EQ(0, port_close(&d));
	EXPECT_EQ(0, port_close(&a));
	EXPECT_EQ(0, port_close(&b));
	EXPECT_TRUE(has_region(id));
	EXPECT_EQ(0, port_close(&c));
	EXPECT_FALSE(has_region(id));
	EXPECT_EQ(EINVAL, refusal("beside{r", (struct nmreq_register){ .nr_mem_id = 777 }));
	EXPECT_EQ(EINVAL, refusal("beside{r", (struct nmreq_register){ .nr_mem_id = id }));
	/* It has room for what is asked for. */
	ASSERT_EQ(0, try_end(&a, "base{r", (struct nmreq_register){ .nr_extra_bufs = 100000 }));
	EXPECT_EQ(100000, a.reg.nr_extra_bufs);
	EXPECT_EQ(0, port_close(&a));
}

TEST(many_pipes_on_one_base)
{
	struct ends ends[40];
	char id[16];
	uint32_t i;

	for (i = 0; i < 40; i++) {
		snprintf(id, sizeof(id), "%u", i);
		ASSERT_EQ(0, open_ends(&ends[i], "base", id, i % 2, 32));
		EXPECT_EQ(ends[0].from.reg.nr_mem_id, ends[i].to.reg.nr_mem_id);
		ASSERT_EQ(0, send_frame(&ends[i].from, tx_ring(&ends[i].from, 0), 100 + i, i));
	}
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, rx_sync(&ends[i].to));
		EXPECT_EQ(1, room(rx_ring(&ends[i].to, 0)));
		EXPECT_EQ(100 + i, head_slot(rx_ring(&ends[i].to, 0))->len);
		ASSERT_EQ(0, close_ends(&ends[i]));
	}
}

TEST(others_are_kept_out)
{
	struct nmreq_register exclusive = { .nr_flags = NR_EXCLUSIVE }, any = { 0 };
	struct port a, b;

	ASSERT_EQ(0, try_end(&a, "base{x", exclusive));
	EXPECT_EQ(EBUSY, refusal("base{x", any));
	/* Of this end. */
	ASSERT_EQ(0, try_end(&b, "base}x", any));
	EXPECT_EQ(EBUSY, refusal("base}x", exclusive));
	EXPECT_EQ(0, port_close(&a));
	EXPECT_EQ(0, refusal("base{x", any));
	EXPECT_EQ(0, port_close(&b));
}

TEST(what_is_no_pipe)
{
	struct nmreq_register all = { 0 }, host = { .nr_mode = NR_REG_SW }, both = { .nr_mode = NR_REG_NIC_SW };
	const char *malformed[] = { "base{", "base}", "{x", "}x", "a{b{c", "a}b{c", "a}b}c" };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(malformed); i++)
		EXPECT_EQ(EINVAL, refusal(malformed[i], all));
	EXPECT_EQ(EINVAL, refusal("base{x", host));
	EXPECT_EQ(EINVAL, refusal("base{x", both));
	/* No name of an interface, had it one. */
	EXPECT_EQ(ENXIO, refusal("longer_than_names{x", all));
	EXPECT_EQ(ENXIO, refusal("a/b{x", all));
	EXPECT_EQ(ENXIO, refusal("base{a\x01", all));
	/* The base itself is nothing. */
	EXPECT_EQ(ENXIO, refusal("base", all));
}

static int info(const char *name, struct nmreq_port_info_get *body)
{
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_PORT_INFO_GET,
				       .nr_body = (uintptr_t)body };
	int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC), err;

	snprintf(header.nr_name, sizeof(header.nr_name), "%s", name);
	err = ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
	close(fd);
	return err;
}

TEST(pipes_can_be_looked_at)
{
	struct nmreq_port_info_get body = { .nr_tx_slots = 50 };
	struct nmreq_pools_info pools = { 0 };
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_POOLS_INFO_GET,
				       .nr_body = (uintptr_t)&pools, .nr_name = "base}i" };
	struct nmreq legacy = { .nr_version = NETMAP_API, .nr_name = "base}i" };
	struct port a;

	/* One that is not there is as it would be, and is not there afterwards. */
	ASSERT_EQ(0, info("base{i", &body));
	EXPECT_EQ(50, body.nr_tx_slots);
	EXPECT_EQ(1024, body.nr_rx_slots);
	EXPECT_EQ(1, body.nr_tx_rings);
	EXPECT_LT(1, body.nr_mem_id);
	EXPECT_FALSE(has_region(body.nr_mem_id));
	ASSERT_EQ(0, try_end(&a, "base{i", (struct nmreq_register){ .nr_tx_slots = 64, .nr_rx_slots = 128 }));
	body.nr_mem_id = 0;
	ASSERT_EQ(0, info("base}i", &body));
	EXPECT_EQ(128, body.nr_tx_slots);
	EXPECT_EQ(64, body.nr_rx_slots);
	EXPECT_EQ(a.reg.nr_mem_id, body.nr_mem_id);
	EXPECT_EQ(a.reg.nr_memsize, body.nr_memsize);
	ASSERT_EQ(0, ioctl(a.fd, NIOCCTRL, &header));
	EXPECT_EQ(a.reg.nr_mem_id, pools.nr_mem_id);
	EXPECT_EQ(a.reg.nr_memsize, pools.nr_memsize);
	EXPECT_LE(4098, pools.nr_buf_pool_objtotal);
	ASSERT_EQ(0, ioctl(a.fd, NIOCGINFO, &legacy));
	EXPECT_EQ(128, legacy.nr_tx_slots);
	EXPECT_EQ(a.reg.nr_mem_id, legacy.nr_arg2);
	/* A region alone. */
	ASSERT_EQ(0, info("", &(struct nmreq_port_info_get){ .nr_mem_id = a.reg.nr_mem_id }));
	EXPECT_EQ(0, port_close(&a));
	EXPECT_EQ(-EINVAL, info("", &(struct nmreq_port_info_get){ .nr_mem_id = a.reg.nr_mem_id }));
}

/* The length of the virtio-net header of a port, or a negative errno. */
static int header_of(const char *name)
{
	struct nmreq_port_hdr body = { .nr_hdr_len = 77 };
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_PORT_HDR_GET,
				       .nr_body = (uintptr_t)&body };
	int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC), err;

	snprintf(header.nr_name, sizeof(header.nr_name), "%s", name);
	err = ioctl(fd, NIOCCTRL, &header) ? -errno : (int)body.nr_hdr_len;
	close(fd);
	return err;
}

/* Programs ask it of whatever they have bound. */
TEST(a_pipe_has_no_header)
{
	struct port a;

	EXPECT_EQ(-ENXIO, header_of("base{h"));
	ASSERT_EQ(0, try_end(&a, "base{h", (struct nmreq_register){ 0 }));
	EXPECT_EQ(0, header_of("base{h"));
	EXPECT_EQ(0, header_of("base}h"));
	EXPECT_EQ(-ENXIO, header_of("base{other"));
	EXPECT_EQ(-ENXIO, header_of("beside{h"));
	EXPECT_EQ(0, port_close(&a));
	EXPECT_EQ(-ENXIO, header_of("base{h"));
}

/* A device that can be no port can have pipes, as it has nothing to do for them. */
TEST(on_a_device_that_is_no_port)
{
	struct ends ends;
	struct port port;

	EXPECT_EQ(-EOPNOTSUPP, try_end(&port, "lo", (struct nmreq_register){ 0 }));
	ASSERT_EQ(0, open_ends(&ends, "lo", "x", true, 0));
	EXPECT_EQ(1024, ends.from.reg.nr_tx_slots);
	EXPECT_EQ(1, ends.from.reg.nr_mem_id);
	ASSERT_EQ(0, send_frame(&ends.from, tx_ring(&ends.from, 0), 60, 1));
	ASSERT_EQ(0, rx_sync(&ends.to));
	EXPECT_EQ(1, room(rx_ring(&ends.to, 0)));
	EXPECT_EQ(0, header_of("lo{x"));
	EXPECT_EQ(0, close_ends(&ends));
}

TEST(legacy_requests)
{
	struct nmreq req = { .nr_version = NETMAP_API, .nr_name = "old", .nr_flags = NR_REG_PIPE_MASTER, .nr_ringid = 5,
			     .nr_tx_slots = 32, .nr_rx_slots = 32 };
	int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
	struct netmap_ring *tx;
	struct netmap_if *nifp;
	char command[96];
	struct port b;
	char *mem;

	ASSERT_EQ(0, ioctl(fd, NIOCREGIF, &req));
	snprintf(command, sizeof(command), "grep -q 'old{5' /proc/%d/fdinfo/%d", getpid(), fd);
	EXPECT_EQ(0, system(command));
	mem = mmap(NULL, req.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	nifp = NETMAP_IF(mem, req.nr_offset);
	tx = NETMAP_TXRING(nifp, 0);
	ASSERT_EQ(32, tx->num_slots);
	ASSERT_EQ(0, try_end(&b, "old}5", (struct nmreq_register){ 0 }));
	make_frame((uint8_t *)NETMAP_BUF(tx, tx->slot->buf_idx), 60, 9);
	tx->slot->len = 60;
	ring_advance(tx);
	ASSERT_EQ(0, ioctl(fd, NIOCTXSYNC));
	ASSERT_EQ(0, rx_sync(&b));
	ASSERT_EQ(1, room(rx_ring(&b, 0)));
	EXPECT_TRUE(frame_is(slot_buffer(rx_ring(&b, 0), rx_ring(&b, 0)->slot), 60, 9));
	EXPECT_EQ(0, port_close(&b));
	close(fd);
	munmap(mem, req.nr_memsize);
	fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
	req.nr_flags = NR_REG_PIPE_SLAVE;
	/* The region that it was told of is gone. */
	EXPECT_EQ(-1, ioctl(fd, NIOCREGIF, &req));
	EXPECT_EQ(EINVAL, errno);
	req.nr_arg2 = 0;
	EXPECT_EQ(0, ioctl(fd, NIOCREGIF, &req));
	close(fd);
}

/* A name, and a region, are those of a network namespace. */
TEST(namespaces)
{
	struct ends ends;
	pid_t child;

	ASSERT_EQ(0, open_ends(&ends, "base", "ns", true, 64));
	ASSERT_EQ(0, send_frame(&ends.from, tx_ring(&ends.from, 0), 60, 1));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct port port;

		if (unshare(CLONE_NEWNET))
			_exit(1);
		if (refusal("base}ns", (struct nmreq_register){ .nr_mem_id = ends.from.reg.nr_mem_id }) != EINVAL)
			_exit(2);
		if (try_end(&port, "base}ns", (struct nmreq_register){ 0 }))
			_exit(3);
		if (port.reg.nr_mem_id == ends.from.reg.nr_mem_id || port.reg.nr_rx_slots != 1024)
			_exit(4);
		if (rx_sync(&port) || !nm_ring_empty(rx_ring(&port, 0)))
			_exit(5);
		_exit(0);
	}
	EXPECT_EQ(0, awoken(child));
	ASSERT_EQ(0, rx_sync(&ends.to));
	EXPECT_EQ(1, room(rx_ring(&ends.to, 0)));
	EXPECT_EQ(0, close_ends(&ends));
}

/* Whoever may open the device may have a pipe, but not the memory of others. */
TEST(privileges)
{
	struct port shared;
	pid_t child;

	/* Its memory is that of NICs, too. */
	ASSERT_EQ(0, try_end(&shared, "shared{p", (struct nmreq_register){ .nr_mem_id = 1 }));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct ends ends;

		if (keep_capabilities(0))
			_exit(1);
		if (open_ends(&ends, "base", "p", true, 0))
			_exit(2);
		if (refusal("base{q", (struct nmreq_register){ .nr_mem_id = 1 }) != EPERM)
			_exit(3);
		if (refusal("", (struct nmreq_register){ .nr_mode = NR_REG_NULL, .nr_mem_id = 1 }) != EPERM)
			_exit(4);
		if (refusal("shared}p", (struct nmreq_register){ 0 }) != EPERM)
			_exit(5);
		if (refusal("shared{q", (struct nmreq_register){ 0 }) != EPERM)
			_exit(6);
		_exit(0);
	}
	EXPECT_EQ(0, awoken(child));
	EXPECT_EQ(0, port_close(&shared));
}

/* What fdinfo and debugfs say. */
TEST(pipes_are_listed)
{
	char command[160];
	struct port a;

	ASSERT_EQ(0, try_end(&a, "base}list", (struct nmreq_register){ 0 }));
	snprintf(command, sizeof(command), "grep -q 'netmap-kind:.pipe (slave)' /proc/%d/fdinfo/%d", getpid(), a.fd);
	EXPECT_EQ(0, system(command));
	EXPECT_EQ(0, system("grep -q '^base}list: pipe (slave)$' /sys/kernel/debug/netmap/ports"));
	EXPECT_EQ(0, port_close(&a));
}

TEST(null_ports)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_NULL, .nr_mem_id = 1, .nr_tx_rings = 10, .nr_rx_rings = 5,
				      .nr_tx_slots = 256, .nr_rx_slots = 100, .nr_extra_bufs = 20 };
	struct port a, b;
	uint32_t i, next;

	ASSERT_EQ(0, try_end(&a, "any name/at all", reg));
	EXPECT_EQ(10, a.reg.nr_tx_rings);
	EXPECT_EQ(5, a.reg.nr_rx_rings);
	EXPECT_EQ(0, a.reg.nr_host_tx_rings);
	EXPECT_EQ(256, a.reg.nr_tx_slots);
	EXPECT_EQ(100, a.reg.nr_rx_slots);
	EXPECT_EQ(1, a.reg.nr_mem_id);
	EXPECT_EQ(0, strncmp("null:any name/a", a.nifp->ni_name, 15));
	for (i = 0, next = a.nifp->ni_bufs_head; next; i++)
		next = *(uint32_t *)NETMAP_BUF(tx_ring(&a, 0), next);
	EXPECT_EQ(20, i);
	/* Nothing comes, and what is sent stays. */
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, put_frame(&a, tx_ring(&a, i), 60, i, 0));
	ASSERT_EQ(0, tx_sync(&a));
	ASSERT_EQ(0, rx_sync(&a));
	EXPECT_EQ(254, room(tx_ring(&a, 9)));
	EXPECT_EQ(0, room(rx_ring(&a, 4)));
	EXPECT_EQ(POLLOUT, poll_port(&a, BOTH, 0));
	/* Another one of the same name is another one. */
	ASSERT_EQ(0, try_end(&b, "any name/at all", reg));
	EXPECT_NE(a.reg.nr_offset, b.reg.nr_offset);
	EXPECT_EQ(0, port_close(&a));
	EXPECT_EQ(0, port_close(&b));
	/* Without rings, and without a name. */
	ASSERT_EQ(0, try_end(&a, "", (struct nmreq_register){ .nr_mode = NR_REG_NULL, .nr_mem_id = 1, .nr_extra_bufs = 3 }));
	EXPECT_EQ(0, a.reg.nr_tx_rings);
	EXPECT_EQ(3, a.reg.nr_extra_bufs);
	EXPECT_EQ(0, tx_sync(&a));
	EXPECT_EQ(0, poll_port(&a, BOTH, 0));
	EXPECT_EQ(0, port_close(&a));
	/* It needs a region, and it is not made for it. */
	reg.nr_mem_id = 0;
	EXPECT_EQ(EINVAL, refusal("x", reg));
	reg.nr_mem_id = 2000;
	EXPECT_EQ(EINVAL, refusal("x", reg));
	reg.nr_mem_id = 1;
	reg.nr_tx_rings = 257;
	EXPECT_EQ(EINVAL, refusal("x", reg));
}

TEST_HARNESS_MAIN
