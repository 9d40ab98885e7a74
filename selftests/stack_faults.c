// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stack ports: what goes wrong on a connection, and whom it must not harm. Errors that come from the path, programs that make
 * mistakes, descriptors that are used again. For stack_faults.sh.
 */
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sys/resource.h>
#include "stack_fixture.h"
#include "program.h"
#include "stack.h"

/* Waits until all that was sent has arrived at the other end. */
static int arrived(int fd)
{
	int64_t end = now_ms() + LIMIT_MS;
	int left = 1;

	while (left && now_ms() < end) {
		if (ioctl(fd, SIOCOUTQ, &left))
			return -errno;
		sched_yield();
	}
	return left ? -ETIMEDOUT : 0;
}

/* Closes a connection by a reset: TCP is done with it at once. */
static void abort_connection(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

/* What has arrived for a descriptor that was closed is nobody's: its number is the next connection's. */
TEST_F(stack, closed_with_data)
{
	struct pair other;
	int number = self->pair.nic;

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	ASSERT_EQ(shutdown(self->pair.peer, SHUT_WR), 0);
	ASSERT_EQ(arrived(self->pair.peer), 0);
	close(number);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	ASSERT_EQ(dup2(other.nic, number), number);
	close(other.nic);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(feed(other.peer, 2, 0, 100), 100);
	EXPECT_OCTETS(number, 2, 0, 100);
	close(other.peer);
}

/* The same of a connection that the peer has reset. */
TEST_F(stack, closed_after_reset)
{
	struct pollfd pollfd = { .fd = self->pair.nic };

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	abort_connection(self->pair.peer);
	ASSERT_EQ(poll(&pollfd, 1, LIMIT_MS), 1);
	EXPECT_NE(pollfd.revents & POLLHUP, 0);
	close(self->pair.nic);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	self->pair.nic = self->pair.peer = -1;
}

/* Slots of a descriptor that was closed are dropped, which is told once. */
TEST_F(stack, closed_with_slots)
{
	int number = self->pair.nic, round;
	uint64_t sent = 0;

	for (round = 0; round < 100000 && nm_ring_space(self->tx) >= self->tx->num_slots / 2; round++) {
		sent += put(&self->port, number, 1, sent, 1448, 1448);
		ASSERT_EQ(tx_sync(&self->port), 0);
	}
	ASSERT_LT(nm_ring_space(self->tx), self->tx->num_slots / 2);
	close(number);
	self->pair.nic = -1;
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	EXPECT_TOLD(number, NS_STACK_ERROR, ESTALE);
	EXPECT_TRUE(nm_ring_empty(self->rx));
}

/* What was dropped for a connection is not told of the next one that has its number. */
TEST_F(stack, notice_of_another)
{
	struct pair other;
	int number = self->pair.nic;

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(shutdown(number, SHUT_WR), 0);
	put(&self->port, number, 1, 0, 10, 10);
	/* EPIPE, which nobody has looked at. */
	EXPECT_EQ(tx_sync(&self->port), 0);
	ASSERT_EQ(dup2(other.nic, number), number);
	close(other.nic);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	ASSERT_EQ(feed(other.peer, 2, 0, 100), 100);
	EXPECT_OCTETS(number, 2, 0, 100);
	close(other.peer);
}

/* The program disconnects a socket: it is told so as of any other end. */
TEST_F(stack, disconnected)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(connect(self->pair.nic, &none, sizeof(none)), 0);
	EXPECT_TOLD(self->pair.nic, NS_STACK_ERROR, ECONNRESET);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), -ENOENT);
}

/* Fast open: the connection begins with the first message, which is not registration's. */
TEST_F(stack, fast_open)
{
	struct sockaddr_storage at;
	uint16_t number;
	int on = 1, listener = listen_at(true, PEER_ADDRESS, &number), sd, peer, round;

	ASSERT_GE(listener, 0);
	ASSERT_EQ(system("sysctl -q -w net.ipv4.tcp_fastopen=3"), 0);
	ASSERT_EQ(setsockopt(listener, SOL_TCP, TCP_FASTOPEN, &on, sizeof(on)), 0);
	ASSERT_EQ(system("ip netns exec peer sysctl -q -w net.ipv4.tcp_fastopen=3"), 0);
	/* The first connection gets the cookie. */
	for (round = 0; round < 2; round++) {
		sd = socket(AF_INET, SOCK_STREAM, 0);
		ASSERT_EQ(setsockopt(sd, SOL_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)), 0);
		ASSERT_EQ(connect(sd, (struct sockaddr *)&at, address(&at, PEER_ADDRESS, number)), 0);
		if (round == 1)
			EXPECT_EQ(stack_register(&self->port, sd), -ENOTCONN);
		ASSERT_EQ(send(sd, "x", 1, 0), 1);
		peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		ASSERT_GE(peer, 0);
		close(peer);
		close(sd);
	}
	close(listener);
	EXPECT_EQ(system("sysctl -q -w net.ipv4.tcp_fastopen=1"), 0);
	EXPECT_EQ(system("ip netns exec peer sysctl -q -w net.ipv4.tcp_fastopen=1"), 0);
}

/* A connection that was refused has its error for the program still, whatever registration says. */
TEST_F(stack, error_stays)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(int);
	int error, sd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd pollfd = { .fd = sd, .events = POLLOUT };

	ASSERT_EQ(connect(sd, (struct sockaddr *)&at, address(&at, PEER_ADDRESS, 1)), -1);
	ASSERT_EQ(errno, EINPROGRESS);
	while (stack_register(&self->port, sd) == 0)
		ASSERT_EQ(stack_unregister(&self->port, sd), 0);
	ASSERT_EQ(poll(&pollfd, 1, LIMIT_MS), 1);
	EXPECT_EQ(stack_register(&self->port, sd), -ENOTCONN);
	ASSERT_EQ(getsockopt(sd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	EXPECT_EQ(error, ECONNREFUSED);
	close(sd);
}

/* More connections end at once than one sync deals with, and then one has data. */
TEST_F(stack, many_ends)
{
	enum { COUNT = 700 };
	struct rlimit limit = { 4096, 4096 };
	struct pair pairs[COUNT];
	int i;

	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ASSERT_EQ(make_pairs(pairs, COUNT, NIC_ADDRESS), 0);
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	for (i = 0; i < COUNT; i++)
		ASSERT_EQ(stack_register(&self->port, pairs[i].nic), 0);
	for (i = 0; i < COUNT; i++) {
		abort_connection(pairs[i].nic);
		close(pairs[i].peer);
	}
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	ASSERT_EQ(arrived(self->pair.peer), 0);
	/* Nothing else comes that would wake it. */
	EXPECT_EQ(poll_port(&self->port, POLLIN, LIMIT_MS), POLLIN);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
}

/* The program does not want to hear more, which is not the peer's end. */
TEST_F(stack, shut_for_reading)
{
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(shutdown(self->pair.nic, SHUT_RD), 0);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	ASSERT_EQ(shutdown(self->pair.peer, SHUT_WR), 0);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
	EXPECT_TOLD(self->pair.nic, NS_STACK_END, 0);
}

/* Two slots name one buffer: the second is impossible. */
TEST_F(stack, one_buffer_in_two_slots)
{
	struct netmap_slot *first = head_slot(self->tx), *second;
	uint32_t own = first->buf_idx;

	/* The first names the buffer of the second, which keeps it. */
	second = &self->tx->slot[nm_ring_next(self->tx, self->tx->head)];
	first->buf_idx = second->buf_idx;
	ASSERT_EQ(put(&self->port, self->pair.nic, 1, 0, 20, 10), 20);
	EXPECT_EQ(poll_port(&self->port, POLLOUT, 0) & POLLERR, POLLERR);
	EXPECT_EQ(second, head_slot(self->tx));
	second->buf_idx = own;
	second->len = 0;
	/* It has the octets that were written last. */
	EXPECT_EQ(expect(self->pair.peer, 1, 10, 10), 0);
}

/* The same where TCP does not take the first one yet. */
TEST_F(stack, one_buffer_in_two_slots_that_wait)
{
	struct netmap_slot *slot;
	uint64_t sent = 0;
	uint32_t own, used;
	int round;

	for (round = 0; round < 100000 && nm_ring_space(self->tx) >= self->tx->num_slots - 2; round++) {
		sent += put(&self->port, self->pair.nic, 1, sent, 1448, 1448);
		ASSERT_EQ(tx_sync(&self->port), 0);
	}
	slot = head_slot(self->tx);
	used = slot->buf_idx;
	sent += put(&self->port, self->pair.nic, 1, sent, 1448, 1448);
	ASSERT_EQ(tx_sync(&self->port), 0);
	slot = head_slot(self->tx);
	own = slot->buf_idx;
	ASSERT_NE(own, used);
	slot->buf_idx = used;
	slot->fd = self->pair.nic;
	slot->len = 10;
	ring_advance(self->tx);
	EXPECT_EQ(poll_port(&self->port, POLLOUT, 0) & POLLERR, POLLERR);
	EXPECT_EQ(head_slot(self->tx), slot);
	slot->buf_idx = own;
	slot->len = 0;
}

TEST_F(stack, one_buffer_in_two_received_slots)
{
	uint32_t first, second, own;

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 10000), 10000);
	while (nm_ring_space(self->rx) < 3)
		ASSERT_EQ(poll_port(&self->port, POLLIN, 10) & POLLERR, 0);
	first = self->rx->head;
	second = nm_ring_next(self->rx, first);
	own = self->rx->slot[first].buf_idx;
	self->rx->slot[first].buf_idx = self->rx->slot[second].buf_idx;
	ring_advance(self->rx);
	ring_advance(self->rx);
	self->rx->cur = self->rx->tail;
	EXPECT_EQ(poll_port(&self->port, POLLIN, 0) & POLLERR, POLLERR);
	EXPECT_EQ(self->rx->head, second);
	self->rx->slot[second].buf_idx = own;
}

/* The sequence number behind the next data packet of a connection that the peer's interface hears; 0 if none is. */
static uint32_t sequence_heard(int raw, uint16_t from)
{
	struct pollfd pollfd = { .fd = raw, .events = POLLIN };
	uint8_t frame[2048];
	ssize_t n;

	while (poll(&pollfd, 1, LIMIT_MS) == 1) {
		const struct iphdr *ip = (struct iphdr *)(frame + ETH_HLEN);
		const struct tcphdr *tcp = (struct tcphdr *)(ip + 1);
		uint32_t len;

		n = recv(raw, frame, sizeof(frame), 0);
		if (n < (ssize_t)(ETH_HLEN + sizeof(*ip) + sizeof(*tcp)) || ip->protocol != IPPROTO_TCP ||
		    ntohs(tcp->source) != from)
			continue;
		len = ntohs(ip->tot_len) - sizeof(*ip) - 4u * tcp->doff;
		if (len)
			return ntohl(tcp->seq) + len;
	}
	return 0;
}

static uint16_t sum(const void *data, size_t len)
{
	const uint16_t *words = data;
	uint32_t all = 0;

	for (; len > 1; len -= 2)
		all += *words++;
	all = (all & 0xffff) + (all >> 16);
	return (uint16_t)~((all & 0xffff) + (all >> 16));
}

/*
 * The path reports that a packet found no host, and the program has asked for such reports (IP_RECVERR): the connection lives, and
 * its stream has no hole.
 */
TEST_F(stack, error_of_a_packet)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct { uint16_t source, dest; uint32_t seq; } tcp;
	} report = { .icmp = { .type = ICMP_DEST_UNREACH, .code = ICMP_HOST_UNREACH },
		     .ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP } };
	struct sockaddr_in nic, peer, to = { .sin_family = AF_INET };
	struct pollfd pollfd = { .fd = self->pair.nic };
	socklen_t len = sizeof(nic);
	int on = 1, raw, icmp;
	uint32_t seq;

	ASSERT_EQ(setsockopt(self->pair.nic, SOL_IP, IP_RECVERR, &on, sizeof(on)), 0);
	ASSERT_EQ(getsockname(self->pair.nic, (struct sockaddr *)&nic, &len), 0);
	ASSERT_EQ(getpeername(self->pair.nic, (struct sockaddr *)&peer, &len), 0);
	ASSERT_EQ(visit(true), 0);
	raw = packet_socket(peer_name(), ETH_P_IP, false);
	icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	ASSERT_EQ(visit(false), 0);
	ASSERT_GE(raw, 0);
	ASSERT_GE(icmp, 0);

	ASSERT_EQ(put(&self->port, self->pair.nic, 1, 0, 100, 100), 100);
	ASSERT_EQ(tx_sync(&self->port), 0);
	ASSERT_EQ(expect(self->pair.peer, 1, 0, 100), 0);
	seq = sequence_heard(raw, ntohs(nic.sin_port));
	ASSERT_NE(seq, 0);
	ASSERT_EQ(arrived(self->pair.nic), 0);
	report.ip.tot_len = htons(1500);
	report.ip.saddr = nic.sin_addr.s_addr;
	report.ip.daddr = peer.sin_addr.s_addr;
	report.tcp.source = nic.sin_port;
	report.tcp.dest = peer.sin_port;
	report.tcp.seq = htonl(seq);
	report.icmp.checksum = sum(&report, sizeof(report));
	to.sin_addr = nic.sin_addr;
	ASSERT_EQ(sendto(icmp, &report, sizeof(report), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(report));
	ASSERT_EQ(poll(&pollfd, 1, LIMIT_MS), 1);
	ASSERT_EQ(pollfd.revents, POLLERR);

	ASSERT_EQ(put(&self->port, self->pair.nic, 1, 100, 300, 100), 300);
	ASSERT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(expect(self->pair.peer, 1, 100, 300), 0);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	ASSERT_EQ(feed(self->pair.peer, 2, 0, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 2, 0, 100);
	close(raw);
	close(icmp);
}

/* Counter of /proc/net/netstat, whose names and values are in two lines. */
static long counter(const char *name)
{
	char names[8192], values[8192], *n = names, *v = values;
	FILE *file = fopen("/proc/net/netstat", "r");
	long result = -1;

	while (result < 0 && fgets(names, sizeof(names), file) && fgets(values, sizeof(values), file)) {
		char *a, *b, *save_a, *save_b;

		for (n = names, v = values; (a = strtok_r(n, " \n", &save_a)) && (b = strtok_r(v, " \n", &save_b)); n = v = NULL)
			if (!strcmp(a, name))
				result = atol(b);
	}
	fclose(file);
	return result;
}

/*
 * TCP probes for what the path can carry, which is less than both ends say: it makes packets of what it has not sent yet, which are
 * lost and sent once more. The buffers are sent on another connection meanwhile.
 */
static void probe(struct __test_metadata *_metadata, FIXTURE_DATA(stack) *self, int mode)
{
	enum { SIZE = 1000000, MOST = 100 * SIZE };
	struct pair other;
	uint64_t sent = 0, got = 0, sent_other = 0, got_other = 0;
	char command[200];
	int program, link;
	long probes;

	/* The path is narrow, and neither end knows. It is long, too: what a probe is made of waits to be sent. */
	ASSERT_EQ(visit(true), 0);
	program = load_limit(1214);
	link = attach_in(peer_name(), program, XDP_FLAGS_SKB_MODE);
	ASSERT_EQ(visit(false), 0);
	ASSERT_LE(0, link);
	snprintf(command, sizeof(command), "sysctl -q -w net.ipv4.tcp_mtu_probing=%d && ethtool -K %s tso off && "
		 "tc qdisc add dev %s root netem delay 10ms limit 10000", mode, nic_name(), nic_name());
	ASSERT_EQ(system(command), 0);
	probes = counter("TCPMTUPFail") + counter("TCPMTUPSuccess");
	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	close_pairs(&self->pair, 1);
	ASSERT_EQ(make_pairs(&self->pair, 1, NIC_ADDRESS), 0);
	/* When TCP probes is its own affair, and may be late on a slow machine. */
	while (got < SIZE || (got < MOST && counter("TCPMTUPFail") + counter("TCPMTUPSuccess") == probes)) {
		struct pollfd pollfds[] = { { .fd = self->port.fd, .events = POLLIN }, { .fd = self->pair.peer, .events = POLLIN },
					    { .fd = other.peer, .events = POLLIN } };
		uint8_t data[65536];
		ssize_t n;

		if (nm_ring_space(self->tx) > self->tx->num_slots / 2)
			sent += put(&self->port, self->pair.nic, 1, sent, 20000, 1448);
		/* Small ones of another connection, whose buffers are those that came back. */
		if (sent_other - got_other < 10000)
			sent_other += put(&self->port, other.nic, 2, sent_other, 1000, 100);
		ASSERT_EQ(tx_sync(&self->port), 0);
		ASSERT_GE(poll(pollfds, 3, 1), 0);
		n = read(self->pair.peer, data, sizeof(data));
		if (n > 0) {
			ASSERT_EQ(differs(data, 1, got, (size_t)n), n);
			got += (uint64_t)n;
		}
		n = read(other.peer, data, sizeof(data));
		if (n > 0) {
			ASSERT_EQ(differs(data, 2, got_other, (size_t)n), n);
			got_other += (uint64_t)n;
		}
	}
	EXPECT_GT(counter("TCPMTUPFail") + counter("TCPMTUPSuccess"), probes);
	snprintf(command, sizeof(command), "sysctl -q -w net.ipv4.tcp_mtu_probing=0; ethtool -K %s tso on; tc qdisc del dev %s root",
		 nic_name(), nic_name());
	EXPECT_EQ(system(command), 0);
	close(link);
	close(program);
	close_pairs(&other, 1);
}

TEST_F(stack, probes_of_the_mtu)
{
	probe(_metadata, self, 2);
}

/* TCP begins to probe when packets that refer to buffers are waiting. */
TEST_F(stack, probes_of_the_mtu_after_a_while)
{
	probe(_metadata, self, 1);
}

TEST_HARNESS_MAIN
