// SPDX-License-Identifier: BSD-2-Clause
/* Who may bind what: file permissions, capabilities, network namespaces. */

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "capabilities.h"
#include "netmap_test.h"
#include "kselftest_harness.h"

#define NOBODY	65534

/* Becomes a user without privileges, who keeps the capabilities in the bits KEPT. */
static int become_nobody(uint32_t kept)
{
	if (prctl(PR_SET_KEEPCAPS, 1) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    keep_capabilities(kept))
		return -errno;
	return 0;
}

static int register_nic(int fd, const char *name)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };

	return port_register(fd, name, &reg);
}

static int port_info(int fd, const char *name)
{
	struct nmreq req = { .nr_version = NETMAP_API };

	snprintf(req.nr_name, sizeof(req.nr_name), "%s", name);
	return ioctl(fd, NIOCGINFO, &req) ? -errno : 0;
}

static int pools_info(int fd, const char *name)
{
	struct nmreq_pools_info pools = { 0 };
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_POOLS_INFO_GET,
				       .nr_body = (uintptr_t)&pools };

	snprintf(header.nr_name, sizeof(header.nr_name), "%s", name);
	return ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
}

static int set_trust(const char *value)
{
	FILE *f = fopen("/sys/module/netmap/parameters/trust_file", "w");

	if (!f)
		return -errno;
	fputs(value, f);
	return fclose(f) ? -errno : 0;
}

TEST(a_file_alone_gives_nothing)
{
	int fd = open("/dev/netmap", O_RDWR);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, become_nobody(0));
	EXPECT_GT(0, open("/dev/netmap", O_RDWR));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-EPERM, register_nic(fd, nic_name()));
	EXPECT_EQ(-EPERM, port_info(fd, nic_name()));
	EXPECT_EQ(-EPERM, pools_info(fd, nic_name()));
	/* What is no interface's is anybody's who has the file. */
	EXPECT_EQ(0, port_info(fd, ""));
	EXPECT_EQ(-ENXIO, register_nic(fd, "none0"));
}

TEST(what_is_bound_may_be_used_by_anybody)
{
	struct port port;
	char *again;

	ASSERT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, become_nobody(0));
	EXPECT_EQ(0, ioctl(port.fd, NIOCTXSYNC));
	EXPECT_EQ(0, ioctl(port.fd, NIOCRXSYNC));
	again = mmap(NULL, port.size, PROT_READ | PROT_WRITE, MAP_SHARED, port.fd, 0);
	EXPECT_NE(MAP_FAILED, (void *)again);
	EXPECT_EQ(0, port_close(&port));
}

TEST(the_capability_is_enough)
{
	int fd = open("/dev/netmap", O_RDWR);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, become_nobody(1U << CAP_NET_ADMIN));
	EXPECT_EQ(0, port_info(fd, nic_name()));
	EXPECT_EQ(0, pools_info(fd, nic_name()));
	EXPECT_EQ(0, register_nic(fd, nic_name()));
}

TEST(another_capability_is_not)
{
	int fd = open("/dev/netmap", O_RDWR);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, become_nobody(1U << CAP_NET_RAW | 1U << CAP_SYS_ADMIN | 1U << CAP_DAC_OVERRIDE));
	EXPECT_EQ(-EPERM, register_nic(fd, nic_name()));
}

TEST(the_parameter_trusts_whoever_has_a_file)
{
	int fd = open("/dev/netmap", O_RDWR), status;
	pid_t child;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_trust("1"));
	child = fork();
	if (!child)
		_exit(become_nobody(0) || register_nic(fd, nic_name()) ? 1 : 0);
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, set_trust("0"));
	/* The file is bound still. */
	EXPECT_EQ(-EBUSY, register_nic(fd, nic_name()));
}

/* In a user and network namespace of its own, of which it is the administrator. */
static int in_own_namespace(int ready, int moved)
{
	char command[64], byte;
	int fd, err;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 10;
	fd = open("/proc/self/uid_map", O_WRONLY);
	if (fd < 0 || write(fd, "0 0 1", 5) != 5 || close(fd))
		return 11;
	if (write(ready, "", 1) != 1 || read(moved, &byte, 1) != 1)
		return 12;
	fd = open("/dev/netmap", O_RDWR);
	if (fd < 0)
		return 13;
	snprintf(command, sizeof(command), "ip link set %s up", peer_name());
	if (system(command))
		return 14;
	/* Root's interface is not to be seen; a file that was opened elsewhere makes no difference. */
	err = register_nic(fd, nic_name());
	if (err != -ENXIO)
		return 15;
	err = register_nic(fd, peer_name());
	return err ? 16 : 0;
}

static bool has_interface(const char *name)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (!if_nametoindex(name)) {
		if (now_ms() >= end)
			return false;
		usleep(20000);
	}
	return true;
}

FIXTURE(namespace) {
	int ready[2], moved[2];
};

FIXTURE_SETUP(namespace)
{
	ASSERT_EQ(0, pipe(self->ready));
	ASSERT_EQ(0, pipe(self->moved));
}

FIXTURE_TEARDOWN(namespace)
{
}

TEST_F_TIMEOUT(namespace, has_its_interfaces_and_no_others, TIMEOUT_S)
{
	char command[96], byte;
	pid_t child;
	int status;

	child = fork();
	if (!child)
		_exit(in_own_namespace(self->ready[1], self->moved[0]));
	close(self->ready[1]);
	ASSERT_EQ(1, read(self->ready[0], &byte, 1));
	snprintf(command, sizeof(command), "ip link set %s netns %d", peer_name(), child);
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(1, write(self->moved[1], "", 1));
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, WIFEXITED(status) ? WEXITSTATUS(status) : 100);
	/* It comes back when the namespace ends, with the program's binding gone. */
	EXPECT_TRUE(has_interface(peer_name()));
	snprintf(command, sizeof(command), "ip link set %s up", peer_name());
	EXPECT_EQ(0, system(command));
}

TEST_HARNESS_MAIN
