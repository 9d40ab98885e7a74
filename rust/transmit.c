// SPDX-License-Identifier: GPL-2.0
/* Frames of programs on their way to a driver that knows nothing of netmap: shims of the kind of helpers.c. */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "helpers.h"

/* How a buffer is allocated that a frame is copied to: the frame can wait if there is none. */
#define TX_GFP ((__force gfp_t)netmap_gfp | __GFP_NOWARN)

u32 netmap_tx_headroom(struct net_device *dev)
{
	return ALIGN(max_t(u32, NET_SKB_PAD, READ_ONCE(dev->needed_headroom)), SMP_CACHE_BYTES);
}

u32 netmap_tx_page_room(u32 headroom)
{
	u32 used = headroom + SKB_DATA_ALIGN(sizeof(struct skb_shared_info));

	return used < PAGE_SIZE ? PAGE_SIZE - used : 0;
}

/* The driver of some hardware puts the frame check sequence there itself. */
u32 netmap_tx_tailroom(struct net_device *dev)
{
	return max_t(u32, ETH_FCS_LEN, READ_ONCE(dev->needed_tailroom));
}

/*
 * ether_setup() lets all devices share. Those without a queue have packets of theirs go through a stack or another device, which change
 * them and leave their marks, and not all of them take the flag away.
 */
bool netmap_tx_may_share(struct net_device *dev)
{
	return (dev->priv_flags & (IFF_TX_SKB_SHARING | IFF_NO_QUEUE)) == IFF_TX_SKB_SHARING;
}

enum netmap_tx_state netmap_tx_state(struct net_device *dev, u16 index)
{
	if (!netif_running(dev) || !netif_carrier_ok(dev))
		return NETMAP_TX_CLOSED;
	if (!netif_device_present(dev) || index >= READ_ONCE(dev->real_num_tx_queues))
		return NETMAP_TX_FULL;
	if (netif_xmit_frozen_or_drv_stopped(netdev_get_tx_queue(dev, index)))
		return NETMAP_TX_FULL;
	return NETMAP_TX_OPEN;
}

struct sk_buff *netmap_tx_alloc(u32 headroom, u32 room)
{
	struct sk_buff *skb = alloc_skb(headroom + room, TX_GFP);

	if (skb)
		skb_reserve(skb, headroom);
	return skb;
}

struct page *netmap_tx_page_alloc(void)
{
	return alloc_page(TX_GFP);
}

void netmap_tx_page_put(struct page *page)
{
	put_page(page);
}

void *netmap_tx_page_data(struct page *page, u32 headroom)
{
	return page_ref_count(page) == 1 ? page_address(page) + headroom : NULL;
}

/*
 * Whoever had the packet is a driver that declares by IFF_TX_SKB_SHARING that it leaves the packet as it is, and a packet
 * is with one driver at a time. What drivers change all the same is set back here: a header that was pushed or padding that
 * was put, what they store about checksum, tag and flow. The rest is as alloc_skb() left it.
 *
 * From now on there is a second reference, for the driver.
 */
static __always_inline void *reuse(struct sk_buff *skb, u32 headroom)
{
	/* What the driver has read is read before it is written again: the last owner's decrement is a release. */
	if (refcount_read(&skb->users) != 1)
		return NULL;
	smp_acquire__after_ctrl_dep();
	if (skb_cloned(skb) || skb_is_nonlinear(skb))
		return NULL;
	refcount_set(&skb->users, 2);
	skb->data = skb->head + headroom;
	skb_mark_not_on_list(skb);
	skb->ip_summed = CHECKSUM_NONE;
	__vlan_hwaccel_clear_tag(skb);
	skb_clear_hash(skb);
	return skb->data;
}

void *netmap_tx_reuse(struct sk_buff *skb, u32 headroom)
{
	return reuse(skb, headroom);
}

static __always_inline void finish(struct sk_buff *skb, struct net_device *dev, u16 index, u32 len)
{
	int depth;

	if (unlikely(len < ETH_ZLEN)) {
		memset(skb->data + len, 0, ETH_ZLEN - len);
		len = ETH_ZLEN;
	}
	skb->len = len;
	skb_set_tail_pointer(skb, len);
	skb->dev = dev;
	skb_set_queue_mapping(skb, index);
	skb_reset_mac_header(skb);
	skb->protocol = eth_hdr(skb)->h_proto;
	depth = ETH_HLEN;
	if (unlikely(eth_type_vlan(skb->protocol)) && !vlan_get_protocol_and_depth(skb, skb->protocol, &depth))
		depth = ETH_HLEN;
	skb_set_network_header(skb, depth);
}

/* Makes a packet of the frame of `len` bytes that is at its data. */
void netmap_tx_finish(struct sk_buff *skb, struct net_device *dev, u16 index, u32 len)
{
	finish(skb, dev, index, len);
}

/*
 * Both at once for a whole frame, which is at `from`. A buffer and the room for a frame are multiples of a cache line, and so
 * they may be copied in parts of half a line. A program may write its buffer meanwhile: then it is its own frame that is garbled.
 */
bool netmap_tx_copy(struct sk_buff *skb, u32 headroom, struct net_device *dev, u16 index, const u64 *from, u32 len)
{
	u64 *to = reuse(skb, headroom);
	const u64 *end = (const u64 *)((const char *)from + len);

	if (!to)
		return false;
	for (; from < end; from += 4, to += 4) {
		to[0] = READ_ONCE(from[0]);
		to[1] = READ_ONCE(from[1]);
		to[2] = READ_ONCE(from[2]);
		to[3] = READ_ONCE(from[3]);
	}
	finish(skb, dev, index, len);
	return true;
}

/* The frame that is in the page becomes a packet, which has the reference to the page. Bottom halves are off. */
static bool make(struct netmap_packet *packet, struct net_device *dev, u16 index, u32 headroom)
{
	struct sk_buff *skb = napi_build_skb(page_address(packet->page), PAGE_SIZE);

	if (!skb)
		return false;
	skb_reserve(skb, headroom);
	finish(skb, dev, index, packet->bytes);
	packet->skb = skb;
	packet->page = NULL;
	return true;
}

/*
 * How many packets that are made of pages are handed over before bottom halves run: what receives them gives the processor's
 * cache of skbs back what they took of it, which has room for twice as many.
 */
#define MADE_AT_ONCE 64

static u32 send_some(struct net_device *dev, u16 index, struct netmap_packet *packets, u32 count, u32 headroom)
{
	struct netdev_queue *queue = netdev_get_tx_queue(dev, index);
	u32 made, taken = 0;
	int result;

	local_bh_disable();
	/* All of them first, because a driver is told with each whether another one follows. */
	for (made = 0; made < count; made++)
		if (packets[made].page && unlikely(!make(&packets[made], dev, index, headroom)))
			break;
	dev_xmit_recursion_inc();
	HARD_TX_LOCK(dev, queue, smp_processor_id());
	/* A driver that is given packets without a carrier may hang its queue. */
	if (netmap_tx_state(dev, index) == NETMAP_TX_OPEN) {
		while (taken < made && !netif_xmit_frozen_or_drv_stopped(queue)) {
			result = netdev_start_xmit(packets[taken].skb, dev, queue, taken + 1 < made);
			if (unlikely(!dev_xmit_complete(result)))
				break;
			packets[taken++].dropped = result < 0 || result == NET_XMIT_DROP;
		}
	}
	HARD_TX_UNLOCK(dev, queue);
	dev_xmit_recursion_dec();
	local_bh_enable();
	return taken;
}

/*
 * Hands packets to the driver, of which there is at least one, in their order, as long as it takes them and there is memory to make
 * them; says how many it took.
 *
 * A driver with a queue is stopped only after a grace period since the interface was marked as not running, or tells that its queue
 * is stopped; and bottom halves are off from the look at that to the end. Those without a queue have to do with packets at any
 * time, as the stack looks no closer.
 */
u32 netmap_tx_send(struct net_device *dev, u16 index, struct netmap_packet *packets, u32 count, u32 headroom)
{
	u32 taken = 0, some, done;

	if (index >= dev->num_tx_queues)
		return 0;
	do {
		some = packets[taken].page ? min_t(u32, count - taken, MADE_AT_ONCE) : count - taken;
		done = send_some(dev, index, packets + taken, some, headroom);
		taken += done;
	} while (done == some && taken < count);
	return taken;
}
