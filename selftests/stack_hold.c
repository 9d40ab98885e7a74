// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program with a connection in a stack port, for stack_ends.sh.
 *
 *	stack_hold send ADDRESS PORT N	connects and registers, says "ready"; at SIGUSR1 sends N octets, says "sent"; then says "gone"
 *					and the error of a sync when it is told that the port is gone, and whether the socket goes on
 *	stack_hold octets N		writes these octets
 */
#include "stack_wire.h"

static int send_octets(const struct port *port, int fd, size_t count)
{
	struct netmap_ring *ring = tx_ring(port, 0);
	int64_t end = now_ms() + LIMIT_MS;
	size_t done = 0;

	while (done < count || nm_tx_pending(ring)) {
		done += put(port, fd, 1, done, count - done, 1448);
		if (tx_sync(port) || now_ms() > end)
			return -EIO;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct port port;
	sigset_t set;
	int fd, error, number;
	size_t i, count;

	if (argc == 3) {
		count = strtoul(argv[2], NULL, 0);
		for (i = 0; i < count; i++)
			putchar(octet(1, i));
		return 0;
	}
	if (argc != 5)
		return 2;
	count = strtoul(argv[4], NULL, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setlinebuf(stdout);
	error = stack_open(&port, 0);
	if (error)
		errx(1, "no port: %s", strerror(-error));
	fd = connect_from(false, argv[2], (uint16_t)atoi(argv[3]));
	if (fd < 0)
		errx(1, "no connection: %s", strerror(-fd));
	error = stack_register(&port, fd);
	if (error)
		errx(1, "not registered: %s", strerror(-error));
	puts("ready");
	sigwait(&set, &number);
	error = send_octets(&port, fd, count);
	if (error)
		errx(1, "not sent");
	puts("sent");
	while (!(poll_port(&port, POLLIN, -1) & POLLERR))
		;
	error = rx_sync(&port);
	printf("gone %s, %s\n", error == -ENXIO ? "ENXIO" : strerror(-error),
	       send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? "an ordinary socket" : strerror(errno));
	pause();
	return 0;
}
