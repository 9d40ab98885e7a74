// SPDX-License-Identifier: GPL-2.0
/* What is done for ports of devices whose queues are not taken: netfilter's hooks, and the packets that come through them. */

#include <linux/err.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_netdev.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/gso.h>
#include <net/netdev_lock.h>
#include <net/net_namespace.h>

#include "helpers.h"

void netmap_bh_disable(void)
{
	local_bh_disable();
}

void netmap_bh_enable(void)
{
	local_bh_enable();
}

/*
 * Next to the driver: before all other hooks of the device that see what comes in, and after all that see what is sent, because
 * what they drop is not sent. With the RTNL mutex held, so that the device does not change its namespace. The private data is
 * the caller's again if this fails.
 */
struct nf_hook_ops *netmap_hook_add(struct net_device *dev, bool egress, nf_hookfn *function, void *priv)
{
	struct nf_hook_ops *ops = kzalloc(sizeof(*ops), (__force gfp_t)netmap_gfp);
	int error;

	if (!ops)
		return ERR_PTR(-ENOMEM);
	ops->hook = function;
	ops->dev = dev;
	ops->priv = priv;
	ops->pf = NFPROTO_NETDEV;
	ops->hooknum = egress ? NF_NETDEV_EGRESS : NF_NETDEV_INGRESS;
	ops->priority = egress ? INT_MAX : INT_MIN;
	error = nf_register_net_hook(dev_net(dev), ops);
	if (error) {
		kfree(ops);
		return ERR_PTR(error);
	}
	return ops;
}

/* Returns the private data when no call is under way any more. With the RTNL mutex held. */
void *netmap_hook_remove(struct nf_hook_ops *ops)
{
	void *priv = ops->priv;

	nf_unregister_net_hook(dev_net(ops->dev), ops);
	synchronize_net();
	kfree(ops);
	return priv;
}

u64 netmap_wanted_features(struct net_device *dev)
{
	return dev->wanted_features;
}

/*
 * With the RTNL mutex held, and without the lock that some devices have of their own. A driver that has detached its device, to sleep
 * for instance, is not called; it gets what is wanted with the next change.
 */
void netmap_set_wanted_features(struct net_device *dev, u64 off, u64 on)
{
	if (dev->reg_state != NETREG_REGISTERED)
		return;
	netdev_lock_ops(dev);
	dev->wanted_features &= ~off;
	dev->wanted_features |= on & dev->hw_features;
	if (netif_device_present(dev))
		netdev_update_features(dev);
	netdev_unlock_ops(dev);
}

/* A reason why a device has no emulated port; NULL if it can have one. */
const char *netmap_not_ethernet(const struct net_device *dev)
{
	if (dev->flags & IFF_LOOPBACK)
		return "the loopback interface has no wire";
	if (dev->type != ARPHRD_ETHER || dev->addr_len != ETH_ALEN || dev->hard_header_len < ETH_HLEN)
		return "not an Ethernet device";
	return NULL;
}

/*
 * Looks at a packet at the ingress hook. The data lie behind the MAC header, and a VLAN tag beside the packet. Nothing of it is
 * changed, for others may have it too. False if it is not for a program.
 */
bool netmap_received_look(struct sk_buff *skb, struct netmap_seen *seen)
{
	unsigned int header;

	if (netmap_skb_is_ours(skb) || !skb_mac_header_was_set(skb) || skb_mac_offset(skb) > -ETH_HLEN)
		return false;
	header = -skb_mac_offset(skb);
	seen->queue = skb_rx_queue_recorded(skb) ? skb_get_rx_queue(skb) : 0;
	seen->len = skb->len + header;
	seen->tag = netmap_skb_vlan(skb);
	if (skb_is_nonlinear(skb) || skb_is_gso(skb) || skb->ip_summed == CHECKSUM_PARTIAL)
		seen->data = NULL;
	else
		seen->data = skb_mac_header(skb);
	return true;
}

/* Makes it one that nobody else has and that begins with its MAC header; NULL, with the packet freed, without memory. */
struct sk_buff *netmap_received_detach(struct sk_buff *skb)
{
	skb = skb_share_check(skb, GFP_ATOMIC);
	if (skb)
		__skb_push(skb, -skb_mac_offset(skb));
	return skb;
}
