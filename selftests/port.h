/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports as the tests use them, by the bare requests; includes the harness, whose assertions are not used here. */
#ifndef NETMAP_SELFTESTS_PORT_H
#define NETMAP_SELFTESTS_PORT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>

#include "kselftest_harness.h"

static inline const char *test_interface(void)
{
	const char *name = getenv("TEST_IF");

	return name ? name : "eth0";
}

static inline const char *test_peer(void)
{
	const char *name = getenv("TEST_PEER");

	return name ? name : "eth1";
}

static inline int device_open(void)
{
	return open("/dev/netmap", O_RDWR | O_CLOEXEC);
}

/* The result of a call as its errno, 0 if it succeeded. */
static inline int errno_of(long result)
{
	return result == -1 ? errno : 0;
}

static inline void header_init(struct nmreq_header *header, uint16_t type, const char *name, void *body)
{
	memset(header, 0, sizeof(*header));
	header->nr_version = NETMAP_API;
	header->nr_reqtype = type;
	strncpy(header->nr_name, name, sizeof(header->nr_name) - 1);
	header->nr_body = (uintptr_t)body;
}

static inline void legacy_init(struct nmreq *req, const char *name)
{
	memset(req, 0, sizeof(*req));
	req->nr_version = NETMAP_API;
	strncpy(req->nr_name, name, sizeof(req->nr_name) - 1);
}

/* A request of NIOCCTRL; its errno, 0 if it succeeded. */
static inline int request(int fd, uint16_t type, const char *name, void *body)
{
	struct nmreq_header header;

	header_init(&header, type, name, body);
	return errno_of(ioctl(fd, NIOCCTRL, &header));
}

/* An open file that is bound. */
struct port {
	int fd;
	struct nmreq_register reg;
	char *mem;
	struct netmap_if *nifp;
};

/* Binds a file; its errno. */
static inline int port_bind(struct port *port, const char *name, uint32_t mode, uint16_t ring, uint64_t flags)
{
	int error;

	memset(port, 0, sizeof(*port));
	port->reg.nr_mode = mode;
	port->reg.nr_ringid = ring;
	port->reg.nr_flags = flags;
	port->fd = device_open();
	if (port->fd < 0)
		return errno;
	error = request(port->fd, NETMAP_REQ_REGISTER, name, &port->reg);
	if (error) {
		close(port->fd);
		port->fd = -1;
	}
	return error;
}

/* Maps the region of a bound file; its errno. */
static inline int port_map(struct port *port)
{
	port->mem = mmap(NULL, port->reg.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
	if (port->mem == MAP_FAILED) {
		port->mem = NULL;
		return errno;
	}
	port->nifp = NETMAP_IF(port->mem, port->reg.nr_offset);
	return 0;
}

static inline int port_open(struct port *port, const char *name, uint32_t mode, uint16_t ring, uint64_t flags)
{
	int error = port_bind(port, name, mode, ring, flags);

	return error ? error : port_map(port);
}

static inline void port_close(struct port *port)
{
	if (port->mem)
		munmap(port->mem, port->reg.nr_memsize);
	if (port->fd >= 0)
		close(port->fd);
	port->mem = NULL;
	port->fd = -1;
}

/* poll() on one file; the events, or -1. */
static inline int poll_once(int fd, short events, int timeout_ms)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	return poll(&pollfd, 1, timeout_ms) < 0 ? -1 : pollfd.revents;
}

/* The number behind KEY in the region's description in debugfs, on the line that begins with POOL; -1 if there is none. */
static inline long region_count(const char *pool, const char *key)
{
	char line[256];
	long count = -1;
	FILE *file = fopen("/sys/kernel/debug/netmap/regions", "r");

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		char *at = strstr(line, pool);

		at = at ? strstr(at, key) : NULL;
		if (at) {
			count = strtol(at + strlen(key), NULL, 10);
			break;
		}
	}
	fclose(file);
	return count;
}

/* The sum of the counter KEY over the rings of a bound file, as its fdinfo says; -1 if there is none. */
static inline long port_count(const struct port *port, const char *key)
{
	char path[64], line[256];
	long count = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", port->fd);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		char *at = strstr(line, key);

		if (at && !strncmp(line, "netmap-", 7))
			count = (count < 0 ? 0 : count) + strtol(at + strlen(key), NULL, 10);
	}
	fclose(file);
	return count;
}

#endif
