// SPDX-License-Identifier: GPL-2.0
/*
 * Stack ports: what TCP has of the buffers whose payload it sends.
 *
 * TCP gets a buffer as a piece of a packet, without a reference to its page and with a ubuf_info of ours, which completes when no
 * packet refers to it any more. All this is done with the socket locked, but for the completion, which may happen anywhere.
 */

#include <linux/bvec.h>
#include <linux/llist.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "helpers.h"
#include "stack.h"

/* Most buffers that complete together: those of two packets that are full of pieces. */
#define CHAIN_MAX	(2 * MAX_SKB_FRAGS)

/*
 * What TCP holds of a buffer whose payload it sends: from the time it accepts some to the last acknowledgement, and the end of
 * the last packet that has a piece of it.
 */
struct netmap_stack_ubuf {
	struct ubuf_info uarg;
	/*
	 * Of what was sent together, `uarg` of the first one stands for all, and those behind it are linked to it. It may be linked itself,
	 * behind those of a packet that was there: then the first one of these completes for all.
	 */
	struct netmap_stack_ubuf *first;
	struct netmap_stack_ubuf *next;
	/* How many are linked so, itself counted. */
	u32 linked;
	/* The buffer that TCP holds; before and after that one that is free. */
	u32 buffer;
	/* It is in the list of its socket, see keep(). */
	bool kept;
	/* The socket that it was sent on; there as long as the queues of TCP have packets that refer to this. */
	struct sock *sk;
	struct netmap_stack_pool *pool;
	/* In the list of those that came back, of those that can be used, or of those that are kept. */
	struct llist_node node;
};

/* The buffers of a port for transmission. */
struct netmap_stack_pool {
	/* Those that came back. */
	struct llist_head returned;
	/* Those that can be used; of whoever sends. */
	struct llist_node *spare;
	/* What is sent; of the same. On the stack they would be set to zero for each call. */
	struct msghdr msg;
	struct bio_vec bvecs[MAX_SKB_FRAGS];
	/* One for the port, and one for each that TCP holds. */
	refcount_t users;
	struct work_struct gone;
	void (*done)(void *owner);
	void *owner;
	u32 count;
	struct netmap_stack_ubuf ubufs[] __counted_by(count);
};

/* Pools that are there, until their work item is through. */
static atomic_t pools = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(pools_gone);

static void pool_gone(struct work_struct *work)
{
	struct netmap_stack_pool *pool = container_of(work, struct netmap_stack_pool, gone);

	pool->done(pool->owner);
	kvfree(pool);
	if (atomic_dec_and_test(&pools))
		wake_up_all(&pools_gone);
}

static void pool_put(struct netmap_stack_pool *pool)
{
	if (refcount_dec_and_test(&pool->users))
		schedule_work(&pool->gone);
}

/*
 * tcp_mtu_probe() makes a packet of what it has not sent yet. That has the pieces of those before, with references to their pages,
 * and not the ubuf_info; those are freed then. Whether this is one of them: such a packet is one of a queue of TCP's, all of
 * which are of this kind and freed with the socket locked, and was not acknowledged.
 */
static bool was_probed(const struct sk_buff *skb, const struct sock *sk)
{
	return skb && skb->fclone == SKB_FCLONE_ORIG && inet_csk(sk)->icsk_mtup.enabled &&
	       after(TCP_SKB_CB(skb)->end_seq, tcp_sk(sk)->snd_una);
}

/*
 * The reference of such a packet is kept as long as the socket is registered. There are few: as soon as TCP may probe it gets
 * copies, see take_chain(). False if it is registered no more.
 */
static bool keep(struct netmap_stack_ubuf *ubuf)
{
	if (ubuf->kept || !netmap_stack_keep(ubuf->sk, &ubuf->node))
		return false;
	ubuf->kept = true;
	return true;
}

static void ubuf_release(struct netmap_stack_ubuf *ubuf);

static inline void ubuf_put(struct netmap_stack_ubuf *ubuf)
{
	if (refcount_dec_and_test(&ubuf->uarg.refcnt))
		ubuf_release(ubuf);
}

/* Nobody refers to it. Apart from ubuf_put(), which is called more often and is small without this. */
static noinline void ubuf_release(struct netmap_stack_ubuf *ubuf)
{
	struct netmap_stack_pool *pool = ubuf->pool;

	if (ubuf->first != ubuf) {
		ubuf_put(ubuf->first);
		return;
	}
	while (ubuf) {
		/* Whoever sends may use it as soon as it is returned. */
		struct netmap_stack_ubuf *next = ubuf->next;

		llist_add(&ubuf->node, &pool->returned);
		pool_put(pool);
		ubuf = next;
	}
}

static void ubuf_complete(struct sk_buff *skb, struct ubuf_info *uarg, bool success)
{
	struct netmap_stack_ubuf *ubuf = container_of(uarg, struct netmap_stack_ubuf, uarg);

	if (success && unlikely(was_probed(skb, ubuf->sk)) && keep(ubuf))
		return;
	ubuf_put(ubuf);
}

/* The socket is registered no more: what was kept for it is complete. */
void netmap_stack_complete_kept(struct llist_node *kept)
{
	while (kept) {
		struct netmap_stack_ubuf *ubuf = llist_entry(kept, struct netmap_stack_ubuf, node);

		kept = kept->next;
		ubuf_put(ubuf);
	}
}

static const struct ubuf_info_ops ubuf_ops;

/*
 * The packet gets a piece of what `uarg` holds. It can refer to one ubuf_info: if it has one of ours already, the new one is
 * linked to that, and they complete together. -EEXIST has TCP begin a new packet.
 */
static int link_skb(struct sk_buff *skb, struct ubuf_info *uarg)
{
	struct netmap_stack_ubuf *ubuf = container_of(uarg, struct netmap_stack_ubuf, uarg);
	struct ubuf_info *prev_uarg = skb_zcopy(skb);
	struct netmap_stack_ubuf *prev, *first, *last;

	/* What finds no room in it is not to complete with it. */
	if (skb_shinfo(skb)->nr_frags >= MAX_SKB_FRAGS)
		return -EEXIST;
	if (!prev_uarg) {
		/* Pieces of other memory have references of their own. */
		if (skb_shinfo(skb)->nr_frags)
			return -EEXIST;
		net_zcopy_get(uarg);
		skb_zcopy_init(skb, uarg);
		return 0;
	}
	if (prev_uarg == uarg)
		return 0;
	if (prev_uarg->ops != &ubuf_ops || ubuf->first != ubuf)
		return -EEXIST;
	prev = container_of(prev_uarg, struct netmap_stack_ubuf, uarg);
	first = prev->first;
	/* The socket is locked, and what the packet refers to is not complete. Of another port it is if the socket was there before. */
	if (prev->pool != ubuf->pool || first->linked + ubuf->linked > CHAIN_MAX)
		return -EEXIST;
	first->linked += ubuf->linked;
	ubuf->first = first;
	for (last = ubuf; last->next;)
		last = last->next;
	last->next = prev->next;
	prev->next = ubuf;
	net_zcopy_get(&first->uarg);
	return 0;
}

static const struct ubuf_info_ops ubuf_ops = {
	.complete = ubuf_complete,
	.link_skb = link_skb,
};

static inline void account(struct sk_buff *skb, u32 len)
{
	skb->data_len += len;
	skb->len += len;
	skb->truesize += len;
}

/* Makes pieces of the packet of the bio_vecs, without references to the pages: that is what the ubuf_info stands for. */
static int fill_skb(struct sk_buff *skb, struct iov_iter *from, size_t length)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	const struct bio_vec *bv = from->bvec;
	size_t skip = from->iov_offset;
	int frag = shinfo->nr_frags;
	size_t done = 0;

	length = min(length, iov_iter_count(from));
	if (frag && !skb_zcopy_managed(skb))
		return -EMSGSIZE;
	if (!frag)
		shinfo->flags |= SKBFL_MANAGED_FRAG_REFS;
	/* One piece, which TCP takes as a whole. */
	if (from->nr_segs == 1 && length == bv->bv_len && frag < MAX_SKB_FRAGS) {
		__skb_fill_page_desc_noacc(shinfo, frag, bv->bv_page, bv->bv_offset, length);
		shinfo->nr_frags = frag + 1;
		from->nr_segs = 0;
		from->bvec = bv + 1;
		from->count = 0;
		account(skb, length);
		return 0;
	}
	while (done < length && frag < MAX_SKB_FRAGS) {
		size_t len = min(length - done, bv->bv_len - skip);

		__skb_fill_page_desc_noacc(shinfo, frag++, bv->bv_page, bv->bv_offset + skip, len);
		done += len;
		skip += len;
		if (skip == bv->bv_len) {
			skip = 0;
			bv++;
		}
	}
	shinfo->nr_frags = frag;
	/* As iov_iter_advance() does it, which would look for the place again. */
	from->nr_segs -= bv - from->bvec;
	from->bvec = bv;
	from->iov_offset = skip;
	from->count -= done;
	account(skb, done);
	return done < length ? -EMSGSIZE : 0;
}

/* A pool that has one of the buffers for each. `done` is called by a work item after netmap_stack_pool_put(). */
struct netmap_stack_pool *netmap_stack_pool_new(const u32 *buffers, u32 count, void (*done)(void *owner), void *owner)
{
	struct netmap_stack_pool *pool;
	u32 i;

	pool = kvzalloc(struct_size(pool, ubufs, count), (__force gfp_t)netmap_gfp);
	if (!pool)
		return NULL;
	pool->count = count;
	init_llist_head(&pool->returned);
	refcount_set(&pool->users, 1);
	INIT_WORK(&pool->gone, pool_gone);
	pool->done = done;
	pool->owner = owner;
	for (i = 0; i < count; i++) {
		pool->ubufs[i].buffer = buffers[i];
		pool->ubufs[i].pool = pool;
		pool->ubufs[i].node.next = pool->spare;
		pool->spare = &pool->ubufs[i].node;
	}
	atomic_inc(&pools);
	return pool;
}

/* The port lets go of the pool. TCP, and drivers, may hold buffers of it. */
void netmap_stack_pool_put(struct netmap_stack_pool *pool)
{
	pool_put(pool);
}

/* How many buffers TCP and drivers hold. */
u32 netmap_stack_pool_held(struct netmap_stack_pool *pool)
{
	return refcount_read(&pool->users) - 1;
}

/* Waits until all pools are gone that ports have let go of, and nothing of this file runs any more for them. */
void netmap_stack_settle(void)
{
	wait_event(pools_gone, !atomic_read(&pools));
	/* A softirq may be at the end of ubuf_complete() or of a socket's function, and where it is a thread it may sleep there. */
	synchronize_net();
	synchronize_rcu_tasks();
}

static struct netmap_stack_ubuf *pool_take(struct netmap_stack_pool *pool)
{
	struct netmap_stack_ubuf *ubuf;

	if (!pool->spare)
		pool->spare = llist_del_all(&pool->returned);
	if (!pool->spare)
		return NULL;
	ubuf = llist_entry(pool->spare, struct netmap_stack_ubuf, node);
	pool->spare = pool->spare->next;
	return ubuf;
}

/* Whether the socket's connection is one on which the program can send, now or later. */
static bool may_send(const struct sock *sk)
{
	return ((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_SYN_SENT | TCPF_SYN_RECV)) &&
	       !(sk->sk_shutdown & SEND_SHUTDOWN);
}

/*
 * Takes up to *count of the pool for what is sent on the socket, linked behind the first, which stands for all of them. NULL if there is
 * none, or TCP gets copies.
 */
static inline struct netmap_stack_ubuf *take_chain(struct netmap_stack_pool *pool, struct sock *sk, u32 *count)
{
	struct netmap_stack_ubuf *first, *last;
	u32 taken;

	/* A probe for the path's MTU would have pieces of our buffers and not say when it is done with them. */
	if (unlikely(inet_csk(sk)->icsk_mtup.enabled))
		return NULL;
	first = pool_take(pool);
	if (!first)
		return NULL;
	last = first;
	for (taken = 1; taken < *count; taken++) {
		struct netmap_stack_ubuf *ubuf = pool_take(pool);

		if (!ubuf)
			break;
		last->next = ubuf;
		last = ubuf;
	}
	last->next = NULL;
	first->uarg.ops = &ubuf_ops;
	first->uarg.flags = SKBFL_ZEROCOPY_FRAG | SKBFL_DONT_ORPHAN;
	refcount_set(&first->uarg.refcnt, 1);
	first->first = first;
	first->linked = taken;
	first->kept = false;
	first->sk = sk;
	refcount_add(taken, &pool->users);
	*count = taken;
	return first;
}

/* The last ones of the chain, behind `last`, are not needed. */
static noinline void shorten_chain(struct netmap_stack_ubuf *chain, struct netmap_stack_ubuf *last, u32 rest)
{
	struct netmap_stack_pool *pool = chain->pool;
	struct netmap_stack_ubuf *ubuf = last->next;

	chain->first->linked -= rest;
	WARN_ON_ONCE(refcount_sub_and_test(rest, &pool->users));
	for (; rest; rest--) {
		struct netmap_stack_ubuf *next = ubuf->next;

		ubuf->node.next = pool->spare;
		pool->spare = &ubuf->node;
		ubuf = next;
	}
	last->next = ubuf;
}

/*
 * TCP has accepted the first `sent` octets of the pieces, for which the chain was taken: it holds the buffers where these lie, and
 * the pieces get those of the chain.
 */
static inline void settle_chain(struct netmap_stack_ubuf *chain, struct netmap_stack_piece *pieces, u32 count, u32 sent)
{
	struct netmap_stack_ubuf *last = chain, *ubuf = chain;
	u32 i;

	for (i = 0; i < count && sent; i++) {
		swap(ubuf->buffer, pieces[i].buffer);
		sent -= min(sent, pieces[i].len);
		last = ubuf;
		ubuf = ubuf->next;
	}
	/* A packet may refer to the first one, even without a piece. */
	if (unlikely(max(i, 1) < count))
		shorten_chain(chain, last, count - max(i, 1));
	ubuf_put(chain);
}

/* tcp_sendmsg_locked() has returned the error. That of a connection that lives is one of a packet, as IP_RECVERR has it reported, once. */
static noinline int send_again(struct sock *sk, struct msghdr *msg, size_t len, int error)
{
	return error != -EAGAIN && may_send(sk) ? tcp_sendmsg_locked(sk, msg, len) : error;
}

/*
 * Sends up to MAX_SKB_FRAGS pieces, *count or fewer, which it says. Returns how many octets were accepted, or an error; *whole if
 * those are all.
 */
static inline int send_part(struct sock *sk, struct netmap_stack_pool *pool, struct netmap_stack_piece *pieces, u32 *count,
			    bool more, bool *whole)
{
	struct msghdr *msg = &pool->msg;
	struct netmap_stack_ubuf *chain;
	u32 i, part = min(*count, MAX_SKB_FRAGS);
	size_t len = 0;
	int sent;

	chain = take_chain(pool, sk, &part);
	for (i = 0; i < part; i++) {
		bvec_set_virt(&pool->bvecs[i], pieces[i].data, pieces[i].len);
		len += pieces[i].len;
	}
	iov_iter_bvec(&msg->msg_iter, ITER_SOURCE, pool->bvecs, part, len);
	msg->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	if (more || part < *count)
		msg->msg_flags |= MSG_MORE;
	if (chain)
		msg->msg_flags |= MSG_ZEROCOPY;
	msg->msg_ubuf = chain ? &chain->uarg : NULL;
	msg->sg_from_iter = fill_skb;
	sent = tcp_sendmsg_locked(sk, msg, len);
	if (unlikely(sent < 0))
		sent = send_again(sk, msg, len, sent);
	if (chain)
		settle_chain(chain, pieces, part, max(sent, 0));
	*count = part;
	*whole = sent == len;
	return sent;
}

/*
 * Sends pieces on a socket that the caller has locked and that somebody has open; `more` follow at once. They go to TCP together, so
 * that it makes packets of them as large as it can. Returns how many octets were accepted, or an error: -EAGAIN if sk_write_space or
 * sk_state_change will tell when more is, -ENOBUFS if nothing will. Where TCP holds the buffer of a piece then, it has another one;
 * otherwise its octets were copied.
 */
int netmap_stack_send(struct sock *sk, struct netmap_stack_pool *pool, struct netmap_stack_piece *pieces, u32 count, bool more)
{
	int all = 0;

	while (count) {
		u32 part = count;
		bool whole;
		int sent = send_part(sk, pool, pieces, &part, more, &whole);

		if (sent > 0)
			all += sent;
		if (unlikely(!whole)) {
			/* There was no memory: sk_write_space was called in there, if at all. */
			if (sent == -EAGAIN ? tcp_rtx_and_write_queues_empty(sk) : sent < 0 && may_send(sk))
				sent = -ENOBUFS;
			return all ? all : sent;
		}
		pieces += part;
		count -= part;
	}
	return all;
}

/*
 * Copies the payload of a packet that waits to be sent or acknowledged out of our buffers. A packet that has no other memory was
 * not charged for it (see tcp_downgrade_zcopy_pure()). One without ubuf_info may be one of tcp_mtu_probe()'s, and have pieces of
 * our buffers, too. False if there was no memory.
 */
static bool copy_out(struct sock *sk, struct sk_buff *skb)
{
	struct ubuf_info *uarg = skb_zcopy(skb);
	unsigned int truesize = skb->truesize;
	int error;

	if (uarg ? uarg->ops != &ubuf_ops : !inet_csk(sk)->icsk_mtup.enabled)
		return true;
	if (skb_zcopy_pure(skb)) {
		u32 extra = truesize - SKB_TRUESIZE(skb_end_offset(skb));

		/* Its buffers come back when it is acknowledged, then. */
		if (!sk_wmem_schedule(sk, extra))
			return false;
		sk_mem_charge(sk, extra);
		skb_shinfo(skb)->flags &= ~SKBFL_PURE_ZEROCOPY;
	}
	error = skb_copy_ubufs(skb, GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	/* If the driver has a clone of it, its head is another one now, and the socket is charged with what it was. */
	skb->truesize = truesize;
	return !error;
}

/* The same of all packets of the socket, which is locked. */
bool netmap_stack_copy_out(struct sock *sk)
{
	struct sk_buff *skb;
	bool is_done = true;

	skb_rbtree_walk(skb, &sk->tcp_rtx_queue)
		is_done &= copy_out(sk, skb);
	skb_queue_walk(&sk->sk_write_queue, skb)
		is_done &= copy_out(sk, skb);
	return is_done;
}
