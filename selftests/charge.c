// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program's share of the region counts for its control group, whose limit makes a bind fail, and nothing else: neither
 * is anybody killed, nor the machine short of memory. The kernel must have memory control groups.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host.h"
#include "kernel_file.h"

#define ROOT	"/sys/fs/cgroup"
#define GROUP	ROOT "/netmap-test"
#define MIB	(1024 * 1024L)
/* Buffers for 40 MiB, and for 160. */
#define SOME	20480
#define MANY	81920
#define LIMIT	"33554432"

static int enter(const char *group)
{
	char path[64], pid[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(pid, sizeof(pid), "%d", getpid());
	return write_file(path, pid);
}

static long charged(void)
{
	return number_in("%s/memory.current", GROUP);
}

/* How often something has happened in the group ("oom_kill", "max"). */
static long events(const char *what)
{
	char line[128], want[64];
	long count = -1;
	FILE *f = fopen(GROUP "/memory.events", "r");

	if (!f)
		return -1;
	snprintf(want, sizeof(want), "%s %%ld", what);
	while (count < 0 && fgets(line, sizeof(line), f))
		sscanf(line, want, &count);
	fclose(f);
	return count;
}

/* What was given back is uncharged in batches. */
static bool falls_below(long bytes)
{
	int64_t end = now_ms() + LIMIT_MS;

	while (charged() >= bytes) {
		if (now_ms() >= end)
			return false;
		usleep(20000);
	}
	return true;
}

FIXTURE(charge) {
	long before;
};

FIXTURE_SETUP(charge)
{
	if (access(ROOT "/cgroup.procs", F_OK))
		ASSERT_EQ(0, mount("cgroup2", ROOT, "cgroup2", 0, NULL));
	ASSERT_EQ(0, write_file(ROOT "/cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, mkdir(GROUP, 0755));
	ASSERT_EQ(0, enter(GROUP));
	self->before = charged();
	ASSERT_LE(0, self->before);
}

FIXTURE_TEARDOWN(charge)
{
	EXPECT_EQ(0, events("oom_kill"));
	EXPECT_EQ(0, enter(ROOT));
	EXPECT_EQ(0, rmdir(GROUP));
}

TEST_F_TIMEOUT(charge, a_binding_counts_for_its_group, TIMEOUT_S)
{
	struct port port = { .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = SOME } };

	ASSERT_EQ(0, port_open_as(&port, nic_name()));
	EXPECT_EQ(SOME, port.reg.nr_extra_bufs);
	EXPECT_LE(self->before + SOME * 2048L, charged());
	EXPECT_GT(self->before + SOME * 2048L + 16 * MIB, charged());
	EXPECT_EQ(0, port_close(&port));
	EXPECT_TRUE(falls_below(self->before + 4 * MIB));
}

TEST_F_TIMEOUT(charge, a_limit_makes_a_bind_fail, TIMEOUT_S)
{
	int near = packet_socket(nic_name(), PROTOCOL, false), far = packet_socket(peer_name(), PROTOCOL, false);
	struct nmreq_register many = { .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = MANY };
	struct port port;
	int fd, round;

	ASSERT_LE(0, near);
	ASSERT_LE(0, far);
	ASSERT_EQ(0, write_file(GROUP "/memory.max", LIMIT));
	for (round = 0; round < 3; round++) {
		fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd);
		EXPECT_EQ(-ENOMEM, port_register(fd, nic_name(), &many));
		EXPECT_EQ(0, close(fd));
		EXPECT_EQ(0, stack_send(near, LONGEST, round));
		EXPECT_TRUE(stack_gets(far, LONGEST, round));
	}
	EXPECT_LT(0, events("max"));
	EXPECT_TRUE(falls_below(self->before + 4 * MIB));
	/* What fits is bound still. */
	EXPECT_EQ(0, port_open(&port, nic_name(), NR_REG_ALL_NIC, 0, 0));
	EXPECT_EQ(0, port_close(&port));
}

/* A program whose bind failed leaves the region, which another one keeps, as it was. */
TEST_F_TIMEOUT(charge, a_limit_is_that_of_one_group, TIMEOUT_S)
{
	struct nmreq_register many = { .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = MANY };
	struct port other;
	long here, used;
	int fd;

	ASSERT_EQ(0, enter(ROOT));
	ASSERT_EQ(0, port_open(&other, peer_name(), NR_REG_ALL_NIC, 0, 0));
	used = pool_used("buffers");
	ASSERT_EQ(0, write_file(GROUP "/memory.max", LIMIT));
	ASSERT_EQ(0, enter(GROUP));
	here = charged();
	fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOMEM, port_register(fd, nic_name(), &many));
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(used, pool_used("buffers"));
	EXPECT_TRUE(falls_below(here + 4 * MIB));

	ASSERT_EQ(0, enter(ROOT));
	EXPECT_EQ(0, port_close(&other));
	other.reg = (struct nmreq_register){ .nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = MANY };
	ASSERT_EQ(0, port_open_as(&other, peer_name()));
	EXPECT_EQ(MANY, other.reg.nr_extra_bufs);
	EXPECT_EQ(0, port_close(&other));
}

TEST_HARNESS_MAIN
