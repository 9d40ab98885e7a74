/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack's side of an interface, for tests of ports that leave the device to it: sockets, features, what kind a port is. */
#ifndef NETMAP_STACK_H
#define NETMAP_STACK_H

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include "netmap_test.h"

/* A packet socket of an interface, whose frames have a struct virtio_net_hdr in front if "offloads". */
UNUSED static int packet_socket(const char *name, uint16_t protocol, bool offloads)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = if_nametoindex(name) };
	int on = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if ((offloads && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on))) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

/* What ethtool asks of an interface; 0 or the error. */
UNUSED static int ethtool_request(const char *name, void *request)
{
	struct ifreq ifr = { .ifr_data = request };
	int error = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		error = -errno;
	close(fd);
	return error;
}

/* The legacy commands of ethtool that get and set one feature, or some of them. */
UNUSED static int feature(const char *name, uint32_t command, uint32_t value)
{
	struct ethtool_value request = { .cmd = command, .data = value };
	int error = ethtool_request(name, &request);

	return error ? error : (int)request.data;
}

/* An emulated port receives by XDP where the parameters say so. */
UNUSED static bool expects_xdp(void)
{
	const char *family = getenv("TEST_NIC") ?: "";
	long mode = parameter("emulated_xdp");

	return (mode >= 1 && !strcmp(family, "virtio")) || (mode == 2 && (!strcmp(family, "emulated") || !strcmp(family, "veth")));
}

/* Whether a file says that its port is such a one. */
UNUSED static bool is_kind(const struct port *port, const char *kind)
{
	char command[128];

	snprintf(command, sizeof(command), "grep -qx 'netmap-kind:\temulated (%s)' /proc/%d/fdinfo/%d", kind, getpid(), port->fd);
	return !system(command);
}

/* Sets the MTU, and waits for the carrier that the driver may have taken away for it. */
UNUSED static int set_mtu(const char *name, int mtu)
{
	char command[80];

	snprintf(command, sizeof(command), "ip link set %s mtu %d", name, mtu);
	return system(command) || !has_carrier(name) ? -EIO : 0;
}

#endif
