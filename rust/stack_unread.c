// SPDX-License-Identifier: GPL-2.0
/*
 * Stack ports: data that was read from a socket is put back into it, which is an ordinary one from then on.
 */

#include <linux/skbuff.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "helpers.h"

/* Octets of a packet that are put back into a socket at most: no large allocation is waited for. */
#define UNREAD_MAX	2048u

static void unread_piece(struct sock *sk, const void *data, u32 len, bool last)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb;

	/* There is always memory for something this small, after a while. */
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

/*
 * Puts octets that were read from the socket, which is locked, back before what is left in it. A stream is put back from its end
 * on, in pieces; `last` with the first call.
 */
void netmap_stack_unread(struct sock *sk, const void *data, u32 len, bool last)
{
	if (sock_flag(sk, SOCK_DEAD))
		return;
	while (len) {
		u32 piece = min(len, UNREAD_MAX);

		len -= piece;
		unread_piece(sk, data + len, piece, last);
		last = false;
	}
}

/* Tells whoever waits for the socket, which is an ordinary one again, of what was put back. */
void netmap_stack_announce(struct sock *sk)
{
	if (!sock_flag(sk, SOCK_DEAD))
		sk->sk_data_ready(sk);
}
