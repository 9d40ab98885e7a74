// SPDX-License-Identifier: BSD-2-Clause
/*
 * VALE switches whose ports come and go: several processes make and remove ports, and persistent ones, which are attached and detached,
 * while others send on the same switches, and some are killed in the middle of a sync. CYCLES says how many rounds.
 */

#include <net/if.h>

#include "vale.h"

#define LEN		60
#define PROCESSES	4
#define SWITCHES	3

/* What a process tells the one that kills it: how many syncs it has begun. */
static volatile uint32_t *begun;

/* As many frames as a ring has room for, if nobody else takes them out. */
static void fill(struct netmap_ring *ring, const uint8_t *frame)
{
	uint32_t i;

	for (i = 0; i < 128 && packet_put(ring, frame, LEN, LEN, 0); i++)
		;
}

/* Sends on a port for ever. */
static void send_on(struct port *port, const uint8_t *frame, volatile uint32_t *count)
{
	for (;;) {
		fill(NETMAP_TXRING(port->nifp, 0), frame);
		++*count;
		ioctl(port->fd, NIOCTXSYNC, NULL);
	}
}

static int control(uint16_t type, const char *name, void *body)
{
	int fd = device_open(), error = request(fd, type, name, body);

	close(fd);
	return error;
}

/*
 * An interface that is attached while there is traffic on the switch, bound or attached to another one, and removed; the line that went
 * wrong, or 0.
 */
static int interface_round(int me, int round)
{
	struct nmreq_vale_attach attach = { .reg.nr_mode = round % 2 ? NR_REG_ALL_NIC : NR_REG_NIC_SW };
	struct nmreq_vale_newif new = { .nr_tx_slots = 64, .nr_rx_slots = 64, .nr_rx_rings = 1 + round % 3 };
	struct nmreq_vale_detach detach = { 0 };
	char name[16], port_name[32], second[32], command[64];
	uint8_t frame[LEN];
	struct port port;

	snprintf(name, sizeof(name), "churn%d", me);
	snprintf(port_name, sizeof(port_name), "vale%d:%s", round % SWITCHES, name);
	/* A switch of its own: those with traffic would be a loop. */
	snprintf(second, sizeof(second), "vale%d:%s", SWITCHES + me, name);
	if (control(NETMAP_REQ_VALE_NEWIF, name, &new))
		return __LINE__;
	if (control(NETMAP_REQ_VALE_ATTACH, port_name, &attach))
		return __LINE__;
	if (round % 2 == 0 && control(NETMAP_REQ_VALE_ATTACH, second, &attach))
		return __LINE__;
	if (round % 2) {
		if (vale_open(&port, round % 4 == 1 ? name : port_name))
			return __LINE__;
		frame_make(frame, LEN, ALL, HOST(me), round);
		fill(NETMAP_TXRING(port.nifp, 0), frame);
		if (ioctl(port.fd, NIOCTXSYNC, NULL) || ioctl(port.fd, NIOCRXSYNC, NULL))
			return __LINE__;
		if (control(NETMAP_REQ_VALE_DELIF, name, NULL) != EBUSY)
			return __LINE__;
	}
	/* It is removed as it is, or first from the switch and then by the program. */
	snprintf(command, sizeof(command), "ip link del %s", name);
	if (round % 4 < 2 && system(command))
		return __LINE__;
	if (round % 8 == 2 && control(NETMAP_REQ_VALE_DETACH, second, &detach))
		return __LINE__;
	if (round % 4 >= 2 && control(NETMAP_REQ_VALE_DETACH, port_name, &detach))
		return __LINE__;
	if (round % 8 == 6 && control(NETMAP_REQ_VALE_DETACH, second, &detach))
		return __LINE__;
	if (round % 2)
		port_close(&port);
	if (round % 4 >= 2 && control(NETMAP_REQ_VALE_DELIF, name, NULL))
		return __LINE__;
	if (if_nametoindex(name))
		return __LINE__;
	/* Its port leaves the switch a moment after an interface that goes, and the next one of the name is to be attached there. */
	while (round % 4 < 2 && (!control(NETMAP_REQ_PORT_HDR_GET, port_name, &(struct nmreq_port_hdr){ 0 }) ||
				 !control(NETMAP_REQ_PORT_HDR_GET, second, &(struct nmreq_port_hdr){ 0 })))
		sched_yield();
	return 0;
}

/* Ports that go while others send to them, and senders that are killed; the line that went wrong, or 0. */
static int churn(int me, int rounds)
{
	uint8_t frame[LEN];
	int round, i;

	for (round = 0; round < rounds; round++) {
		struct port port = { .reg = { .nr_tx_slots = 128, .nr_rx_slots = 64 } };
		struct netmap_ring *ring;
		char name[32];
		int error = 0;
		pid_t sender;

		snprintf(name, sizeof(name), "vale%d:p%d", round % SWITCHES, (me + round) % 6);
		if (vale_open_as(&port, name))
			return __LINE__;
		for (i = 0; i < 3; i++) {
			frame_make(frame, LEN, i ? HOST(me + i) : ALL, HOST(me), round);
			fill(NETMAP_TXRING(port.nifp, 0), frame);
			if (ioctl(port.fd, NIOCTXSYNC, NULL) || ioctl(port.fd, NIOCRXSYNC, NULL))
				return __LINE__;
			ring = NETMAP_RXRING(port.nifp, 0);
			ring->head = ring->cur = ring->tail;
		}
		begun[me] = 0;
		sender = fork();
		if (sender == 0)
			send_on(&port, frame, &begun[me]);
		port_close(&port);
		if (round % 2)
			error = interface_round(me, round / 2);
		/* It does nothing but syncs: it dies in one, or just before it. */
		while (begun[me] < 3)
			sched_yield();
		kill(sender, SIGKILL);
		if (waitpid(sender, NULL, 0) != sender)
			return __LINE__;
		if (error)
			return error;
	}
	return 0;
}

/* Whether nothing is left: of ports on switches, nor of memory. */
static bool is_over(void)
{
	FILE *regions = fopen("/sys/kernel/debug/netmap/regions", "r");
	struct nmreq_vale_list body = { 0 };
	bool is_empty;

	if (!regions)
		return false;
	is_empty = fgetc(regions) == EOF;
	fclose(regions);
	return is_empty && control(NETMAP_REQ_VALE_LIST, "", &body) == ENOENT;
}

TEST(comings_and_goings)
{
	const char *wish = getenv("CYCLES");
	int rounds = wish ? atoi(wish) * 3 : 100, i, status;
	pid_t children[PROCESSES], traffic[SWITCHES];
	uint8_t frame[LEN];

	begun = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, begun);
	for (i = 0; i < SWITCHES; i++) {
		struct port port;
		char name[32];

		snprintf(name, sizeof(name), "vale%d:traffic", i);
		ASSERT_EQ(0, vale_open(&port, name));
		traffic[i] = fork();
		if (traffic[i] == 0) {
			frame_make(frame, LEN, ALL, HOST(9), i);
			send_on(&port, frame, &begun[PROCESSES + i]);
		}
		port_close(&port);
	}
	for (i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			int line = churn(i, rounds);

			if (line)
				printf("# process %d: line %d, errno %d\n", i, line, errno);
			fflush(stdout);
			_exit(!!line);
		}
	}
	for (i = 0; i < PROCESSES; i++) {
		ASSERT_EQ(children[i], waitpid(children[i], &status, 0));
		EXPECT_EQ(0, status);
		printf("# %d of %d done\n", i + 1, PROCESSES);
	}
	for (i = 0; i < SWITCHES; i++) {
		/* It went on all the time. */
		uint32_t before = begun[PROCESSES + i];

		while (begun[PROCESSES + i] == before)
			sched_yield();
		kill(traffic[i], SIGKILL);
		ASSERT_EQ(traffic[i], waitpid(traffic[i], &status, 0));
	}
	for (i = 0; i < 3000 && !is_over(); i++)
		usleep(20000);
	EXPECT_TRUE(is_over());
}

TEST_HARNESS_MAIN
