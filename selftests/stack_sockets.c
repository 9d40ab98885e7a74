// SPDX-License-Identifier: BSD-2-Clause
/*
 * The sockets of stack ports: which ones can be registered, what other calls do to them meanwhile, how they become ordinary ones
 * again. For stack_sockets.sh, which makes hosts of both ends of the wire.
 */
#include <linux/bpf.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include "stack_fixture.h"

TEST_F(stack, refusals)
{
	struct port other, unbound = { .fd = open("/dev/netmap", O_RDWR | O_CLOEXEC) };
	int fds[2], listener, connection, fd;
	struct pair local;
	uint16_t number;

	EXPECT_EQ(stack_register(&unbound, self->pair.nic), -ENXIO);
	EXPECT_EQ(stack_config(&unbound, self->pair.nic), -ENXIO);
	close(unbound.fd);
	ASSERT_EQ(port_open(&other, nic_name(), NR_REG_ONE_NIC, 0, 0), 0);
	EXPECT_EQ(stack_register(&other, self->pair.nic), -EOPNOTSUPP);
	EXPECT_EQ(stack_unregister(&other, self->pair.nic), -EOPNOTSUPP);
	EXPECT_EQ(stack_config(&other, self->pair.nic), -EOPNOTSUPP);
	port_close(&other);
	EXPECT_EQ(ioctl(self->port.fd, NIOCCONFIG, NULL), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(stack_register(&self->port, -1), -EBADF);
	EXPECT_EQ(stack_register(&self->port, 60000), -EBADF);
	ASSERT_EQ(pipe(fds), 0);
	EXPECT_EQ(stack_register(&self->port, fds[0]), -ENOTSOCK);
	EXPECT_EQ(stack_register(&self->port, self->port.fd), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT_EQ(stack_register(&self->port, fd), -EPROTOTYPE);
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT_EQ(stack_register(&self->port, fd), -EPROTOTYPE);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_EQ(stack_register(&self->port, fd), -ENOTCONN);
	close(fd);
	listener = listen_at(false, "127.0.0.1", &number);
	ASSERT_GE(listener, 0);
	EXPECT_EQ(stack_register(&self->port, listener), -ENOTCONN);
	local.peer = connect_from(false, "127.0.0.1", number);
	local.nic = accept(listener, NULL, NULL);
	EXPECT_EQ(stack_register(&self->port, local.nic), -EXDEV);
	close_pairs(&local, 1);
	close(listener);

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	EXPECT_EQ(stack_register(&self->port, self->pair.nic), -EBUSY);
	connection = dup(self->pair.nic);
	EXPECT_EQ(stack_register(&self->port, connection), -EBUSY);
	close(connection);
	ASSERT_EQ(stack_open(&other, 64), 0);
	EXPECT_EQ(stack_register(&other, self->pair.nic), -EBUSY);
	EXPECT_EQ(stack_unregister(&other, self->pair.nic), -ENOENT);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), 0);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), -ENOENT);
	EXPECT_EQ(stack_register(&other, self->pair.nic), 0);
	EXPECT_EQ(stack_unregister(&other, self->pair.nic), 0);
	port_close(&other);
}

/* A socket has one upper layer protocol: kernel TLS, or us. */
TEST_F(stack, beside_kernel_tls)
{
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	EXPECT_EQ(setsockopt(self->pair.nic, SOL_TCP, TCP_ULP, "tls", 3), -1);
	EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), 0);
	EXPECT_EQ(setsockopt(self->pair.nic, SOL_TCP, TCP_ULP, "tls", 3), 0);
	EXPECT_EQ(stack_register(&self->port, self->pair.nic), -EBUSY);
	EXPECT_EQ(send(self->pair.nic, "x", 1, 0), 1);
}

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	int result = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

/* The same of a map of sockets. */
TEST_F(stack, beside_a_socket_map)
{
	union bpf_attr map = { .map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 1 };
	uint32_t key = 0, socket = (uint32_t)self->pair.nic;
	union bpf_attr element = { .key = (uintptr_t)&key, .value = (uintptr_t)&socket };
	int fd = bpf(BPF_MAP_CREATE, &map);

	ASSERT_GE(fd, 0);
	element.map_fd = (uint32_t)fd;
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	EXPECT_LT(bpf(BPF_MAP_UPDATE_ELEM, &element), 0);
	EXPECT_EQ(stack_unregister(&self->port, self->pair.nic), 0);
	ASSERT_EQ(bpf(BPF_MAP_UPDATE_ELEM, &element), 0);
	EXPECT_EQ(stack_register(&self->port, self->pair.nic), -EBUSY);
	EXPECT_EQ(send(self->pair.nic, "x", 1, 0), 1);
	close(fd);
}

/* A number that no table of a port goes up to. */
TEST_F(stack, number_too_large)
{
	enum { NUMBER = 1 << 20 };
	struct rlimit before, limit = { .rlim_cur = NUMBER + 64, .rlim_max = NUMBER + 64 };

	ASSERT_EQ(system("sysctl -q -w fs.nr_open=1048704"), 0);
	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ASSERT_EQ(dup2(self->pair.nic, NUMBER), NUMBER);
	EXPECT_EQ(stack_register(&self->port, NUMBER), -ENOSPC);
	ASSERT_EQ(dup2(self->pair.nic, NUMBER - 1), NUMBER - 1);
	EXPECT_EQ(stack_register(&self->port, NUMBER - 1), 0);
	close(NUMBER);
	close(NUMBER - 1);
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	ASSERT_EQ(system("sysctl -q -w fs.nr_open=1048576"), 0);
}

/* The same, of descriptors in slots: told once for each, and the ring goes on. */
TEST_F(stack, refusals_in_slots)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), fds[2];

	ASSERT_EQ(pipe(fds), 0);
	put(&self->port, fd, 0, 0, 30, 10);
	put(&self->port, fds[0], 0, 0, 10, 10);
	put(&self->port, -1, 0, 0, 10, 10);
	put(&self->port, self->pair.nic, 2, 0, 100, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	EXPECT_EQ(expect(self->pair.peer, 2, 0, 100), 0);
	EXPECT_TOLD(fd, NS_STACK_ERROR, EPROTOTYPE);
	EXPECT_TOLD(fds[0], NS_STACK_ERROR, ENOTSOCK);
	EXPECT_TOLD(-1, NS_STACK_ERROR, EBADF);
	close(fd);
	close(fds[0]);
	close(fds[1]);
}

/* Sending on a connection that the program has shut down. */
TEST_F(stack, shut_down)
{
	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(shutdown(self->pair.nic, SHUT_WR), 0);
	put(&self->port, self->pair.nic, 2, 0, 10, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_TOLD(self->pair.nic, NS_STACK_ERROR, EPIPE);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
}

/* A connection that is not there yet keeps its slots. */
TEST_F(stack, connecting)
{
	struct sockaddr_storage at;
	uint16_t number;
	int listener = listen_at(true, PEER_ADDRESS, &number), sd, peer;

	ASSERT_GE(listener, 0);
	sd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ASSERT_EQ(connect(sd, (struct sockaddr *)&at, address(&at, PEER_ADDRESS, number)), -1);
	ASSERT_EQ(errno, EINPROGRESS);
	ASSERT_EQ(put(&self->port, sd, 3, 0, 4000, 1000), 4000);
	EXPECT_EQ(tx_sync(&self->port), 0);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	ASSERT_GE(peer, 0);
	/* poll() sends what is left. */
	while (nm_tx_pending(self->tx))
		ASSERT_GE(poll_port(&self->port, POLLIN, 10), 0);
	EXPECT_EQ(expect(peer, 3, 0, 4000), 0);
	close(peer);
	close(sd);
	close(listener);
}

/* The socket is closed although the port knows it, and what TCP had not taken is dropped; its number is another's, which hears nothing. */
TEST_F(stack, closed_and_reused)
{
	uint64_t sent = 0, seen = 0;
	struct pair other;
	char data[65536];
	int round, number = self->pair.nic;
	ssize_t n;

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	for (round = 0; round < 100000 && nm_ring_space(self->tx) >= self->tx->num_slots / 2; round++) {
		sent += put(&self->port, number, 1, sent, 1448, 1448);
		ASSERT_EQ(tx_sync(&self->port), 0);
	}
	ASSERT_EQ(dup2(other.nic, number), number);
	close(other.nic);
	/* The new one has the number. */
	ASSERT_EQ(put(&self->port, number, 2, 0, 1000, 300), 1000);
	ASSERT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	EXPECT_EQ(expect(other.peer, 2, 0, 1000), 0);
	EXPECT_EQ(nm_ring_space(self->tx), self->tx->num_slots - 1);
	EXPECT_EQ(read(other.peer, data, 1), -1);
	/* The old one ends as TCP ends it: what was accepted, then the end. */
	fcntl(self->pair.peer, F_SETFL, 0);
	while ((n = read(self->pair.peer, data, sizeof(data))) > 0) {
		ASSERT_EQ(differs((uint8_t *)data, 1, seen, (size_t)n), n);
		seen += (uint64_t)n;
	}
	EXPECT_EQ(n, 0);
	EXPECT_GT(seen, 0);
	EXPECT_LT(seen, sent);
	close(other.peer);
}

/* A number that is no socket any more. */
TEST_F(stack, closed_and_a_file)
{
	int number = self->pair.nic, file = open("/dev/null", O_RDONLY);

	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(dup2(file, number), number);
	close(file);
	put(&self->port, number, 1, 0, 10, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_TOLD(number, NS_STACK_ERROR, ENOTSOCK);
}

/* The number is registered again for another socket while the old one is open by another descriptor. */
TEST_F(stack, replaced)
{
	int number = self->pair.nic, kept = dup(number);
	struct pair other;
	char data[100];

	ASSERT_EQ(make_pairs(&other, 1, NIC_ADDRESS), 0);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(dup2(other.nic, number), number);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	/* The old one is an ordinary socket. */
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_EQ(expect(kept, 1, 0, 100), 0);
	ASSERT_EQ(feed(other.peer, 2, 0, 100), 100);
	EXPECT_OCTETS(number, 2, 0, 100);
	EXPECT_EQ(read(kept, data, 1), -1);
	close(kept);
	close(other.nic);
	close(other.peer);
}

/* The program ends the connection and makes another one with the same socket: nothing of the old one is in that. */
TEST_F(stack, disconnected)
{
	struct sockaddr_storage at;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int listener, peer, number = self->pair.nic;
	uint16_t tcp_port;

	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 5000), 5000);
	ASSERT_EQ(poll_port(&self->port, POLLIN, LIMIT_MS), POLLIN);
	ASSERT_EQ(connect(number, &none, sizeof(none)), 0);
	ASSERT_EQ(stack_unregister(&self->port, number), 0);
	listener = listen_at(true, PEER_ADDRESS, &tcp_port);
	ASSERT_GE(listener, 0);
	fcntl(number, F_SETFL, 0);
	ASSERT_EQ(connect(number, (struct sockaddr *)&at, address(&at, PEER_ADDRESS, tcp_port)), 0);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	ASSERT_GE(peer, 0);
	ASSERT_EQ(feed(peer, 2, 0, 5000), 5000);
	EXPECT_EQ(expect(number, 2, 0, 5000), 0);
	/* The same without a word to the port, which the next registration makes good. */
	ASSERT_EQ(stack_register(&self->port, number), 0);
	ASSERT_EQ(connect(number, &none, sizeof(none)), 0);
	close(peer);
	ASSERT_EQ(connect(number, (struct sockaddr *)&at, address(&at, PEER_ADDRESS, tcp_port)), 0);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	ASSERT_GE(peer, 0);
	ASSERT_EQ(feed(peer, 3, 0, 5000), 5000);
	ASSERT_EQ(stack_register(&self->port, number), 0);
	while (head_slot(self->rx)->len && !nm_ring_empty(self->rx))
		ring_advance(self->rx);
	EXPECT_OCTETS(number, 3, 0, 5000);
	close(peer);
	close(listener);
}

/* What was not published is read from the socket, and the socket is an ordinary one. */
TEST_F(stack, unregistered)
{
	uint32_t got = 0;

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 1000), 1000);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 1000);
	ASSERT_EQ(feed(self->pair.peer, 1, 1000, 9000), 9000);
	ASSERT_EQ(shutdown(self->pair.peer, SHUT_WR), 0);
	/* Until all is there, in the port. */
	settle(nic_name());
	ASSERT_EQ(stack_unregister(&self->port, self->pair.nic), 0);
	EXPECT_EQ(expect(self->pair.nic, 1, 1000, 9000), 0);
	EXPECT_EQ(expect(self->pair.nic, 1, 0, 1), -EPIPE);
	EXPECT_EQ(ioctl(self->pair.nic, FIONREAD, &got), 0);
	EXPECT_EQ(got, 0);
	EXPECT_EQ(rx_sync(&self->port), 0);
	EXPECT_TRUE(nm_ring_empty(self->rx));
	EXPECT_EQ(feed(self->pair.nic, 2, 0, 100), 100);
	EXPECT_EQ(expect(self->pair.peer, 2, 0, 100), 0);
}

/* The port is closed: what is in slots that were not released is read from the sockets. */
TEST_F(stack, port_closed)
{
	enum { COUNT = 4 };
	struct pair pairs[COUNT];
	struct port port;
	struct netmap_ring *rx;
	uint32_t i;
	int j;

	ASSERT_EQ(stack_open(&port, 0), 0);
	rx = rx_ring(&port, 0);
	ASSERT_EQ(make_pairs(pairs, COUNT, NIC_ADDRESS), 0);
	for (j = 0; j < COUNT; j++) {
		ASSERT_EQ(stack_register(&port, pairs[j].nic), 0);
		ASSERT_EQ(feed(pairs[j].peer, (uint32_t)j, 0, 5000), 5000);
	}
	/* Some of it is in the ring, the rest is not. */
	ASSERT_NE(wait_rx(&port, LIMIT_MS), NULL);
	i = rx->slot[rx->head].len;
	for (j = 0; pairs[j].nic != rx->slot[rx->head].fd; j++)
		;
	/* The first slot is done with. */
	ring_advance(rx);
	put(&port, pairs[0].nic, 10, 0, 20000, 1448);
	EXPECT_EQ(tx_sync(&port), 0);
	ASSERT_EQ(port_close(&port), 0);
	EXPECT_EQ(expect(pairs[j].nic, (uint32_t)j, i, 5000 - i), 0);
	for (i = 0; i < COUNT; i++) {
		if ((int)i != j)
			EXPECT_EQ(expect(pairs[i].nic, i, 0, 5000), 0);
		EXPECT_EQ(feed(pairs[i].peer, i, 5000, 100), 100);
		EXPECT_EQ(expect(pairs[i].nic, i, 5000, 100), 0);
	}
	EXPECT_EQ(expect(pairs[0].peer, 10, 0, 20000), 0);
	close_pairs(pairs, COUNT);
}

/* recv() finds what the port has not taken, and nothing breaks. */
TEST_F(stack, ordinary_read)
{
	struct pollfd arrives = { .fd = self->pair.peer, .events = POLLIN };
	char data[100];

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	EXPECT_EQ(recv(self->pair.nic, data, sizeof(data), MSG_DONTWAIT), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(send(self->pair.nic, "x", 1, 0), 1);
	ASSERT_EQ(poll(&arrives, 1, LIMIT_MS), 1);
	EXPECT_EQ(recv(self->pair.peer, data, 1, MSG_PEEK), 1);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
}

/* What the port has no room for is in the socket, where recv() and splice() find it: each octet goes to one reader. */
TEST_F(stack, other_readers)
{
	enum { BY_RECV = 20000, BY_SPLICE = 20000, ALL = BY_RECV + BY_SPLICE };
	uint64_t sent = 0, got = 0, from = 0;
	uint8_t taken[ALL], *data;
	int fds[2], quiet = 0;
	size_t n = 0;

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	/* More than the part of a ring that one connection may have, and until the window is closed, for a while. */
	while (quiet < 20 || sent <= self->rx->num_slots / 4 * 1448ul + ALL) {
		size_t part = feed(self->pair.peer, 1, sent, 1 << 20);

		sent += part;
		quiet = part ? 0 : quiet + 1;
		usleep(10000);
	}
	data = malloc(sent);
	ASSERT_NE(data, NULL);
	ASSERT_EQ(pipe(fds), 0);
	while (n < ALL) {
		struct pollfd pollfd = { .fd = self->pair.nic, .events = POLLIN };
		ssize_t part;

		ASSERT_EQ(poll(&pollfd, 1, LIMIT_MS), 1);
		if (n < BY_RECV) {
			part = recv(self->pair.nic, taken + n, BY_RECV - n, 0);
		} else {
			part = splice(self->pair.nic, NULL, fds[1], NULL, ALL - n < 4096 ? ALL - n : 4096, SPLICE_F_NONBLOCK);
			ASSERT_GT(part, 0);
			ASSERT_EQ(read(fds[0], taken + n, (size_t)part), part);
		}
		ASSERT_GT(part, 0);
		n += (size_t)part;
	}
	while (from < sent && differs(taken, 1, from, ALL) != ALL)
		from++;
	ASSERT_LT(from, sent);
	while (got < sent - ALL) {
		struct netmap_slot *slot;

		AWAIT();
		slot = head_slot(self->rx);
		ASSERT_EQ(slot->flags, 0);
		ASSERT_LE(got + slot->len, sent - ALL);
		memcpy(data + got, NETMAP_BUF(self->rx, slot->buf_idx) + slot->offset, slot->len);
		got += slot->len;
		ring_advance(self->rx);
	}
	EXPECT_EQ(differs(data, 1, 0, from), from);
	EXPECT_EQ(differs(data + from, 1, from + ALL, got - from), got - from);
	free(data);
	close(fds[0]);
	close(fds[1]);
}

/* A thread that reads one octet: that and one, or 0. */
struct reader {
	int fd;
	_Atomic int task;
};

static void *read_one(void *arg)
{
	struct reader *reader = arg;
	uint8_t data = 0;

	reader->task = gettid();
	return (void *)(uintptr_t)(read(reader->fd, &data, 1) == 1 ? data + 1 : 0);
}

/* Whether a thread of ours sleeps. */
static bool sleeps(int task)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", task);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		fclose(f);
	}
	return state == 'S';
}

/* Who waits in read() since before, gets what the port has not given to the program, when it lets go of the socket. */
TEST_F(stack, reader_waits)
{
	struct reader reader = { .fd = self->pair.nic };
	pthread_t thread;
	void *result;

	ASSERT_EQ(stack_register(&self->port, self->pair.nic), 0);
	fcntl(self->pair.nic, F_SETFL, 0);
	ASSERT_EQ(pthread_create(&thread, NULL, read_one, &reader), 0);
	while (!sleeps(reader.task))
		usleep(1000);
	ASSERT_EQ(feed(self->pair.peer, 1, 0, 100), 100);
	ASSERT_EQ(poll_port(&self->port, POLLIN, LIMIT_MS), POLLIN);
	EXPECT_OCTETS(self->pair.nic, 1, 0, 100);
	ASSERT_EQ(feed(self->pair.peer, 1, 100, 100), 100);
	ASSERT_EQ(stack_unregister(&self->port, self->pair.nic), 0);
	ASSERT_EQ(pthread_join(thread, &result), 0);
	EXPECT_EQ((uintptr_t)result, octet(1, 100) + 1u);
	EXPECT_EQ(expect(self->pair.nic, 1, 101, 99), 0);
}

TEST_HARNESS_MAIN
