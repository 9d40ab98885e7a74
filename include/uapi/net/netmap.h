/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface between the netmap module and its programs: what lies in the shared memory, and the requests
 * to the control device /dev/netmap. See netmap(4); netmap_user.h has the functions a program wants on top.
 *
 * A program opens /dev/netmap, binds the file to a port (NIOCCTRL with NETMAP_REQ_REGISTER, or the older
 * NIOCREGIF), maps the port's memory region, and finds in it
 *
 *	struct netmap_if	one per bound file; gives the offset of each of its rings
 *	struct netmap_ring	a circular array of slots: a transmit or a receive queue
 *	struct netmap_slot	names a packet buffer by its index, with a length and flags
 *	buffers			of nr_buf_size bytes each
 *
 * Everything in the region is found by offset or index, never by pointer, so that the region may be mapped at
 * another address in each process. Offsets within one region are the same for every file bound to it.
 *
 * Layouts are those of 64-bit kernels. A 32-bit program sees the same ones if it is compiled with a 64-bit
 * time_t (-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64).
 */
#ifndef _NET_NETMAP_H_
#define _NET_NETMAP_H_

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/ioctl.h>
#include <linux/time_types.h>
#define _nm_timeval __kernel_old_timeval	/* the kernel has no struct timeval; this one has its layout */
#else
#include <stdint.h>
#include <sys/types.h>
#include <sys/time.h>
#include <sys/ioctl.h>
#define _nm_timeval timeval
#endif

#define NETMAP_API	14	/* the version these headers describe */
#define NETMAP_MIN_API	14	/* the versions NIOCCTRL accepts, both ends included */
#define NETMAP_MAX_API	15

#define NM_CACHE_ALIGN	128	/* an upper bound of the cache line's size, bytes */
#define _NETMAP_IFNAMSIZ	16	/* IFNAMSIZ, without a choice between <net/if.h> and <linux/if.h> */

/* Alignment of 64-bit fields on machines where the compiler would align them to 32 bits. */
#define _NETMAP_ALIGN64	__attribute__((__aligned__(8)))

/**
 * struct netmap_slot - one packet buffer of a ring
 * @buf_idx:	index of the buffer in the region. Swapping the indices of two slots moves packets without a copy;
 *		set NS_BUF_CHANGED in both then. 0 and 1 are reserved and refused.
 * @len:	bytes of packet in the buffer. On tx written by the program, at most nr_buf_size of the ring (less the
 *		offset, where offsets are used); on rx by the kernel. The Ethernet CRC is not part of the packet, a VLAN
 *		tag is.
 * @flags:	NS_*
 * @ptr:	NS_INDIRECT: address of the packet in the program's memory. With NETMAP_REQ_OPT_OFFSETS: the offset of
 *		the packet in its buffer, in the bits of offset_mask. Else unused, but by stack ports (netmap_stack.h):
 * @fd:		stack ports: the descriptor of the connection (bits 0-31 of @ptr)
 * @offset:	stack ports: bytes of the buffer before the payload (bits 32-47)
 * @error:	stack ports, rx with NS_STACK_ERROR: an errno (bits 48-63)
 *
 * A slot belongs to the program while it is in [head, tail) of its ring, else to the kernel. The kernel reads it
 * during a sync only. An index out of the region or an impossible length ends the sync there and reinitialises the
 * ring: head is back at that slot, which has a valid buffer again.
 */
struct netmap_slot {
	uint32_t buf_idx;
	uint16_t len;
	uint16_t flags;
	__extension__ union {
		uint64_t ptr _NETMAP_ALIGN64;
		__extension__ struct {
			int32_t	 fd;
			uint16_t offset;
			uint16_t error;
		};
	};
};

/* netmap_slot.flags */
#define NS_BUF_CHANGED	0x0001	/* buf_idx was changed: by the program (must be told), or by the kernel (pipes) */
#define NS_REPORT	0x0002	/* tx: report the completion of this slot soon, not lazily with later ones */
#define NS_FORWARD	0x0004	/* rx, ring has NR_FORWARD: when released, pass on to the host stack or the NIC */
#define NS_NO_LEARN	0x0008	/* VALE tx: do not learn the source address from this packet */
#define NS_INDIRECT	0x0010	/* VALE tx: the packet is at ptr, not in the buffer */
#define NS_MOREFRAG	0x0020	/* the packet goes on in the next slot; clear in its last slot */
#define NS_TXMON	0x0040	/* monitor rx: the packet was seen on a tx ring of the monitored port */

/* The high byte of flags. VALE tx: destination port, 0 for a look-up by address. VALE rx: number of fragments. */
#define NS_PORT_SHIFT	8
#define NS_PORT_MASK	(0xff << NS_PORT_SHIFT)
#define NS_RFRAGS(_slot) (((_slot)->flags >> NS_PORT_SHIFT) & 0xff)

#define NETMAP_MAX_FRAGS 64	/* most slots of one packet */

/**
 * struct netmap_ring - a transmit or receive queue
 * @buf_ofs:	(k) bytes from this structure to buffer 0
 * @num_slots:	(k) slots in the ring
 * @nr_buf_size: (k) bytes of each buffer
 * @ringid:	(k) index of the ring among those of its direction, those of the host stack counted after those of the NIC
 * @dir:	(k) 0 tx, 1 rx
 * @head:	(u) first slot of the program. It moves @head forward over slots it has filled (tx) or is done with (rx).
 * @cur:	(u) wake-up point: poll() reports the ring ready when @tail has moved past @cur. Usually equal to @head;
 *		further, to wait for more without releasing what is held. Within [head, tail].
 * @tail:	(k) first slot of the kernel: the program owns [head, tail). Only a system call on the file moves it.
 * @flags:	(u) NR_TIMESTAMP, NR_FORWARD
 * @ts:		(k) rx: time of the last sync; with the module's parameter no_timestamp only where NR_TIMESTAMP is set
 * @offset_mask: (k) which bits of a slot's ptr are an offset; 0 without NETMAP_REQ_OPT_OFFSETS
 * @buf_align:	(k) required alignment of packets in buffers, bytes; meant for users of offsets
 * @stack_ofs:	(k) rx ring of a stack port: bytes from this structure to a struct netmap_stack_runs; else 0
 * @stack_room:	(k) stack ports: bytes at the begin of each buffer that are left to headers; else 0
 * @sem:	(u) room for a lock of the program's own; the kernel does not touch it
 * @slot:	the slots, @num_slots of them
 *
 * (k) is written by the kernel, (u) by the program. Indices wrap at @num_slots and one slot stays free, so that
 * head == tail means that the program has none. A cur that lies behind head is taken for head. Other impossible
 * values of head or cur reinitialise the ring: they are set back to the last ones that were possible. poll() reports
 * that by POLLERR, the sync ioctls do not.
 */
struct netmap_ring {
	const int64_t	buf_ofs _NETMAP_ALIGN64;
	const uint32_t	num_slots;
	const uint32_t	nr_buf_size;
	const uint16_t	ringid;
	const uint16_t	dir;
	uint32_t	head;
	uint32_t	cur;
	uint32_t	tail;
	uint32_t	flags;
	struct _nm_timeval ts _NETMAP_ALIGN64;
	const uint64_t	offset_mask _NETMAP_ALIGN64;
	const uint64_t	buf_align _NETMAP_ALIGN64;
	const int64_t	stack_ofs _NETMAP_ALIGN64;
	const uint32_t	stack_room;
	uint8_t		sem[128] __attribute__((__aligned__(NM_CACHE_ALIGN)));
	struct netmap_slot slot[];
};

/* netmap_ring.flags */
#define NR_TIMESTAMP	0x0002	/* rx: write the time of every sync to ts, even if the administrator saves it */
#define NR_FORWARD	0x0004	/* rx: heed NS_FORWARD in released slots */

/* nm_ring_empty() - whether the program owns no slot of the ring: nothing received, or no room to send */
static inline int nm_ring_empty(const struct netmap_ring *ring)
{
	return ring->head == ring->tail;
}

/**
 * struct netmap_if - the rings of a bound file
 * @ni_name:	name of the port, cut to fit, NUL-terminated
 * @ni_version:	NETMAP_API of the kernel
 * @ni_flags:	NI_*
 * @ni_tx_rings: tx rings of the port, without those of the host stack
 * @ni_rx_rings: the same for rx
 * @ni_bufs_head: (u) index of the first extra buffer, 0 for none. The first 32 bits of each buffer hold the index of
 *		the next. At close, the list that is found here goes back to the region.
 * @ni_host_tx_rings: tx rings to the host stack
 * @ni_host_rx_rings: rx rings from the host stack
 * @ni_spare1:	reserved
 * @ring_ofs:	bytes from this structure to each ring: tx, host tx, rx, host rx. 0 where a ring is not there for this
 *		file (bound to one direction only).
 *
 * Written by the kernel at bind, and not read by it but for @ni_bufs_head.
 */
struct netmap_if {
	char		ni_name[_NETMAP_IFNAMSIZ];
	const uint32_t	ni_version;
	const uint32_t	ni_flags;
#define NI_PRIV_MEM	0x1	/* the region is not the global one */
	const uint32_t	ni_tx_rings;
	const uint32_t	ni_rx_rings;
	uint32_t	ni_bufs_head;
	const uint32_t	ni_host_tx_rings;
	const uint32_t	ni_host_rx_rings;
	uint32_t	ni_spare1[3];
	const int64_t	ring_ofs[] _NETMAP_ALIGN64;
};

/* The requests of API 11 to 13, which most programs still make. */
#include "netmap_legacy.h"

/*
 * Synchronise the bound tx or rx rings with the port: take what lies before head, publish what is new by moving
 * tail. No argument; the port is not waited for. A ring in which an impossible value is found is reinitialised, which is
 * no error here. Errors: ENXIO the file is not bound or its port is gone; EINTR the program was killed.
 */
#define NIOCTXSYNC	_IO('i', 148)
#define NIOCRXSYNC	_IO('i', 149)

#define NETMAP_REQ_MAXSIZE	4096	/* most bytes of a request's body and options together */
#define NETMAP_REQ_IFNAMSIZ	64

/**
 * struct nmreq_option - the head of every option of a request
 * @nro_next:	(in) address of the next option, 0 for none
 * @nro_reqtype: (in) NETMAP_REQ_OPT_*
 * @nro_status:	(out) 0 done, else an errno; EOPNOTSUPP where the option is unknown or means nothing for the request.
 *		NETMAP_REQ_REGISTER as a whole fails if any option does; what only asks does without it.
 * @nro_size:	(in) bytes of the option where they vary (it ends in an array), else 0
 */
struct nmreq_option {
	uint64_t nro_next _NETMAP_ALIGN64;
	uint32_t nro_reqtype;
	uint32_t nro_status;
	uint64_t nro_size _NETMAP_ALIGN64;
};

/**
 * struct nmreq_header - the argument of NIOCCTRL
 * @nr_version:	(in/out) NETMAP_API of the program; out: the kernel's, where it refuses this one
 * @nr_reqtype:	(in) NETMAP_REQ_*
 * @nr_reserved: 0
 * @nr_name:	(in) the port, NUL-terminated: an interface ("eth0"), a VALE port ("vale0:a"), a pipe ("eth0{1"), a
 *		stack port ("stack:eth0")
 * @nr_options:	(in) address of the first option, 0 for none
 * @nr_body:	(in) address of the request's own structure, see NETMAP_REQ_*
 *
 * Errors of every request: EFAULT bad address; EINVAL version, type or reserved field not valid, name without a NUL,
 * body missing or not wanted; EMSGSIZE body and options too long; ENXIO no such port; EOPNOTSUPP type or option not
 * served; EPERM no CAP_NET_ADMIN where the interface is.
 */
struct nmreq_header {
	uint16_t nr_version;
	uint16_t nr_reqtype;
	uint32_t nr_reserved;
	char	 nr_name[NETMAP_REQ_IFNAMSIZ];
	uint64_t nr_options _NETMAP_ALIGN64;
	uint64_t nr_body _NETMAP_ALIGN64;
};

#define NIOCCTRL	_IOWR('i', 151, struct nmreq_header)

/* nmreq_header.nr_reqtype, with the structure at nr_body */
enum {
	NETMAP_REQ_REGISTER = 1,	/* nmreq_register: bind this file to a port */
	NETMAP_REQ_PORT_INFO_GET,	/* nmreq_port_info_get: rings and region of a port */
	NETMAP_REQ_VALE_ATTACH,		/* nmreq_vale_attach: plug an interface into a VALE switch */
	NETMAP_REQ_VALE_DETACH,		/* nmreq_vale_detach: unplug it */
	NETMAP_REQ_VALE_LIST,		/* nmreq_vale_list: walk the ports of the switches */
	NETMAP_REQ_PORT_HDR_SET,	/* nmreq_port_hdr: length of the virtio-net header of a port */
	NETMAP_REQ_PORT_HDR_GET,	/* nmreq_port_hdr */
	NETMAP_REQ_VALE_NEWIF,		/* nmreq_vale_newif: make a persistent VALE port */
	NETMAP_REQ_VALE_DELIF,		/* no body: remove it */
	NETMAP_REQ_VALE_POLLING_ENABLE,	/* nmreq_vale_polling: kernel threads that poll an attached interface */
	NETMAP_REQ_VALE_POLLING_DISABLE, /* nmreq_vale_polling */
	NETMAP_REQ_POOLS_INFO_GET,	/* nmreq_pools_info: where the pools of a region lie */
	NETMAP_REQ_SYNC_KLOOP_START,	/* nmreq_sync_kloop_start: sync in the kernel until stopped */
	NETMAP_REQ_SYNC_KLOOP_STOP,	/* no body */
	NETMAP_REQ_CSB_ENABLE,		/* no body: with NETMAP_REQ_OPT_CSB, on a bound file */
	/* 16 and 17 attach and detach interfaces in PASTE, whose ports have them in their names here */
	NETMAP_REQ_PST_FD_REG = 18,	/* nmreq_pst_fd_reg: a connection's data goes through the rings, see netmap_stack.h */
	NETMAP_REQ_PST_FD_UNREG		/* nmreq_pst_fd_reg: it does not any more */
};

/* nmreq_option.nro_reqtype, with the option's structure */
enum {
	NETMAP_REQ_OPT_EXTMEM = 1,	/* nmreq_opt_extmem: the program's own memory as region */
	NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS, /* nmreq_opt_sync_kloop_eventfds: notify by eventfd */
	NETMAP_REQ_OPT_CSB,		/* nmreq_opt_csb: head, cur and tail in the program's memory */
	NETMAP_REQ_OPT_SYNC_KLOOP_MODE,	/* nmreq_opt_sync_kloop_mode: sync in the context of the kick */
	NETMAP_REQ_OPT_OFFSETS,		/* nmreq_opt_offsets: packets start inside their buffers */
	NETMAP_REQ_OPT_MAX		/* one more than the last */
};

/**
 * struct nmreq_register - NETMAP_REQ_REGISTER: bind the file to a port
 * @nr_offset:	(out) of the file's netmap_if in the region, bytes
 * @nr_memsize:	(out) bytes to map
 * @nr_tx_slots: (in/out) slots per tx ring. In: wanted, 0 for no wish; a port may have its own mind. Out: actual.
 * @nr_rx_slots: (in/out) the same for rx
 * @nr_tx_rings: (in/out) tx rings, in the same sense
 * @nr_rx_rings: (in/out) rx rings
 * @nr_host_tx_rings: (in/out) tx rings to the host stack
 * @nr_host_rx_rings: (in/out) rx rings from the host stack
 * @nr_mem_id:	(in/out) the region. In: 0 the port's usual one. Out: actual; 1 is the global region. Ports of equal
 *		region can exchange buffers.
 * @nr_ringid:	(in) which ring, for the NR_REG_ONE_* modes
 * @nr_mode:	(in) NR_REG_*
 * @nr_extra_bufs: (in/out) buffers wanted beyond those of the rings, for ni_bufs_head. Out: granted, may be fewer.
 * @nr_flags:	(in) NR_* below
 *
 * Errors: EAGAIN the queues could not be taken safely just now; EBUSY the file is bound, a ring is exclusively bound,
 * or (NR_EXCLUSIVE) bound at all; EINVAL no such ring or region, or a bad combination; ENOMEM region exhausted; ENXIO no
 * such port; EOPNOTSUPP not possible on this port.
 */
struct nmreq_register {
	uint64_t nr_offset _NETMAP_ALIGN64;
	uint64_t nr_memsize _NETMAP_ALIGN64;
	uint32_t nr_tx_slots;
	uint32_t nr_rx_slots;
	uint16_t nr_tx_rings;
	uint16_t nr_rx_rings;
	uint16_t nr_host_tx_rings;
	uint16_t nr_host_rx_rings;
	uint16_t nr_mem_id;
	uint16_t nr_ringid;
	uint32_t nr_mode;
	uint32_t nr_extra_bufs;
	uint64_t nr_flags _NETMAP_ALIGN64;
#define NR_MONITOR_TX	0x100	/* monitor the tx rings that nr_mode and nr_ringid select */
#define NR_MONITOR_RX	0x200	/* monitor the rx rings */
#define NR_ZCOPY_MON	0x400	/* monitor without copies, by lending buffers */
#define NR_EXCLUSIVE	0x800	/* no other file may bind these rings, nor has any */
#define NR_RX_RINGS_ONLY 0x2000
#define NR_TX_RINGS_ONLY 0x4000
#define NR_ACCEPT_VNET_HDR 0x8000 /* the program handles virtio-net headers in front of packets */
#define NR_DO_RX_POLL	0x10000	/* poll() syncs rx rings even if POLLIN was not asked for */
#define NR_NO_TX_POLL	0x20000	/* poll() syncs tx rings only if POLLOUT was asked for */
#define NR_STACK	0x40000	/* the stack port of the interface in nr_name, as "stack:" before the name says it */
};

/* nmreq_register.nr_mode, and nmreq.nr_flags & NR_REG_MASK: which rings of the port to bind */
enum {
	NR_REG_DEFAULT	= 0,	/* legacy: as the high bits of nr_ringid say; not for NIOCCTRL */
	NR_REG_ALL_NIC	= 1,	/* all of the NIC's */
	NR_REG_SW	= 2,	/* all of the host stack's */
	NR_REG_NIC_SW	= 3,	/* both */
	NR_REG_ONE_NIC	= 4,	/* pair nr_ringid of the NIC */
	NR_REG_PIPE_MASTER = 5,	/* master end of pipe nr_ringid; a name "port{id" says the same */
	NR_REG_PIPE_SLAVE = 6,	/* slave end; "port}id" */
	NR_REG_NULL	= 7,	/* rings of a port of its own that no packet passes */
	NR_REG_ONE_SW	= 8	/* pair nr_ringid of the host stack */
};

/**
 * struct nmreq_port_info_get - NETMAP_REQ_PORT_INFO_GET: what a port has, without binding it
 *
 * Fields as in struct nmreq_register. What is wanted counts for a port that nobody has bound, and may change until
 * somebody does. An empty name asks for the region nr_mem_id alone. Errors: ENXIO no such port, EINVAL no such region.
 */
struct nmreq_port_info_get {
	uint64_t nr_memsize _NETMAP_ALIGN64;
	uint32_t nr_tx_slots;
	uint32_t nr_rx_slots;
	uint16_t nr_tx_rings;
	uint16_t nr_rx_rings;
	uint16_t nr_host_tx_rings;
	uint16_t nr_host_rx_rings;
	uint16_t nr_mem_id;
	uint16_t pad[3];
};

#define NM_BDG_NAME "vale"	/* what the names of switches begin with */

/* NETMAP_REQ_VALE_ATTACH: as NETMAP_REQ_REGISTER, of the interface in "valeX:ifname"; port_index (out) in the switch */
struct nmreq_vale_attach {
	struct nmreq_register reg;
	uint32_t port_index;
	uint32_t pad1;
};

/* NETMAP_REQ_VALE_DETACH: port_index (out) that the port had */
struct nmreq_vale_detach {
	uint32_t port_index;
	uint32_t pad1;
};

/*
 * NETMAP_REQ_VALE_LIST: with a name in nr_name, its indices (out); with an empty name, indices to start from (in) and
 * those of the first port found (out), its name in nr_name; ENOENT after the last
 */
struct nmreq_vale_list {
	uint16_t nr_bridge_idx;
	uint16_t pad1;
	uint32_t nr_port_idx;
};

/* NETMAP_REQ_PORT_HDR_SET, _GET: nr_hdr_len is the virtio-net header's length in bytes: 0, 10 or 12 */
struct nmreq_port_hdr {
	uint32_t nr_hdr_len;
	uint32_t pad1;
};

/* NETMAP_REQ_VALE_NEWIF: fields as in struct nmreq_register, 0 for the default */
struct nmreq_vale_newif {
	uint32_t nr_tx_slots;
	uint32_t nr_rx_slots;
	uint16_t nr_tx_rings;
	uint16_t nr_rx_rings;
	uint16_t nr_mem_id;
	uint16_t pad1;
};

/* NETMAP_REQ_VALE_POLLING_ENABLE, _DISABLE */
struct nmreq_vale_polling {
	uint32_t nr_mode;
#define NETMAP_POLLING_MODE_SINGLE_CPU	1	/* one CPU polls all rings */
#define NETMAP_POLLING_MODE_MULTI_CPU	2	/* one CPU per ring, from nr_first_cpu_id */
	uint32_t nr_first_cpu_id;
	uint32_t nr_num_polling_cpus;
	uint32_t pad1;
};

/*
 * NETMAP_REQ_POOLS_INFO_GET: the three pools of the port's region, or of the region nr_mem_id (in/out) if that is not 0 and
 * the port not bound. Offsets from the region's start and object sizes in bytes. All other fields are out. Also part of
 * nmreq_opt_extmem.
 */
struct nmreq_pools_info {
	uint64_t nr_memsize _NETMAP_ALIGN64;
	uint16_t nr_mem_id;
	uint16_t pad1[3];
	uint64_t nr_if_pool_offset _NETMAP_ALIGN64;
	uint32_t nr_if_pool_objtotal;
	uint32_t nr_if_pool_objsize;
	uint64_t nr_ring_pool_offset _NETMAP_ALIGN64;
	uint32_t nr_ring_pool_objtotal;
	uint32_t nr_ring_pool_objsize;
	uint64_t nr_buf_pool_offset _NETMAP_ALIGN64;
	uint32_t nr_buf_pool_objtotal;
	uint32_t nr_buf_pool_objsize;
};

/* NETMAP_REQ_SYNC_KLOOP_START: sleep_us is the pause in microseconds when there is nothing to do, without eventfds */
struct nmreq_sync_kloop_start {
	uint32_t sleep_us;
	uint32_t pad1;
};

/* One ring's entry in the array at nmreq_opt_csb.csb_atok: written by the program, read by the kernel. */
struct nm_csb_atok {
	uint32_t head;			/* as in struct netmap_ring */
	uint32_t cur;
	uint32_t appl_need_kick;	/* not 0: the program wants to be notified */
	uint32_t sync_flags;		/* of the sync the program asks for */
	uint32_t pad[12];
};

/* One ring's entry in the array at nmreq_opt_csb.csb_ktoa: written by the kernel, read by the program. */
struct nm_csb_ktoa {
	uint32_t hwcur;			/* first slot the kernel has not yet taken */
	uint32_t hwtail;		/* as tail in struct netmap_ring */
	uint32_t kern_need_kick;	/* not 0: the kernel wants to be notified */
	uint32_t pad[13];
};

#ifndef __KERNEL__
/* nm_stst_barrier() - what was stored before is visible before what is stored after */
static inline void nm_stst_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/* nm_ldld_barrier() - what is loaded after is no older than what was loaded before */
static inline void nm_ldld_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/*
 * nm_sync_kloop_appl_write() - publish head and cur to the kernel loop, after the slots
 *
 * The kernel loads head, then cur. With cur stored first it can see a head older than cur, which is legal, but never
 * a head beyond cur.
 */
static inline void nm_sync_kloop_appl_write(struct nm_csb_atok *atok, uint32_t cur, uint32_t head)
{
	nm_stst_barrier();
	atok->cur = cur;
	nm_stst_barrier();
	atok->head = head;
}

/*
 * nm_sync_kloop_appl_read() - what the kernel loop has published; the slots may be read after
 *
 * The kernel stores hwcur, then hwtail; hwtail is loaded first so that it is never newer than hwcur.
 */
static inline void nm_sync_kloop_appl_read(struct nm_csb_ktoa *ktoa, uint32_t *hwtail, uint32_t *hwcur)
{
	*hwtail = ktoa->hwtail;
	nm_ldld_barrier();
	*hwcur = ktoa->hwcur;
	nm_ldld_barrier();
}
#endif /* !__KERNEL__ */

/*
 * NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS: a pair of eventfds per ring, in the order of the CSB arrays. ioeventfd: the
 * program kicks the kernel; negative for any ring: the kernel sleeps and polls instead. irqfd: the kernel kicks the
 * program; negative: never for this ring.
 */
struct nmreq_opt_sync_kloop_eventfds {
	struct nmreq_option nro_opt;
	struct {
		int32_t ioeventfd;
		int32_t irqfd;
	} eventfds[];
};

/* NETMAP_REQ_OPT_SYNC_KLOOP_MODE: sync tx or rx rings in the context of who writes to ioeventfd */
struct nmreq_opt_sync_kloop_mode {
	struct nmreq_option nro_opt;
#define NM_OPT_SYNC_KLOOP_DIRECT_TX (1 << 0)
#define NM_OPT_SYNC_KLOOP_DIRECT_RX (1 << 1)
	uint32_t mode _NETMAP_ALIGN64;
};

/* NETMAP_REQ_OPT_EXTMEM: nro_info.nr_memsize bytes of page-aligned memory at nro_usrptr, with pools as nro_info says */
struct nmreq_opt_extmem {
	struct nmreq_option nro_opt;
	uint64_t nro_usrptr _NETMAP_ALIGN64;
	struct nmreq_pools_info nro_info;
};

/* NETMAP_REQ_OPT_CSB: addresses of two arrays with an entry per bound ring, tx before rx; each aligned to its size */
struct nmreq_opt_csb {
	struct nmreq_option nro_opt;
	uint64_t csb_atok _NETMAP_ALIGN64;
	uint64_t csb_ktoa _NETMAP_ALIGN64;
};

/**
 * struct nmreq_opt_offsets - NETMAP_REQ_OPT_OFFSETS: packets start at an offset in their buffers
 * @nro_opt:	head
 * @nro_max_offset: (in/out) largest offset in use, bytes; larger ones are cut. Out: what is in force, at least that.
 * @nro_initial_offset: (in) offset to put into all slots at first
 * @nro_offset_bits: (in/out) low bits of a slot's ptr that hold the offset, 0 for all. Out: what is in force.
 * @nro_tx_align: (in) required alignment of packets in tx buffers, bytes
 * @nro_min_gap: 0
 */
struct nmreq_opt_offsets {
	struct nmreq_option nro_opt;
	uint64_t nro_max_offset _NETMAP_ALIGN64;
	uint64_t nro_initial_offset _NETMAP_ALIGN64;
	uint32_t nro_offset_bits;
	uint32_t nro_tx_align;
	uint64_t nro_min_gap _NETMAP_ALIGN64;
};

#endif /* _NET_NETMAP_H_ */
