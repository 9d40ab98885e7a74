// SPDX-License-Identifier: BSD-2-Clause
/* Ports without a device, which take no privilege: what their binds and closes cost others. */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include "pipe.h"
#include "kselftest_harness.h"

#define COUNT	40

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ll + ts.tv_nsec / 1000;
}

/* How long as many grace periods of RCU take one after the other, or less than 0. */
static int64_t grace_periods(int count)
{
	int64_t begin = now_us();
	int i;

	for (i = 0; i < count; i++)
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
			return -1;
	return now_us() - begin;
}

/* How long the closes of as many ports take, which are numbered where the name has a %d and mapped no more; or less than 0. */
static int64_t closes(const char *name, struct nmreq_register reg)
{
	struct port ports[COUNT];
	char one[64];
	int64_t begin;
	int i;

	for (i = 0; i < COUNT; i++) {
		ports[i] = (struct port){ .reg = reg };
		snprintf(one, sizeof(one), name, i);
		if (port_open_as(&ports[i], one) || munmap(ports[i].mem, ports[i].size))
			return -1;
	}
	begin = now_us();
	for (i = 0; i < COUNT; i++)
		if (close(ports[i].fd))
			return -1;
	return now_us() - begin;
}

/* How long as many looks at a port take that is not there, and would be in this region, or less than 0. */
static int64_t looks(const char *name, uint16_t mem_id)
{
	struct nmreq_port_info_get body = { 0 };
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_PORT_INFO_GET,
				       .nr_body = (uintptr_t)&body };
	int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC), i;
	int64_t begin = now_us();

	strcpy(header.nr_name, name);
	for (i = 0; i < COUNT; i++) {
		body = (struct nmreq_port_info_get){ .nr_tx_slots = 16, .nr_rx_slots = 16, .nr_mem_id = mem_id };
		if (ioctl(fd, NIOCCTRL, &header))
			return -1;
	}
	close(fd);
	return now_us() - begin;
}

/* None of it waits for a grace period, which others would wait for too: all binds and closes of netmap, and who has RTNL. */
TEST(nobody_waits_for_readers)
{
	struct nmreq_register small = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = 16, .nr_rx_slots = 16 },
			      null = { .nr_mode = NR_REG_NULL, .nr_mem_id = 1, .nr_tx_rings = 1, .nr_tx_slots = 16 };
	int64_t waits, spent;
	struct port first, stays;
	int i, tries;

	/* With one processor a barrier is no wait. */
	ASSERT_LT(1, sysconf(_SC_NPROCESSORS_ONLN));
	/* Regions and the switch stay: what they cost is not measured. */
	first = (struct port){ .reg = small };
	ASSERT_EQ(0, port_open_as(&first, "many{first"));
	small.nr_mem_id = 1;
	stays = (struct port){ .reg = small };
	ASSERT_EQ(0, port_open_as(&stays, "vale90:stays"));
	for (i = 0; i < 4; i++) {
		/* Somebody else may have had the processors meanwhile: who waits for grace periods does so each time. */
		for (tries = 0; tries < 5; tries++) {
			waits = grace_periods(COUNT);
			ASSERT_LT(0, waits);
			switch (i) {
			case 0:
				spent = closes("many{%d", small);
				break;
			case 1:
				spent = closes("%d", null);
				break;
			case 2:
				spent = closes("vale90:%d", small);
				break;
			default:
				spent = looks("vale90:look", 1);
			}
			ASSERT_LE(0, spent);
			printf("# %d of kind %d took %lld us, grace periods %lld us\n", COUNT, i, (long long)spent, (long long)waits);
			if (spent < waits / 2)
				break;
		}
		EXPECT_LT(spent, waits / 2);
	}
	EXPECT_EQ(0, port_close(&first));
	EXPECT_EQ(0, port_close(&stays));
}

/* How many lines of netmap's the log got since it was asked last. */
static int log_lines(int log)
{
	char record[8192];
	int lines = 0;

	for (;;) {
		ssize_t len = read(log, record, sizeof(record) - 1);

		if (len < 0 && errno == EPIPE)
			continue;
		if (len < 0)
			return lines;
		record[len] = 0;
		lines += strstr(record, "netmap: ") != NULL;
	}
}

/* As many lines as there may be since then, of a limit in five seconds. */
static int most_lines(int limit, int64_t since)
{
	return ((now_us() - since) / 5000000 + 2) * (limit + 1);
}

/* Whoever has the file may have all the log, otherwise. */
TEST(the_log_is_not_flooded)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = 2, .nr_rx_slots = 2 };
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), i;
	struct port first, other;
	int64_t begin;

	ASSERT_LE(0, log);
	ASSERT_LE(0, lseek(log, 0, SEEK_END));
	first = (struct port){ .reg = reg };
	ASSERT_EQ(0, port_open_as(&first, "small{x"));
	begin = now_us();
	for (i = 0; i < 1000; i++) {
		other = (struct port){ .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = 4096, .nr_rx_slots = 4096 } };
		ASSERT_EQ(-ENOMEM, port_open_as(&other, "small{y"));
	}
	i = log_lines(log);
	printf("# %d lines of 1000 binds that failed\n", i);
	EXPECT_LT(0, i);
	EXPECT_GE(most_lines(10, begin), i);
	begin = now_us();
	for (i = 0; i < 1000; i++) {
		other = (struct port){ .reg = reg };
		ASSERT_EQ(0, port_open_as(&other, "small{y"));
		ASSERT_EQ(0, port_close(&other));
	}
	i = log_lines(log);
	printf("# %d lines of 1000 binds\n", i);
	EXPECT_GE(most_lines(50, begin), i);
	EXPECT_EQ(0, port_close(&first));
	close(log);
}

TEST_HARNESS_MAIN
