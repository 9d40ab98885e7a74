// SPDX-License-Identifier: GPL-2.0
/*
 * Stack ports: what is done with TCP sockets whose data goes through rings.
 *
 * Who calls the functions that TCP finds in a socket:
 *
 * - sk_data_ready, sk_write_space and sk_state_change are called with the socket locked, by a softirq that has its spin lock or
 *   by the task that owns it. Whoever takes our functions out has the socket locked, too: so none of them runs any more then.
 * - sk_error_report is also called without that lock, for time stamps. It takes sk_callback_lock, under which the functions are
 *   changed.
 * - the release of an upper layer protocol is called when TCP is done with a socket that nobody has open, with the socket
 *   locked. That is how we learn of the end of a connection. We are such a protocol also to keep others, as kTLS, from a socket
 *   whose functions we have changed; they keep us from theirs.
 */

#include <linux/bvec.h>
#include <linux/file.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "helpers.h"

/* Most buffers that complete together: those of two packets that are full of pieces. */
#define CHAIN_MAX	(2 * MAX_SKB_FRAGS)

/* Most octets of a packet that are copied by words. */
#define COPY_BY_WORDS	256

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
	struct netmap_stack_pool *pool;
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

static void ubuf_put(struct netmap_stack_ubuf *ubuf);

/* Nobody refers to it. */
static void ubuf_release(struct netmap_stack_ubuf *ubuf)
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

static void ubuf_put(struct netmap_stack_ubuf *ubuf)
{
	if (refcount_dec_and_test(&ubuf->uarg.refcnt))
		ubuf_release(ubuf);
}

static void ubuf_complete(struct sk_buff *skb, struct ubuf_info *uarg, bool success)
{
	ubuf_put(container_of(uarg, struct netmap_stack_ubuf, uarg));
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
	skb->data_len += done;
	skb->len += done;
	skb->truesize += done;
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

/* Takes up to *count of the pool, linked behind the first, which stands for all of them. NULL if there is none. */
static struct netmap_stack_ubuf *take_chain(struct netmap_stack_pool *pool, u32 *count)
{
	struct netmap_stack_ubuf *first = pool_take(pool);
	struct netmap_stack_ubuf *last = first;
	u32 taken;

	if (!first)
		return NULL;
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
	refcount_add(taken, &pool->users);
	*count = taken;
	return first;
}

/*
 * TCP has accepted the first `sent` octets of the pieces, for which the chain was taken: it holds the buffers where these lie, and
 * the pieces get those of the chain.
 */
static void settle_chain(struct netmap_stack_ubuf *chain, struct netmap_stack_piece *pieces, u32 count, u32 sent)
{
	struct netmap_stack_pool *pool = chain->pool;
	struct netmap_stack_ubuf *last = chain, *ubuf = chain;
	u32 i, rest;

	for (i = 0; i < count && sent; i++) {
		swap(ubuf->buffer, pieces[i].buffer);
		sent -= min(sent, pieces[i].len);
		last = ubuf;
		ubuf = ubuf->next;
	}
	/* The others are not needed. A packet may refer to the first one, even without a piece. */
	rest = count - max(i, 1);
	if (unlikely(rest)) {
		chain->first->linked -= rest;
		WARN_ON_ONCE(refcount_sub_and_test(rest, &pool->users));
		for (ubuf = last->next; rest; rest--) {
			struct netmap_stack_ubuf *next = ubuf->next;

			ubuf->node.next = pool->spare;
			pool->spare = &ubuf->node;
			ubuf = next;
		}
		last->next = ubuf;
	}
	ubuf_put(chain);
}

/*
 * Sends pieces on a socket that the caller has locked and that somebody has open; `more` follow at once. They go to TCP together, so
 * that it makes packets of them as large as it can. Returns how many octets were accepted, or an error: -EAGAIN if sk_write_space or
 * sk_state_change will tell when more is, -ENOBUFS if nothing will. Where TCP holds the buffer of a piece then, it has another one;
 * otherwise its octets were copied.
 */
int netmap_stack_send(struct sock *sk, struct netmap_stack_pool *pool, struct netmap_stack_piece *pieces, u32 count, bool more)
{
	struct bio_vec *bvecs = pool->bvecs;
	struct msghdr *msg = &pool->msg;
	int all = 0;

	while (count) {
		u32 i, part = min(count, MAX_SKB_FRAGS);
		struct netmap_stack_ubuf *chain = take_chain(pool, &part);
		size_t len = 0;
		int sent;

		for (i = 0; i < part; i++) {
			bvec_set_virt(&bvecs[i], pieces[i].data, pieces[i].len);
			len += pieces[i].len;
		}
		iov_iter_bvec(&msg->msg_iter, ITER_SOURCE, bvecs, part, len);
		msg->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
		if (more || part < count)
			msg->msg_flags |= MSG_MORE;
		if (chain)
			msg->msg_flags |= MSG_ZEROCOPY;
		msg->msg_ubuf = chain ? &chain->uarg : NULL;
		msg->sg_from_iter = fill_skb;
		sent = tcp_sendmsg_locked(sk, msg, len);
		if (chain)
			settle_chain(chain, pieces, part, max(sent, 0));
		if (sent > 0)
			all += sent;
		if (sent != len) {
			/* There was no memory: sk_write_space was called in there, if at all. */
			if (sent == -EAGAIN && tcp_rtx_and_write_queues_empty(sk))
				sent = -ENOBUFS;
			return all ? all : sent;
		}
		pieces += part;
		count -= part;
	}
	return all;
}

static struct netmap_stack_sock *of(const struct sock *sk)
{
	return (void *)((uintptr_t)READ_ONCE(sk->sk_user_data) & SK_USER_DATA_PTRMASK);
}

/*
 * Copies octets of a packet, which are within it. False if that is not possible. Few of them are copied by words, for a string
 * instruction takes long to begin.
 */
bool netmap_stack_copy(const struct sk_buff *skb, u32 offset, void *to, u32 len)
{
	const void *from = skb->data + offset;

	if (len > COPY_BY_WORDS || offset + len > skb_headlen(skb))
		return !skb_copy_bits(skb, offset, to, len);
	for (; len >= 32; len -= 32, from += 32, to += 32)
		__builtin_memcpy(to, from, 32);
	for (; len >= 8; len -= 8, from += 8, to += 8)
		__builtin_memcpy(to, from, 8);
	for (; len; len--)
		*(u8 *)to++ = *(const u8 *)from++;
	return true;
}

static int read_actor(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t len)
{
	struct netmap_stack_sock *socket = desc->arg.data;

	return socket->ops->store(socket, skb, offset, len);
}

/* The same for a task that owns the socket. */
static int read_actor_of_task(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t len)
{
	int stored;

	local_bh_disable();
	stored = read_actor(desc, skb, offset, len);
	local_bh_enable();
	return stored;
}

/*
 * Reads the one packet that is there, as it is nearly always. tcp_read_sock() would look for the next one again and again. What is not
 * so simple, and the rest, is left to it.
 */
static void read_one(struct sock *sk, struct sk_buff *skb, read_descriptor_t *desc, sk_read_actor_t actor)
{
	u32 offset = tcp_sk(sk)->copied_seq - TCP_SKB_CB(skb)->seq;
	int used;

	if (TCP_SKB_CB(skb)->tcp_flags & TCPHDR_SYN || offset >= skb->len)
		return;
	used = actor(desc, skb, offset, skb->len - offset);
	if (used > 0)
		tcp_read_done(sk, used);
}

static u32 drain(struct sock *sk, struct netmap_stack_sock *socket, sk_read_actor_t actor)
{
	read_descriptor_t desc = { .arg.data = socket, .count = 1 };
	struct sk_buff *skb = skb_peek(&sk->sk_receive_queue);

	/* Urgent data is in line, as with SO_OOBINLINE: tcp_read_sock() stops before it for ever otherwise. */
	if (unlikely(tcp_sk(sk)->urg_data))
		WRITE_ONCE(tcp_sk(sk)->urg_data, 0);
	if (skb && skb_queue_is_last(&sk->sk_receive_queue, skb))
		read_one(sk, skb, &desc, actor);
	if (!skb_queue_empty(&sk->sk_receive_queue))
		tcp_read_sock(sk, &desc, actor);
	if (!skb_queue_empty(&sk->sk_receive_queue))
		return NETMAP_STACK_LEFT;
	return sk->sk_shutdown & RCV_SHUTDOWN ? NETMAP_STACK_END : 0;
}

/* Reads what is there into buffers, by a task that has locked the socket; enum netmap_stack_news. */
u32 netmap_stack_drain(struct sock *sk, struct netmap_stack_sock *socket)
{
	return drain(sk, socket, read_actor_of_task);
}

static void data_ready(struct sock *sk)
{
	struct netmap_stack_sock *socket = of(sk);
	u32 news;

	/* A task owns it: it may be about to read, or is in the middle of its queue. Otherwise softirqs are off. */
	news = sock_owned_by_user(sk) ? NETMAP_STACK_LEFT : drain(sk, socket, read_actor);
	if (news)
		socket->ops->news(socket, news, 0);
	if (news & NETMAP_STACK_LEFT)
		socket->data_ready(sk);
}

static void write_space(struct sock *sk)
{
	struct netmap_stack_sock *socket = of(sk);

	socket->write_space(sk);
	/* It is called again when there is enough room to be worth it. */
	if (sk_stream_is_writeable(sk))
		socket->ops->news(socket, NETMAP_STACK_WRITABLE, 0);
}

static void state_change(struct sock *sk)
{
	struct netmap_stack_sock *socket = of(sk);

	socket->state_change(sk);
	/* It may be established now, or at its end. */
	socket->ops->news(socket, NETMAP_STACK_WRITABLE | NETMAP_STACK_LEFT, READ_ONCE(sk->sk_err));
}

static void error_report(struct sock *sk)
{
	struct netmap_stack_sock *socket;
	void (*report)(struct sock *sk);
	int error;

	read_lock_bh(&sk->sk_callback_lock);
	socket = sk->sk_error_report == error_report ? of(sk) : NULL;
	if (socket) {
		report = socket->error_report;
		error = READ_ONCE(sk->sk_err);
		report(sk);
		if (error)
			socket->ops->news(socket, NETMAP_STACK_WRITABLE | NETMAP_STACK_LEFT, error);
	} else {
		report = READ_ONCE(sk->sk_error_report);
	}
	read_unlock_bh(&sk->sk_callback_lock);
	if (!socket && report != error_report)
		report(sk);
}

static const struct tcp_ulp_ops ulp_ops;

/* Makes it an ordinary socket again. With the socket locked. */
static void restore(struct sock *sk, struct netmap_stack_sock *socket)
{
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = socket->data_ready;
	sk->sk_write_space = socket->write_space;
	sk->sk_state_change = socket->state_change;
	sk->sk_error_report = socket->error_report;
	rcu_assign_sk_user_data(sk, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
}

/* TCP is done with it; it has no ULP when this returns. */
static void ulp_release(struct sock *sk)
{
	struct netmap_stack_sock *socket = of(sk);

	if (!socket)
		return;
	restore(sk, socket);
	spin_lock_bh(&socket->lock);
	socket->ops->news(socket, NETMAP_STACK_GONE, 0);
	socket->sk = NULL;
	spin_unlock_bh(&socket->lock);
	/* The caller has a reference, too. */
	sock_put(sk);
}

static const struct tcp_ulp_ops ulp_ops = {
	.release = ulp_release,
	.name = "netmap",
};

/* Whether packets of the socket, which is locked, leave by the device. */
static bool leaves_by(struct sock *sk, const struct net_device *dev)
{
	struct dst_entry *dst = __sk_dst_check(sk, 0);

	if (!dst && !inet_csk(sk)->icsk_af_ops->rebuild_header(sk))
		dst = __sk_dst_get(sk);
	return dst && dst_dev(dst) == dev;
}

static int check(struct sock *sk)
{
	if (sock_flag(sk, SOCK_DEAD))
		return -EBADF;
	if (!((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE_WAIT |
				     TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2)))
		return -ENOTCONN;
	if (of(sk) || inet_csk(sk)->icsk_ulp_ops || sk->sk_data_ready == data_ready)
		return -EBUSY;
	return 0;
}

/* Whether security modules let the task send and receive; nothing is. */
static int may_exchange(struct socket *sock)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	int error;

	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, NULL, 0, 0);
	error = sock_sendmsg(sock, &msg);
	if (error != -EACCES && error != -EPERM) {
		memset(&msg, 0, sizeof(msg));
		iov_iter_kvec(&msg.msg_iter, ITER_DEST, NULL, 0, 0);
		error = sock_recvmsg(sock, &msg, MSG_DONTWAIT | MSG_PEEK);
	}
	return error == -EACCES || error == -EPERM ? error : 0;
}

/* The socket of a descriptor of this task, with a reference, if its data can go through the rings of a port of `dev`. */
int netmap_stack_find(int fd, const struct net_device *dev, struct sock **result)
{
	struct socket *sock;
	struct sock *sk;
	int error;

	sock = sockfd_lookup(fd, &error);
	if (!sock)
		return error;
	sk = sock->sk;
	error = -EPROTOTYPE;
	if (!sk_is_tcp(sk))
		goto put;
	lock_sock(sk);
	error = check(sk);
	if (!error && !leaves_by(sk, dev))
		error = -EXDEV;
	release_sock(sk);
	if (!error)
		error = may_exchange(sock);
	if (!error) {
		sock_hold(sk);
		*result = sk;
	}
put:
	sockfd_put(sock);
	return error;
}

void netmap_stack_sock_put(struct sock *sk)
{
	sock_put(sk);
}

/*
 * From now on `socket` hears of `sk`, whose reference it gets if this succeeds. What has arrived is read at once.
 * socket->ops is set.
 */
int netmap_stack_attach(struct netmap_stack_sock *socket, struct sock *sk)
{
	u32 news;
	int error;

	spin_lock_init(&socket->lock);
	lock_sock(sk);
	error = check(sk);
	if (error)
		goto out;
	write_lock_bh(&sk->sk_callback_lock);
	/* Others set it under this lock alone. */
	if (sk->sk_user_data) {
		write_unlock_bh(&sk->sk_callback_lock);
		error = -EBUSY;
		goto out;
	}
	socket->data_ready = sk->sk_data_ready;
	socket->write_space = sk->sk_write_space;
	socket->state_change = sk->sk_state_change;
	socket->error_report = sk->sk_error_report;
	socket->sk = sk;
	__rcu_assign_sk_user_data_with_flags(sk, socket, SK_USER_DATA_NOCOPY);
	sk->sk_data_ready = data_ready;
	sk->sk_write_space = write_space;
	sk->sk_state_change = state_change;
	sk->sk_error_report = error_report;
	write_unlock_bh(&sk->sk_callback_lock);
	inet_csk(sk)->icsk_ulp_ops = &ulp_ops;
	news = netmap_stack_drain(sk, socket);
	if (news)
		socket->ops->news(socket, news, 0);
out:
	release_sock(sk);
	if (!error)
		tcp_sock_set_nodelay(sk);
	return error;
}

/*
 * Locks the socket, and returns it with a reference, or NULL if TCP is done with it. In process context; *dead if nobody has it
 * open.
 */
struct sock *netmap_stack_lock(struct netmap_stack_sock *socket, bool *dead)
{
	struct sock *sk;

	rcu_read_lock();
	sk = READ_ONCE(socket->sk);
	/* The memory of a socket of TCP is one until the end of a grace period, though perhaps another one. */
	if (sk && !refcount_inc_not_zero(&sk->sk_refcnt))
		sk = NULL;
	rcu_read_unlock();
	if (!sk)
		return NULL;
	lock_sock(sk);
	if (READ_ONCE(socket->sk) != sk) {
		release_sock(sk);
		sock_put(sk);
		return NULL;
	}
	*dead = sock_flag(sk, SOCK_DEAD);
	return sk;
}

/* Whether somebody has the socket open, at a glance. */
bool netmap_stack_is_open(const struct netmap_stack_sock *socket)
{
	const struct sock *sk;
	bool is_open;

	rcu_read_lock();
	sk = READ_ONCE(socket->sk);
	is_open = sk && !sock_flag(sk, SOCK_DEAD);
	rcu_read_unlock();
	return is_open;
}

/* `push`: sends what was held back for more that did not come. */
void netmap_stack_unlock(struct sock *sk, bool push)
{
	release_sock(sk);
	if (push)
		tcp_sock_set_nodelay(sk);
	sock_put(sk);
}

/* Whether a function that TCP called still has to do with it: after this it has not, if the socket is gone. */
void netmap_stack_sync(struct netmap_stack_sock *socket)
{
	spin_lock_bh(&socket->lock);
	spin_unlock_bh(&socket->lock);
}

/*
 * Copies the payload of a packet that waits to be sent or acknowledged out of our buffers. A packet that has no other memory was
 * not charged for it (see tcp_downgrade_zcopy_pure()).
 */
static void copy_out(struct sock *sk, struct sk_buff *skb)
{
	struct ubuf_info *uarg = skb_zcopy(skb);
	unsigned int truesize = skb->truesize;

	if (!uarg || uarg->ops != &ubuf_ops)
		return;
	if (skb_zcopy_pure(skb)) {
		u32 extra = truesize - SKB_TRUESIZE(skb_end_offset(skb));

		/* Its buffers come back when it is acknowledged, then. */
		if (!sk_wmem_schedule(sk, extra))
			return;
		sk_mem_charge(sk, extra);
		skb_shinfo(skb)->flags &= ~SKBFL_PURE_ZEROCOPY;
	}
	skb_copy_ubufs(skb, GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	/* If the driver has a clone of it, its head is another one now, and the socket is charged with what it was. */
	skb->truesize = truesize;
}

/*
 * Ends what netmap_stack_attach() has begun, unless the socket is gone: nothing of `socket` or of our buffers is in use by TCP any
 * more. The socket is locked. The caller has a reference, and that of `socket` is gone.
 */
void netmap_stack_detach(struct netmap_stack_sock *socket, struct sock *sk)
{
	struct sk_buff *skb;

	inet_csk(sk)->icsk_ulp_ops = NULL;
	restore(sk, socket);
	skb_rbtree_walk(skb, &sk->tcp_rtx_queue)
		copy_out(sk, skb);
	skb_queue_walk(&sk->sk_write_queue, skb)
		copy_out(sk, skb);
	socket->sk = NULL;
	sock_put(sk);
}

/*
 * Puts octets that were read from the socket, which is locked, back before what is left in it. A stream is put back from its end
 * on, in pieces; `last` with the first call.
 */
void netmap_stack_unread(struct sock *sk, const void *data, u32 len, bool last)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb;

	if (sock_flag(sk, SOCK_DEAD))
		return;
	skb = alloc_skb(len, GFP_KERNEL | __GFP_NOFAIL);
	skb_put_data(skb, data, len);
	/* The end of the stream was read, too: it lies behind the data. */
	if (last && sock_flag(sk, SOCK_DONE) && skb_queue_empty(&sk->sk_receive_queue) && tp->copied_seq == tp->rcv_nxt) {
		WRITE_ONCE(tp->copied_seq, tp->copied_seq - 1);
		TCP_SKB_CB(skb)->tcp_flags = TCPHDR_FIN;
	}
	TCP_SKB_CB(skb)->end_seq = tp->copied_seq + !!(TCP_SKB_CB(skb)->tcp_flags & TCPHDR_FIN);
	TCP_SKB_CB(skb)->seq = tp->copied_seq - len;
	WRITE_ONCE(tp->copied_seq, tp->copied_seq - len);
	/* It was charged when it came. Should that not be possible again, it is not: data goes before. */
	if (sk_rmem_schedule(sk, skb, skb->truesize))
		skb_set_owner_r(skb, sk);
	__skb_queue_head(&sk->sk_receive_queue, skb);
}

/* Tells whoever waits for the socket, which is an ordinary one again, of what was put back. */
void netmap_stack_announce(struct sock *sk)
{
	if (!sock_flag(sk, SOCK_DEAD))
		sk->sk_data_ready(sk);
}
