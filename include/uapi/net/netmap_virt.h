/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registers of two devices that hypervisors offer to their guests, by which a guest uses the host's netmap ports:
 * "ptnetmap-memdev" has a memory region of the host as its BAR, "ptnet" is a network interface over such a region.
 *
 * The module of this project neither offers nor drives them; the numbers are here for programs that do, and for those that
 * include this file with the others.
 */
#ifndef NETMAP_VIRT_H
#define NETMAP_VIRT_H

/* PCI identifiers and BARs of both */
#define PTNETMAP_MEMDEV_NAME	"ptnetmap-memdev"
#define PTNETMAP_PCI_VENDOR_ID	0x1b36
#define PTNETMAP_PCI_DEVICE_ID	0x000c	/* ptnetmap-memdev */
#define PTNETMAP_PCI_NETIF_ID	0x000d	/* ptnet */
#define PTNETMAP_IO_PCI_BAR	0	/* registers, 32 bits each */
#define PTNETMAP_MEM_PCI_BAR	1	/* the region */
#define PTNETMAP_MSIX_PCI_BAR	2

/* Registers of ptnetmap-memdev: size and identifier of the region, then offset, number and size of the objects of its pools */
#define PTNET_MDEV_IO_MEMSIZE_LO	0
#define PTNET_MDEV_IO_MEMSIZE_HI	4
#define PTNET_MDEV_IO_MEMID		8
#define PTNET_MDEV_IO_IF_POOL_OFS	64
#define PTNET_MDEV_IO_IF_POOL_OBJNUM	68
#define PTNET_MDEV_IO_IF_POOL_OBJSZ	72
#define PTNET_MDEV_IO_RING_POOL_OFS	76
#define PTNET_MDEV_IO_RING_POOL_OBJNUM	80
#define PTNET_MDEV_IO_RING_POOL_OBJSZ	84
#define PTNET_MDEV_IO_BUF_POOL_OFS	88
#define PTNET_MDEV_IO_BUF_POOL_OBJNUM	92
#define PTNET_MDEV_IO_BUF_POOL_OBJSZ	96
#define PTNET_MDEV_IO_END		100

/* Registers of ptnet */
#define PTNET_IO_PTFEAT		0	/* PTNETMAP_F_* */
#define PTNET_IO_PTCTL		4	/* PTNETMAP_PTCTL_* */
#define PTNET_IO_MAC_LO		8
#define PTNET_IO_MAC_HI		12
#define PTNET_IO_CSBBAH		16	/* no longer in use, and the next */
#define PTNET_IO_CSBBAL		20
#define PTNET_IO_NIFP_OFS	24	/* of the netmap_if in the region */
#define PTNET_IO_NUM_TX_RINGS	28
#define PTNET_IO_NUM_RX_RINGS	32
#define PTNET_IO_NUM_TX_SLOTS	36
#define PTNET_IO_NUM_RX_SLOTS	40
#define PTNET_IO_VNET_HDR_LEN	44
#define PTNET_IO_HOSTMEMID	48
#define PTNET_IO_CSB_GH_BAH	52	/* blocks that the guest writes and the host reads, high and low half */
#define PTNET_IO_CSB_GH_BAL	56
#define PTNET_IO_CSB_HG_BAH	60	/* and the other way */
#define PTNET_IO_CSB_HG_BAL	64
#define PTNET_IO_END		68
#define PTNET_IO_KICK_BASE	128	/* a doorbell for each ring */
#define PTNET_IO_MASK		0xff

#define PTNETMAP_F_VNET_HDR	1	/* a virtio-net header before each packet */

#define PTNETMAP_PTCTL_CREATE	1	/* begin the host's sync loop */
#define PTNETMAP_PTCTL_DELETE	2	/* end it */

#endif /* NETMAP_VIRT_H */
