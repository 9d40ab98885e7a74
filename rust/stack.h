/* SPDX-License-Identifier: GPL-2.0 */
/* What stack.c and stack_send.c have of each other. */
#ifndef NETMAP_STACK_SOCKETS_H
#define NETMAP_STACK_SOCKETS_H

#include <linux/llist.h>
#include <net/sock.h>

bool netmap_stack_keep(struct sock *sk, struct llist_node *node);
void netmap_stack_complete_kept(struct llist_node *kept);
bool netmap_stack_copy_out(struct sock *sk);

#endif
