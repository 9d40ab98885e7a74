// SPDX-License-Identifier: BSD-2-Clause
/*
 * stack_sample INTERFACE ADDRESS PORT: sends standard input over TCP, by the lines of the StackMap paper's sample (K. Yasukata,
 * M. Honda, D. Santry, L. Eggert: StackMap, USENIX ATC 2016) with what that leaves out: where the payload comes from, its length,
 * the wait for room, and the end.
 */
#include <err.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>
#include <poll.h>

/* More or less payload at each call, as a program has it. */
static ssize_t payload(char *buf, size_t room)
{
	static size_t want = 1;

	want = want * 7 % 1999 + 1;
	return read(STDIN_FILENO, buf, want < room ? want : room);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct netmap_slot *slot;
	struct netmap_ring *ring;
	struct nm_desc *nmd;
	struct pollfd pfd;
	char name[64], *buf;
	uint32_t cur;
	ssize_t len = 1;
	int sd;

	if (argc != 4 || !inet_aton(argv[2], &to.sin_addr))
		errx(2, "usage: stack_sample INTERFACE ADDRESS PORT");
	to.sin_port = htons(atoi(argv[3]));
	snprintf(name, sizeof(name), "stack:%s", argv[1]);

	nmd = nm_open(name, NULL, 0, NULL);
	if (!nmd)
		err(1, "%s", name);
	sd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (!connect(sd, (struct sockaddr *)&to, sizeof(to)) || errno != EINPROGRESS)
		err(1, "connect");
	ring = NETMAP_TXRING(nmd->nifp, 0);
	pfd = (struct pollfd){ .fd = nmd->fd, .events = POLLOUT };

	while (len > 0) {
		cur = ring->cur;
		while (cur != ring->tail) {
			slot = &ring->slot[cur];
			buf = STACKMAP_BUF(ring, slot->buf_idx);
			len = payload(buf, ring->nr_buf_size - ring->stack_room);
			if (len <= 0)
				break;
			slot->len = len;
			slot->fd = sd;
			cur = nm_ring_next(ring, cur);
		}
		ring->head = ring->cur = cur;
		if (ioctl(nmd->fd, NIOCTXSYNC))
			err(1, "NIOCTXSYNC");
		if (ring->cur == ring->tail && poll(&pfd, 1, -1) < 0)
			err(1, "poll");
	}
	/* What TCP has not accepted yet would be dropped with the descriptor. */
	while (nm_tx_pending(ring)) {
		usleep(1000);
		if (ioctl(nmd->fd, NIOCTXSYNC))
			err(1, "NIOCTXSYNC");
	}
	nm_close(nmd);
	close(sd);
	return 0;
}
