// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program with a connection in a stack port, for stack_ends.sh.
 *
 *	stack_hold send ADDRESS PORT N	connects and registers, says "ready"; at SIGUSR1 sends N octets, says "sent"; then says "gone"
 *					and the errors of a sync and a registration when it is told that the port is gone, and
 *					whether the socket goes on
 *	stack_hold leave NETNS ADDRESS PORT N
 *					the same, with an interface and a connection of a network namespace that it visits for that; it
 *					closes the connection once it has sent, and nothing of the namespace but the port is left to it
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

static const char *name_of(int error)
{
	return error == -ENXIO ? "ENXIO" : strerror(-error);
}

int main(int argc, char **argv)
{
	struct port port;
	sigset_t set;
	int fd, error, number, netns;
	char path[64];
	size_t i, count;

	if (argc == 3) {
		count = strtoul(argv[2], NULL, 0);
		for (i = 0; i < count; i++)
			putchar(octet(1, i));
		return 0;
	}
	if (argc == 6 && !strcmp(argv[1], "leave")) {
		snprintf(path, sizeof(path), "/run/netns/%s", argv[2]);
		netns = open(path, O_RDONLY | O_CLOEXEC);
		if (netns < 0 || setns(netns, CLONE_NEWNET))
			err(1, "%s", path);
		close(netns);
		argv++;
	} else if (argc != 5) {
		return 2;
	}
	count = strtoul(argv[4], NULL, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setlinebuf(stdout);
	error = stack_open(&port, 0);
	if (error)
		errx(1, "no port: %s", strerror(-error));
	fd = connect_here(argv[2], (uint16_t)atoi(argv[3]));
	if (fd < 0)
		errx(1, "no connection: %s", strerror(-fd));
	error = stack_register(&port, fd);
	if (error)
		errx(1, "not registered: %s", strerror(-error));
	visit(false);
	puts("ready");
	sigwait(&set, &number);
	error = send_octets(&port, fd, count);
	if (error)
		errx(1, "not sent");
	puts("sent");
	if (argc == 6)
		close(fd);
	while (!(poll_port(&port, POLLIN, -1) & POLLERR))
		;
	error = rx_sync(&port);
	printf("gone %s, ", name_of(error));
	error = stack_register(&port, fd);
	printf("%s, %s\n", name_of(error), send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? "an ordinary socket" : strerror(errno));
	pause();
	return 0;
}
