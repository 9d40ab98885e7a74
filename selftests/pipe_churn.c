// SPDX-License-Identifier: BSD-2-Clause
/* Pipes that come and go: under traffic, with programs killed in the middle of a sync, and on a device that is deleted meanwhile. */
#include <sched.h>
#include <sys/mman.h>
#include "pipe.h"
#include "kselftest_harness.h"

#define PROCESSES	4
#define PIPES		4

static int rounds(int usual)
{
	const char *wish = getenv("CYCLES");

	return wish ? atoi(wish) * 5 : usual;
}

static uint32_t roll(uint64_t *state, uint32_t sides)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 20) % sides;
}

/* Sends what there is room for, and takes what there is; of a ring that others have too, who may have set it back. */
static void use(struct port *port, uint32_t number)
{
	struct netmap_ring *ring = tx_ring(port, 0);
	uint32_t left = room(ring);

	for (; left && ring->head < ring->num_slots; left--) {
		struct netmap_slot *slot = head_slot(ring);

		slot->len = SHORTEST;
		slot->flags = number % 5 == 0 && left > 1 ? NS_MOREFRAG : 0;
		ring_advance(ring);
	}
	tx_sync(port);
	rx_sync(port);
	ring = rx_ring(port, 0);
	ring->head = ring->cur = ring->tail;
}

/* A process that syncs the port until it is killed, whatever becomes of others' files. */
static pid_t storm(struct port *port)
{
	pid_t child = fork();
	uint32_t i;

	if (child == 0)
		for (i = 0;; i++)
			use(port, i);
	return child;
}

static int end_storm(pid_t child)
{
	int status;

	if (kill(child, SIGKILL) || waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -1;
}

/* Binds ends of a few pipes, which others bind too, uses them, closes them, and leaves some to a process that is killed. */
static int churn(int seed, int rounds)
{
	uint64_t state = 88172645463325252ull * (seed + 1);
	pid_t child = 0;
	int round, i;

	for (round = 0; round < rounds; round++) {
		struct port port = { .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = 32, .nr_rx_slots = 32 } };
		char id[] = { '0' + roll(&state, PIPES), 0 };

		if (open_end(&port, "churn", roll(&state, 2) ? '{' : '}', id))
			return 1;
		for (i = roll(&state, 8); i; i--)
			use(&port, roll(&state, 100));
		if (child && end_storm(child))
			return 2;
		child = roll(&state, 3) ? 0 : storm(&port);
		if (child < 0)
			return 3;
		if (port_close(&port))
			return 4;
		if (round % 50 == 49)
			printf("# process %d: %d rounds\n", seed, round + 1);
	}
	return child && end_storm(child) ? 5 : 0;
}

static int regions(void)
{
	FILE *f = popen("grep -c '^region' /sys/kernel/debug/netmap/regions", "r");
	int count = -1;

	if (f && fscanf(f, "%d", &count) != 1)
		count = -1;
	if (f)
		pclose(f);
	return count;
}

TEST(comings_and_goings)
{
	int count = rounds(200), before = regions(), i;
	pid_t children[PROCESSES];
	struct ends ends;

	for (i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		ASSERT_LE(0, children[i]);
		if (!children[i])
			_exit(churn(i, count));
	}
	for (i = 0; i < PROCESSES; i++)
		EXPECT_EQ(0, awoken(children[i]));
	/* Nothing is left of them. */
	EXPECT_EQ(before, regions());
	EXPECT_EQ(0, system("! grep -q churn /sys/kernel/debug/netmap/ports"));
	/* And a pipe of that name is as any other. */
	ASSERT_EQ(0, open_ends(&ends, "churn", "0", true, 32));
	ASSERT_EQ(31, fill_ring(&ends.from, tx_ring(&ends.from, 0), 0));
	ASSERT_EQ(0, rx_sync(&ends.to));
	for (i = 0; i < 31; i++)
		ASSERT_TRUE(next_is(rx_ring(&ends.to, 0), i));
	EXPECT_EQ(0, close_ends(&ends));
}

/* Both ends are closed, or killed, at the same moment, with a sync of each under way. */
TEST(both_ends_at_once)
{
	int count = rounds(100), before = regions(), i;

	for (i = 0; i < count; i++) {
		struct ends ends;
		pid_t a, b;

		ASSERT_EQ(0, open_ends(&ends, "both", "0", i % 2, 32));
		a = storm(&ends.from);
		b = storm(&ends.to);
		ASSERT_LT(0, a);
		ASSERT_LT(0, b);
		ASSERT_EQ(0, close_ends(&ends));
		sched_yield();
		ASSERT_EQ(0, kill(i % 3 ? a : b, SIGKILL));
		ASSERT_EQ(0, kill(i % 3 ? b : a, SIGKILL));
		ASSERT_EQ(a, waitpid(a, NULL, 0));
		ASSERT_EQ(b, waitpid(b, NULL, 0));
	}
	EXPECT_EQ(before, regions());
}

/* Binds and uses both ends of a pipe on a device that comes and goes; it counts what was on the device, and what was not. */
static int use_device(uint32_t *counts)
{
	for (;;) {
		struct ends ends;
		int err = open_ends(&ends, "churn0", "1", true, 32), i;

		if (err == -ENXIO)
			continue;
		if (err)
			return -err;
		/* That both are ends of one is not sure: the device may have come or gone in between. */
		for (i = 0; i < 10; i++) {
			use(&ends.from, i);
			use(&ends.to, i);
		}
		__atomic_add_fetch(&counts[ends.from.reg.nr_mem_id == 1], 1, __ATOMIC_RELAXED);
		if (close_ends(&ends))
			return 255;
	}
}

TEST(a_device_that_is_deleted)
{
	int count = rounds(50), before = regions(), i, j;
	pid_t children[2];
	uint32_t *counts;

	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)counts);
	for (i = 0; i < 2; i++) {
		children[i] = fork();
		ASSERT_LE(0, children[i]);
		if (!children[i])
			_exit(use_device(counts));
	}
	for (i = 0; i < count; i++) {
		/* It is there for a moment in which a pipe is on it, and then not for one in which none is. */
		for (j = 1; j >= 0; j--) {
			uint32_t seen;
			int64_t limit = now_ms() + LIMIT_MS;

			ASSERT_EQ(0, system(j ? "ip link add churn0 type veth peer name churn1" : "ip link del churn0"));
			seen = __atomic_load_n(&counts[j], __ATOMIC_RELAXED);
			while (__atomic_load_n(&counts[j], __ATOMIC_RELAXED) < seen + 3 && now_ms() < limit)
				usleep(100);
			ASSERT_GT(limit, now_ms());
		}
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, end_storm(children[i]));
	printf("# %u on the device, %u on nothing\n", counts[1], counts[0]);
	/* They may have been killed in between of anything. */
	EXPECT_EQ(0, system("! grep -q churn /sys/kernel/debug/netmap/ports"));
	EXPECT_EQ(before, regions());
	EXPECT_GE(0, lost_buffers());
}

TEST_HARNESS_MAIN
