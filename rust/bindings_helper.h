/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel headers that bindgen reads for what the kernel crate's bindings lack. */

#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/if_vlan.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/nsproxy.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/poll.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/suspend.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>
#include <net/xdp_sock_drv.h>

#include "helpers.h"
#include "trace.h"
