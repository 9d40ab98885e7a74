// SPDX-License-Identifier: GPL-2.0
/* What is done with the stack's packets: shims of the kind of helpers.c. */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/dst.h>
#include <net/gso.h>

#include "helpers.h"

void netmap_skb_drop(struct sk_buff *skb)
{
	dev_kfree_skb_any(skb);
}

void netmap_skb_consume(struct sk_buff *skb)
{
	dev_consume_skb_any(skb);
}

u16 netmap_skb_queue(struct sk_buff *skb)
{
	return skb_get_queue_mapping(skb);
}

/* The queue that the stack is going to choose for a packet that it sends. False if it will drop it. */
bool netmap_skb_sent_queue(struct sk_buff *skb, u16 *queue)
{
	struct net_device *dev = skb->dev;

	if (!netif_running(dev))
		return false;
#ifdef CONFIG_XPS
	/* By the map of processors, too, which asks for the one that sends. As the core does before it chooses. */
	if (skb->sender_cpu - 1 >= (u32)NR_CPUS)
		skb->sender_cpu = raw_smp_processor_id() + 1;
#endif
	if (dev->real_num_tx_queues == 1)
		*queue = 0;
	else if (dev->netdev_ops->ndo_select_queue)
		*queue = netdev_cap_txqueue(dev, dev->netdev_ops->ndo_select_queue(dev, skb, NULL));
	else
		*queue = netdev_cap_txqueue(dev, netdev_pick_tx(dev, skb, NULL));
	return true;
}

/*
 * A packet as if received. Where the stack runs an XDP program it has the room before it that such a program wants: the stack
 * would copy it otherwise, and the copy has no mark.
 */
struct sk_buff *netmap_skb_alloc(struct net_device *dev, u32 len)
{
	u32 before = rcu_access_pointer(dev->xdp_prog) ? XDP_PACKET_HEADROOM : 0;
	struct sk_buff *skb = __netdev_alloc_skb_ip_align(dev, before + len, GFP_KERNEL | __GFP_NOWARN);

	if (skb) {
		skb_reserve(skb, before);
		skb_put(skb, len);
	}
	return skb;
}

/* The VLAN tag beside the packet, protocol in the upper half; 0 without one. */
u32 netmap_skb_vlan(struct sk_buff *skb)
{
	if (!skb_vlan_tag_present(skb))
		return 0;
	return (u32)ntohs(skb->vlan_proto) << 16 | skb_vlan_tag_get(skb);
}

u32 netmap_skb_segments(struct sk_buff *skb)
{
	return skb_is_gso(skb) ? max_t(u32, skb_shinfo(skb)->gso_segs, 1) : 1;
}

/* Drops a packet that the stack sent, and counts it as lost by its device. */
void netmap_skb_lost(struct sk_buff *skb)
{
	dev_core_stats_tx_dropped_inc(skb->dev);
	dev_kfree_skb_any_reason(skb, SKB_DROP_REASON_FULL_RING);
}

/*
 * What a virtual device does with a packet that it holds for long. A packet that its sender holds too, to send it once
 * more, is cloned for that, and the sender's reference stays as it is. NULL without memory: then the packet is lost.
 */
struct sk_buff *netmap_skb_detach(struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (!skb) {
		dev_core_stats_tx_dropped_inc(dev);
		return NULL;
	}
	if (skb_orphan_frags(skb, GFP_ATOMIC)) {
		netmap_skb_lost(skb);
		return NULL;
	}
	skb_tx_timestamp(skb);
	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	return skb;
}

int netmap_skb_checksum(struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_PARTIAL ? skb_csum_hwoffload_help(skb, 0) : 0;
}

/*
 * The parts, linked by their next pointers. The packet itself if it is not to be cut, or as the first of the parts that a list of
 * packets (SKB_GSO_FRAGLIST) is taken apart into: then it has its only reference still. NULL on failure.
 */
struct sk_buff *netmap_skb_segment(struct sk_buff *skb, bool sent)
{
	struct sk_buff *first;

	if (!skb_is_gso(skb))
		return skb;
	first = __skb_gso_segment(skb, NETIF_F_SG, sent);
	if (!first)
		return skb;
	if (IS_ERR(first))
		return NULL;
	/* Who cuts a packet drops it, and so the first of the list has one reference more. */
	if (first == skb)
		refcount_dec(&skb->users);
	return first;
}

/* As many at a time as a driver may bring: softirqs are off meanwhile. */
static void receive_batch(struct net_device *dev, struct list_head *list, bool marked)
{
	struct sk_buff *skb, *next;

	local_bh_disable();
	if (netif_running(dev)) {
		if (!marked) {
			list_for_each_entry(skb, list, list)
				netmap_interface_received(dev, skb);
		}
		netif_receive_skb_list(list);
	} else {
		list_for_each_entry_safe(skb, next, list, list) {
			skb_list_del_init(skb);
			kfree_skb(skb);
		}
	}
	local_bh_enable();
}

/*
 * What marks a packet for netmap_skb_is_ours() on the same device, wherever it waits until then. It has to be code of the
 * kernel's, for a packet may outlive the module, and do nothing to a packet without the sender's memory.
 */
#define netmap_skb_mark skb_tx_error

void netmap_skb_receive(struct net_device *dev, struct sk_buff *first, bool marked, const u16 *queue)
{
	struct sk_buff *skb, *next;
	unsigned int count = 0;
	LIST_HEAD(list);

	skb_list_walk_safe(first, skb, next) {
		skb_mark_not_on_list(skb);
		if (marked)
			skb->destructor = netmap_skb_mark;
		if (queue)
			skb_record_rx_queue(skb, *queue);
		skb->protocol = eth_type_trans(skb, dev);
		list_add_tail(&skb->list, &list);
		if (++count % NAPI_POLL_WEIGHT == 0) {
			receive_batch(dev, &list, marked);
			INIT_LIST_HEAD(&list);
		}
	}
	if (!list_empty(&list))
		receive_batch(dev, &list, marked);
}

/* Takes the mark from the packet, if it has it. */
bool netmap_skb_is_ours(struct sk_buff *skb)
{
	if (likely(skb->destructor != netmap_skb_mark))
		return false;
	skb_orphan(skb);
	return true;
}

void netmap_skb_queue_init(struct sk_buff_head *queue)
{
	skb_queue_head_init(queue);
}

bool netmap_skb_queue_empty(struct sk_buff_head *queue)
{
	return skb_queue_empty_lockless(queue);
}
