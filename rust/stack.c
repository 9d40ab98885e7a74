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

#include <linux/file.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "helpers.h"
#include "stack.h"

/* Most octets of a packet that are copied by words. */
#define COPY_BY_WORDS	256

/*
 * What a socket has of ours. It is found by icsk_ulp_data, which belongs to whose the ULP is: the functions of a socket, and its
 * sk_user_data, are changed by some who do not look whose they are, as iscsi_tcp does.
 */
struct tap {
	/* NULL if it is an ordinary socket again, but for functions that others have put in place of ours. */
	struct netmap_stack_sock *socket;
	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*error_report)(struct sock *sk);
	/* Buffers that TCP has although it has let go of them. */
	struct llist_node *kept;
};

static void *user_data(const struct sock *sk)
{
	return (void *)((uintptr_t)READ_ONCE(sk->sk_user_data) & SK_USER_DATA_PTRMASK);
}

static const struct tcp_ulp_ops ulp_ops, left_ops;

/* With the socket locked, or its sk_callback_lock. */
static struct tap *tap_of(const struct sock *sk)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);
	const struct tcp_ulp_ops *ops = READ_ONCE(icsk->icsk_ulp_ops);

	return ops == &ulp_ops || ops == &left_ops ? rcu_dereference_raw(icsk->icsk_ulp_data) : NULL;
}

/* Keeps what the node belongs to as long as the socket, which is locked, is registered. False if it is not. */
bool netmap_stack_keep(struct sock *sk, struct llist_node *node)
{
	struct tap *tap = tap_of(sk);

	if (!tap)
		return false;
	node->next = tap->kept;
	tap->kept = node;
	return true;
}

/*
 * Whether the socket has not the connection any more that it was registered with. connect() to no address ends that, and the socket
 * may be connected anew: what its queues have then is not of the streams that are in our rings. It reports an error in any case,
 * with the socket locked.
 */
static bool is_other(const struct netmap_stack_sock *socket)
{
	return READ_ONCE(socket->disconnected);
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

static inline int store(struct netmap_stack_sock *socket, struct sk_buff *skb, u32 offset, u32 len, bool is_task)
{
	int stored;

	if (is_task)
		local_bh_disable();
	stored = socket->ops->store(socket, skb, offset, len);
	if (is_task)
		local_bh_enable();
	return stored;
}

static int read_actor(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t len)
{
	return store(desc->arg.data, skb, offset, len, false);
}

/* The same for a task that owns the socket. */
static int read_actor_of_task(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t len)
{
	return store(desc->arg.data, skb, offset, len, true);
}

/*
 * Reads the one packet that is there, as it is nearly always. tcp_read_sock() would look for the next one again and again. What is not
 * so simple, and the rest, is left to it.
 */
static inline void read_one(struct sock *sk, struct netmap_stack_sock *socket, struct sk_buff *skb, bool is_task)
{
	u32 offset = tcp_sk(sk)->copied_seq - TCP_SKB_CB(skb)->seq;
	int used;

	if (TCP_SKB_CB(skb)->tcp_flags & TCPHDR_SYN || offset >= skb->len)
		return;
	used = store(socket, skb, offset, skb->len - offset, is_task);
	if (used > 0)
		tcp_read_done(sk, used);
}

/* What read_one() has not read. */
static noinline void read_rest(struct sock *sk, struct netmap_stack_sock *socket, bool is_task)
{
	read_descriptor_t desc = { .arg.data = socket, .count = 1 };

	tcp_read_sock(sk, &desc, is_task ? read_actor_of_task : read_actor);
}

static inline u32 drain(struct sock *sk, struct netmap_stack_sock *socket, bool is_task)
{
	struct sk_buff *skb = skb_peek(&sk->sk_receive_queue);

	if (unlikely(is_other(socket)))
		return 0;
	/* Urgent data is in line, as with SO_OOBINLINE: tcp_read_sock() stops before it for ever otherwise. */
	if (unlikely(tcp_sk(sk)->urg_data))
		WRITE_ONCE(tcp_sk(sk)->urg_data, 0);
	if (skb && skb_queue_is_last(&sk->sk_receive_queue, skb))
		read_one(sk, socket, skb, is_task);
	if (!skb_queue_empty(&sk->sk_receive_queue)) {
		read_rest(sk, socket, is_task);
		if (!skb_queue_empty(&sk->sk_receive_queue))
			return NETMAP_STACK_LEFT;
	}
	/* RCV_SHUTDOWN may be the program's own doing, and data follow that. */
	return sock_flag(sk, SOCK_DONE) || sk->sk_state == TCP_CLOSE ? NETMAP_STACK_END : 0;
}

/* Reads what is there into buffers, by a task that has locked the socket; enum netmap_stack_news. */
u32 netmap_stack_drain(struct sock *sk, struct netmap_stack_sock *socket)
{
	return drain(sk, socket, true);
}

/* The error with which the connection has ended, or 0. One of a connection that lives is that of a packet, see netmap_stack_send(). */
static int last_error(const struct sock *sk)
{
	return sk->sk_state == TCP_CLOSE ? READ_ONCE(sk->sk_err) : 0;
}

/*
 * The functions that TCP finds in the socket. They are also called by others who have put their own in place of them meanwhile, or
 * after they have put ours back; it may have ended by then.
 */

static void data_ready(struct sock *sk)
{
	struct tap *tap = tap_of(sk);
	struct netmap_stack_sock *socket;
	u32 news;

	sock_owned_by_me(sk);
	if (!tap)
		return;
	socket = tap->socket;
	if (unlikely(!socket)) {
		tap->data_ready(sk);
		return;
	}
	/* A task owns it: it may be about to read, or is in the middle of its queue. Otherwise softirqs are off. */
	news = sock_owned_by_user(sk) ? NETMAP_STACK_LEFT : drain(sk, socket, false);
	if (news)
		socket->ops->news(socket, news, 0);
	if (news & NETMAP_STACK_LEFT || is_other(socket))
		tap->data_ready(sk);
}

static void write_space(struct sock *sk)
{
	struct tap *tap = tap_of(sk);

	sock_owned_by_me(sk);
	if (!tap)
		return;
	tap->write_space(sk);
	/* It is called again when there is enough room to be worth it. */
	if (tap->socket && sk_stream_is_writeable(sk))
		tap->socket->ops->news(tap->socket, NETMAP_STACK_WRITABLE, 0);
}

static void state_change(struct sock *sk)
{
	struct tap *tap = tap_of(sk);

	sock_owned_by_me(sk);
	if (!tap)
		return;
	tap->state_change(sk);
	/* It may be established now, or at its end. */
	if (tap->socket)
		tap->socket->ops->news(tap->socket, NETMAP_STACK_WRITABLE | NETMAP_STACK_LEFT, last_error(sk));
}

static void error_report(struct sock *sk)
{
	void (*report)(struct sock *sk);
	struct tap *tap;
	int error;

	read_lock_bh(&sk->sk_callback_lock);
	tap = tap_of(sk);
	report = tap ? tap->error_report : READ_ONCE(sk->sk_error_report);
	error = tap ? last_error(sk) : 0;
	if (tap && tap->socket && sk->sk_state == TCP_CLOSE && !inet_sk(sk)->inet_dport)
		WRITE_ONCE(tap->socket->disconnected, true);
	if (tap)
		report(sk);
	if (error && tap->socket)
		tap->socket->ops->news(tap->socket, NETMAP_STACK_WRITABLE | NETMAP_STACK_LEFT, error);
	read_unlock_bh(&sk->sk_callback_lock);
	if (!tap && report != error_report)
		report(sk);
}

/*
 * Makes it an ordinary socket again, with the socket locked. False if others have put functions of theirs in place of ours: these may
 * call ours, or put them back.
 */
static bool restore(struct sock *sk, struct tap *tap)
{
	bool is_ours;

	write_lock_bh(&sk->sk_callback_lock);
	tap->socket = NULL;
	is_ours = sk->sk_data_ready == data_ready && sk->sk_write_space == write_space &&
		  sk->sk_state_change == state_change && sk->sk_error_report == error_report;
	if (is_ours) {
		sk->sk_data_ready = tap->data_ready;
		sk->sk_write_space = tap->write_space;
		sk->sk_state_change = tap->state_change;
		sk->sk_error_report = tap->error_report;
	}
	if (user_data(sk) == tap)
		rcu_assign_sk_user_data(sk, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
	return is_ours;
}

/* The socket, which is locked, has nothing of ours any more. */
static void free_tap(struct sock *sk, struct tap *tap)
{
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
	netmap_stack_complete_kept(tap->kept);
	kfree(tap);
}

/* TCP is done with it; it has no ULP when this returns. */
static void ulp_release(struct sock *sk)
{
	struct tap *tap = tap_of(sk);
	struct netmap_stack_sock *socket;

	if (!tap)
		return;
	socket = tap->socket;
	restore(sk, tap);
	free_tap(sk, tap);
	if (!socket)
		return;
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

/* Of a socket that is registered no more and has something of ours until its end: the module stays that long. */
static const struct tcp_ulp_ops left_ops = {
	.release = ulp_release,
	.name = "netmap",
	.owner = THIS_MODULE,
};

/* Nothing holds the device for this. */
struct netmap_stack_place netmap_stack_place_of(const struct net_device *dev)
{
	return (struct netmap_stack_place){ .net = dev_net(dev), .ifindex = dev->ifindex };
}

/* Whether packets of the socket, which is locked, leave there. */
static bool leaves_by(struct sock *sk, const struct netmap_stack_place *place)
{
	struct dst_entry *dst = __sk_dst_check(sk, 0);
	const struct net_device *dev;
	bool result;

	if (!dst && !inet_csk(sk)->icsk_af_ops->rebuild_header(sk))
		dst = __sk_dst_get(sk);
	if (!dst)
		return false;
	rcu_read_lock();
	dev = dst_dev_rcu(dst);
	result = dev->ifindex == place->ifindex && dev_net_rcu(dev) == place->net;
	rcu_read_unlock();
	return result;
}

static int check(struct sock *sk)
{
	if (sock_flag(sk, SOCK_DEAD))
		return -EBADF;
	if (!((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE_WAIT |
				     TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2)))
		return -ENOTCONN;
	/* It begins with the first message (TCP_FASTOPEN_CONNECT), which would be may_exchange()'s, without data. */
	if (inet_test_bit(DEFER_CONNECT, sk))
		return -ENOTCONN;
	if (user_data(sk) || inet_csk(sk)->icsk_ulp_ops || sk->sk_data_ready == data_ready)
		return -EBUSY;
	return 0;
}

/*
 * What became of a message of no length; `pending` was the socket's error before. TCP says that it has nothing, or takes nothing, or is at
 * its end; or it takes the socket's error, which is not for us, and comes back. All else is what a security module says.
 */
static int verdict(struct sock *sk, int result, int pending)
{
	if (result >= 0 || result == -EAGAIN || (result == -EPIPE && (sk->sk_shutdown & SEND_SHUTDOWN)))
		return 0;
	if (result == -pending && !READ_ONCE(sk->sk_err)) {
		WRITE_ONCE(sk->sk_err, pending);
		return 0;
	}
	/* It has ended meanwhile, and this is why. */
	if (sk->sk_state == TCP_CLOSE) {
		if (result != -ENOTCONN && result != -EPIPE && !READ_ONCE(sk->sk_err))
			WRITE_ONCE(sk->sk_err, -result);
		return -ENOTCONN;
	}
	return result == -EPERM ? -EPERM : -EACCES;
}

/* Whether security modules let the task send and receive; nothing is. */
static int may_exchange(struct socket *sock)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct sock *sk = sock->sk;
	int pending = READ_ONCE(sk->sk_err);
	int error;

	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, NULL, 0, 0);
	error = verdict(sk, sock_sendmsg(sock, &msg), pending);
	if (error)
		return error;
	memset(&msg, 0, sizeof(msg));
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, NULL, 0, 0);
	pending = READ_ONCE(sk->sk_err);
	return verdict(sk, sock_recvmsg(sock, &msg, MSG_DONTWAIT | MSG_PEEK), pending);
}

/* The socket of a descriptor of this task, with a reference, if its data can go through the rings of a port of that device. */
int netmap_stack_find(int fd, const struct netmap_stack_place *place, struct sock **result)
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
	if (!error && !leaves_by(sk, place))
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

void netmap_stack_sock_init(struct netmap_stack_sock *socket, const struct netmap_stack_ops *ops)
{
	/* All of it: memory is not always cleared before it is given out. */
	*socket = (struct netmap_stack_sock){ .ops = ops };
	spin_lock_init(&socket->lock);
}

/*
 * From now on `socket` hears of `sk`, whose reference it gets if this succeeds. What has arrived is read at once.
 */
int netmap_stack_attach(struct netmap_stack_sock *socket, struct sock *sk)
{
	struct tap *tap = kzalloc(sizeof(*tap), (__force gfp_t)netmap_gfp);
	u32 news;
	int error;

	if (!tap)
		return -ENOMEM;
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
	tap->socket = socket;
	tap->data_ready = sk->sk_data_ready;
	tap->write_space = sk->sk_write_space;
	tap->state_change = sk->sk_state_change;
	tap->error_report = sk->sk_error_report;
	socket->sk = sk;
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, tap);
	inet_csk(sk)->icsk_ulp_ops = &ulp_ops;
	__rcu_assign_sk_user_data_with_flags(sk, tap, SK_USER_DATA_NOCOPY);
	sk->sk_data_ready = data_ready;
	sk->sk_write_space = write_space;
	sk->sk_state_change = state_change;
	sk->sk_error_report = error_report;
	write_unlock_bh(&sk->sk_callback_lock);
	news = netmap_stack_drain(sk, socket);
	if (news)
		socket->ops->news(socket, news, 0);
out:
	release_sock(sk);
	if (error)
		kfree(tap);
	else
		tcp_sock_set_nodelay(sk);
	return error;
}

/*
 * Locks the socket, and returns it with a reference, or NULL if TCP is done with it. In process context; *dead if nobody has it
 * open, or it is disconnected.
 */
struct sock *netmap_stack_lock(struct netmap_stack_sock *socket, bool *dead)
{
	struct sock *sk;

	/* As the others below, of the kind that is a few instructions: this is done for each slot. */
	rcu_read_lock_sched();
	sk = READ_ONCE(socket->sk);
	/* The memory of a socket of TCP is one until the end of a grace period, though perhaps another one. */
	if (sk && !refcount_inc_not_zero(&sk->sk_refcnt))
		sk = NULL;
	rcu_read_unlock_sched();
	if (!sk)
		return NULL;
	lock_sock(sk);
	if (READ_ONCE(socket->sk) != sk) {
		release_sock(sk);
		sock_put(sk);
		return NULL;
	}
	*dead = sock_flag(sk, SOCK_DEAD) || is_other(socket);
	return sk;
}

/* Whether somebody has the socket open, and it is not disconnected, at a glance. */
bool netmap_stack_is_open(const struct netmap_stack_sock *socket)
{
	const struct sock *sk;
	bool is_open;

	rcu_read_lock_sched();
	sk = READ_ONCE(socket->sk);
	is_open = sk && !sock_flag(sk, SOCK_DEAD) && !is_other(socket);
	rcu_read_unlock_sched();
	return is_open;
}

/* Whether nobody has the socket open any more, at a glance: its descriptor's number may be another socket's. */
bool netmap_stack_is_closed(const struct netmap_stack_sock *socket)
{
	const struct sock *sk;
	bool is_closed;

	rcu_read_lock_sched();
	sk = READ_ONCE(socket->sk);
	is_closed = !sk || sock_flag(sk, SOCK_DEAD);
	rcu_read_unlock_sched();
	return is_closed;
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
 * Ends what netmap_stack_attach() has begun, unless the socket is gone: nothing of `socket` is in use by TCP any more, nor of our
 * buffers, unless there is no memory: the pool lives on with those. The socket is locked. The caller has a reference, and that of `socket` is gone.
 */
void netmap_stack_detach(struct netmap_stack_sock *socket, struct sock *sk)
{
	struct tap *tap = tap_of(sk);
	bool is_ordinary = restore(sk, tap), is_copied = netmap_stack_copy_out(sk);

	if (is_ordinary && (is_copied || !tap->kept)) {
		free_tap(sk, tap);
		inet_csk(sk)->icsk_ulp_ops = NULL;
	} else {
		/* There is no more to it than that: others have it as well. */
		pr_warn_once("a socket keeps functions or buffers of netmap until its end, and the module stays that long\n");
		__module_get(THIS_MODULE);
		inet_csk(sk)->icsk_ulp_ops = &left_ops;
	}
	socket->sk = NULL;
	sock_put(sk);
}
