/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stack ports: the payload of the kernel's own TCP connections in netmap slots. See stackmap(4).
 *
 * A program makes its connections with socket(), connect(), listen() and accept(), and moves their data through the rings of a
 * port of the interface that they use, nm_open("stack:eth0", ...). Each open file has a port of its own, with one tx and one rx
 * ring, NETMAP_TXRING(nifp, 0) and NETMAP_RXRING(nifp, 0); many files may be bound to the same interface, each with its own
 * connections. The interface keeps its driver, and the host's other traffic is not touched.
 *
 * Send:	ring = NETMAP_TXRING(nifp, 0);
 *		slot = &ring->slot[cur];
 *		memcpy(STACKMAP_BUF(ring, slot->buf_idx), payload, len);
 *		slot->len = len;
 *		slot->fd = sd;
 *		cur = nm_ring_next(ring, cur);
 *		... more slots, of any connections, then ...
 *		ring->head = ring->cur = cur;
 *		ioctl(fd, NIOCTXSYNC, NULL);
 *
 * Receive:	ring = NETMAP_RXRING(nifp, 0);
 *		if (ioctl(fd, NIOCRXSYNC, NULL) || nm_ring_empty(ring))	(or poll() with POLLIN)
 *			nothing is new, and the runs are those of an earlier sync
 *		runs = STACKMAP_RUNS(ring);
 *		for (i = 0; i < runs->count; i++)
 *			the run->count slots from run->first on, run = &runs->run[i], are data of the connection run->fd;
 *			that of a slot is NETMAP_BUF(ring, slot->buf_idx) + slot->offset, slot->len bytes
 *		ring->head = ring->cur = ring->tail;
 *
 * Connections
 *
 * A connection is registered with the port before its data moves: by NETMAP_REQ_PST_FD_REG, by NIOCCONFIG, or by the first
 * NIOCTXSYNC (or poll()) that finds its descriptor in a slot. All three check the same, once:
 *
 *	EBADF		no such descriptor
 *	ENOTSOCK	not a socket
 *	EPROTOTYPE	a socket, but not of TCP over IPv4 or IPv6
 *	ENOTCONN	neither connected nor about to be: a listening socket, or one with TCP_FASTOPEN_CONNECT that has sent nothing
 *	EBUSY		registered already, here or with another port; or the kernel uses the socket for something else: kTLS or
 *			another TCP_ULP, a BPF socket map, NFS, ...
 *	EXDEV		its packets do not go through the port's interface, which is the one that the route to the peer names: a
 *			bridge, bond or VLAN, not the device below it. Those of the host with itself go through loopback, which has
 *			no stack port
 *	EACCES, EPERM	a security module forbids the program to send or receive on it
 *	ENOSPC		the port has 65536 connections, or the descriptor is 1048576 or more
 *	ENOMEM		no memory
 *
 * From then on the number stands for that connection, until its last descriptor is closed, NETMAP_REQ_PST_FD_UNREG, or the end
 * of the port. If the number is registered again for another open socket, that takes its place. A descriptor in a slot is looked up
 * in the task that syncs, with its permissions, like one of an ioctl(). Whoever maps the same memory can write one there: see
 * stackmap(4). Registration sets TCP_NODELAY.
 * Data that arrived before is found in the rx ring like what arrives later. What is read from a registered socket by read() or
 * recv() is not found in the ring, and the other way round; sent data is in the order of the calls.
 *
 * At NETMAP_REQ_PST_FD_UNREG, and when the port is closed or its interface goes, connections become ordinary sockets again: what
 * arrived and is in no slot is read from them by read(), and at the end of the port also what is in slots that were not released;
 * and sent payload is copied out of the region, so that they go on alone. What TCP has not accepted by then is not sent.
 *
 * Sending
 *
 * The kernel takes slots from the tx ring in the order of the ring. TCP may accept the payload or, if the connection has as
 * much under way as it may (SO_SNDBUF) or is not established yet, not accept it. Slots that were accepted are the program's
 * again at once, with another buffer, len 0 and fd -1: their former buffers are TCP's until the peer has acknowledged the
 * payload, and nothing that the program writes then is their concern. Slots that were not accepted stay in the ring, which
 * moves them behind the others, in their order: after a sync they are the slots between tail and head,
 *
 *	for (i = nm_ring_next(ring, ring->tail); i != ring->head; i = nm_ring_next(ring, i))
 *
 * Later syncs, and poll() (if NR_NO_TX_POLL was not asked for, or it waits for POLLOUT), send them as soon as TCP takes them, and all
 * slots of a connection behind them; other connections do not wait for them as long as the ring has room. A slot of which TCP took
 * a part only has its offset and len moved on. The program must not write to them. poll() reports POLLOUT if the ring has room, and
 * does not return when one of these has left: a program that waits for that gives it a timeout, and looks again. A program that goes
 * on to put slots for a connection which has some that were not accepted lets a peer that does not read fill the ring: a server does
 * not.
 *
 * offset + len is at most nr_buf_size; offset is stack_room in a slot that was accepted. If it is more, or the buffer is not the
 * program's, the ring is reinitialised: the program has that slot and those behind it again, unsent, and poll() reports POLLERR. So
 * it does when the port is gone; NIOCTXSYNC fails with ENXIO then only.
 *
 * A slot of a connection that has ended, or of a descriptor that cannot be registered, is dropped, and an rx slot says so. After one
 * that was dropped for an error of sending, all others of the connection are: a stream has no hole. If there is no memory to
 * register a descriptor, an rx slot says so, and its slot stays in the ring with all that follow it until there is.
 *
 * Receiving
 *
 * rx slots hold the payload in order, grouped by connection. Message boundaries are TCP's, that is, none. A slot without data
 * (len 0) tells of the end of a connection:
 *
 *	NS_STACK_END	the peer has closed its direction: no data follows. The program may send, and close()s the descriptor.
 *	NS_STACK_ERROR	error holds an errno. ECONNRESET, ETIMEDOUT, ...: the connection has ended, and the next rx sync ends its registration.
 *			Errors of registration (above): a tx slot had a descriptor that cannot be registered. ESTALE: what was
 *			in tx slots for this descriptor is dropped, because it was closed before TCP had accepted it. EPIPE: the
 *			same, because the program has shut down its own direction; the other goes on. As many of these are told
 *			as the ring has slots, if the program does not look at it. An error that a packet has met on its way, which
 *			IP_RECVERR has reported although the connection lives, is read from the socket's error queue only.
 *
 * A sync tells nothing of a descriptor that was closed before, nor of the connection that a number stood for before it was
 * registered anew. Slots that a sync has filled stay as they are: a program deals with them before it accept()s, or closes, what
 * may have their number.
 *
 * What finds no slot stays in the socket, whose window closes; when slots are released, it comes.
 */
#ifndef _NET_NETMAP_STACK_H_
#define _NET_NETMAP_STACK_H_

#include <net/netmap.h>

/* netmap_slot.flags on stack ports. Others have no meaning there. */
#define NS_STACK_END	0x0100	/* rx: end of stream; len is 0 */
#define NS_STACK_ERROR	0x0200	/* rx: netmap_slot.error says which; len is 0 */

/**
 * struct netmap_stack_run - slots of one connection in an rx ring
 * @fd:		the connection
 * @first:	index of the first slot
 * @count:	how many slots, from @first on, wrapping at num_slots; at least 1
 */
struct netmap_stack_run {
	int32_t		fd;
	uint32_t	first;
	uint32_t	count;
};

/**
 * struct netmap_stack_runs - what is in [head, tail) of an rx ring, by connection
 * @count:	number of runs
 * @max:	room for runs: num_slots of the ring
 * @run:	the runs, in the order of the ring
 *
 * Written by each receive sync that succeeds, poll() included, and not read by the kernel. A connection's slots of one sync are mostly one
 * run, and always in their order; what was still in its socket, or has come meanwhile, may be another one behind those of others, as
 * may be what a former sync has brought.
 */
struct netmap_stack_runs {
	uint32_t	count;
	uint32_t	max;
	struct netmap_stack_run run[];
};

/* The runs of an rx ring of a stack port. */
#define STACKMAP_RUNS(ring) \
	((struct netmap_stack_runs *)(void *)((char *)(ring) + (ring)->stack_ofs))

/* Where payload begins in a buffer (char *): behind the room for headers, where slots have their offset at first. */
#define STACKMAP_BUF(ring, index) \
	((char *)(ring) + (ring)->buf_ofs + (size_t)(index) * (ring)->nr_buf_size + (ring)->stack_room)

/*
 * NETMAP_REQ_PST_FD_REG, _UNREG: register the connection fd with the stack port that the file is bound to, or end that. nr_name
 * is not looked at. Errors: those of registration above; ENXIO the file is not bound, or its port is gone; EOPNOTSUPP its port is
 * no stack port; _UNREG: ENOENT not registered.
 *
 * The older NIOCCONFIG does the first with the descriptor in the first 32 bits of nm_ifreq.data.
 */
struct nmreq_pst_fd_reg {
	int32_t fd;
};

#endif /* _NET_NETMAP_STACK_H_ */
