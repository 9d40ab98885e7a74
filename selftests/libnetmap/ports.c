// SPDX-License-Identifier: BSD-2-Clause
/* Ports that are opened by libnetmap: rings, regions, packets, extra buffers, and what the kernel refuses. */
#include <libnetmap.h>
#include "../netmap_test.h"
#include "kselftest_harness.h"

#define BASE	"libnetmap"	/* of pipes on nothing */
#define MOST	8192		/* octets of a packet */

static char message[1000];

static void remember(struct nmctx *ctx, const char *text)
{
	(void)ctx;
	snprintf(message, sizeof(message), "%s", text);
}

/* A port whose name is put together; NULL, errno and a message if it cannot be opened. */
static struct nmport_d *open_port(const char *before, const char *name, const char *behind)
{
	char text[200];

	snprintf(text, sizeof(text), "%s%s%s", before, name, behind);
	message[0] = '\0';
	return nmport_open(text);
}

/* Sends a packet of as many octets, in as many slots as it takes. */
static int send_packet(struct nmport_d *d, uint32_t len, uint32_t number)
{
	int64_t end = now_ms() + LIMIT_MS;
	uint8_t packet[MOST];

	make_frame(packet, len, number);
	while (nmport_inject(d, packet, len) != (int)len) {
		if (now_ms() >= end || ioctl(d->fd, NIOCTXSYNC, NULL))
			return -ENOBUFS;
		usleep(1000);
	}
	return ioctl(d->fd, NIOCTXSYNC, NULL) ? -errno : 0;
}

/*
 * Waits for the packet of a number, which has so many octets, by any of the rings; how many slots it was in. Others are left out: the
 * stack of the peer may have something to say.
 */
static int take_packet(struct nmport_d *d, uint32_t len, uint32_t number)
{
	struct pollfd pollfd = { .fd = d->fd, .events = POLLIN };
	uint8_t packet[MOST], expected[MOST];
	int64_t end = now_ms() + LIMIT_MS;

	make_frame(expected, len, number);
	while (now_ms() < end) {
		unsigned int i;

		poll(&pollfd, 1, 1000);
		for (i = d->first_rx_ring; i <= d->last_rx_ring; i++) {
			struct netmap_ring *ring = NETMAP_RXRING(d->nifp, i);
			uint32_t octets = 0;
			int slots = 0;

			while (!nm_ring_empty(ring)) {
				struct netmap_slot *slot = &ring->slot[ring->head];

				if (octets + slot->len > MOST)
					return -EMSGSIZE;
				memcpy(packet + octets, NETMAP_BUF(ring, slot->buf_idx), slot->len);
				octets += slot->len;
				slots++;
				ring->head = ring->cur = nm_ring_next(ring, ring->head);
				if (slot->flags & NS_MOREFRAG)
					continue;
				if (octets == len && !memcmp(packet, expected, len))
					return slots;
				octets = slots = 0;
			}
		}
	}
	return -ETIMEDOUT;
}

/* How many slots a packet takes in a ring of the port. */
static int slots_of(struct nmport_d *d, uint32_t len)
{
	uint32_t size = NETMAP_TXRING(d->nifp, 0)->nr_buf_size;

	return (len + size - 1) / size;
}

FIXTURE(library)
{
	struct nmctx context, *before;
};

FIXTURE_SETUP(library)
{
	self->before = nmctx_get();
	self->context = *self->before;
	self->context.error = remember;
	self->context.mem_descs = NULL;
	nmctx_set_default(&self->context);
}

FIXTURE_TEARDOWN(library)
{
	EXPECT_EQ(NULL, self->context.mem_descs);
	nmctx_set_default(self->before);
}

TEST_F(library, packets_between_two_devices)
{
	struct nmport_d *one = open_port("netmap:", nic_name(), "");
	struct nmport_d *other;
	uint32_t i;

	ASSERT_NE(NULL, one);
	other = open_port("netmap:", peer_name(), "");
	ASSERT_NE(NULL, other);
	EXPECT_TRUE(one->register_done && one->mmap_done && one->fd >= 0);
	EXPECT_EQ(0, fcntl(one->fd, F_GETFD));
	EXPECT_EQ(0, one->first_tx_ring);
	EXPECT_EQ(one->reg.nr_tx_rings - 1, one->last_tx_ring);
	EXPECT_EQ(0, one->first_rx_ring);
	EXPECT_EQ(one->reg.nr_rx_rings - 1, one->last_rx_ring);
	/* Both are in one region, which is mapped once. */
	EXPECT_EQ(one->mem, other->mem);
	EXPECT_EQ(2, one->mem->refcount);
	ASSERT_TRUE(has_carrier(nic_name()) && has_carrier(peer_name()));
	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, send_packet(other, SHORTEST + i, i));
		ASSERT_EQ(1, take_packet(one, SHORTEST + i, i));
	}
	ASSERT_EQ(0, send_packet(one, LONGEST, i));
	ASSERT_EQ(1, take_packet(other, LONGEST, i));
	/* The one that was opened first is closed first: its interface is free then, and the memory of the other is what it was. */
	nmport_close(one);
	EXPECT_EQ(1, other->mem->refcount);
	one = open_port("netmap:", nic_name(), "/x");
	ASSERT_NE(NULL, one) TH_LOG("%s", message);
	EXPECT_EQ(one->mem, other->mem);
	ASSERT_EQ(0, send_packet(other, LONGEST, i));
	ASSERT_EQ(1, take_packet(one, LONGEST, i));
	nmport_close(other);
	EXPECT_EQ(1, one->mem->refcount);
	nmport_close(one);
}

TEST_F(library, one_ring_and_the_other_side_of_the_device)
{
	struct nmport_d *ring = open_port("netmap:", nic_name(), "-0"), *host = open_port("netmap:", nic_name(), "^");
	struct nmport_d *clone;

	ASSERT_NE(NULL, ring);
	ASSERT_NE(NULL, host);
	EXPECT_EQ(0, ring->last_tx_ring);
	EXPECT_EQ(0, ring->last_rx_ring);
	/* Host rings follow those of the NIC. */
	EXPECT_EQ(host->reg.nr_tx_rings, host->first_tx_ring);
	EXPECT_EQ(host->reg.nr_tx_rings + host->reg.nr_host_tx_rings - 1, host->last_tx_ring);
	EXPECT_EQ(host->reg.nr_rx_rings, host->first_rx_ring);
	/* A request as this one's, of its own. */
	clone = nmport_clone(ring);
	ASSERT_NE(NULL, clone);
	EXPECT_EQ(0, nmport_open_desc(clone));
	EXPECT_EQ(ring->nifp->ni_tx_rings, clone->nifp->ni_tx_rings);
	EXPECT_EQ(NETMAP_TXRING(ring->nifp, 0), NETMAP_TXRING(clone->nifp, 0));
	nmport_close(clone);
	nmport_close(host);
	nmport_close(ring);
}

TEST_F(library, pipes)
{
	struct nmport_d *from = open_port("netmap:", BASE, "{1@conf:slots=64"), *to = open_port("netmap:", BASE, "}1");

	ASSERT_NE(NULL, from);
	ASSERT_NE(NULL, to);
	EXPECT_EQ(64, from->reg.nr_tx_slots);
	EXPECT_EQ(from->mem, to->mem);
	ASSERT_EQ(0, send_packet(from, 100, 1));
	EXPECT_EQ(1, take_packet(to, 100, 1));
	ASSERT_EQ(0, send_packet(to, 5000, 2));
	EXPECT_EQ(slots_of(to, 5000), take_packet(from, 5000, 2));
	nmport_close(to);
	nmport_close(from);
}

TEST_F(library, ports_of_a_switch)
{
	struct nmport_d *one = open_port("vale7:", "a", ""), *other = open_port("vale7:", "b", "@conf:rings=2"), *shared;

	ASSERT_NE(NULL, one);
	ASSERT_NE(NULL, other);
	EXPECT_EQ(1, other->last_tx_ring);
	/* Regions of their own, until somebody asks for another one. */
	EXPECT_NE(one->reg.nr_mem_id, other->reg.nr_mem_id);
	EXPECT_NE(one->mem, other->mem);
	ASSERT_EQ(0, send_packet(one, 200, 3));
	EXPECT_EQ(1, take_packet(other, 200, 3));
	ASSERT_EQ(0, send_packet(one, 5000, 4));
	EXPECT_EQ(slots_of(one, 5000), take_packet(other, 5000, 4));
	shared = open_port("vale7:", "c", "@share=vale7:a");
	ASSERT_NE(NULL, shared);
	EXPECT_EQ(one->reg.nr_mem_id, shared->reg.nr_mem_id);
	EXPECT_EQ(one->mem, shared->mem);
	nmport_close(shared);
	nmport_close(other);
	nmport_close(one);
}

TEST_F(library, extra_buffers)
{
	struct nmport_d *d = nmport_prepare("netmap:" BASE "{2");
	uint32_t at, count = 0;

	ASSERT_NE(NULL, d);
	d->reg.nr_extra_bufs = 5;
	ASSERT_EQ(0, nmport_open_desc(d));
	EXPECT_EQ(5, d->reg.nr_extra_bufs);
	for (at = d->nifp->ni_bufs_head; at && count < 9; count++)
		at = *(uint32_t *)NETMAP_BUF(NETMAP_TXRING(d->nifp, 0), at);
	EXPECT_EQ(5, count);
	nmport_close(d);
}

/* A step that fails leaves the port as it was, and all of it can be done again. */
TEST_F(library, what_the_kernel_refuses)
{
	struct nmreq_option unknown = { .nro_reqtype = NETMAP_REQ_OPT_MAX + 1 };
	struct nmport_d *d = nmport_prepare("netmap:" BASE "{3"), *exclusive;

	EXPECT_EQ(NULL, open_port("netmap:", "nosuchif", ""));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_NE(NULL, strstr(message, "nosuchif: "));
	ASSERT_NE(NULL, d);
	nmreq_push_option(&d->hdr, &unknown);
	EXPECT_EQ(-1, nmport_open_desc(d));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_NE(NULL, strstr(message, "option"));
	EXPECT_TRUE(d->fd == -1 && !d->register_done && !d->mmap_done);
	nmreq_remove_option(&d->hdr, &unknown);
	ASSERT_EQ(0, nmport_open_desc(d));
	EXPECT_EQ(-1, nmport_register(d));
	EXPECT_EQ(EINVAL, errno);
	nmport_undo_open_desc(d);
	EXPECT_EQ(-1, d->fd);
	/* The kernel has written there which region the pipe had, which has gone with it. */
	d->reg.nr_mem_id = 0;
	ASSERT_EQ(0, nmport_open_desc(d));
	nmport_close(d);
	exclusive = open_port("netmap:", BASE, "{4/x");
	ASSERT_NE(NULL, exclusive);
	EXPECT_EQ(NULL, open_port("netmap:", BASE, "{4"));
	EXPECT_EQ(EBUSY, errno);
	nmport_close(exclusive);
}

TEST_HARNESS_MAIN
