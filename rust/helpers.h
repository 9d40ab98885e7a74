/* SPDX-License-Identifier: GPL-2.0 */
/* Shims for static inlines and macros of the kernel that Rust cannot call. No policy here. */
#ifndef NETMAP_HELPERS_H
#define NETMAP_HELPERS_H

#include <linux/netdevice.h>

void netmap_dev_hold(struct net_device *dev);
void netmap_dev_put(struct net_device *dev);
struct net_device *netmap_dev_get(const char *name);

/* Module parameters, as the C netmap names them. */
extern unsigned int netmap_if_size;
extern unsigned int netmap_if_num;
extern unsigned int netmap_ring_size;
extern unsigned int netmap_ring_num;
extern unsigned int netmap_buf_size;
extern unsigned int netmap_buf_num;

#endif
