// SPDX-License-Identifier: BSD-2-Clause
/*
 * What scripts ask of VALE switches: "switch list", and "switch attach|attach-host|detach|poll|rest|new|delete NAME"; "switch poll NAME
 * FIRST COUNT" is for a thread for each ring, and "switch send NAME" sends a frame to all. Says the errno of what fails, by its name, on
 * standard error, and exits with 1.
 */

#include <string.h>

#include "vale.h"

static int list(int fd)
{
	struct nmreq_vale_list body = { 0 };
	struct nmreq_header header;

	for (;; body.nr_port_idx++) {
		header_init(&header, NETMAP_REQ_VALE_LIST, "", &body);
		if (ioctl(fd, NIOCCTRL, &header))
			return errno == ENOENT ? 0 : errno;
		printf("%s\n", header.nr_name);
	}
}

/* By a port that goes then. */
static int send_one(const char *name)
{
	struct port port;
	int error = vale_open(&port, name);

	if (error)
		return error;
	error = frame_send(&port, 60, ALL, HOST(1), 1, 0);
	port_close(&port);
	return error;
}

int main(int argc, char **argv)
{
	struct nmreq_vale_attach attach = { .reg.nr_mode = NR_REG_ALL_NIC };
	struct nmreq_vale_polling polling = { .nr_mode = NETMAP_POLLING_MODE_SINGLE_CPU, .nr_num_polling_cpus = 1 };
	struct nmreq_vale_newif interface = { 0 };
	struct nmreq_vale_detach detach = { 0 };
	const char *what = argc > 1 ? argv[1] : "";
	const char *name = argc > 2 ? argv[2] : "";
	int fd = device_open(), error = EINVAL;

	if (fd < 0)
		error = errno;
	else if (!strcmp(what, "list"))
		error = list(fd);
	else if (!strcmp(what, "attach"))
		error = request(fd, NETMAP_REQ_VALE_ATTACH, name, &attach);
	else if (!strcmp(what, "attach-host")) {
		attach.reg.nr_mode = NR_REG_NIC_SW;
		error = request(fd, NETMAP_REQ_VALE_ATTACH, name, &attach);
	} else if (!strcmp(what, "detach"))
		error = request(fd, NETMAP_REQ_VALE_DETACH, name, &detach);
	else if (!strcmp(what, "poll") && argc > 4) {
		polling.nr_mode = NETMAP_POLLING_MODE_MULTI_CPU;
		polling.nr_first_cpu_id = atoi(argv[3]);
		polling.nr_num_polling_cpus = atoi(argv[4]);
		error = request(fd, NETMAP_REQ_VALE_POLLING_ENABLE, name, &polling);
	} else if (!strcmp(what, "poll"))
		error = request(fd, NETMAP_REQ_VALE_POLLING_ENABLE, name, &polling);
	else if (!strcmp(what, "rest"))
		error = request(fd, NETMAP_REQ_VALE_POLLING_DISABLE, name, &polling);
	else if (!strcmp(what, "send"))
		error = send_one(name);
	else if (!strcmp(what, "new"))
		error = request(fd, NETMAP_REQ_VALE_NEWIF, name, &interface);
	else if (!strcmp(what, "delete"))
		error = request(fd, NETMAP_REQ_VALE_DELIF, name, NULL);
	if (error)
		fprintf(stderr, "%s\n", strerrorname_np(error));
	return !!error;
}
