// SPDX-License-Identifier: BSD-2-Clause
/*
 * The receive side of an emulated port: what the stack's own interface at the other end of the wire sends, in the shapes that only
 * such a port has to make frames of.
 */
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include "kselftest_harness.h"
#include "kernel_file.h"
#include "netmap_test.h"
#include "stack.h"

#define OFFLOADS	sizeof(struct virtio_net_hdr)
#define IP_AT		14
#define PORTS_AT	34
#define TCP_DATA_AT	54

static int set_admode(int mode)
{
	char command[80];

	snprintf(command, sizeof(command), "echo %d 2>/dev/null >/sys/module/netmap/parameters/admode", mode);
	return system(command);
}

static uint32_t sum_of(const uint8_t *at, uint32_t len)
{
	uint32_t sum = 0, i;

	for (i = 0; i < len; i++)
		sum += i & 1 ? at[i] : at[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Whether both checksums of a frame of IPv4 that ends at "end" are right. */
static bool checksums_are_right(const uint8_t *frame, uint32_t len)
{
	const struct iphdr *ip = (const void *)(frame + IP_AT);
	uint32_t payload = ntohs(ip->tot_len) - sizeof(*ip);

	return IP_AT + ntohs(ip->tot_len) <= len && fold(sum_of((void *)ip, sizeof(*ip))) == 0xffff &&
	       fold(sum_of((void *)&ip->saddr, 8) + ip->protocol + payload + sum_of((void *)(ip + 1), payload)) == 0xffff;
}

/* A frame of IPv4 to everybody, with a header of TCP or UDP whose checksum is left to others; of "len" bytes. */
static void make_packet(uint8_t *frame, uint32_t len, uint8_t protocol, uint16_t port)
{
	uint16_t *check = (void *)(frame + PORTS_AT + (protocol == IPPROTO_TCP ? 16 : 6));
	struct iphdr *ip = (void *)(frame + IP_AT);

	make_frame(frame, len, port);
	frame[12] = 0x08;
	frame[13] = 0;
	*ip = (struct iphdr){ .version = 4, .ihl = 5, .tot_len = htons(len - IP_AT), .id = 1, .ttl = 64, .protocol = protocol,
			      .saddr = htonl(0xc0000202), .daddr = htonl(0xc0000201) };
	ip->check = htons(~fold(sum_of((void *)ip, sizeof(*ip))));
	memset(frame + PORTS_AT, 0, protocol == IPPROTO_TCP ? 20 : 8);
	*(uint16_t *)(frame + PORTS_AT) = htons(port);
	*(uint16_t *)(frame + PORTS_AT + 2) = htons(9);
	if (protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)(frame + PORTS_AT);

		tcp->doff = 5;
		tcp->ack = 1;
		tcp->window = htons(1000);
	} else {
		((struct udphdr *)(frame + PORTS_AT))->len = htons(len - PORTS_AT);
	}
	/* Of the pseudo header. */
	*check = htons(fold(sum_of((void *)&ip->saddr, 8) + protocol + len - PORTS_AT));
}

FIXTURE(emulated)
{
	struct port port;
	int peer;		/* a packet socket of the peer */
};

FIXTURE_SETUP(emulated)
{
	ASSERT_EQ(0, port_open(&self->port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_TRUE(has_carrier(nic_name()));
	ASSERT_TRUE(has_carrier(peer_name()));
	self->peer = packet_socket(peer_name(), 0, true);
	ASSERT_LE(0, self->peer);
}

FIXTURE_TEARDOWN(emulated)
{
	EXPECT_EQ(0, close(self->peer));
	EXPECT_EQ(0, port_close(&self->port));
}

/* Sends what is at "frame", with these offloads or none. */
static int send_packet(int fd, const void *frame, uint32_t len, const struct virtio_net_hdr *offloads)
{
	static const struct virtio_net_hdr none;
	static uint8_t packet[OFFLOADS + 65536];

	memcpy(packet, offloads ?: &none, OFFLOADS);
	memcpy(packet + OFFLOADS, frame, len);
	return write(fd, packet, OFFLOADS + len) == (ssize_t)(OFFLOADS + len) ? 0 : -errno;
}

static int send_numbered(int fd, uint32_t len, uint32_t number)
{
	uint8_t frame[2048];

	make_frame(frame, len, number);
	return send_packet(fd, frame, len, NULL);
}

static void expect_numbered(struct __test_metadata *_metadata, const struct port *port, uint32_t len, uint32_t number)
{
	uint8_t frame[2048];

	ASSERT_EQ(len, receive_frame(port, frame, sizeof(frame), LIMIT_MS)) TH_LOG("frame %u", number);
	EXPECT_TRUE(frame_is(frame, len, number)) TH_LOG("frame %u of %u bytes is %u", number, len, frame_number(frame));
}

/* The next frame of IPv4; its bytes. Those of several slots are joined, and counted in *slots. */
static int receive_packet(const struct port *port, uint8_t *frame, uint32_t size, uint32_t *slots)
{
	struct netmap_ring *ring;
	uint32_t len, more;

	do {
		len = 0;
		*slots = 0;
		do {
			struct netmap_slot *slot;

			ring = wait_rx(port, LIMIT_MS);
			if (!ring)
				return -ETIMEDOUT;
			slot = head_slot(ring);
			if (len + slot->len > size)
				return -EMSGSIZE;
			memcpy(frame + len, slot_buffer(ring, slot), slot->len);
			len += slot->len;
			more = slot->flags & NS_MOREFRAG;
			++*slots;
			ring_advance(ring);
		} while (more);
	} while (len < TCP_DATA_AT || frame[12] != 0x08 || frame[13]);
	return len;
}

TEST_F_TIMEOUT(emulated, says_what_it_is, TIMEOUT_S)
{
	const char *kind = expects_xdp() ? "xdp" : "skb";
	char command[128];

	EXPECT_TRUE(is_kind(&self->port, kind));
	snprintf(command, sizeof(command), "dmesg | grep -q '%s: emulated (skb), [0-9]* tx + [0-9]* rx queues, 128 + 1024 slots'", nic_name());
	EXPECT_EQ(0, system(command));
	snprintf(command, sizeof(command), "grep -q '^%s: emulated (%s)' /sys/kernel/debug/netmap/ports", nic_name(), kind);
	EXPECT_EQ(0, system(command));
	EXPECT_EQ(count_queues(nic_name(), "tx"), self->port.nifp->ni_tx_rings);
	EXPECT_EQ(count_queues(nic_name(), "rx"), self->port.nifp->ni_rx_rings);
}

/* What a request does not say a parameter does, within bounds. */
TEST_F_TIMEOUT(emulated, rings_are_as_large_as_the_parameter_says, TIMEOUT_S)
{
	static const struct {
		const char *value;
		uint32_t slots;
	} sizes[] = { { "256", 256 }, { "0", 32 }, { "31", 32 }, { "999", 999 }, { "1000000", 16384 }, { "1024", 1024 } };
	long admode = parameter("admode");
	char command[128];
	struct port peer;
	uint32_t i;

	/* A port keeps those of its first bind. */
	ASSERT_EQ(0, set_admode(2));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(command, sizeof(command), "echo %s >/sys/module/netmap/parameters/generic_ringsize", sizes[i].value);
		ASSERT_EQ(0, system(command));
		ASSERT_EQ(0, port_open(&peer, peer_name(), NR_REG_ONE_NIC, 0, NR_RX_RINGS_ONLY));
		EXPECT_EQ(sizes[i].slots, peer.reg.nr_rx_slots) TH_LOG("%s", sizes[i].value);
		EXPECT_EQ(sizes[i].slots, rx_ring(&peer, 0)->num_slots);
		ASSERT_EQ(0, port_close(&peer));
	}
	ASSERT_NE(0, system("echo -1 2>/dev/null >/sys/module/netmap/parameters/generic_ringsize"));
	ASSERT_EQ(0, set_admode(admode));
}

TEST_F_TIMEOUT(emulated, frames_of_all_lengths_arrive, TIMEOUT_S)
{
	uint32_t len;

	for (len = SHORTEST; len <= LONGEST; len++) {
		ASSERT_EQ(0, send_numbered(self->peer, len, len));
		expect_numbered(_metadata, &self->port, len, len);
	}
	EXPECT_EQ(0, ring_counter(&self->port, "rx 0", "errors"));
	EXPECT_EQ(0, ring_counter(&self->port, "rx 0", "drops"));
}

/* The driver, or the stack, takes a tag out; the program sees what was on the wire. */
TEST_F_TIMEOUT(emulated, tags_are_put_in_again, TIMEOUT_S)
{
	uint8_t frame[2048], got[2048];
	uint32_t len, slots;

	ASSERT_EQ(0, set_if_flags(nic_name(), IFF_PROMISC, 0));
	for (len = 64; len <= LONGEST; len += 145) {
		make_packet(frame + 4, len - 4, IPPROTO_UDP, len);
		memmove(frame, frame + 4, 12);
		/* Priority 5, VLAN 0x123. */
		memcpy(frame + 12, "\x81\x00\xa1\x23", 4);
		ASSERT_EQ(0, send_packet(self->peer, frame, len, NULL));
		do {
			struct netmap_ring *ring = wait_rx(&self->port, LIMIT_MS);

			ASSERT_NE(NULL, ring);
			slots = head_slot(ring)->len;
			memcpy(got, slot_buffer(ring, head_slot(ring)), slots);
			ring_advance(ring);
		} while (got[12] != 0x81);
		EXPECT_EQ(len, slots);
		EXPECT_EQ(0, memcmp(frame, got, len));
	}
	ASSERT_EQ(0, set_if_flags(nic_name(), 0, IFF_PROMISC));
}

/* What the sender left to the hardware, where there is none. */
TEST_F_TIMEOUT(emulated, checksums_are_completed, TIMEOUT_S)
{
	const struct virtio_net_hdr offloads = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = PORTS_AT, .csum_offset = 6,
	};
	uint8_t frame[2048];
	uint32_t len, slots;

	for (len = 60; len < LONGEST; len += 97) {
		make_packet(frame, len, IPPROTO_UDP, len);
		EXPECT_FALSE(checksums_are_right(frame, len));
		ASSERT_EQ(0, send_packet(self->peer, frame, len, &offloads));
		ASSERT_EQ(len, receive_packet(&self->port, frame, sizeof(frame), &slots));
		EXPECT_TRUE(checksums_are_right(frame, len)) TH_LOG("%u bytes", len);
	}
}

TEST_F_TIMEOUT(emulated, superframes_are_cut, TIMEOUT_S)
{
	const struct virtio_net_hdr offloads = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = PORTS_AT, .csum_offset = 16,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = TCP_DATA_AT, .gso_size = 1000,
	};
	static uint8_t whole[60000];
	uint8_t frame[2048];
	uint32_t round, slots;

	for (round = 0; round < 5; round++) {
		uint32_t len = TCP_DATA_AT + 2500 + 11000 * round, data = TCP_DATA_AT;

		make_packet(whole, len, IPPROTO_TCP, 100 + round);
		ASSERT_EQ(0, send_packet(self->peer, whole, len, &offloads));
		while (data < len) {
			uint32_t part = len - data < 1000 ? len - data : 1000;
			const struct tcphdr *tcp = (void *)(frame + PORTS_AT);

			ASSERT_EQ(TCP_DATA_AT + part, receive_packet(&self->port, frame, sizeof(frame), &slots));
			EXPECT_EQ(1, slots);
			EXPECT_TRUE(checksums_are_right(frame, TCP_DATA_AT + part));
			EXPECT_EQ(100 + round, ntohs(tcp->source));
			EXPECT_EQ(data - TCP_DATA_AT, ntohl(tcp->seq));
			EXPECT_EQ(0, memcmp(whole + data, frame + TCP_DATA_AT, part));
			data += part;
		}
	}
	EXPECT_EQ(0, ring_counter(&self->port, "rx 0", "drops"));
}

TEST_F_TIMEOUT(emulated, long_frames_take_several_slots, TIMEOUT_S)
{
	static const uint32_t lengths[] = { 2047, 2048, 2049, 4096, 4097, 9000 };
	static uint8_t frame[9014], got[9014];
	/* Once the MTU has changed, QEMU's vmxnet3 hands what does not fit its first buffer to the driver as damaged. */
	uint32_t count = strcmp(getenv("TEST_NIC"), "vmxnet3") ? ARRAY_SIZE(lengths) : 3, i, slots;

	/* With a program attached, igb takes only what a page has room for. */
	if (expects_xdp() && !strcmp(getenv("TEST_NIC"), "emulated")) {
		EXPECT_NE(0, set_mtu(nic_name(), 9000));
		return;
	}
	ASSERT_EQ(0, set_mtu(nic_name(), 9000));
	ASSERT_EQ(0, set_mtu(peer_name(), 9000));
	ASSERT_TRUE(has_carrier(nic_name()));
	for (i = 0; i < count; i++) {
		make_packet(frame, lengths[i], IPPROTO_UDP, i);
		ASSERT_EQ(0, send_packet(self->peer, frame, lengths[i], NULL));
		ASSERT_EQ(lengths[i], receive_packet(&self->port, got, sizeof(got), &slots));
		EXPECT_EQ(0, memcmp(frame, got, lengths[i]));
		EXPECT_EQ((lengths[i] + 2047) / 2048, slots) TH_LOG("%u bytes", lengths[i]);
	}
	ASSERT_EQ(0, set_mtu(peer_name(), 1500));
	ASSERT_EQ(0, set_mtu(nic_name(), 1500));
	ASSERT_TRUE(has_carrier(peer_name()));
}

/* What does not fit is dropped and counted, and what did fit is not touched. */
TEST_F_TIMEOUT(emulated, a_full_ring_drops, TIMEOUT_S)
{
	uint32_t i, slots = self->port.reg.nr_rx_slots, sent = 0;
	int64_t end = now_ms() + LIMIT_MS;

	while (ring_counter(&self->port, "rx 0", "drops") < 10) {
		ASSERT_EQ(0, send_numbered(self->peer, 100, sent++));
		ASSERT_GT(end, now_ms());
	}
	EXPECT_EQ(slots - 1, ring_counter(&self->port, "rx 0", "packets"));
	for (i = 0; i < slots - 1; i++)
		expect_numbered(_metadata, &self->port, 100, i);
	EXPECT_EQ(0, rx_sync(&self->port));
	ASSERT_EQ(0, send_numbered(self->peer, 60, sent));
	expect_numbered(_metadata, &self->port, 60, sent);
}

/* The kernel writes into the buffers that the program gives back, and no others. */
TEST_F_TIMEOUT(emulated, buffers_are_those_given_back, TIMEOUT_S)
{
	struct port extra = { .reg = { .nr_mode = NR_REG_SW, .nr_extra_bufs = 1 } };
	struct netmap_ring *ring = rx_ring(&self->port, 0);
	uint32_t number, mine, held;
	struct netmap_slot *slot;
	char name[32];

	ASSERT_EQ(0, port_open_as(&extra, nic_name()));
	mine = extra.nifp->ni_bufs_head;
	ASSERT_NE(0, mine);
	for (number = 0; number < 3 * ring->num_slots; number++) {
		if (number % 500 == 0)
			printf("# frame %u\n", number);
		ASSERT_EQ(0, send_numbered(self->peer, 60, number));
		ring = wait_rx(&self->port, LIMIT_MS);
		ASSERT_NE(NULL, ring);
		slot = head_slot(ring);
		EXPECT_TRUE(frame_is(slot_buffer(ring, slot), 60, number));
		/* It is kept, and the one that was kept goes back. */
		held = slot->buf_idx;
		slot->buf_idx = mine;
		slot->flags = NS_BUF_CHANGED;
		mine = held;
		ring_advance(ring);
	}
	/* A buffer that nobody has is refused, and the ring goes on. */
	ASSERT_EQ(0, send_numbered(self->peer, 60, number));
	ring = wait_rx(&self->port, LIMIT_MS);
	ASSERT_NE(NULL, ring);
	held = head_slot(ring)->buf_idx;
	head_slot(ring)->buf_idx = 0;
	ring_advance(ring);
	ASSERT_EQ(0, rx_sync(&self->port));
	EXPECT_EQ(held, head_slot(ring)->buf_idx);
	snprintf(name, sizeof(name), "rx %u", ring->ringid);
	EXPECT_EQ(1, ring_counter(&self->port, name, "reinits"));
	ring_advance(ring);
	ASSERT_EQ(0, send_numbered(self->peer, 60, number));
	expect_numbered(_metadata, &self->port, 60, number);
	extra.nifp->ni_bufs_head = mine;
	ASSERT_EQ(0, port_close(&extra));
}

/* Who sleeps, and which packet has come last: none yet, or LOST if one did not come. */
struct sleeper {
	struct port *port;
	_Atomic uint32_t last;
};

#define LAST	500
#define LOST	0xffff

static void *wait_for_input(void *arg)
{
	struct sleeper *sleeper = arg;
	uint8_t frame[2048];
	uint32_t number;

	do {
		number = LOST;
		if (receive_frame(sleeper->port, frame, sizeof(frame), LIMIT_MS) >= 0)
			number = frame_number(frame);
		sleeper->last = number;
	} while (number != LAST && number != LOST);
	return NULL;
}

/* A sleeper hears of every packet, and is not woken for each of them if there are many. */
TEST_F_TIMEOUT(emulated, wakes_sleepers, TIMEOUT_S)
{
	struct sleeper sleeper = { .port = &self->port };
	long long wakeups, syncs;
	pthread_t thread;
	uint32_t i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_input, &sleeper));
	for (i = 1; i <= LAST; i++) {
		ASSERT_EQ(0, send_numbered(self->peer, 60, i));
		/* A NIC's ring has room for these, also if nobody looks at it for a while. */
		while (i % 100 == 0 && sleeper.last != i && sleeper.last != LOST)
			sched_yield();
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(LAST, sleeper.last);
	wakeups = ring_counter(&self->port, "rx 0", "wakeups");
	syncs = ring_counter(&self->port, "rx 0", "syncs");
	EXPECT_LE(1, wakeups);
	EXPECT_LE(wakeups, syncs) TH_LOG("%lld wake-ups, %lld syncs", wakeups, syncs);
}

/* What a host ring sends up goes to the stack, not around into the rings. */
TEST_F_TIMEOUT(emulated, host_rings_reach_the_stack, TIMEOUT_S)
{
	int stack = packet_socket(nic_name(), PROTOCOL, false);
	struct pollfd pollfd = { .fd = stack, .events = POLLIN };
	uint8_t frame[2048];
	struct port host;
	uint32_t i;

	ASSERT_LE(0, stack);
	ASSERT_EQ(0, port_open(&host, nic_name(), NR_REG_SW, 0, 0));
	for (i = 0; i < 100; i++) {
		struct netmap_ring *ring = tx_ring(&host, host.nifp->ni_tx_rings);

		ASSERT_NE(NULL, ring);
		ASSERT_EQ(0, send_frame(&host, ring, 60 + i, i));
		ASSERT_EQ(1, poll(&pollfd, 1, LIMIT_MS));
		ASSERT_EQ(60 + i, read(stack, frame, sizeof(frame)));
		EXPECT_TRUE(frame_is(frame, 60 + i, i));
	}
	EXPECT_EQ(0, ring_counter(&self->port, "rx 0", "packets"));
	ASSERT_EQ(0, port_close(&host));
	ASSERT_EQ(0, close(stack));
}

/* With no more than one ring bound, the packets of others are the stack's. */
TEST(packets_of_unbound_rings_are_the_stacks)
{
	int peer = packet_socket(peer_name(), 0, true), stack = packet_socket(nic_name(), ETHERTYPE_IP, false), i;
	uint32_t rings = count_queues(nic_name(), "rx"), to_ring = 0, to_stack = 0, number, slots;
	const char *nic = getenv("TEST_NIC") ?: "";
	uint8_t frame[2048];
	struct port port;

	ASSERT_LE(0, peer);
	ASSERT_LE(0, stack);
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ONE_NIC, 0, NR_RX_RINGS_ONLY));
	ASSERT_TRUE(has_carrier(nic_name()));
	ASSERT_TRUE(has_carrier(peer_name()));
	for (number = 0; number < 200; number++) {
		struct pollfd fds[] = { { .fd = port.fd, .events = POLLIN }, { .fd = stack, .events = POLLIN } };

		/* The NICs that have several queues choose by the ports of TCP. */
		make_packet(frame, 100, IPPROTO_TCP, 1000 + number);
		ASSERT_EQ(0, send_packet(peer, frame, 100, NULL));
		/* It comes on one of both ways, and once. */
		ASSERT_EQ(1, poll(fds, 2, LIMIT_MS));
		if (fds[0].revents & POLLIN) {
			ASSERT_EQ(100, receive_packet(&port, frame, sizeof(frame), &slots));
			to_ring++;
		} else {
			ASSERT_EQ(100, read(stack, frame, sizeof(frame)));
			to_stack++;
		}
		EXPECT_EQ(1000 + number, frame[PORTS_AT] << 8 | frame[PORTS_AT + 1]);
	}
	EXPECT_NE(0, to_ring);
	/* A veth pair does not tell one of its queues from another, and QEMU's vmxnet3 uses one of them alone. */
	if (rings == 1 || (strcmp(nic, "veth") && strcmp(nic, "vmxnet3")))
		EXPECT_EQ(rings == 1, to_stack == 0) TH_LOG("%u rings, %u of 200 to the stack", rings, to_stack);
	ASSERT_EQ(0, port_close(&port));
	ASSERT_TRUE(has_carrier(nic_name()));
	ASSERT_TRUE(has_carrier(peer_name()));
	/* And all are, when nothing is bound. */
	ASSERT_EQ(0, send_packet(peer, frame, 100, NULL));
	i = read(stack, frame, sizeof(frame));
	EXPECT_EQ(100, i);
	close(peer);
	close(stack);
}

/* Received packets are not put together while a port is there, unless the user wants it; the end finds it as it was. */
TEST(receive_offload_is_off_meanwhile)
{
	int before = feature(nic_name(), ETHTOOL_GGRO, 0);
	struct port port, other;

	ASSERT_LE(0, before);
	ASSERT_LE(0, feature(nic_name(), ETHTOOL_SGRO, 1));
	ASSERT_EQ(1, feature(nic_name(), ETHTOOL_GGRO, 0));
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, feature(nic_name(), ETHTOOL_GGRO, 0));
	ASSERT_EQ(0, port_open(&other, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_close(&port));
	EXPECT_EQ(0, feature(nic_name(), ETHTOOL_GGRO, 0));
	ASSERT_EQ(0, port_close(&other));
	EXPECT_EQ(1, feature(nic_name(), ETHTOOL_GGRO, 0));
	/* What the user says meanwhile is what stays. */
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_LE(0, feature(nic_name(), ETHTOOL_SGRO, 1));
	EXPECT_EQ(1, feature(nic_name(), ETHTOOL_GGRO, 0));
	ASSERT_LE(0, feature(nic_name(), ETHTOOL_SGRO, 0));
	ASSERT_EQ(0, port_close(&port));
	EXPECT_EQ(0, feature(nic_name(), ETHTOOL_GGRO, 0));
	/* Off before, off afterwards. */
	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, port_close(&port));
	EXPECT_EQ(0, feature(nic_name(), ETHTOOL_GGRO, 0));
	ASSERT_LE(0, feature(nic_name(), ETHTOOL_SGRO, before));
}

/* An interface without Ethernet frames, made by a file that is kept open. */
static int make_tun(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr)) {
		close(fd);
		return -errno;
	}
	return fd;
}

TEST(what_has_no_port_and_what_has)
{
	long admode = parameter("admode");
	struct port port;
	int tun;

	/* Loaded on demand only where there is such a device node. */
	ASSERT_EQ(0, system("modprobe tun && modprobe dummy numdummies=0"));
	tun = make_tun("nmtun");
	ASSERT_LE(0, tun);
	EXPECT_EQ(-EOPNOTSUPP, port_open(&port, "nmtun", NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, system("dmesg | tail -n 5 | grep -q 'nmtun: not an Ethernet device'"));
	close(tun);
	EXPECT_EQ(-EOPNOTSUPP, port_open(&port, "lo", NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, system("dmesg | tail -n 5 | grep -q 'lo: the loopback interface has no wire'"));
	ASSERT_EQ(0, system("ip link add nmdummy type dummy"));
	EXPECT_EQ(0, port_open(&port, "nmdummy", NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, port_close(&port));
	ASSERT_EQ(0, set_admode(1));
	EXPECT_EQ(-EOPNOTSUPP, port_open(&port, "nmdummy", NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, system("dmesg | tail -n 5 | grep -q 'nmdummy: not a NIC whose queues'"));
	EXPECT_NE(0, set_admode(3));
	EXPECT_EQ(1, parameter("admode"));
	ASSERT_EQ(0, set_admode(admode));
	ASSERT_EQ(0, system("ip link del nmdummy"));
}

/* The sizes of rings are what is asked for, within bounds. */
TEST(ring_sizes)
{
	static const uint32_t sizes[][2] = { { 0, 1024 }, { 1, 32 }, { 100, 100 }, { 4096, 4096 }, { 100000, 16384 } };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct port port = { .reg = { .nr_mode = NR_REG_ONE_NIC, .nr_rx_slots = sizes[i][0], .nr_tx_slots = sizes[i][0] } };

		ASSERT_EQ(0, port_open_as(&port, nic_name())) TH_LOG("%u", sizes[i][0]);
		EXPECT_EQ(sizes[i][1], port.reg.nr_rx_slots);
		/* That of a transmit ring is what the tests choose, if they do not say. */
		if (sizes[i][0])
			EXPECT_EQ(sizes[i][1], port.reg.nr_tx_slots);
		EXPECT_EQ(sizes[i][1], rx_ring(&port, 0)->num_slots);
		EXPECT_EQ(0, port_close(&port));
	}
}

static void generate(struct __test_metadata *_metadata, const struct port *port, const char *name, const char *const *commands)
{
	const uint32_t count = 96, magic = htonl(0xbe9be955);
	uint32_t i, slots, found;
	uint8_t frame[2048];
	char add[64];

	ASSERT_EQ(0, pktgen("kpktgend_0", "rem_device_all"));
	snprintf(add, sizeof(add), "add_device %s", name);
	ASSERT_EQ(0, pktgen("kpktgend_0", add));
	ASSERT_EQ(0, pktgen(name, "count 96"));
	ASSERT_EQ(0, pktgen(name, "pkt_size 100"));
	ASSERT_EQ(0, pktgen(name, "dst 10.9.9.9"));
	ASSERT_EQ(0, pktgen(name, "dst_mac ff:ff:ff:ff:ff:ff"));
	for (; *commands; commands++)
		ASSERT_EQ(0, pktgen(name, *commands)) TH_LOG("%s", *commands);
	for (found = 0; found < 3; found++) {
		/* It returns when all are sent. */
		ASSERT_EQ(0, pktgen("pgctrl", "start"));
		for (i = 0; i < count; i++) {
			uint32_t at;

			ASSERT_EQ(100, receive_packet(port, frame, sizeof(frame), &slots)) TH_LOG("packet %u", i);
			memcpy(&at, frame + PORTS_AT + 8, sizeof(at));
			ASSERT_EQ(magic, at);
			EXPECT_TRUE(!memcmp(frame, "\xff\xff\xff\xff\xff\xff", 6) && frame[12] == 0x08 && frame[IP_AT] == 0x45);
		}
	}
}

/*
 * pktgen sends the same packet many times and keeps it meanwhile: to the port's device itself, where it is one that others have
 * too, in one piece or several, and through the wire. All arrive, and pktgen's packet is left as it is.
 */
TEST_F_TIMEOUT(emulated, packets_that_others_have_too, TIMEOUT_S)
{
	static const char *const whole[] = { "xmit_mode netif_receive", "burst 8", NULL };
	static const char *const parts[] = { "xmit_mode netif_receive", "burst 8", "frags 3", NULL };
	static const char *const shared[] = { "clone_skb 48", "burst 4", "delay 20000", NULL };
	static const char *const alone[] = { "delay 20000", NULL };
	bool may_share = strcmp(getenv("TEST_NIC"), "veth");

	ASSERT_EQ(0, system("modprobe pktgen"));
	generate(_metadata, &self->port, nic_name(), whole);
	generate(_metadata, &self->port, nic_name(), parts);
	generate(_metadata, &self->port, peer_name(), may_share ? shared : alone);
	/* A veth, which hands packets over to a stack, does not take one that its sender keeps: pktgen asks it. */
	EXPECT_EQ(may_share, !pktgen(peer_name(), "clone_skb 48"));
	ASSERT_EQ(0, system("rmmod pktgen"));
	EXPECT_EQ(0, ring_counter(&self->port, "rx 0", "errors"));
}

TEST_HARNESS_MAIN
