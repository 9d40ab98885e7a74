// SPDX-License-Identifier: GPL-2.0
/* Frames of programs on their way to a driver that knows nothing of netmap: shims of the kind of helpers.c. */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "helpers.h"

/* How a buffer is allocated that a frame is copied to: the frame can wait if there is none. */
#define TX_GFP ((__force gfp_t)netmap_gfp | __GFP_NOWARN)

/* What is sent as a frame of XDP begins with its description, and the room that programs of XDP expect. */
#define FRAME_HEADROOM (sizeof(struct xdp_frame) + XDP_PACKET_HEADROOM)

u32 netmap_tx_headroom(struct net_device *dev)
{
	u32 least = netmap_is_veth(dev) ? FRAME_HEADROOM : NET_SKB_PAD;

	return ALIGN(max_t(u32, least, READ_ONCE(dev->needed_headroom)), SMP_CACHE_BYTES);
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

/* Pads a frame; says how long it is then. */
static __always_inline u32 pad(void *data, u32 len)
{
	if (likely(len >= ETH_ZLEN))
		return len;
	memset(data + len, 0, ETH_ZLEN - len);
	return ETH_ZLEN;
}

static __always_inline void finish(struct sk_buff *skb, struct net_device *dev, u16 index, u32 len)
{
	int depth;

	len = pad(skb->data, len);
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
 * A buffer and the room for a frame are multiples of a cache line, and so they may be copied in parts of half a line. A program may write
 * its buffer meanwhile: then it is its own frame that is garbled.
 */
static __always_inline void copy(u64 *to, const u64 *from, u32 len)
{
	const u64 *end = (const u64 *)((const char *)from + len);

	for (; from < end; from += 4, to += 4) {
		to[0] = READ_ONCE(from[0]);
		to[1] = READ_ONCE(from[1]);
		to[2] = READ_ONCE(from[2]);
		to[3] = READ_ONCE(from[3]);
	}
}

static __always_inline bool copy_to_page(struct page *page, u32 headroom, const struct netmap_packet *packet)
{
	if (page_ref_count(page) != 1)
		return false;
	/* What the last one to use it has read is read before it is written again. */
	smp_acquire__after_ctrl_dep();
	copy(page_address(page) + headroom, packet->from, packet->bytes);
	/* For the packet that is made of it. */
	page_ref_inc(page);
	return true;
}

/* Copies whole frames to what is kept, as far as that is not in use, and makes packets complete; how many. */
u32 netmap_tx_copy(struct net_device *dev, u16 index, struct netmap_kept *kept, struct netmap_packet *packets, u32 count)
{
	struct netmap_packet *packet = packets;
	void *entry, *data;

	if (!kept->count)
		return 0;
	for (; packet < packets + count; packet++) {
		entry = kept->entries[kept->first & kept->mask];
		if (kept->packets) {
			data = reuse(entry, kept->headroom);
			if (unlikely(!data))
				break;
			copy(data, packet->from, packet->bytes);
			finish(entry, dev, index, packet->bytes);
			packet->skb = entry;
		} else {
			if (unlikely(!copy_to_page(entry, kept->headroom, packet)))
				break;
			packet->page = entry;
		}
		kept->entries[(kept->first + kept->count) & kept->mask] = entry;
		kept->first++;
	}
	return packet - packets;
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
	made = packets->page ? 0 : count;
	for (; made < count; made++)
		if (unlikely(!make(&packets[made], dev, index, headroom)))
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

/* The other end of a veth, under RCU. */
static struct net_device *peer_of(struct net_device *dev)
{
	return dev->netdev_ops->ndo_get_peer_dev ? dev->netdev_ops->ndo_get_peer_dev(dev) : NULL;
}

/*
 * Whether the other end of a veth takes frames of XDP, because a program is attached there (that of a port, or another one) or its stack
 * wants them put together, and the administrator wants it to get them.
 *
 * It has one receive queue. Of several, the driver chooses one by the processor, and a ring whose sender is moved to another processor, or
 * whose rest is sent by a worker, would not keep its order; packets of the stack go by the number of the ring.
 */
static bool takes_frames(struct net_device *dev, u32 headroom)
{
	struct net_device *peer;
	bool one_queue;

	if (READ_ONCE(netmap_emulated_xdp) != 2 || headroom < FRAME_HEADROOM ||
	    !(READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT) || !netmap_is_veth(dev))
		return false;
	rcu_read_lock();
	peer = peer_of(dev);
	one_queue = peer && READ_ONCE(peer->real_num_rx_queues) == 1;
	rcu_read_unlock();
	return one_queue;
}

/* Whether a frame is longer than the other end of a veth takes, which its driver tells by taking neither it nor what comes after it. */
static bool is_too_long(struct net_device *dev, u32 bytes)
{
	struct net_device *peer;
	bool too_long = false;

	rcu_read_lock();
	peer = peer_of(dev);
	if (peer)
		too_long = bytes > READ_ONCE(peer->mtu) + peer->hard_header_len + VLAN_HLEN;
	rcu_read_unlock();
	return too_long;
}

/* The frame that is in the page as one of XDP, which has the reference to the page. */
static struct xdp_frame *make_frame(const struct netmap_packet *packet, u32 headroom)
{
	struct xdp_frame *frame = page_address(packet->page);

	frame->data = (void *)frame + headroom;
	frame->len = pad(frame->data, packet->bytes);
	frame->headroom = headroom - sizeof(*frame);
	frame->metasize = 0;
	frame->mem_type = MEM_TYPE_PAGE_SHARED;
	frame->dev_rx = NULL;
	frame->frame_sz = PAGE_SIZE;
	frame->flags = netmap_xdp_complete;
	return frame;
}

/*
 * As send_some(), of frames that are in pages: if a program takes them, nobody makes packets of the stack of them. Negative if the other
 * end has stopped to take frames.
 */
static int send_frames(struct net_device *dev, u16 index, struct netmap_packet *packets, u32 count, u32 headroom)
{
	struct xdp_frame *frames[MADE_AT_ONCE];
	int taken = 0;
	u32 made;

	local_bh_disable();
	if (netmap_tx_state(dev, index) == NETMAP_TX_OPEN) {
		for (made = 0; made < count; made++)
			frames[made] = make_frame(&packets[made], headroom);
		taken = dev->netdev_ops->ndo_xdp_xmit(dev, count, frames, XDP_XMIT_FLUSH);
	}
	local_bh_enable();
	/* As a stack's packet would be. Whatever else was not taken may be, later. */
	if (taken >= 0 && taken < count && is_too_long(dev, packets[taken].bytes)) {
		put_page(packets[taken].page);
		packets[taken++].dropped = true;
	}
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
	bool in_pages = packets->page, as_frames = in_pages && takes_frames(dev, headroom);
	u32 taken = 0, some;
	bool dropped;
	int done;

	if (index >= dev->num_tx_queues)
		return 0;
	do {
		some = in_pages ? min_t(u32, count - taken, MADE_AT_ONCE) : count - taken;
		done = as_frames ? send_frames(dev, index, packets + taken, some, headroom) : -ENXIO;
		if (done < 0) {
			as_frames = false;
			done = send_some(dev, index, packets + taken, some, headroom);
		}
		taken += done;
		/* What was dropped ends a batch, and what comes after it is taken. */
		dropped = done && packets[taken - 1].dropped;
	} while ((done == some || dropped) && taken < count);
	return taken;
}
