/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of netmap before NIOCCTRL: one structure for everything. Part of netmap.h, which it brings along where it is
 * included alone. New programs use NIOCCTRL; these stay for those that exist.
 */
#ifndef _NET_NETMAP_H_
#include <net/netmap.h>
#endif
#ifndef _NET_NETMAP_LEGACY_H_
#define _NET_NETMAP_LEGACY_H_

/**
 * struct nmreq - the argument of NIOCGINFO and NIOCREGIF
 * @nr_name:	(in) the port, NUL-terminated
 * @nr_version:	(in/out) NETMAP_API of the program, 11 or more; what is beyond the kernel's is served as that. A smaller one
 *		fails with EINVAL; out: the kernel's.
 * @nr_offset:	(out) of the file's netmap_if in the region, bytes
 * @nr_memsize:	(out) bytes to map
 * @nr_tx_slots: (in/out) slots per tx ring. In: wanted, 0 for no wish; a port may have its own mind. Out: actual.
 * @nr_rx_slots: (in/out) the same for rx
 * @nr_tx_rings: (in/out) tx rings of the NIC, in the same sense
 * @nr_rx_rings: (in/out) rx rings of the NIC
 * @nr_ringid:	(in) ring number in NETMAP_RING_MASK, and the NETMAP_* bits below
 * @nr_cmd:	(in) 0 to bind, else one of the commands below
 * @nr_arg1:	(in/out) of the command
 * @nr_arg2:	(in/out) the region: 0 for the port's usual one; 1 is the global region. NIOCGINFO of a port only tells it.
 * @nr_arg3:	(in/out) extra buffers: wanted, granted
 * @nr_flags:	(in) an NR_REG_* mode in NR_REG_MASK, and the NR_* flags of struct nmreq_register
 * @spare2:	0
 *
 * Errors as for NETMAP_REQ_REGISTER and NETMAP_REQ_PORT_INFO_GET.
 */
struct nmreq {
	char	 nr_name[_NETMAP_IFNAMSIZ];
	uint32_t nr_version;
	uint32_t nr_offset;
	uint32_t nr_memsize;
	uint32_t nr_tx_slots;
	uint32_t nr_rx_slots;
	uint16_t nr_tx_rings;
	uint16_t nr_rx_rings;
	uint16_t nr_ringid;
#define NETMAP_HW_RING		0x4000	/* NR_REG_DEFAULT: one ring pair of the NIC. Neither bit: all of the NIC's. */
#define NETMAP_SW_RING		0x2000	/* NR_REG_DEFAULT: the rings of the host stack */
#define NETMAP_RING_MASK	0x0fff	/* ring number */
#define NETMAP_NO_TX_POLL	0x1000	/* poll() syncs tx rings only if POLLOUT was asked for */
#define NETMAP_DO_RX_POLL	0x8000	/* poll() syncs rx rings even if POLLIN was not asked for */
	uint16_t nr_cmd;
#define NETMAP_BDG_ATTACH	1	/* plug an interface into a VALE switch, "vale0:eth0" */
#define NETMAP_BDG_DETACH	2	/* unplug it */
#define NETMAP_BDG_REGOPS	3	/* in the kernel only */
#define NETMAP_BDG_LIST		4	/* walk the ports of the switches */
#define NETMAP_BDG_VNET_HDR	5	/* nr_arg1: length of the virtio-net header of a port */
#define NETMAP_BDG_NEWIF	6	/* make a persistent VALE port */
#define NETMAP_BDG_DELIF	7	/* remove it */
#define NETMAP_PT_HOST_CREATE	8	/* of the old pass-through, no longer in use */
#define NETMAP_PT_HOST_DELETE	9
#define NETMAP_BDG_POLLING_ON	10	/* kernel threads that poll an attached interface */
#define NETMAP_BDG_POLLING_OFF	11
#define NETMAP_VNET_HDR_GET	12	/* nr_arg1 (out): length of the virtio-net header of a port */
	uint16_t nr_arg1;
#define NETMAP_BDG_HOST		1	/* of NETMAP_BDG_ATTACH: also the host stack's rings */
	uint16_t nr_arg2;
	uint32_t nr_arg3;
	uint32_t nr_flags;
#define NR_REG_MASK		0xf	/* NR_REG_* mode in nr_flags */
	uint32_t spare2[1];
};

#define NM_IFRDATA_LEN 256

/* The argument of NIOCCONFIG: on a stack port, data begins with the descriptor to register, an int. See netmap_stack.h. */
struct nm_ifreq {
	char nifr_name[_NETMAP_IFNAMSIZ];
	char data[NM_IFRDATA_LEN];
};

#define NIOCGINFO	_IOWR('i', 145, struct nmreq)	/* what a port has, without binding it */
#define NIOCREGIF	_IOWR('i', 146, struct nmreq)	/* bind the file to a port, or run nr_cmd */
#define NIOCCONFIG	_IOWR('i', 150, struct nm_ifreq)

/* NIOCREGIF in the paper of 2012. */
#ifndef NIOCREG
#define NIOCREG		NIOCREGIF
#endif

#endif /* _NET_NETMAP_LEGACY_H_ */
