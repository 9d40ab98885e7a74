// SPDX-License-Identifier: BSD-2-Clause
/*
 * Host rings: the stack of the NIC's host as the other end of a ring.
 *
 * The stack's side is a packet socket on the interface. What such a socket sends takes the way of every packet of the
 * stack to the driver; with PACKET_VNET_HDR it may leave checksum and segmentation to the NIC. All transmit queues of
 * the NIC are taken, so that all of it is for the host rings.
 */

#include <pthread.h>
#include <sys/epoll.h>
#include "host.h"
#include "kernel_file.h"

FIXTURE(host)
{
	struct port nic;	/* all its transmit queues */
	struct port port;
	int stack;		/* socket: the stack's side */
	uint8_t frame[ROOM];
};

static int take_tx_queues(struct port *nic)
{
	return port_open(nic, nic_name(), NR_REG_ALL_NIC, 0, NR_TX_RINGS_ONLY);
}

FIXTURE_SETUP(host)
{
	ASSERT_EQ(0, take_tx_queues(&self->nic));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_SW, 0, 0));
	self->stack = packet_socket(nic_name(), PROTOCOL, false);
	ASSERT_GE(self->stack, 0);
}

FIXTURE_TEARDOWN(host)
{
	close(self->stack);
	EXPECT_EQ(0, port_close(&self->port));
	EXPECT_EQ(0, port_close(&self->nic));
}

TEST_F_TIMEOUT(host, to_the_stack, TIMEOUT_S)
{
	struct netmap_ring *ring = host_tx(&self->port);
	uint32_t i;

	ASSERT_NE(NULL, ring);
	for (i = 0; i < 3 * ring->num_slots; i++) {
		uint32_t len = SHORTEST + i % (LONGEST - SHORTEST);

		ASSERT_EQ(0, send_frame(&self->port, ring, len, i));
		ASSERT_TRUE(stack_gets(self->stack, len, i)) TH_LOG("frame %u", i);
	}
}

TEST_F_TIMEOUT(host, to_the_stack_in_one_sync, TIMEOUT_S)
{
	struct netmap_ring *ring = host_tx(&self->port);
	uint32_t i, count = nm_ring_space(ring);

	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, put_frame(&self->port, ring, SHORTEST, i, 0));
	}
	EXPECT_EQ(0, nm_ring_space(ring));
	ASSERT_EQ(0, tx_sync(&self->port));
	EXPECT_EQ(count, nm_ring_space(ring));
	for (i = 0; i < count; i++) {
		ASSERT_TRUE(stack_gets(self->stack, SHORTEST, i)) TH_LOG("frame %u", i);
	}
}

/* A frame in several buffers arrives as one; an unfinished one waits. */
TEST_F_TIMEOUT(host, to_the_stack_in_parts, TIMEOUT_S)
{
	struct netmap_ring *ring = host_tx(&self->port);
	uint32_t offset, part, len = 5000;

	make_frame(self->frame, len, 7);
	for (offset = 0; offset < len; offset += part) {
		struct netmap_slot *slot = head_slot(ring);

		part = offset ? ring->nr_buf_size : 100;
		if (part > len - offset)
			part = len - offset;
		memcpy(slot_buffer(ring, slot), self->frame + offset, part);
		slot->len = part;
		slot->flags = offset + part < len ? NS_MOREFRAG : 0;
		ring_advance(ring);
		ASSERT_EQ(0, tx_sync(&self->port));
	}
	EXPECT_TRUE(stack_gets(self->stack, len, 7));
	EXPECT_EQ(1, ring_counter(&self->port, "host-tx 0", "packets"));
	EXPECT_EQ(len, ring_counter(&self->port, "host-tx 0", "bytes"));
}

/* What cannot be a frame is dropped and counted, and the ring goes on. */
TEST_F_TIMEOUT(host, no_frame_at_all, TIMEOUT_S)
{
	struct netmap_ring *ring = host_tx(&self->port);
	long long errors = ring_counter(&self->port, "host-tx 0", "errors");
	uint32_t i, second;

	ASSERT_EQ(0, put_frame(&self->port, ring, SHORTEST, 1, 0));
	second = ring->head;
	ASSERT_EQ(0, put_frame(&self->port, ring, SHORTEST, 2, 0));
	ring->slot[second].len = 13;
	for (i = 0; i < NETMAP_MAX_FRAGS; i++) {
		ASSERT_EQ(0, put_frame(&self->port, ring, SHORTEST, 3, NS_MOREFRAG));
	}
	ASSERT_EQ(0, send_frame(&self->port, ring, SHORTEST, 4));
	EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 1));
	EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 4));
	EXPECT_EQ(errors + 2, ring_counter(&self->port, "host-tx 0", "errors"));
}

/* An empty slot is no frame and no error, alone, after others and in front of the rest of a frame. */
TEST_F_TIMEOUT(host, empty_slots, TIMEOUT_S)
{
	struct netmap_ring *ring = host_tx(&self->port);
	long long errors = ring_counter(&self->port, "host-tx 0", "errors");
	long long packets = ring_counter(&self->port, "host-tx 0", "packets");
	static const uint16_t flags[] = { 0, NS_MOREFRAG, 0, NS_MOREFRAG };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		head_slot(ring)->len = 0;
		head_slot(ring)->flags = flags[i];
		ring_advance(ring);
	}
	ASSERT_EQ(0, send_frame(&self->port, ring, SHORTEST, 5));
	EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 5));
	EXPECT_EQ(errors, ring_counter(&self->port, "host-tx 0", "errors"));
	EXPECT_EQ(packets + 1, ring_counter(&self->port, "host-tx 0", "packets"));
}

/* Hands over a slot that no buffer can be meant with: the index of `bad`, unless its length is too large for any, and that. */
static void put_bad(struct netmap_ring *ring, const struct netmap_slot *bad)
{
	struct netmap_slot *slot = head_slot(ring);

	if (bad->len != UINT16_MAX)
		slot->buf_idx = bad->buf_idx;
	slot->len = bad->len;
	slot->flags = 0;
	ring_advance(ring);
}

/* A slot that no buffer can be meant with: the ring is set back to it, what came before is delivered, the ring is usable. */
TEST_F_TIMEOUT(host, impossible_slots, TIMEOUT_S)
{
	struct netmap_ring *ring = host_tx(&self->port);
	static const struct netmap_slot bad[] = {
		{ .buf_idx = 0, .len = SHORTEST },
		{ .buf_idx = 1, .len = SHORTEST },
		{ .buf_idx = UINT32_MAX, .len = SHORTEST },
		{ .len = UINT16_MAX },
	};
	long long reinits = ring_counter(&self->port, "host-tx 0", "reinits");
	uint32_t i, at;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ(0, put_frame(&self->port, ring, SHORTEST, 10 * i, 0));
		put_bad(ring, &bad[i]);
		EXPECT_EQ(0, tx_sync(&self->port));
		EXPECT_EQ(++reinits, ring_counter(&self->port, "host-tx 0", "reinits"));
		EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 10 * i));
		EXPECT_GE(head_slot(ring)->buf_idx, 2);
		/* The second slot of a packet: set back to the first. */
		at = ring->head;
		head_slot(ring)->len = SHORTEST;
		head_slot(ring)->flags = NS_MOREFRAG;
		ring_advance(ring);
		put_bad(ring, &bad[i]);
		EXPECT_EQ(0, tx_sync(&self->port));
		EXPECT_EQ(++reinits, ring_counter(&self->port, "host-tx 0", "reinits"));
		EXPECT_EQ(at, ring->head);
		EXPECT_EQ(at, ring->cur);
		ASSERT_EQ(0, send_frame(&self->port, ring, SHORTEST, 10 * i + 1));
		EXPECT_TRUE(stack_gets(self->stack, SHORTEST, 10 * i + 1));
	}
}

TEST_F_TIMEOUT(host, from_the_stack, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	uint32_t i, slots;

	ASSERT_NE(NULL, ring);
	for (i = 0; i < 3 * ring->num_slots; i++) {
		uint32_t len = SHORTEST + i % (LONGEST - SHORTEST);

		ASSERT_EQ(0, stack_send(self->stack, len, i));
		ASSERT_TRUE(wait_slots(&self->port, ring, 1));
		ASSERT_EQ(len, take_frame(ring, self->frame, &slots)) TH_LOG("frame %u", i);
		ASSERT_TRUE(frame_is(self->frame, len, i)) TH_LOG("frame %u", i);
	}
}

/* The peer must not see what the host ring took. */
TEST_F_TIMEOUT(host, nothing_gets_by, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	int peer = packet_socket(peer_name(), PROTOCOL, false), back;
	uint32_t slots;

	ASSERT_GE(peer, 0);
	ASSERT_EQ(0, stack_send(self->stack, SHORTEST, 1));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	EXPECT_EQ(SHORTEST, take_frame(ring, self->frame, &slots));
	/* Released from netmap mode, the same way leads to the peer. */
	ASSERT_EQ(0, port_close(&self->port));
	ASSERT_EQ(0, port_close(&self->nic));
	back = stack_send(self->stack, SHORTEST, 2);
	EXPECT_EQ(0, back);
	EXPECT_TRUE(stack_gets(peer, SHORTEST, 2));
	close(peer);
	ASSERT_EQ(0, take_tx_queues(&self->nic));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_SW, 0, 0));
}

static int run(const char *format, const char *name)
{
	char command[256];

	snprintf(command, sizeof(command), format, name, name);
	return system(command);
}

/*
 * pktgen sends the same packet many times, several times at once, and keeps it meanwhile: the ring must have a packet of
 * its own of each, and leave pktgen's as it is.
 */
TEST_F_TIMEOUT(host, packets_that_the_sender_keeps, TIMEOUT_S)
{
	static const char *const commands[] = {
		"count 200", "clone_skb 100", "burst 4", "pkt_size 100", "delay 0", "dst 10.9.9.9",
		"dst_mac 02:00:00:00:00:01",
	};
	const uint32_t count = 200, magic = htonl(0xbe9be955);
	struct netmap_ring *ring = host_rx(&self->port);
	long long drops = ring_counter(&self->port, "host-rx 0", "drops");
	uint32_t i, slots, found;
	char add[64];
	int round;

	/* Its packets go to the driver directly, and so by the hook of an emulated port. */
	if (is_emulated())
		return;
	ASSERT_EQ(0, run("modprobe pktgen", ""));
	snprintf(add, sizeof(add), "add_device %s", nic_name());
	ASSERT_EQ(0, pktgen("kpktgend_0", add));
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		ASSERT_EQ(0, pktgen(nic_name(), commands[i])) TH_LOG("%s", commands[i]);
	}
	for (round = 0; round < 5; round++) {
		/* It returns when all are sent, which the ring has room for. */
		ASSERT_EQ(0, pktgen("pgctrl", "start"));
		ASSERT_TRUE(wait_slots(&self->port, ring, count));
		for (i = 0; i < count; i++) {
			ASSERT_EQ(100, take_frame(ring, self->frame, &slots));
			memcpy(&found, self->frame + 14 + 20 + 8, sizeof(found));
			ASSERT_EQ(magic, found);
		}
		ASSERT_EQ(0, rx_sync(&self->port));
		EXPECT_TRUE(nm_ring_empty(ring));
	}
	EXPECT_EQ(drops, ring_counter(&self->port, "host-rx 0", "drops"));
	/* And those that wait when the ring goes are freed once. */
	ASSERT_EQ(0, pktgen("pgctrl", "start"));
	ASSERT_EQ(0, port_close(&self->port));
	EXPECT_EQ(0, run("rmmod pktgen", ""));
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_SW, 0, 0));
}

/* More than the ring has slots: the rest is dropped, and counted by the ring and by the interface. */
TEST_F_TIMEOUT(host, full_ring, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	uint32_t i, slots, sent = 2 * ring->num_slots, got = 0;
	long dropped = number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name());
	long long drops = ring_counter(&self->port, "host-rx 0", "drops");

	for (i = 0; i < sent; i++) {
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, i));
	}
	for (;;) {
		ASSERT_EQ(0, rx_sync(&self->port));
		if (nm_ring_empty(ring))
			break;
		ASSERT_EQ(SHORTEST, take_frame(ring, self->frame, &slots));
		ASSERT_TRUE(frame_is(self->frame, SHORTEST, got)) TH_LOG("frame %u", got);
		got++;
	}
	EXPECT_EQ(ring->num_slots, got);
	EXPECT_EQ(drops + sent - got, ring_counter(&self->port, "host-rx 0", "drops"));
	EXPECT_EQ(dropped + sent - got, number_in("/sys/class/net/%s/statistics/tx_dropped", nic_name()));
	/* And there is room again. */
	ASSERT_EQ(0, stack_send(self->stack, SHORTEST, sent));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	ASSERT_EQ(SHORTEST, take_frame(ring, self->frame, &slots));
	EXPECT_TRUE(frame_is(self->frame, SHORTEST, sent));
}

static void *send_to_sleeper(void *arg)
{
	FIXTURE_DATA(host) *self = arg;

	if (!wait_asleep(getpid()))
		stack_send(self->stack, SHORTEST, 1);
	return NULL;
}

/*
 * A program that waits by an edge has taken all of a full ring and has not synced. Behind the ring the stack has as many packets as
 * may wait. The next one is dropped, and wakes it.
 */
TEST_F_TIMEOUT(host, full_ring_wakes, TIMEOUT_S)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct netmap_ring *ring = host_rx(&self->port);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	pthread_t sender;
	uint32_t i;

	ASSERT_LE(0, epoll);
	ASSERT_EQ(gettid(), getpid());
	for (i = 0; i < ring->num_slots; i++)
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, i));
	ASSERT_EQ(0, rx_sync(&self->port));
	ASSERT_EQ(ring->num_slots - 1, nm_ring_space(ring));
	for (i = 0; i < ring->num_slots; i++)
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, i));
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->port.fd, &event));
	ASSERT_EQ(1, epoll_wait(epoll, &event, 1, LIMIT_MS));
	while (epoll_wait(epoll, &event, 1, 0) == 1)
		;
	ring->head = ring->cur = ring->tail;
	ASSERT_EQ(0, pthread_create(&sender, NULL, send_to_sleeper, self));
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, LIMIT_MS));
	EXPECT_FALSE(nm_ring_empty(ring));
	ASSERT_EQ(0, pthread_join(sender, NULL));
	close(epoll);
}

/* A buffer that does not exist, given back: the ring is set back to it, and usable. */
TEST_F_TIMEOUT(host, impossible_buffer_given_back, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	uint32_t slots;

	ASSERT_EQ(0, stack_send(self->stack, SHORTEST, 1));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	head_slot(ring)->buf_idx = UINT32_MAX;
	ring_advance(ring);
	EXPECT_EQ(0, rx_sync(&self->port));
	EXPECT_EQ(1, ring_counter(&self->port, "host-rx 0", "reinits"));
	EXPECT_GE(head_slot(ring)->buf_idx, 2);
	/* Its slot is the program's again. */
	EXPECT_FALSE(nm_ring_empty(ring));
	ring_advance(ring);
	ASSERT_EQ(0, stack_send(self->stack, SHORTEST, 2));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	ASSERT_EQ(SHORTEST, take_frame(ring, self->frame, &slots));
	EXPECT_TRUE(frame_is(self->frame, SHORTEST, 2));
}

static uint32_t sum(const void *data, uint32_t len, uint32_t from)
{
	const uint8_t *p = data;
	uint32_t i;

	for (i = 0; i < len; i++)
		from += i % 2 ? p[i] : p[i] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return from;
}

/* Whether the checksums of an IPv4 TCP frame are right. */
static bool checksums_right(const uint8_t *frame)
{
	const struct iphdr *ip = (const struct iphdr *)(frame + 14);
	uint32_t tcp = ntohs(ip->tot_len) - 4 * ip->ihl;

	return sum(ip, 4 * ip->ihl, 0) == 0xffff &&
	       sum((const uint8_t *)ip + 4 * ip->ihl, tcp, sum(&ip->saddr, 8, IPPROTO_TCP + tcp)) == 0xffff;
}

#define HEADERS	(14 + sizeof(struct iphdr) + sizeof(struct tcphdr))

/* A TCP packet whose checksum, and whose cuts into segments of `segment` bytes, are left to the NIC. */
static int send_offloaded(int fd, uint32_t payload, uint32_t segment)
{
	static struct {
		struct virtio_net_hdr vnet;
		uint8_t frame[ROOM];
	} __attribute__((packed)) packet;
	uint8_t *frame = packet.frame;
	struct iphdr ip = {
		.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
		.tot_len = htons(sizeof(struct iphdr) + sizeof(struct tcphdr) + payload),
		.saddr = htonl(0x0a000001), .daddr = htonl(0x0a000002),
	};
	struct tcphdr tcp = { .source = htons(1), .dest = htons(2), .seq = htonl(1000), .doff = 5, .ack = 1, .psh = 1 };
	uint32_t len = HEADERS + payload, i;

	memset(&packet, 0, sizeof(packet.vnet));
	ip.check = htons(~sum(&ip, sizeof(ip), 0));
	/* Of the pseudo header, as the offload asks for. */
	tcp.check = htons(sum(&ip.saddr, 8, IPPROTO_TCP + sizeof(tcp) + payload));
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x02nmtst\x08\x00", 8);
	memcpy(frame + 14, &ip, sizeof(ip));
	memcpy(frame + 14 + sizeof(ip), &tcp, sizeof(tcp));
	for (i = 0; i < payload; i++)
		frame[HEADERS + i] = i % 251;
	packet.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet.vnet.csum_start = 14 + sizeof(ip);
	packet.vnet.csum_offset = offsetof(struct tcphdr, check);
	if (segment) {
		packet.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		packet.vnet.gso_size = segment;
		packet.vnet.hdr_len = HEADERS;
	}
	return send(fd, &packet, sizeof(packet.vnet) + len, 0) == sizeof(packet.vnet) + len ? 0 : -errno;
}

TEST_F_TIMEOUT(host, checksum_completed, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	int fd = packet_socket(nic_name(), 0, true);
	uint32_t slots;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, send_offloaded(fd, 333, 0));
	ASSERT_TRUE(wait_slots(&self->port, ring, 1));
	ASSERT_EQ(HEADERS + 333, take_frame(ring, self->frame, &slots));
	EXPECT_TRUE(checksums_right(self->frame));
	close(fd);
}

TEST_F_TIMEOUT(host, segments_cut, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	int fd = packet_socket(nic_name(), 0, true);
	uint32_t i, slots, offset = 0, payload = 10000, segment = 1400;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, send_offloaded(fd, payload, segment));
	ASSERT_TRUE(wait_slots(&self->port, ring, (payload + segment - 1) / segment));
	while (offset < payload) {
		uint32_t want = payload - offset < segment ? payload - offset : segment;
		struct tcphdr tcp;

		ASSERT_FALSE(nm_ring_empty(ring));
		ASSERT_EQ(HEADERS + want, take_frame(ring, self->frame, &slots));
		ASSERT_TRUE(checksums_right(self->frame));
		memcpy(&tcp, self->frame + 14 + sizeof(struct iphdr), sizeof(tcp));
		ASSERT_EQ(1000 + offset, ntohl(tcp.seq));
		ASSERT_EQ(offset + want == payload, !!tcp.psh);
		for (i = 0; i < want; i++) {
			ASSERT_EQ((offset + i) % 251, self->frame[HEADERS + i]);
		}
		offset += want;
	}
	EXPECT_TRUE(nm_ring_empty(ring));
	close(fd);
}

/* A packet of more segments than there is room for now comes in parts, none lost. */
TEST_F_TIMEOUT(host, segments_beyond_the_ring, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	int fd = packet_socket(nic_name(), 0, true);
	uint32_t i, slots, segments = 40, free = 7, fill = ring->num_slots - 1 - free;

	ASSERT_GE(fd, 0);
	for (i = 0; i < fill; i++) {
		ASSERT_EQ(0, stack_send(self->stack, SHORTEST, i));
	}
	ASSERT_TRUE(wait_slots(&self->port, ring, fill));
	ASSERT_EQ(0, send_offloaded(fd, segments * 100, 100));
	ASSERT_TRUE(wait_slots(&self->port, ring, fill + free));
	for (i = 0; i < fill; i++)
		take_frame(ring, self->frame, &slots);
	ASSERT_TRUE(wait_slots(&self->port, ring, segments));
	for (i = 0; i < segments; i++) {
		struct tcphdr tcp;

		ASSERT_EQ(HEADERS + 100, take_frame(ring, self->frame, &slots));
		memcpy(&tcp, self->frame + 14 + sizeof(struct iphdr), sizeof(tcp));
		ASSERT_EQ(1000 + 100 * i, ntohl(tcp.seq));
		ASSERT_TRUE(checksums_right(self->frame));
	}
	close(fd);
}

/* A tag that the stack left to the NIC to insert is in the packet, as on the wire. */
TEST_F_TIMEOUT(host, vlan_tag_inserted, TIMEOUT_S)
{
	static const uint8_t tag[] = { 0x81, 0x00, 0x00, 0x05 };
	struct netmap_ring *ring = host_rx(&self->port);
	uint32_t slots;
	int fd;

	ASSERT_EQ(0, run("ip link add link %s name nmvlan type vlan id 5 && ip link set nmvlan up", nic_name()));
	fd = packet_socket("nmvlan", PROTOCOL, false);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(0, stack_send(fd, 100, 1));
	EXPECT_TRUE(wait_slots(&self->port, ring, 1));
	EXPECT_EQ(104, take_frame(ring, self->frame, &slots));
	EXPECT_EQ(0, memcmp(self->frame + 12, tag, 4));
	memmove(self->frame + 12, self->frame + 16, 88);
	EXPECT_TRUE(frame_is(self->frame, 100, 1));

	/* And one in a packet for the stack reaches the VLAN. */
	ring = host_tx(&self->port);
	make_frame(self->frame, 100, 2);
	memcpy(slot_buffer(ring, head_slot(ring)), self->frame, 12);
	memcpy(slot_buffer(ring, head_slot(ring)) + 12, tag, 4);
	memcpy(slot_buffer(ring, head_slot(ring)) + 16, self->frame + 12, 88);
	head_slot(ring)->len = 104;
	head_slot(ring)->flags = 0;
	ring_advance(ring);
	EXPECT_EQ(0, tx_sync(&self->port));
	EXPECT_TRUE(stack_gets(fd, 100, 2));
	close(fd);
	EXPECT_EQ(0, run("ip link del nmvlan", ""));
}

/* A frame longer than a buffer has several slots. */
TEST_F_TIMEOUT(host, frame_beyond_a_buffer, TIMEOUT_S)
{
	struct netmap_ring *ring = host_rx(&self->port);
	int64_t end = now_ms() + LIMIT_MS;
	uint32_t slots, len = 5000;
	static uint8_t expected[ROOM];
	long long packets, bytes;

	/* Longer than what the buffers take of the wire: before the queues are taken. */
	ASSERT_EQ(0, port_close(&self->nic));
	ASSERT_EQ(0, run("ip link set %s mtu 6000", nic_name()));
	ASSERT_EQ(0, take_tx_queues(&self->nic));
	/* The driver re-initialises the device for it, and the stack sends nothing before the carrier is back. */
	do {
		EXPECT_EQ(0, stack_send(self->stack, len, 1));
	} while (poll_port(&self->port, POLLIN, 200) == 0 && now_ms() < end);
	packets = ring_counter(&self->port, "host-rx 0", "packets");
	bytes = ring_counter(&self->port, "host-rx 0", "bytes");
	EXPECT_EQ(0, bytes % len);
	EXPECT_EQ(bytes / len, packets);
	EXPECT_EQ(len, take_frame(ring, self->frame, &slots));
	EXPECT_EQ((len + ring->nr_buf_size - 1) / ring->nr_buf_size, slots);
	make_frame(expected, len, 1);
	EXPECT_EQ(0, memcmp(expected, self->frame, len));
	EXPECT_EQ(0, run("ip link set %s mtu 1500", nic_name()));
	while (number_in("/sys/class/net/%s/carrier", nic_name()) != 1 && now_ms() < end)
		usleep(10000);
}

TEST_HARNESS_MAIN
