/* SPDX-License-Identifier: GPL-2.0 */
/* What Rust finds of the module's C: shims for what it cannot call itself (helpers.c, skb.c, emulated.c, stack.c, stack_send.c, transmit.c, xdp.c), redirect.c, parameters.c. */
#ifndef NETMAP_HELPERS_H
#define NETMAP_HELPERS_H

#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/xdp.h>

/*
 * What is allocated for a program is charged to it, and fails without a call of the OOM killer, of the machine or of the
 * program's control group: nothing here is worth that.
 */
enum {
	netmap_gfp = (__force u32)(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL),
};

/* In delays.c, which is in a module for tests alone. */
void netmap_moment(void);

void netmap_dev_hold(struct net_device *dev);
void netmap_dev_put(struct net_device *dev);
struct net_device *netmap_dev_get(const char *name);
u64 netmap_net_cookie(void);
bool netmap_dev_running(struct net_device *dev);

struct page *netmap_pages_alloc(unsigned int order);
void netmap_pages_free(struct page *page);
void *netmap_page_address(struct page *page);
struct page *netmap_virt_to_page(void *address);
void *netmap_vmap(struct page **pages, unsigned int count);
void netmap_vunmap(void *address);

void netmap_device_hold(struct device *dev);
void netmap_device_put(struct device *dev);
size_t netmap_dma_largest(struct device *dev);
bool netmap_dma_need_sync(struct device *dev);
int netmap_dma_map(struct device *dev, struct page *page, unsigned int order, u64 *address);
void netmap_dma_unmap(struct device *dev, u64 address, size_t size);
void netmap_dma_sync_for_device(struct device *dev, u64 address, size_t size);
void netmap_dma_sync_for_cpu(struct device *dev, u64 address, size_t size);

bool netmap_carrier(struct net_device *dev);
bool netmap_is_present(struct net_device *dev);
bool netmap_is_leaving(const struct net_device *dev);
u64 netmap_features(struct net_device *dev);
u16 netmap_tx_queues(struct net_device *dev);
void netmap_addr_lock(struct net_device *dev);
void netmap_addr_unlock(struct net_device *dev);
struct netdev_queue *netmap_tx_lock(struct net_device *dev, unsigned int queue);
void netmap_tx_unlock(struct netdev_queue *queue);
struct net_device *netmap_notifier_dev(void *info);
void netmap_refuse(struct net_device *dev, struct netlink_ext_ack *extack, const char *reason);
struct netlink_ext_ack *netmap_bpf_extack(struct netdev_bpf *request);
void netmap_pin_module(void);

struct pci_dev *netmap_pci_dev(struct net_device *dev);
bool netmap_is_foreign(struct pci_dev *pdev);
bool netmap_in_guest(void);
phys_addr_t netmap_bar_start(struct pci_dev *pdev);
size_t netmap_bar_len(struct pci_dev *pdev);
int netmap_num_vf(struct pci_dev *pdev);
bool netmap_xdp_attached(struct net_device *dev);
bool netmap_xsk_bound(struct net_device *dev, u16 queue);
bool netmap_has_own_lock(struct net_device *dev);
int netmap_traffic_classes(struct net_device *dev);
u16 netmap_rx_queues(struct net_device *dev);
u16 netmap_channels(struct net_device *dev);
int netmap_ring_sizes(struct net_device *dev, u32 *tx, u32 *rx);
u32 netmap_link_speed(struct net_device *dev);
bool netmap_tx_completed(struct net_device *dev, u16 queue);
void netmap_napi_schedule(struct napi_struct *napi);
struct napi_struct *netmap_queue_napi(struct net_device *dev, bool tx, u16 queue);
void netmap_stop_dma(struct pci_dev *pdev);
struct pci_dev *netmap_power_hold(struct net_device *dev);
void netmap_power_settle(struct pci_dev *pdev);
int netmap_power_get(struct pci_dev *pdev);
void netmap_power_put(struct pci_dev *pdev);
void *netmap_dma_alloc(struct device *dev, size_t size, u64 *address);
void netmap_dma_free(struct device *dev, size_t size, void *memory, u64 address);
void *netmap_dma_to_virt(struct device *dev, u64 address);
void netmap_dev_close(struct net_device *dev);
u32 netmap_rss_read(struct net_device *dev, const struct ethtool_ops *ops, u32 *table, u32 room);
int netmap_rss_write(struct net_device *dev, const struct ethtool_ops *ops, u32 *table, u32 size);
unsigned long netmap_irq_save(void);
void netmap_irq_restore(unsigned long flags);
int netmap_redirect(unsigned long *functions, unsigned int count,
		    unsigned long (*decide)(unsigned long at, unsigned long first, unsigned long second));
void netmap_redirect_end(void);
void netmap_redirect_expire(void (*expire)(void), unsigned int ms);
void netmap_redirect_expire_cancel(void);

bool netmap_replace32(u32 *at, u32 from, u32 to);
bool netmap_replace64(u64 *at, u64 from, u64 to);
void netmap_skb_drop(struct sk_buff *skb);
void netmap_skb_consume(struct sk_buff *skb);
u16 netmap_skb_queue(struct sk_buff *skb);
bool netmap_skb_sent_queue(struct sk_buff *skb, u16 *queue);
struct sk_buff *netmap_skb_alloc(struct net_device *dev, u32 len);
u32 netmap_skb_vlan(struct sk_buff *skb);
u32 netmap_skb_segments(struct sk_buff *skb);
struct sk_buff *netmap_skb_detach(struct sk_buff *skb);
int netmap_skb_checksum(struct sk_buff *skb);
struct sk_buff *netmap_skb_segment(struct sk_buff *skb, bool sent);
void netmap_skb_receive(struct net_device *dev, struct sk_buff *first, bool marked, const u16 *queue);
bool netmap_skb_is_ours(struct sk_buff *skb);
void netmap_skb_lost(struct sk_buff *skb);
void netmap_skb_queue_init(struct sk_buff_head *queue);
bool netmap_skb_queue_empty(struct sk_buff_head *queue);

void netmap_work_init(struct work_struct *work, work_func_t run);
void netmap_work_ask(struct work_struct *work);
void netmap_work_cancel(struct work_struct *work);

void netmap_bh_disable(void);
void netmap_bh_enable(void);
struct nf_hook_ops *netmap_hook_add(struct net_device *dev, bool egress, nf_hookfn *function, void *priv);
void *netmap_hook_remove(struct nf_hook_ops *ops);
u64 netmap_wanted_features(struct net_device *dev);
void netmap_set_wanted_features(struct net_device *dev, u64 off, u64 on);
const char *netmap_not_ethernet(const struct net_device *dev);

/* A packet as the ingress hook finds it. */
struct netmap_seen {
	const void *data;	/* the frame, if it is complete, cut and in one piece */
	u32 len;		/* its bytes */
	u32 tag;		/* as of netmap_skb_vlan() */
	u16 queue;
};

/* XDP receive of a device; see xdp.c. */
struct netmap_xdp {
	const void *receiver;		/* what gets the packets; NULL if nothing */
	struct bpf_link *link;
	struct bpf_prog *official;	/* what the link is for */
	struct bpf_prog *program;	/* what the driver has instead, which calls the module */
	bool marked_only;		/* whether only frames with netmap_xdp_complete are for the receiver */
	struct list_head leaving;
	struct net_device *dev;		/* which gets features back afterwards, with a reference; or NULL */
	netdevice_tracker tracker;
	u64 features;
};

/*
 * A flag of XDP frames that the kernel does not use: a port has sent it, and so it is complete. What else comes through a veth is a
 * stack's, which leaves checksums to its receiver, or what another program of XDP sends there. A program that passes a port's frame
 * on leaves the flag in it.
 */
enum {
	netmap_xdp_complete = 1U << 30,
};

typedef u64 netmap_xdp_run(const struct xdp_buff *buff, const struct netmap_xdp *xdp);

bool netmap_is_veth(const struct net_device *dev);
bool netmap_xdp_wanted(struct net_device *dev);
struct netmap_xdp *netmap_xdp_attach(struct net_device *dev, netmap_xdp_run *run);
int netmap_xdp_arm(struct netmap_xdp *xdp, struct net_device *dev, const void *receiver);
bool netmap_xdp_is_armed(const struct netmap_xdp *xdp, const struct net_device *dev);
void netmap_xdp_detach(struct netmap_xdp *xdp, struct net_device *dev, u64 features);
void netmap_xdp_settle(void);
bool netmap_xdp_copy(const struct xdp_buff *buff, u32 offset, u8 *to, u32 len);
u32 netmap_xdp_len(const struct xdp_buff *buff);

bool netmap_received_look(struct sk_buff *skb, struct netmap_seen *seen);
unsigned int netmap_received(void *receiver, struct sk_buff *skb, const struct nf_hook_state *state);

/* In port/emulated/receive.rs: whether a frame, or any other packet, is taken. A packet is the callee's then, and a frame copied. */
bool netmap_take_frame(const void *receiver, const void *data, u32 len, u32 queue);
bool netmap_take_received(const void *receiver, struct sk_buff *skb);

struct sk_buff *netmap_received_detach(struct sk_buff *skb);

/* What a driver's transmit queue does with a packet now. */
enum netmap_tx_state {
	NETMAP_TX_OPEN,
	/* It takes none, and nothing tells when it does again. */
	NETMAP_TX_FULL,
	/* It takes none until the interface is up and has a carrier, which is an event of the device. */
	NETMAP_TX_CLOSED,
};

/* A packet for a driver, made of the frame in a ring's slots up to `end`. */
struct netmap_packet {
	/* NULL if it is yet to be made of the page, the reference to which it gets. */
	struct sk_buff *skb;
	struct page *page;
	/* Where the frame is until it is copied. */
	const u64 *from;
	u32 end;
	/* Bytes of the frame, without padding. */
	u32 bytes;
	/* Frames before `end` that are not sent, because they are too long. */
	u32 errors;
	/* Whether slots have flags that ask for something. */
	bool flagged;
	/* Whether it is one of the pool's. */
	bool pooled;
	/* Whether the driver, or a device below it, has dropped it. */
	bool dropped;
};

/* What frames are copied to: a ring of entries, the first of which is used next and becomes the last. */
struct netmap_kept {
	void **entries;		/* struct sk_buff or struct page, as "packets" says; there is a power of two of them */
	u32 mask;
	u32 first;
	u32 count;
	u32 headroom;
	bool packets;
};

u32 netmap_tx_headroom(struct net_device *dev);
u32 netmap_tx_tailroom(struct net_device *dev);
u32 netmap_tx_page_room(u32 headroom);
bool netmap_tx_may_share(struct net_device *dev);
enum netmap_tx_state netmap_tx_state(struct net_device *dev, u16 index);
struct sk_buff *netmap_tx_alloc(u32 headroom, u32 room);
struct page *netmap_tx_page_alloc(void);
void netmap_tx_page_put(struct page *page);
void *netmap_tx_page_data(struct page *page, u32 headroom);
void *netmap_tx_reuse(struct sk_buff *skb, u32 headroom);
void netmap_tx_finish(struct sk_buff *skb, struct net_device *dev, u16 index, u32 len);
u32 netmap_tx_copy(struct net_device *dev, u16 index, struct netmap_kept *kept, struct netmap_packet *packets, u32 count);
u32 netmap_tx_send(struct net_device *dev, u16 index, struct netmap_packet *packets, u32 count, u32 headroom);

/* What is new of a socket whose data goes through rings. */
enum netmap_stack_news {
	/* There may be something in it. */
	NETMAP_STACK_LEFT = 1,
	/* All there will ever be was read. */
	NETMAP_STACK_END = 2,
	/* It may take something. */
	NETMAP_STACK_WRITABLE = 4,
	/* TCP is done with it. */
	NETMAP_STACK_GONE = 8,
};

struct netmap_stack_sock;
struct netmap_stack_pool;

struct netmap_stack_ops {
	/* Stores octets of a packet, and says how many. With softirqs off, or as one. */
	u32 (*store)(struct netmap_stack_sock *socket, const struct sk_buff *skb, u32 offset, u32 len);
	/* Says what is new, and the socket's error or 0. */
	void (*news)(struct netmap_stack_sock *socket, u32 news, int error);
};

/* A socket whose data goes through rings; see stack.c. */
struct netmap_stack_sock {
	const struct netmap_stack_ops *ops;
	struct sock *sk;
	spinlock_t lock;
	/* It was disconnected, and may have another connection since. */
	bool disconnected;
};

/* The device by which the packets of connections leave: addresses to be compared, and not followed. */
struct netmap_stack_place {
	const void *net;
	int ifindex;
};

struct netmap_stack_place netmap_stack_place_of(const struct net_device *dev);
void netmap_stack_sock_init(struct netmap_stack_sock *socket, const struct netmap_stack_ops *ops);

/* Payload to be sent, and the buffer in which it lies. */
struct netmap_stack_piece {
	void *data;
	u32 len;
	u32 buffer;
};

struct netmap_stack_pool *netmap_stack_pool_new(const u32 *buffers, u32 count, void (*done)(void *owner), void *owner);
void netmap_stack_pool_put(struct netmap_stack_pool *pool);
u32 netmap_stack_pool_held(struct netmap_stack_pool *pool);
void netmap_stack_settle(void);
int netmap_stack_find(int fd, const struct netmap_stack_place *place, struct sock **result);
void netmap_stack_sock_put(struct sock *sk);
int netmap_stack_attach(struct netmap_stack_sock *socket, struct sock *sk);
void netmap_stack_detach(struct netmap_stack_sock *socket, struct sock *sk);
struct sock *netmap_stack_lock(struct netmap_stack_sock *socket, bool *dead);
bool netmap_stack_is_closed(const struct netmap_stack_sock *socket);
bool netmap_stack_is_open(const struct netmap_stack_sock *socket);
void netmap_stack_unlock(struct sock *sk, bool push);
void netmap_stack_sync(struct netmap_stack_sock *socket);
bool netmap_stack_copy(const struct sk_buff *skb, u32 offset, void *to, u32 len);
u32 netmap_stack_drain(struct sock *sk, struct netmap_stack_sock *socket);
int netmap_stack_send(struct sock *sk, struct netmap_stack_pool *pool, struct netmap_stack_piece *pieces, u32 count, bool more);
void netmap_stack_unread(struct sock *sk, const void *data, u32 len, bool last);
void netmap_stack_announce(struct sock *sk);

bool netmap_message_allowed(void);
bool netmap_refusal_allowed(void);
bool netmap_bind_message_allowed(void);
bool netmap_killed(void);
bool netmap_cond_resched(void);
void netmap_get_page(struct page *page);

u32 netmap_checksum(const void *bytes, u32 len);
bool netmap_copy_present(void *to, u64 from, u32 len);
bool netmap_fault_in(u64 address, u32 len);

int netmap_interfaces_init(void);
void netmap_interfaces_exit(void);
int netmap_interface_make(const char *name, u16 tx_queues, u16 rx_queues, u16 most_segments, const void *owner);
void netmap_interface_remove(struct net_device *dev);
const void *netmap_interface_owner(struct net_device *dev);
void netmap_interface_received(struct net_device *dev, const struct sk_buff *skb);

/* In port/vale/interface.rs: a device sends a packet, which is the callee's; it is unregistered; nobody has it any more. */
bool netmap_interface_sent(const void *owner, struct sk_buff *skb);
void netmap_interface_gone(const void *owner);
void netmap_interface_free(const void *owner);

struct netmap_thread;
struct netmap_thread *netmap_thread_start(struct wait_queue_head *queue, bool (*pass)(void *data), void *data,
					  const char *name);
void netmap_thread_stop(struct netmap_thread *thread);
int netmap_thread_spin(struct netmap_thread *thread, unsigned int count, unsigned int cpu);

/* Whether the parameters, or its capabilities, let the current task bind a device. */
bool netmap_may_bind(struct net_device *dev);
bool netmap_may_share(void);
bool netmap_may_spin(void);

/* Module parameters, as the C netmap names them. */
extern unsigned int netmap_if_size;
extern unsigned int netmap_if_num;
extern unsigned int netmap_ring_size;
extern unsigned int netmap_ring_num;
extern unsigned int netmap_buf_size;
extern unsigned int netmap_buf_num;
extern unsigned int netmap_priv_if_size;
extern unsigned int netmap_priv_if_num;
extern unsigned int netmap_priv_ring_size;
extern unsigned int netmap_priv_ring_num;
extern unsigned int netmap_priv_buf_size;
extern unsigned int netmap_priv_buf_num;
extern unsigned int netmap_max_bridges;
extern unsigned int netmap_bridge_batch;
extern unsigned int netmap_bridge_addresses;
extern unsigned int netmap_bridge_ageing;
extern unsigned int netmap_no_timestamp;
extern unsigned int netmap_fwd;
extern unsigned int netmap_admode;
extern unsigned int netmap_generic_ringsize;

/* And ours. */
extern unsigned int netmap_emulated_xdp;
extern unsigned int netmap_takeover;
extern bool netmap_e1000e_takeover;
extern bool netmap_e1000_takeover;

#endif
