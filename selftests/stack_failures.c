// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every allocation that stack ports make, and TCP for them, fails once, as in failures.c: each time the errno is that of the failure,
 * a connection goes on, as one of the port or as an ordinary socket, and none of its octets is lost. For stack_failures.sh, which
 * makes hosts of both ends of the wire.
 */
#include "faults.h"
#include "kselftest_harness.h"
#include "stack_wire.h"

FIXTURE(failures) {
	struct sites *sites;
	long buffers;
};

FIXTURE_SETUP(failures)
{
	ASSERT_EQ(aim(), 0);
	self->sites = open_sites();
	ASSERT_NE(self->sites, NULL);
	self->buffers = pool_used("buffers");
}

FIXTURE_TEARDOWN(failures)
{
	close_sites(self->sites);
}

/* Buffers that packets of a port refer to come back a little later than it is closed. */
static bool has_buffers(long count)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (pool_used("buffers") != count) {
		if (now_ms() >= end)
			return false;
		usleep(1000);
	}
	return true;
}

#define EXPECT_AS_BEFORE(n) do { \
	EXPECT_TRUE(has_buffers(self->buffers)) TH_LOG("after failure %ld", n); \
	add_sites(self->sites); \
	if ((n) % 20 == 0) \
		printf("# failure %ld\n", (long)(n)); \
} while (0)

/* One time after the other, and then with all that come after the first failing as well; the body sets `failed`. */
#define EACH_FAILURE(n, lasts) \
	for (lasts = 0; lasts < 2; lasts++) \
		for (failed = true, n = 1; failed && n < 2000 && !last(lasts); n++)

static void open_here(struct __test_metadata *_metadata, struct port *port, struct pair *pair)
{
	*port = (struct port){ .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS } };
	ASSERT_EQ(make_pairs(pair, 1, NIC_ADDRESS), 0);
	ASSERT_EQ(stack_open(port, SLOTS), 0);
}

/* Octets of a stream arrive in the ring. */
static void expect_octets(struct __test_metadata *_metadata, struct port *port, uint32_t number, uint64_t at, uint64_t end)
{
	struct netmap_ring *ring = rx_ring(port, 0);

	while (at < end) {
		struct netmap_slot *slot;

		ASSERT_NE(wait_rx(port, LIMIT_MS), NULL);
		slot = head_slot(ring);
		ASSERT_EQ(slot->flags, 0);
		ASSERT_EQ(differs((uint8_t *)NETMAP_BUF(ring, slot->buf_idx) + slot->offset, number, at, slot->len), slot->len);
		at += slot->len;
		ring_advance(ring);
	}
	ASSERT_EQ(at, end);
}

TEST_F_TIMEOUT(failures, of_binding, 1800)
{
	long n, total = 0;
	bool failed;
	int lasts;

	EACH_FAILURE(n, lasts) {
		struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC, .nr_flags = NR_STACK, .nr_tx_slots = SLOTS,
					      .nr_rx_slots = SLOTS };
		int err, fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);

		ASSERT_LE(0, fd);
		ASSERT_EQ(arm(n), 0);
		err = port_register(fd, nic_name(), &reg);
		failed = met();
		EXPECT_TRUE(is_of_failure(err)) TH_LOG("failure %ld: %d", n, err);
		EXPECT_EQ(close(fd), 0);
		EXPECT_AS_BEFORE(n);
		total++;
	}
	TH_LOG("%ld failures", total - 2);
	EXPECT_GT(total, 10);
}

TEST_F_TIMEOUT(failures, of_registering, 1800)
{
	long n, total = 0;
	bool failed;
	int lasts;

	EACH_FAILURE(n, lasts) {
		struct port port;
		struct pair pair;
		int err;

		open_here(_metadata, &port, &pair);
		ASSERT_EQ(feed(pair.peer, 1, 0, 3000), 3000);
		ASSERT_EQ(arm(n), 0);
		err = stack_register(&port, pair.nic);
		failed = met();
		EXPECT_TRUE(err == 0 || err == -ENOMEM || err == -EFAULT) TH_LOG("failure %ld: %d", n, err);
		/* An ordinary socket, or a connection of the port, with all that has arrived. */
		if (err) {
			EXPECT_EQ(expect(pair.nic, 1, 0, 1000), 0);
			EXPECT_EQ(stack_register(&port, pair.nic), 0);
			expect_octets(_metadata, &port, 1, 1000, 3000);
		} else {
			expect_octets(_metadata, &port, 1, 0, 3000);
		}
		close_pairs(&pair, 1);
		EXPECT_EQ(port_close(&port), 0);
		EXPECT_AS_BEFORE(n);
		total++;
	}
	TH_LOG("%ld failures", total - 2);
	EXPECT_GT(total, 4);
}

/* What TCP has no memory for is sent later. */
TEST_F_TIMEOUT(failures, of_sending, 1800)
{
	enum { OCTETS = 20000 };
	long n, total = 0;
	bool failed;
	int lasts;

	EACH_FAILURE(n, lasts) {
		struct port port;
		struct pair pair;
		int err;

		open_here(_metadata, &port, &pair);
		ASSERT_EQ(stack_register(&port, pair.nic), 0);
		ASSERT_EQ(put(&port, pair.nic, 2, 0, OCTETS, 1000), OCTETS);
		ASSERT_EQ(arm(n), 0);
		err = tx_sync(&port);
		failed = met();
		EXPECT_EQ(err, 0) TH_LOG("failure %ld", n);
		last(false);
		ASSERT_EQ(drain_tx(&port, tx_ring(&port, 0)), 0);
		EXPECT_EQ(expect(pair.peer, 2, 0, OCTETS), 0) TH_LOG("failure %ld", n);
		close_pairs(&pair, 1);
		EXPECT_EQ(port_close(&port), 0);
		EXPECT_AS_BEFORE(n);
		total++;
	}
	TH_LOG("%ld failures", total - 2);
	EXPECT_GT(total, 4);
}

/* The port is closed with payload under way, and with data in slots, in no slot, and in the socket. */
TEST_F_TIMEOUT(failures, of_ending, 1800)
{
	enum { OCTETS = 20000 };
	long n, total = 0;
	bool failed;
	int lasts;

	EACH_FAILURE(n, lasts) {
		struct port port;
		struct pair pair;
		size_t fed;

		open_here(_metadata, &port, &pair);
		ASSERT_EQ(stack_register(&port, pair.nic), 0);
		ASSERT_EQ(put(&port, pair.nic, 2, 0, OCTETS, 1000), OCTETS);
		ASSERT_EQ(tx_sync(&port), 0);
		ASSERT_EQ(drain_tx(&port, tx_ring(&port, 0)), 0);
		fed = feed(pair.peer, 1, 0, 60000);
		ASSERT_NE(wait_rx(&port, LIMIT_MS), NULL);
		munmap(port.mem, port.size);
		ASSERT_EQ(arm(n), 0);
		EXPECT_EQ(close(port.fd), 0);
		failed = met();
		last(false);
		EXPECT_EQ(expect(pair.nic, 1, 0, fed), 0) TH_LOG("failure %ld", n);
		EXPECT_EQ(expect(pair.peer, 2, 0, OCTETS), 0) TH_LOG("failure %ld", n);
		EXPECT_EQ(feed(pair.nic, 2, OCTETS, 100), 100);
		EXPECT_EQ(expect(pair.peer, 2, OCTETS, 100), 0) TH_LOG("failure %ld", n);
		close_pairs(&pair, 1);
		EXPECT_AS_BEFORE(n);
		total++;
	}
	TH_LOG("%ld failures", total - 2);
	EXPECT_GT(total, 2);
}

TEST_HARNESS_MAIN
