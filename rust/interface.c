// SPDX-License-Identifier: GPL-2.0
/* Network devices of the module's own: persistent ports of VALE switches. Their wire leads to port/vale/interface.rs. */

#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <net/addrconf.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "helpers.h"

struct netmap_interface {
	/* In interface.rs, there as long as the device is. */
	const void *owner;
};

static netdev_tx_t interface_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct netmap_interface *interface = netdev_priv(dev);

	unsigned int packets = skb_is_gso(skb) ? skb_shinfo(skb)->gso_segs : 1;
	unsigned int bytes = skb->len;

	if (netmap_interface_sent(interface->owner, skb))
		dev_sw_netstats_tx_add(dev, packets, bytes);
	return NETDEV_TX_OK;
}

/* With the RTNL mutex held, when the device is unregistered. */
static void interface_uninit(struct net_device *dev)
{
	struct netmap_interface *interface = netdev_priv(dev);

	netmap_interface_gone(interface->owner);
}

/* When nobody has a reference to the device any more. Of all locks that of the network namespaces alone may be held. */
static void interface_free(struct net_device *dev)
{
	struct netmap_interface *interface = netdev_priv(dev);

	netmap_interface_free(interface->owner);
}

static const struct net_device_ops interface_ops = {
	.ndo_uninit = interface_uninit,
	.ndo_start_xmit = interface_xmit,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
};

static const struct ethtool_ops interface_ethtool_ops = {
	.get_link = ethtool_op_get_link,
	.get_ts_info = ethtool_op_get_ts_info,
};

/* Those of a network namespace go with it, and all with the module. None is made by RTM_NEWLINK. */
static struct rtnl_link_ops interface_link_ops = {
	.kind = "netmap",
	.dellink = unregister_netdevice_queue,
};

static void interface_setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &interface_ops;
	dev->ethtool_ops = &interface_ethtool_ops;
	dev->needs_free_netdev = true;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU;
	dev->lltx = true;
	/* The region of its rings is known in its own namespace alone. */
	dev->netns_immutable = true;
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE | IFF_NO_QUEUE;
	/* What is sent is cut, and its checksum put in, before it is in a ring. */
	dev->hw_features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HIGHDMA | NETIF_F_HW_CSUM | NETIF_F_ALL_TSO;
	dev->features = dev->hw_features;
	eth_hw_addr_random(dev);
}

/*
 * A device of which most users are programs, who see what is on the switch: the host does not send solicitations and reports by it
 * before it has got an address there from somebody. With the RTNL mutex held.
 */
static void interface_no_address(struct net_device *dev)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct inet6_dev *idev = __in6_dev_get(dev);

	if (idev)
		WRITE_ONCE(idev->cnf.addr_gen_mode, IN6_ADDR_GEN_MODE_NONE);
#endif
}

/*
 * A device of this name in the namespace of the caller, which is up unless somebody's notifier forbids that. What it sends at once is
 * cut into so many packets at most. The owner is given back by netmap_interface_free(), if this does not fail; a device that fails
 * tells it of its end, too.
 */
int netmap_interface_make(const char *name, u16 tx_queues, u16 rx_queues, u16 most_segments, const void *owner)
{
	struct netmap_interface *interface;
	struct net_device *dev;
	int error;

	dev = alloc_netdev_mqs(sizeof(*interface), name, NET_NAME_USER, interface_setup, tx_queues, rx_queues);
	if (!dev)
		return -ENOMEM;
	dev_net_set(dev, current->nsproxy->net_ns);
	dev->rtnl_link_ops = &interface_link_ops;
	netif_set_tso_max_segs(dev, most_segments);
	interface = netdev_priv(dev);
	interface->owner = owner;
	rtnl_lock();
	error = register_netdevice(dev);
	if (!error) {
		dev->priv_destructor = interface_free;
		interface_no_address(dev);
		/* Programs that bind it do not expect that they have to do it, as nothing else has an effect on its rings. */
		dev_open(dev, NULL);
	}
	rtnl_unlock();
	if (error)
		free_netdev(dev);
	return error;
}

/* With the RTNL mutex held. */
void netmap_interface_remove(struct net_device *dev)
{
	unregister_netdevice(dev);
}

/* The owner of a device; NULL if it is none of the module's. */
const void *netmap_interface_owner(struct net_device *dev)
{
	struct netmap_interface *interface = netdev_priv(dev);

	return dev->netdev_ops == &interface_ops ? interface->owner : NULL;
}

/* A device has received a packet, to which eth_type_trans() has been. With softirqs off. */
void netmap_interface_received(struct net_device *dev, const struct sk_buff *skb)
{
	if (dev->netdev_ops == &interface_ops)
		dev_sw_netstats_rx_add(dev, skb->len + ETH_HLEN);
}

int netmap_interfaces_init(void)
{
	return rtnl_link_register(&interface_link_ops);
}

/* Takes all away. */
void netmap_interfaces_exit(void)
{
	rtnl_link_unregister(&interface_link_ops);
}
