// SPDX-License-Identifier: BSD-2-Clause
/* Which rings a bind gives, what a program finds in the shared memory then, and who may bind what besides. */
#include "kselftest_harness.h"
#include "netmap_test.h"

static const uint64_t directions[] = { 0, NR_TX_RINGS_ONLY, NR_RX_RINGS_ONLY };

FIXTURE(mode)
{
	uint32_t tx, rx;	/* queues of the NIC */
};

FIXTURE_VARIANT(mode)
{
	uint32_t mode;
	bool nic, host;		/* binds rings of */
	bool one;		/* only ring 0 of these */
	uint64_t flags;
};

#define MODE(name, ...) \
	FIXTURE_VARIANT_ADD(mode, name) { __VA_ARGS__ }; \
	FIXTURE_VARIANT_ADD(mode, name ## _exclusive) { .flags = NR_EXCLUSIVE, __VA_ARGS__ }

MODE(all_nic, .mode = NR_REG_ALL_NIC, .nic = true);
MODE(sw, .mode = NR_REG_SW, .host = true);
MODE(nic_sw, .mode = NR_REG_NIC_SW, .nic = true, .host = true);
MODE(one_nic, .mode = NR_REG_ONE_NIC, .nic = true, .one = true);
MODE(one_sw, .mode = NR_REG_ONE_SW, .host = true, .one = true);

FIXTURE_SETUP(mode)
{
	self->tx = count_queues(nic_name(), "tx");
	self->rx = count_queues(nic_name(), "rx");
	ASSERT_GT(self->tx, 0);
	ASSERT_GT(self->rx, 0);
}

FIXTURE_TEARDOWN(mode)
{
}

/* Whether the variant binds ring i of nic + host ones. */
static bool expected(const FIXTURE_VARIANT(mode) * variant, uint32_t i, uint32_t nic)
{
	bool host = i >= nic;

	if (host ? !variant->host : !variant->nic)
		return false;
	return !variant->one || i == (host ? nic : 0);
}

static void check_slots(struct __test_metadata *_metadata, const struct port *port, const struct netmap_ring *ring)
{
	uint64_t in_region = port->size - ((uintptr_t)ring - (uintptr_t)port->mem) - ring->buf_ofs;
	uint32_t i;

	for (i = 0; i < ring->num_slots; i++) {
		const struct netmap_slot *slot = &ring->slot[i];

		ASSERT_GE(slot->buf_idx, 2);
		ASSERT_LE((uint64_t)(slot->buf_idx + 1) * ring->nr_buf_size, in_region);
		ASSERT_EQ(0, slot->flags);
	}
}

static void check_ring(struct __test_metadata *_metadata, const struct port *port, const struct netmap_ring *ring,
		       uint32_t index, uint16_t dir)
{
	EXPECT_EQ(dir, ring->dir);
	EXPECT_EQ(index, ring->ringid);
	EXPECT_EQ(dir ? port->reg.nr_rx_slots : port->reg.nr_tx_slots, ring->num_slots);
	EXPECT_EQ(parameter("buf_size"), ring->nr_buf_size);
	EXPECT_EQ(0, ring->head);
	EXPECT_EQ(0, ring->cur);
	EXPECT_EQ(dir ? 0 : ring->num_slots - 1, ring->tail);
	EXPECT_EQ(0, ring->flags);
	EXPECT_EQ(0, ring->offset_mask);
	check_slots(_metadata, port, ring);
}

static void check_port(struct __test_metadata *_metadata, FIXTURE_DATA(mode) * self,
		       const FIXTURE_VARIANT(mode) * variant, const struct port *port, uint64_t direction)
{
	const struct netmap_if *nifp = port->nifp;
	uint32_t i;

	EXPECT_STREQ(nic_name(), nifp->ni_name);
	EXPECT_EQ(NETMAP_API, nifp->ni_version);
	EXPECT_EQ(0, nifp->ni_flags & NI_PRIV_MEM);
	EXPECT_EQ(self->tx, nifp->ni_tx_rings);
	EXPECT_EQ(self->rx, nifp->ni_rx_rings);
	EXPECT_EQ(1, nifp->ni_host_tx_rings);
	EXPECT_EQ(1, nifp->ni_host_rx_rings);
	EXPECT_EQ(0, nifp->ni_bufs_head);
	EXPECT_EQ(self->tx, port->reg.nr_tx_rings);
	EXPECT_EQ(self->rx, port->reg.nr_rx_rings);
	EXPECT_EQ(1, port->reg.nr_host_tx_rings);
	EXPECT_EQ(1, port->reg.nr_host_rx_rings);
	EXPECT_EQ(1, port->reg.nr_mem_id);
	for (i = 0; i < all_tx_rings(port); i++) {
		const struct netmap_ring *ring = tx_ring(port, i);
		bool bound = expected(variant, i, self->tx) && direction != NR_RX_RINGS_ONLY;

		EXPECT_EQ(bound, ring != NULL);
		if (ring && bound)
			check_ring(_metadata, port, ring, i, 0);
	}
	for (i = 0; i < all_rx_rings(port); i++) {
		const struct netmap_ring *ring = rx_ring(port, i);
		bool bound = expected(variant, i, self->rx) && direction != NR_TX_RINGS_ONLY;

		EXPECT_EQ(bound, ring != NULL);
		if (ring && bound)
			check_ring(_metadata, port, ring, i, 1);
	}
}

TEST_F_TIMEOUT(mode, gives_these_rings, TIMEOUT_S)
{
	struct port port;
	int i;

	for (i = 0; i < ARRAY_SIZE(directions); i++) {
		ASSERT_EQ(0, port_open(&port, nic_name(), variant->mode, 0, variant->flags | directions[i]));
		check_port(_metadata, self, variant, &port, directions[i]);
		EXPECT_EQ(0, tx_sync(&port));
		EXPECT_EQ(0, rx_sync(&port));
		ASSERT_EQ(0, port_close(&port));
	}
}

/* A second bind of the same rings. */
TEST_F_TIMEOUT(mode, is_shared_or_exclusive, TIMEOUT_S)
{
	bool exclusive = variant->flags & NR_EXCLUSIVE;
	struct port first, second;
	uint32_t i;
	int err;

	ASSERT_EQ(0, port_open(&first, nic_name(), variant->mode, 0, variant->flags));
	err = port_open(&second, nic_name(), variant->mode, 0, 0);
	if (exclusive) {
		EXPECT_EQ(-EBUSY, err);
	} else {
		ASSERT_EQ(0, err);
		/* Each has its own interface, but the rings are the same. */
		EXPECT_NE(first.reg.nr_offset, second.reg.nr_offset);
		for (i = 0; i < all_tx_rings(&first); i++)
			if (tx_ring(&first, i))
				EXPECT_EQ((char *)tx_ring(&first, i) - first.mem,
					  (char *)tx_ring(&second, i) - second.mem);
		for (i = 0; i < all_rx_rings(&first); i++)
			if (rx_ring(&first, i))
				EXPECT_EQ((char *)rx_ring(&first, i) - first.mem,
					  (char *)rx_ring(&second, i) - second.mem);
		ASSERT_EQ(0, port_close(&second));
	}
	EXPECT_EQ(-EBUSY, port_open(&second, nic_name(), variant->mode, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_close(&first));
	ASSERT_EQ(0, port_open(&second, nic_name(), variant->mode, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_close(&second));
}

TEST_F_TIMEOUT(mode, is_refused_where_it_makes_no_sense, TIMEOUT_S)
{
	struct port port;

	EXPECT_EQ(-EINVAL, port_open(&port, nic_name(), variant->mode, 0,
				     variant->flags | NR_TX_RINGS_ONLY | NR_RX_RINGS_ONLY));
	if (variant->one)
		EXPECT_EQ(-EINVAL, port_open(&port, nic_name(), variant->mode,
					     variant->host ? 1 : self->rx, variant->flags));
	EXPECT_EQ(-ENXIO, port_open(&port, "nosuchif", variant->mode, 0, variant->flags));
	/* Nothing of it is left. */
	ASSERT_EQ(0, port_open(&port, nic_name(), variant->mode, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_close(&port));
}

FIXTURE(port)
{
};

FIXTURE_SETUP(port)
{
}

FIXTURE_TEARDOWN(port)
{
}

/* Rings of different files of one port: each exclusive, none in another's way. */
TEST_F_TIMEOUT(port, files_share_a_port_by_ring_and_direction, TIMEOUT_S)
{
	uint32_t queues = count_queues(nic_name(), "rx"), i, count = 0;
	struct port ports[2 * 16 + 2];

	ASSERT_LE(queues, 16);
	for (i = 0; i < queues; i++) {
		ASSERT_EQ(0, port_open(&ports[count++], nic_name(), NR_REG_ONE_NIC, i, NR_EXCLUSIVE | NR_TX_RINGS_ONLY));
		ASSERT_EQ(0, port_open(&ports[count++], nic_name(), NR_REG_ONE_NIC, i, NR_EXCLUSIVE | NR_RX_RINGS_ONLY));
	}
	ASSERT_EQ(0, port_open(&ports[count++], nic_name(), NR_REG_SW, 0, NR_EXCLUSIVE));
	for (i = 0; i < queues; i++)
		EXPECT_EQ(-EBUSY, port_open(&ports[count], nic_name(), NR_REG_ONE_NIC, i, 0));
	EXPECT_EQ(-EBUSY, port_open(&ports[count], nic_name(), NR_REG_NIC_SW, 0, 0));
	for (i = 0; i < count; i++) {
		EXPECT_EQ(0, tx_sync(&ports[i]));
		EXPECT_EQ(0, rx_sync(&ports[i]));
		ASSERT_EQ(0, port_close(&ports[i]));
	}
	ASSERT_EQ(0, port_open(&ports[0], nic_name(), NR_REG_NIC_SW, 0, NR_EXCLUSIVE));
	ASSERT_EQ(0, port_close(&ports[0]));
}

/* Two ports through one mapping: each is found at its own offset, and what one maps the other one sees. */
TEST_F_TIMEOUT(port, ports_share_a_mapping, TIMEOUT_S)
{
	const struct netmap_if *nifp;
	struct netmap_ring *ring;
	struct port first, second;

	ASSERT_EQ(0, port_open(&first, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_open(&second, peer_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(first.reg.nr_mem_id, second.reg.nr_mem_id);
	EXPECT_EQ(first.reg.nr_memsize, second.reg.nr_memsize);
	nifp = NETMAP_IF(first.mem, second.reg.nr_offset);
	EXPECT_STREQ(peer_name(), nifp->ni_name);
	ring = NETMAP_TXRING(nifp, 0);
	EXPECT_EQ((char *)ring - first.mem, (char *)tx_ring(&second, 0) - second.mem);
	strcpy(NETMAP_BUF(ring, ring->slot[0].buf_idx), "seen through both");
	EXPECT_STREQ("seen through both",
		     NETMAP_BUF(tx_ring(&second, 0), tx_ring(&second, 0)->slot[0].buf_idx));
	ring->sem[0] = 123;
	EXPECT_EQ(123, tx_ring(&second, 0)->sem[0]);
	/* The mapping outlives the file it was made with. */
	ASSERT_EQ(0, close(first.fd));
	EXPECT_STREQ("seen through both", NETMAP_BUF(ring, ring->slot[0].buf_idx));
	ASSERT_EQ(0, munmap(first.mem, first.size));
	ASSERT_EQ(0, port_close(&second));
}

/* No buffer is in two places. */
TEST_F_TIMEOUT(port, buffers_are_in_one_slot_each, TIMEOUT_S)
{
	struct port ports[2];
	uint8_t *seen;
	uint32_t p, i, s, index, extra = 0;
	uint32_t most = parameter("buf_num");

	ASSERT_GT(most, 2);
	seen = calloc(most, 1);
	ASSERT_NE(NULL, seen);
	ASSERT_EQ(0, port_open(&ports[0], nic_name(), NR_REG_NIC_SW, 0, 0));
	ports[1] = (struct port){ .reg = { .nr_mode = NR_REG_NIC_SW, .nr_extra_bufs = 77 } };
	ASSERT_EQ(0, port_open_as(&ports[1], peer_name()));
	ASSERT_EQ(77, ports[1].reg.nr_extra_bufs);
	for (p = 0; p < 2; p++)
		for (i = 0; i < all_tx_rings(&ports[p]) + all_rx_rings(&ports[p]); i++) {
			struct netmap_ring *ring = i < all_tx_rings(&ports[p]) ? tx_ring(&ports[p], i) :
						   rx_ring(&ports[p], i - all_tx_rings(&ports[p]));

			ASSERT_NE(NULL, ring);
			for (s = 0; s < ring->num_slots; s++) {
				ASSERT_LT(ring->slot[s].buf_idx, most);
				ASSERT_EQ(0, seen[ring->slot[s].buf_idx]++);
			}
		}
	for (index = ports[1].nifp->ni_bufs_head; index; extra++) {
		ASSERT_LT(index, most);
		ASSERT_EQ(0, seen[index]++);
		index = *(uint32_t *)NETMAP_BUF(tx_ring(&ports[1], 0), index);
	}
	EXPECT_EQ(77, extra);
	EXPECT_EQ(0, seen[0] | seen[1]);
	free(seen);
	ASSERT_EQ(0, port_close(&ports[0]));
	ASSERT_EQ(0, port_close(&ports[1]));
}

/* Extra buffers and a port come and go, and what is used is what it was. */
TEST_F_TIMEOUT(port, buffers_come_back, TIMEOUT_S)
{
	struct port holder, port;
	uint32_t index, other;
	long buffers, rings, interfaces;
	int round;

	ASSERT_EQ(0, port_open(&holder, peer_name(), NR_REG_SW, 0, 0));
	buffers = pool_used("buffers");
	rings = pool_used("ring pages");
	interfaces = pool_used("interface pages");
	ASSERT_GT(buffers, 0);
	for (round = 0; round < 4; round++) {
		struct netmap_slot *slot;

		port = (struct port){ .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = 100 } };
		ASSERT_EQ(0, port_open_as(&port, nic_name()));
		EXPECT_LT(buffers + 100, pool_used("buffers"));
		/* The first extra buffer into a slot, and the slot's to the head of the list. */
		if (round & 1) {
			slot = head_slot(tx_ring(&port, 0));
			index = port.nifp->ni_bufs_head;
			other = slot->buf_idx;
			*(uint32_t *)NETMAP_BUF(tx_ring(&port, 0), other) =
				*(uint32_t *)NETMAP_BUF(tx_ring(&port, 0), index);
			slot->buf_idx = index;
			slot->flags = NS_BUF_CHANGED;
			port.nifp->ni_bufs_head = other;
		}
		/* And a list that the program has lost. */
		if (round & 2)
			port.nifp->ni_bufs_head = 0;
		ASSERT_EQ(0, port_close(&port));
		EXPECT_EQ(buffers, pool_used("buffers"));
		EXPECT_EQ(rings, pool_used("ring pages"));
		EXPECT_EQ(interfaces, pool_used("interface pages"));
	}
	ASSERT_EQ(0, port_close(&holder));
}

/* Ring sizes: what is asked for at the first bind, rounded to what the NIC can; later binds get what is there. */
TEST_F_TIMEOUT(port, slots_can_be_chosen, TIMEOUT_S)
{
	static const uint32_t wishes[] = { 128, 250, 1024, 4096 };
	struct port port, second;
	int i;

	for (i = 0; i < ARRAY_SIZE(wishes); i++) {
		port = (struct port){ .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = wishes[i],
					       .nr_rx_slots = wishes[i] } };
		ASSERT_EQ(0, port_open_as(&port, nic_name()));
		EXPECT_GE(port.reg.nr_tx_slots, wishes[i]);
		EXPECT_LT(port.reg.nr_tx_slots, wishes[i] + 128);
		EXPECT_GE(port.reg.nr_rx_slots, wishes[i]);
		EXPECT_LT(port.reg.nr_rx_slots, wishes[i] + 128);
		EXPECT_EQ(port.reg.nr_tx_slots, tx_ring(&port, 0)->num_slots);
		EXPECT_EQ(port.reg.nr_rx_slots, rx_ring(&port, 0)->num_slots);
		check_slots(_metadata, &port, rx_ring(&port, 0));
		ASSERT_EQ(0, port_open(&second, nic_name(), NR_REG_SW, 0, 0));
		EXPECT_EQ(port.reg.nr_tx_slots, second.reg.nr_tx_slots);
		ASSERT_EQ(0, port_close(&second));
		ASSERT_EQ(0, port_close(&port));
	}
}

/* An answer to NIOCGINFO about NAME in the region REGION. */
static int older_info(int fd, const char *name, uint16_t region, struct nmreq *req)
{
	*req = (struct nmreq){ .nr_version = NETMAP_API, .nr_arg2 = region };
	snprintf(req->nr_name, sizeof(req->nr_name), "%s", name);
	return ioctl(fd, NIOCGINFO, req) ? -errno : 0;
}

static int control(int fd, uint16_t type, const char *name, void *body)
{
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = type, .nr_body = (uintptr_t)body };

	snprintf(header.nr_name, sizeof(header.nr_name), "%s", name);
	return ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
}

/* Binds in a region of this id, by both interfaces. */
static void check_binds(struct __test_metadata *_metadata, uint16_t region, int expect)
{
	struct nmreq req = { .nr_version = NETMAP_API, .nr_flags = NR_REG_SW, .nr_arg2 = region };
	struct port port = { .reg = { .nr_mode = NR_REG_SW, .nr_mem_id = region } };
	int fd;

	ASSERT_EQ(expect, port_open_as(&port, nic_name()));
	if (!expect) {
		EXPECT_EQ(1, port.reg.nr_mem_id);
		ASSERT_EQ(0, port_close(&port));
	}
	fd = open("/dev/netmap", O_RDWR);
	ASSERT_LE(0, fd);
	snprintf(req.nr_name, sizeof(req.nr_name), "%s", nic_name());
	EXPECT_EQ(expect, ioctl(fd, NIOCREGIF, &req) ? -errno : 0);
	EXPECT_EQ(expect ? region : 1, req.nr_arg2);
	ASSERT_EQ(0, close(fd));
}

/* A region that does not exist is none, for any request, and whether the port is bound, exists, or neither. */
TEST_F_TIMEOUT(port, regions_that_do_not_exist, TIMEOUT_S)
{
	static const struct {
		uint16_t id;
		int expect;
	} regions[] = { { 0, 0 }, { 1, 0 }, { 2, -EINVAL }, { 7, -EINVAL }, { UINT16_MAX, -EINVAL } };
	struct nmreq_port_info_get info;
	struct nmreq_pools_info pools;
	struct port port;
	struct nmreq req;
	int held, fd, i;

	fd = open("/dev/netmap", O_RDWR);
	ASSERT_LE(0, fd);
	for (held = 0; held < 2; held++) {
		if (held)
			ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ONE_NIC, 0, NR_TX_RINGS_ONLY));
		for (i = 0; i < ARRAY_SIZE(regions); i++) {
			uint16_t id = regions[i].id;
			int expect = regions[i].expect;
			uint16_t answer = expect ? id : 1;

			check_binds(_metadata, id, expect);
			EXPECT_EQ(expect, older_info(fd, nic_name(), id, &req));
			EXPECT_EQ(answer, req.nr_arg2);
			EXPECT_EQ(expect, older_info(fd, "", id, &req));
			EXPECT_EQ(answer, req.nr_arg2);
			EXPECT_EQ(expect ?: -ENXIO, older_info(fd, "nosuchif", id, &req));

			info = (struct nmreq_port_info_get){ .nr_mem_id = id };
			EXPECT_EQ(expect, control(fd, NETMAP_REQ_PORT_INFO_GET, nic_name(), &info));
			EXPECT_EQ(answer, info.nr_mem_id);
			info = (struct nmreq_port_info_get){ .nr_mem_id = id };
			EXPECT_EQ(expect, control(fd, NETMAP_REQ_PORT_INFO_GET, "", &info));
			EXPECT_EQ(answer, info.nr_mem_id);
			info = (struct nmreq_port_info_get){ .nr_mem_id = id };
			EXPECT_EQ(expect ?: -ENXIO, control(fd, NETMAP_REQ_PORT_INFO_GET, "nosuchif", &info));

			pools = (struct nmreq_pools_info){ .nr_mem_id = id };
			EXPECT_EQ(expect, control(fd, NETMAP_REQ_POOLS_INFO_GET, nic_name(), &pools));
			EXPECT_EQ(answer, pools.nr_mem_id);
			pools = (struct nmreq_pools_info){ .nr_mem_id = id };
			EXPECT_EQ(expect ?: -ENXIO, control(fd, NETMAP_REQ_POOLS_INFO_GET, "nosuchif", &pools));
		}
	}
	ASSERT_EQ(0, port_close(&port));
	ASSERT_EQ(0, close(fd));
}

/* The older request, with both its ways to name rings. */
TEST_F_TIMEOUT(port, older_requests_bind_the_same, TIMEOUT_S)
{
	static const struct {
		uint32_t version, flags;
		uint16_t ringid;
		bool nic, host;
	} cases[] = {
		{ 11, NR_REG_DEFAULT, 0, true, false },
		{ 12, NR_REG_DEFAULT, NETMAP_HW_RING, true, false },
		{ 13, NR_REG_DEFAULT, NETMAP_SW_RING, false, true },
		{ 14, NR_REG_NIC_SW, 0, true, true },
		{ 15, NR_REG_ALL_NIC, 0, true, false },
		{ 16, NR_REG_SW, 0, false, true },
		{ 14, NR_REG_ONE_NIC | NR_EXCLUSIVE, 0, true, false },
	};
	const struct netmap_if *nifp;
	uint32_t queues = count_queues(nic_name(), "tx");
	char *mem;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nmreq req = { .nr_version = cases[i].version, .nr_flags = cases[i].flags,
				     .nr_ringid = cases[i].ringid };

		snprintf(req.nr_name, sizeof(req.nr_name), "%s", nic_name());
		fd = open("/dev/netmap", O_RDWR);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ioctl(fd, NIOCREGIF, &req));
		EXPECT_EQ(queues, req.nr_tx_rings);
		EXPECT_EQ(1, req.nr_arg2);
		mem = mmap(NULL, req.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, mem);
		nifp = NETMAP_IF(mem, req.nr_offset);
		EXPECT_STREQ(nic_name(), nifp->ni_name);
		EXPECT_EQ(cases[i].nic, nifp->ring_ofs[0] != 0);
		EXPECT_EQ(cases[i].host, nifp->ring_ofs[queues] != 0);
		EXPECT_EQ(-1, ioctl(fd, NIOCREGIF, &req));
		EXPECT_EQ(EBUSY, errno);
		ASSERT_EQ(0, munmap(mem, req.nr_memsize));
		ASSERT_EQ(0, close(fd));
	}
}

TEST_HARNESS_MAIN
