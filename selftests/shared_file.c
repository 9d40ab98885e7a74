// SPDX-License-Identifier: BSD-2-Clause
/* An open file in several hands: of a child, of another process, of many threads; and of one whose interface is down. */

#include <net/if.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "pair.h"

/* What a child inherits is the same binding: it goes with the last of the two. */
TEST_F(pair, forked)
{
	struct port other;
	int go[2], status;
	char byte = 0;
	pid_t child;

	child = fork();
	if (child == 0) {
		port_close(&self->from);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(5, exchange(&self->from, &self->to, 5));

	ASSERT_EQ(0, pipe(go));
	child = fork();
	if (child == 0) {
		int good;

		close(go[1]);
		good = read(go[0], &byte, 1) == 1 ? exchange(&self->from, &self->to, 5) : -1;
		_exit(good);
	}
	port_close(&self->from);
	port_close(&self->to);
	EXPECT_EQ(EBUSY, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(5, WEXITSTATUS(status));
	EXPECT_EQ(0, port_bind(&other, test_interface(), NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	port_close(&other);
}

/* A bound file goes to another process over a socket, which maps it and works with it. */
TEST_F(pair, passed_over_a_socket)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room),
	};
	struct cmsghdr *cmsg;
	int sockets[2], status;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		struct port port = self->from;

		port_close(&self->from);
		if (recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC) != 1)
			_exit(100);
		memcpy(&port.fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
		if (port_map(&port))
			_exit(101);
		_exit(exchange(&port, &self->to, 5));
	}
	cmsg = CMSG_FIRSTHDR(&message);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &self->from.fd, sizeof(int));
	ASSERT_EQ(1, sendmsg(sockets[0], &message, 0));
	port_close(&self->from);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(5, WEXITSTATUS(status));
}

/* Threads bind one file at the same time: one of them succeeds. */
static void *binder(void *argument)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };

	return (void *)(intptr_t)request(*(int *)argument, NETMAP_REQ_REGISTER, test_interface(), &reg);
}

TEST_F(pair, bound_by_many_threads)
{
	pthread_t threads[8];
	int round, i;

	for (round = 0; round < 50; round++) {
		int fd = device_open(), bound = 0;

		for (i = 0; i < 8; i++)
			start(_metadata, &threads[i], binder, &fd);
		for (i = 0; i < 8; i++) {
			void *error;

			pthread_join(threads[i], &error);
			bound += !error;
			if (error) {
				EXPECT_EQ(EBUSY, (intptr_t)error);
			}
		}
		EXPECT_EQ(1, bound);
		close(fd);
	}
}

/* Threads sync the same rings: they wait for one another. */
TEST_F(pair, synced_by_many_threads)
{
	atomic_bool stop = false;
	struct worker workers[4];
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++) {
		workers[i] = (struct worker){ .port = i % 2 ? &self->to : &self->from, .stop = &stop };
		start(_metadata, &threads[i], i % 2 ? receiver : sender, &workers[i]);
	}
	wait_rounds(workers, 4, 1000);
	stop = true;
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, workers[i].bad);
	}
}

static int set_flags(const char *name, bool up)
{
	struct ifreq request = { 0 };
	int error, fd = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	error = ioctl(fd, SIOCGIFFLAGS, &request);
	if (up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags &= ~IFF_UP;
	error |= ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return error;
}

/* Waits for the link of an interface. */
static bool carrier(const char *name)
{
	double limit = now() + 120;
	char path[64], value[4];

	snprintf(path, sizeof(path), "/sys/class/net/%s/carrier", name);
	while (now() < limit) {
		int fd = open(path, O_RDONLY);
		ssize_t got = read(fd, value, sizeof(value));

		close(fd);
		if (got > 0 && value[0] == '1')
			return true;
		usleep(10000);
	}
	return false;
}

/* An interface that is down can be bound; packets pass once it is up. */
TEST_F_TIMEOUT(pair, interface_down, 120)
{
	port_close(&self->from);
	ASSERT_EQ(0, set_flags(test_interface(), false));
	ASSERT_EQ(0, port_open(&self->from, test_interface(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, errno_of(ioctl(self->from.fd, NIOCTXSYNC, NULL)));
	EXPECT_EQ(0, errno_of(ioctl(self->from.fd, NIOCRXSYNC, NULL)));
	EXPECT_EQ(0, poll_once(self->from.fd, POLLIN, 0));
	ASSERT_EQ(0, set_flags(test_interface(), true));
	ASSERT_TRUE(carrier(test_interface()));
	ASSERT_TRUE(carrier(test_peer()));
	EXPECT_EQ(20, exchange(&self->from, &self->to, 20));
}

TEST_HARNESS_MAIN
