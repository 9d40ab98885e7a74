// SPDX-License-Identifier: GPL-2.0
/* The module's parameters, and who may bind what by them. */

#include <linux/capability.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <net/net_namespace.h>

#include "helpers.h"

/*
 * The kernel crate's parameters cannot be read through sysfs. These can, and may be written: a new value of those of the
 * memory counts from the next time that the global region is made.
 */
unsigned int netmap_if_size = 1024;
module_param_named(if_size, netmap_if_size, uint, 0644);
MODULE_PARM_DESC(if_size, "Size of a netmap_if in bytes");

unsigned int netmap_if_num = 100;
module_param_named(if_num, netmap_if_num, uint, 0644);
MODULE_PARM_DESC(if_num, "Most netmap_if objects of the global region");

unsigned int netmap_ring_size = 9 * 4096;
module_param_named(ring_size, netmap_ring_size, uint, 0644);
MODULE_PARM_DESC(ring_size, "Size of a netmap_ring in bytes; a larger ring takes the room of several");

unsigned int netmap_ring_num = 200;
module_param_named(ring_num, netmap_ring_num, uint, 0644);
MODULE_PARM_DESC(ring_num, "Most rings of that size in the global region");

unsigned int netmap_buf_size = 2048;
module_param_named(buf_size, netmap_buf_size, uint, 0644);
MODULE_PARM_DESC(buf_size, "Size of a buffer in bytes, rounded up to a power of two");

unsigned int netmap_buf_num = 163840;
module_param_named(buf_num, netmap_buf_num, uint, 0644);
MODULE_PARM_DESC(buf_num, "Most buffers of the global region; memory is taken as they are used");

/* At least; a private region is made for what its port needs. */
unsigned int netmap_priv_if_size = 1024;
module_param_named(priv_if_size, netmap_priv_if_size, uint, 0644);
MODULE_PARM_DESC(priv_if_size, "Least size of a netmap_if of a private region in bytes");

unsigned int netmap_priv_if_num = 2;
module_param_named(priv_if_num, netmap_priv_if_num, uint, 0644);
MODULE_PARM_DESC(priv_if_num, "Least number of netmap_if objects of a private region");

unsigned int netmap_priv_ring_size = 5 * 4096;
module_param_named(priv_ring_size, netmap_priv_ring_size, uint, 0644);
MODULE_PARM_DESC(priv_ring_size, "Least size of a netmap_ring of a private region in bytes");

unsigned int netmap_priv_ring_num = 4;
module_param_named(priv_ring_num, netmap_priv_ring_num, uint, 0644);
MODULE_PARM_DESC(priv_ring_num, "Least number of rings of that size of a private region");

unsigned int netmap_priv_buf_size = 2048;
module_param_named(priv_buf_size, netmap_priv_buf_size, uint, 0644);
MODULE_PARM_DESC(priv_buf_size, "Size of a buffer of a private region in bytes, rounded up to a power of two");

unsigned int netmap_priv_buf_num = 4098;
module_param_named(priv_buf_num, netmap_priv_buf_num, uint, 0644);
MODULE_PARM_DESC(priv_buf_num, "Least number of buffers of a private region");

unsigned int netmap_max_bridges = 8;
module_param_named(max_bridges, netmap_max_bridges, uint, 0644);
MODULE_PARM_DESC(max_bridges, "Most VALE switches of a network namespace");

unsigned int netmap_bridge_batch = 256;
module_param_named(bridge_batch, netmap_bridge_batch, uint, 0644);
MODULE_PARM_DESC(bridge_batch, "Slots that a port of a VALE switch sends at once, with softirqs off on its processor; 1 to 1024");

unsigned int netmap_bridge_addresses = 1024;
module_param_named(bridge_addresses, netmap_bridge_addresses, uint, 0644);
MODULE_PARM_DESC(bridge_addresses, "Addresses that a new VALE switch remembers, rounded up to a power of two; 1024 to 1048576");

unsigned int netmap_bridge_ageing = 300;
module_param_named(bridge_ageing, netmap_bridge_ageing, uint, 0644);
MODULE_PARM_DESC(bridge_ageing, "Seconds after which a new VALE switch forgets an address that sends nothing; 0, never");

unsigned int netmap_no_timestamp;
module_param_named(no_timestamp, netmap_no_timestamp, uint, 0644);
MODULE_PARM_DESC(no_timestamp, "Stamp receive rings only where NR_TIMESTAMP asks for it");

unsigned int netmap_fwd;
module_param_named(fwd, netmap_fwd, uint, 0644);
MODULE_PARM_DESC(fwd, "Forward all packets between NIC and host rings, not only those marked NS_FORWARD");

static int set_up_to_2(const char *word, const struct kernel_param *param)
{
	return param_set_uint_minmax(word, param, 0, 2);
}

static const struct kernel_param_ops up_to_2_ops = {
	.set = set_up_to_2,
	.get = param_get_uint,
};

unsigned int netmap_admode;
module_param_cb(admode, &up_to_2_ops, &netmap_admode, 0644);
MODULE_PARM_DESC(admode, "What a network device's port is: 0, native where it can be, else emulated; 1, native only; 2, emulated only");

unsigned int netmap_generic_ringsize = 1024;
module_param_named(generic_ringsize, netmap_generic_ringsize, uint, 0644);
MODULE_PARM_DESC(generic_ringsize, "Slots of a ring of an emulated port, if the request does not say; at least 32");

unsigned int netmap_emulated_xdp = 1;
module_param_cb(emulated_xdp, &up_to_2_ops, &netmap_emulated_xdp, 0644);
MODULE_PARM_DESC(emulated_xdp,
		 "Emulated ports receive by XDP: 0, never; 1, where the link stays up; 2, also where it goes down and up for it, and veths, which send by it too");

static const char *const takeovers[] = { "auto", "hot", "restart" };

static int set_takeover(const char *word, const struct kernel_param *param)
{
	int found = sysfs_match_string(takeovers, word);

	if (found < 0)
		return found;
	WRITE_ONCE(*(unsigned int *)param->arg, found);
	return 0;
}

static int get_takeover(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", takeovers[READ_ONCE(*(unsigned int *)param->arg)]);
}

static const struct kernel_param_ops takeover_ops = {
	.set = set_takeover,
	.get = get_takeover,
};

static bool netmap_trust_file;
module_param_named(trust_file, netmap_trust_file, bool, 0644);
MODULE_PARM_DESC(trust_file, "Whoever may open /dev/netmap may bind any interface, without CAP_NET_ADMIN");

/* The RTNL mutex is held: the device does not change its namespace. */
bool netmap_may_bind(struct net_device *dev)
{
	return READ_ONCE(netmap_trust_file) || ns_capable(dev_net(dev)->user_ns, CAP_NET_ADMIN);
}

bool netmap_may_share(void)
{
	return READ_ONCE(netmap_trust_file) || ns_capable(current->nsproxy->net_ns->user_ns, CAP_NET_ADMIN);
}

bool netmap_may_spin(void)
{
	return READ_ONCE(netmap_trust_file) || capable(CAP_NET_ADMIN);
}

unsigned int netmap_takeover;
module_param_cb(takeover, &takeover_ops, &netmap_takeover, 0644);
MODULE_PARM_DESC(takeover,
		 "How queues are taken: hot, from the running driver; restart, around its stop and open; auto, the second where the first fails");

bool netmap_e1000e_takeover;
module_param_named(e1000e_takeover, netmap_e1000e_takeover, bool, 0644);
MODULE_PARM_DESC(e1000e_takeover, "Take queues of 82574 and 82583 too: for emulated ones, in virtual machines, only");

bool netmap_e1000_takeover;
module_param_named(e1000_takeover, netmap_e1000_takeover, bool, 0644);
MODULE_PARM_DESC(e1000_takeover,
		 "Take queues of 8254x from the running driver outside of virtual machines too; in them they are, even of a real one");
