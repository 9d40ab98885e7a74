// SPDX-License-Identifier: GPL-2.0
/* Shims for static inlines and macros of the kernel that Rust cannot call; those of packets are in skb.c. */

#include <linux/dma-direct.h>
#include <linux/ethtool.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/ratelimit.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <net/netdev_lock.h>
#include <net/net_namespace.h>
#include <net/netdev_rx_queue.h>
#include <net/xdp_sock_drv.h>

#include "helpers.h"

void netmap_dev_hold(struct net_device *dev)
{
	dev_hold(dev);
}

void netmap_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

struct net_device *netmap_dev_get(const char *name)
{
	return dev_get_by_name(current->nsproxy->net_ns, name);
}

u64 netmap_net_cookie(void)
{
	return current->nsproxy->net_ns->net_cookie;
}

bool netmap_dev_running(struct net_device *dev)
{
	return netif_running(dev);
}

struct page *netmap_pages_alloc(unsigned int order)
{
	gfp_t gfp = __GFP_ZERO | __GFP_NOWARN;

	gfp |= order ? GFP_KERNEL_ACCOUNT | __GFP_COMP | __GFP_NORETRY : (__force gfp_t)netmap_gfp;
	return alloc_pages(gfp, order);
}

void netmap_pages_free(struct page *page)
{
	put_page(page);
}

void *netmap_page_address(struct page *page)
{
	return page_address(page);
}

struct page *netmap_virt_to_page(void *address)
{
	return virt_to_page(address);
}

void *netmap_vmap(struct page **pages, unsigned int count)
{
	return vmap(pages, count, VM_MAP, PAGE_KERNEL);
}

void netmap_vunmap(void *address)
{
	vunmap(address);
}

void netmap_device_hold(struct device *dev)
{
	get_device(dev);
}

void netmap_device_put(struct device *dev)
{
	put_device(dev);
}

/*
 * Under CONFIG_DMA_API_DEBUG every buffer is synchronised, and looked up by a search through the 8 KiB pieces of its
 * mapping: which therefore have to be few.
 */
size_t netmap_dma_largest(struct device *dev)
{
	size_t largest = dma_max_mapping_size(dev);

	return IS_ENABLED(CONFIG_DMA_API_DEBUG) ? min_t(size_t, largest, SZ_8K) : largest;
}

bool netmap_dma_need_sync(struct device *dev)
{
	return dma_dev_need_sync(dev);
}

/*
 * The processor's caches are synchronised by buffer, where that is needed at all, not by cluster. The program is told if
 * there are too few bounce buffers; the log is not.
 */
int netmap_dma_map(struct device *dev, struct page *page, unsigned int order, u64 *address)
{
	dma_addr_t dma = dma_map_page_attrs(dev, page, 0, PAGE_SIZE << order, DMA_BIDIRECTIONAL,
					    DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN);

	if (dma_mapping_error(dev, dma))
		return -ENOMEM;
	*address = dma;
	return 0;
}

void netmap_dma_unmap(struct device *dev, u64 address, size_t size)
{
	dma_unmap_page_attrs(dev, address, size, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
}

void netmap_dma_sync_for_device(struct device *dev, u64 address, size_t size)
{
	dma_sync_single_for_device(dev, address, size, DMA_BIDIRECTIONAL);
}

void netmap_dma_sync_for_cpu(struct device *dev, u64 address, size_t size)
{
	dma_sync_single_for_cpu(dev, address, size, DMA_BIDIRECTIONAL);
}

bool netmap_carrier(struct net_device *dev)
{
	return netif_carrier_ok(dev);
}

/* Registered, and its hardware there. */
bool netmap_is_present(struct net_device *dev)
{
	return dev->reg_state == NETREG_REGISTERED && netif_device_present(dev);
}

/* For good, not to another namespace. */
bool netmap_is_leaving(const struct net_device *dev)
{
	return dev->reg_state != NETREG_REGISTERED;
}

u64 netmap_features(struct net_device *dev)
{
	return dev->features;
}

u16 netmap_tx_queues(struct net_device *dev)
{
	return READ_ONCE(dev->real_num_tx_queues);
}

void netmap_addr_lock(struct net_device *dev)
{
	netif_addr_lock_bh(dev);
}

void netmap_addr_unlock(struct net_device *dev)
{
	netif_addr_unlock_bh(dev);
}

struct netdev_queue *netmap_tx_lock(struct net_device *dev, unsigned int queue)
{
	struct netdev_queue *txq;

	if (queue >= dev->num_tx_queues)
		return NULL;
	txq = netdev_get_tx_queue(dev, queue);
	__netif_tx_lock_bh(txq);
	return txq;
}

void netmap_tx_unlock(struct netdev_queue *queue)
{
	if (queue)
		__netif_tx_unlock_bh(queue);
}

struct net_device *netmap_notifier_dev(void *info)
{
	return netdev_notifier_info_to_dev(info);
}

/* Says why to the user: through the request's own channel if it has one, else in the log. */
void netmap_refuse(struct net_device *dev, struct netlink_ext_ack *extack, const char *reason)
{
	if (extack)
		NL_SET_ERR_MSG_FMT(extack, "%s", reason);
	else if (net_ratelimit())
		netdev_info(dev, "%s\n", reason);
}

struct netlink_ext_ack *netmap_bpf_extack(struct netdev_bpf *request)
{
	return request->command == XDP_SETUP_PROG ? request->extack : NULL;
}

void netmap_pin_module(void)
{
	__module_get(THIS_MODULE);
}

/*
 * Words that programs may write at the same time. Rust's atomics take a reference, and none leads into shared memory.
 */
bool netmap_replace32(u32 *at, u32 from, u32 to)
{
	return cmpxchg(at, from, to) == from;
}

bool netmap_replace64(u64 *at, u64 from, u64 to)
{
	return cmpxchg64(at, from, to) == from;
}

bool netmap_message_allowed(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}

bool netmap_refusal_allowed(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}

/* More than the default: a program binds each ring of a NIC by a file of its own. */
bool netmap_bind_message_allowed(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL, 50);

	return __ratelimit(&state);
}

bool netmap_killed(void)
{
	return fatal_signal_pending(current);
}

/* Lets others run, if they are to; false if the caller is being killed. */
bool netmap_cond_resched(void)
{
	cond_resched_tasks_rcu_qs();
	return !fatal_signal_pending(current);
}

u32 netmap_checksum(const void *bytes, u32 len)
{
	return (__force u32)csum_partial(bytes, len, 0);
}

/* Of the calling program; a thread of the kernel's has none, and the memory that it happens to have is not to be read. */
bool netmap_copy_present(void *to, u64 from, u32 len)
{
	return current->mm && !copy_from_user_nofault(to, u64_to_user_ptr(from), len);
}

bool netmap_fault_in(u64 address, u32 len)
{
	return current->mm && !fault_in_readable(u64_to_user_ptr(address), len);
}

void netmap_get_page(struct page *page)
{
	get_page(page);
}

void netmap_work_init(struct work_struct *work, work_func_t run)
{
	INIT_WORK(work, run);
}

void netmap_work_ask(struct work_struct *work)
{
	queue_work(system_dfl_wq, work);
}

void netmap_work_cancel(struct work_struct *work)
{
	cancel_work_sync(work);
}

/* Hardware queues. */

struct pci_dev *netmap_pci_dev(struct net_device *dev)
{
	struct device *parent = dev->dev.parent;

	return parent && dev_is_pci(parent) ? to_pci_dev(parent) : NULL;
}

/* The driver's module is not one of the kernel's own source tree. A driver that is no module is. */
bool netmap_is_foreign(struct pci_dev *pdev)
{
	struct device_driver *driver = pdev->dev.driver;

	return driver && driver->owner && test_bit(TAINT_OOT_MODULE, &driver->owner->taints);
}

/* Says nothing of a card: a real one that is passed through to a guest cannot be told from an emulated one. */
bool netmap_in_guest(void)
{
	return boot_cpu_has(X86_FEATURE_HYPERVISOR);
}

phys_addr_t netmap_bar_start(struct pci_dev *pdev)
{
	return pci_resource_flags(pdev, 0) & IORESOURCE_MEM ? pci_resource_start(pdev, 0) : 0;
}

size_t netmap_bar_len(struct pci_dev *pdev)
{
	return pci_resource_len(pdev, 0);
}

int netmap_num_vf(struct pci_dev *pdev)
{
	return pci_num_vf(pdev);
}

bool netmap_xdp_attached(struct net_device *dev)
{
	return dev_xdp_prog_count(dev);
}

bool netmap_xsk_bound(struct net_device *dev, u16 queue)
{
	return xsk_get_pool_from_qid(dev, queue);
}

/* The core calls the driver under a lock of the device's own, and not always under the RTNL mutex. */
bool netmap_has_own_lock(struct net_device *dev)
{
	return netdev_need_ops_lock(dev);
}

int netmap_traffic_classes(struct net_device *dev)
{
	return netdev_get_num_tc(dev);
}

u16 netmap_rx_queues(struct net_device *dev)
{
	return dev->real_num_rx_queues;
}

/*
 * How many queues of each direction the driver is set up for, which is what it will use once it is up; 0 if it does not say.
 * What the core has for a device that is down is what the driver used when it was last up.
 */
u16 netmap_channels(struct net_device *dev)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (!dev->ethtool_ops->get_channels)
		return 0;
	dev->ethtool_ops->get_channels(dev, &channels);
	return min_t(u32, channels.combined_count, U16_MAX);
}

int netmap_ring_sizes(struct net_device *dev, u32 *tx, u32 *rx)
{
	struct ethtool_ringparam sizes = { .cmd = ETHTOOL_GRINGPARAM };
	struct kernel_ethtool_ringparam more = {};

	if (!dev->ethtool_ops->get_ringparam)
		return -EOPNOTSUPP;
	dev->ethtool_ops->get_ringparam(dev, &sizes, &more, NULL);
	*tx = sizes.tx_pending;
	*rx = sizes.rx_pending;
	return 0;
}

/* In Mbit/s; 0 if it is not known. */
u32 netmap_link_speed(struct net_device *dev)
{
	struct ethtool_link_ksettings settings;

	if (__ethtool_get_link_ksettings(dev, &settings) || settings.base.speed == (u32)SPEED_UNKNOWN)
		return 0;
	return settings.base.speed;
}

bool netmap_tx_completed(struct net_device *dev, u16 queue)
{
	struct dql *dql = &netdev_get_tx_queue(dev, queue)->dql;

	return READ_ONCE(dql->num_queued) == READ_ONCE(dql->num_completed);
}

void netmap_napi_schedule(struct napi_struct *napi)
{
	local_bh_disable();
	napi_schedule(napi);
	local_bh_enable();
}

/* The instance that serves a queue; NULL if the driver has not told the core. */
struct napi_struct *netmap_queue_napi(struct net_device *dev, bool tx, u16 queue)
{
	if (tx)
		return queue < dev->num_tx_queues ? READ_ONCE(netdev_get_tx_queue(dev, queue)->napi) : NULL;
	return queue < dev->num_rx_queues ? READ_ONCE(__netif_get_rx_queue(dev, queue)->napi) : NULL;
}

/* The device accesses no memory any more, whatever its queues were given, until its driver turns bus mastering on again. */
void netmap_stop_dma(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
}

/*
 * The PCI device of a network device, if it has one and is not being unregistered. Until netmap_power_put() its structure
 * stays, and no suspend of it begins. With the RTNL mutex held.
 */
struct pci_dev *netmap_power_hold(struct net_device *dev)
{
	struct pci_dev *pdev = dev->reg_state == NETREG_REGISTERED ? netmap_pci_dev(dev) : NULL;

	if (pdev) {
		pci_dev_get(pdev);
		pm_runtime_get_noresume(&pdev->dev);
	}
	return pdev;
}

/*
 * Waits for a suspend that is under way. That of igb takes the RTNL mutex, so the caller must not hold it. Does not wake the
 * device: for that igb wants the mutex held.
 */
void netmap_power_settle(struct pci_dev *pdev)
{
	pm_runtime_barrier(&pdev->dev);
}

/* Until netmap_power_put() the device is awake and its structure stays. */
int netmap_power_get(struct pci_dev *pdev)
{
	int error = pm_runtime_resume_and_get(&pdev->dev);

	if (!error)
		pci_dev_get(pdev);
	return error;
}

void netmap_power_put(struct pci_dev *pdev)
{
	pm_runtime_put(&pdev->dev);
	pci_dev_put(pdev);
}

void *netmap_dma_alloc(struct device *dev, size_t size, u64 *address)
{
	dma_addr_t dma;
	void *memory = dma_alloc_coherent(dev, size, &dma, (__force gfp_t)netmap_gfp);

	*address = dma;
	return memory;
}

void netmap_dma_free(struct device *dev, size_t size, void *memory, u64 address)
{
	dma_free_coherent(dev, size, memory, address);
}

void *netmap_dma_to_virt(struct device *dev, u64 address)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	phys_addr_t phys = domain ? iommu_iova_to_phys(domain, address) : dma_to_phys(dev, address);

	return phys && pfn_valid(PHYS_PFN(phys)) ? phys_to_virt(phys) : NULL;
}

void netmap_dev_close(struct net_device *dev)
{
	dev_close(dev);
}

/* The number of entries; 0 if the user has set none, or if there is no room for them. */
u32 netmap_rss_read(struct net_device *dev, const struct ethtool_ops *ops, u32 *table, u32 room)
{
	struct ethtool_rxfh_param rxfh = { .indir = table };

	if (!netif_is_rxfh_configured(dev) || !ops->get_rxfh_indir_size || !ops->get_rxfh || !ops->set_rxfh)
		return 0;
	rxfh.indir_size = ops->get_rxfh_indir_size(dev);
	if (rxfh.indir_size > room || ops->get_rxfh(dev, &rxfh))
		return 0;
	return rxfh.indir_size;
}

int netmap_rss_write(struct net_device *dev, const struct ethtool_ops *ops, u32 *table, u32 size)
{
	struct ethtool_rxfh_param rxfh = {
		.hfunc = ETH_RSS_HASH_NO_CHANGE,
		.input_xfrm = RXH_XFRM_NO_CHANGE,
		.indir_size = size,
		.indir = table,
	};

	return ops->set_rxfh(dev, &rxfh, NULL);
}

unsigned long netmap_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void netmap_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}
