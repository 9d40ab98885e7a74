// SPDX-License-Identifier: BSD-2-Clause
/*
 * Four programs that never sleep, on two processors: one that sends, one that receives, one that polls, and one of two
 * threads that use the same ring without heeding each other. A fifth, which is none of that kind, forks, asks for the
 * interface's state, binds and closes a port, and has the driver take its queues back in the midst of their syncs. All
 * get on, until the fifth has done CYCLES rounds (50), for TEST_SECONDS at least (5). Whoever watches the kernel for lockups and
 * stalls has nothing to say: that is what the console is checked for.
 */
#include <pthread.h>
#include <sys/wait.h>
#include "netmap_test.h"

#define ROUNDS	50
#define RESTART	5		/* of so many rounds the driver restarts in one, at either end in turn */
#define LEAST	100		/* rounds of each busy loop */

enum { SENDER, RECEIVER, POLLER, FIRST_THREAD, SECOND_THREAD, OTHER, COUNT };

static const char *const names[COUNT] = {
	"the sender", "the receiver", "the poller", "the first thread of the shared ring", "the second one", "the other process",
};

/* Shared by all processes. */
static struct state {
	volatile unsigned long rounds[COUNT];
	volatile bool stop;
	volatile bool failed;
} *state;

static void die(const char *what, int err)
{
	printf("# %s: %s\n", what, strerrorname_np(err < 0 ? -err : err));
	state->failed = true;
	exit(1);
}

static void open_ring(struct port *port, const char *name, uint64_t flags)
{
	int err = port_open(port, name, NR_REG_ALL_NIC, 0, flags);

	if (err)
		die(name, err);
}

/* Gives all of a ring back: what was received is dropped, what can be sent is sent as it is. */
static void give_all(struct netmap_ring *ring, bool fill)
{
	while (!nm_ring_empty(ring)) {
		if (fill) {
			head_slot(ring)->len = SHORTEST;
			make_frame(slot_buffer(ring, head_slot(ring)), SHORTEST, ring->head);
		}
		ring_advance(ring);
	}
}

static void send_all(const struct port *port)
{
	uint32_t i;

	for (i = 0; i < port->nifp->ni_tx_rings; i++)
		give_all(tx_ring(port, i), true);
}

static void receive_all(const struct port *port)
{
	uint32_t i;

	for (i = 0; i < port->nifp->ni_rx_rings; i++)
		give_all(rx_ring(port, i), false);
}

static void sender(void)
{
	struct port port;

	open_ring(&port, nic_name(), NR_TX_RINGS_ONLY);
	while (!state->stop) {
		send_all(&port);
		if (tx_sync(&port))
			die("NIOCTXSYNC", errno);
		state->rounds[SENDER]++;
	}
}

static void receiver(void)
{
	struct port port;

	open_ring(&port, peer_name(), NR_RX_RINGS_ONLY);
	while (!state->stop) {
		if (rx_sync(&port))
			die("NIOCRXSYNC", errno);
		receive_all(&port);
		state->rounds[RECEIVER]++;
	}
}

static void poller(void)
{
	struct port port;

	open_ring(&port, nic_name(), NR_RX_RINGS_ONLY);
	while (!state->stop) {
		int events = poll_port(&port, POLLIN, 0);

		if (events < 0 || events & POLLERR)
			die("poll", EIO);
		receive_all(&port);
		state->rounds[POLLER]++;
	}
}

static struct port shared;

/* They spoil the ring for each other: an error is an answer, too. */
static void *thread(void *which)
{
	int number = (intptr_t)which;

	while (!state->stop) {
		struct netmap_ring *ring = tx_ring(&shared, 0);

		give_all(ring, true);
		tx_sync(&shared);
		state->rounds[number]++;
	}
	return NULL;
}

static void threads(void)
{
	pthread_t other;

	open_ring(&shared, peer_name(), NR_TX_RINGS_ONLY);
	pthread_create(&other, NULL, thread, (void *)SECOND_THREAD);
	thread((void *)FIRST_THREAD);
	pthread_join(other, NULL);
}

/*
 * Its driver takes all queues back for each MTU. Not e1000e: it leaves the receiver of these cards on and waits for its own
 * poll to be done, which it need not be while a sender does not stop.
 */
static void restart(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "ip link set %s mtu 1400 && ip link set %s mtu 1500", name, name);
	if (system(command))
		die(command, EIO);
}

static unsigned long rounds_of_other(void)
{
	const char *cycles = getenv("CYCLES");

	return cycles ? strtoul(cycles, NULL, 10) : ROUNDS;
}

/* What an administrator's programs do: fork, take the RTNL mutex, read, bind, change an MTU. */
static void other(void)
{
	const char *seconds = getenv("TEST_SECONDS");
	const char *family = getenv("TEST_NIC");
	bool restarts = !family || strcmp(family, "e1000e");
	int64_t end = now_ms() + 1000 * (seconds ? atoi(seconds) : 5);
	char command[128];

	snprintf(command, sizeof(command),
		 "ethtool -S %s >/dev/null && ip link show %s >/dev/null && cat /sys/kernel/debug/netmap/ports >/dev/null",
		 nic_name(), nic_name());
	while (state->rounds[OTHER] < rounds_of_other() || now_ms() < end) {
		struct port port;
		int err;

		if (system(command))
			die(command, EIO);
		err = port_open(&port, nic_name(), NR_REG_SW, 0, 0);
		if (err)
			die("bind", err);
		port_close(&port);
		if (restarts && state->rounds[OTHER] % RESTART == 0)
			restart(state->rounds[OTHER] / RESTART % 2 ? peer_name() : nic_name());
		if (++state->rounds[OTHER] % RESTART == 0)
			printf("# %lu rounds of the other process\n", state->rounds[OTHER]);
	}
}

int main(void)
{
	static void (*const programs[])(void) = { sender, receiver, poller, threads, other };
	int i, n = sizeof(programs) / sizeof(programs[0]), status, failed = 0;
	pid_t pids[8], pid;

	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (state == MAP_FAILED)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%d\n", COUNT + 1);
	for (i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return 2;
		if (!pids[i]) {
			programs[i]();
			exit(0);
		}
	}
	/* The other process ends by itself; no busy one may. */
	pid = wait(&status);
	if (pid != pids[n - 1] || status)
		failed = 1;
	state->stop = true;
	while (wait(&status) > 0)
		failed |= status != 0;
	for (i = 0; i < COUNT; i++) {
		bool ok = state->rounds[i] >= (i == OTHER ? rounds_of_other() : LEAST);

		printf("%sok %d %s gets on: %lu rounds\n", ok ? "" : "not ", i + 1, names[i], state->rounds[i]);
		failed |= !ok;
	}
	printf("%sok %d nobody failed\n", failed || state->failed ? "not " : "", COUNT + 1);
	return failed || state->failed;
}
