/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of the kernel that take what is written to them, and pktgen's among them. */
#ifndef KERNEL_FILE_H
#define KERNEL_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 0, or a negative errno. */
static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	close(fd);
	return err;
}

/* Tells pktgen something about an interface, or one of its threads. */
static inline int pktgen(const char *name, const char *command)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/net/pktgen/%s", name);
	return write_file(path, command);
}

#endif
