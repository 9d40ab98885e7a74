// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving before there is an skb: a program that the driver runs as its XDP program and that calls the module.
 *
 * The usual way would be a kfunc and a program that calls it. A loaded program has a reference to the module of each kfunc
 * that it calls, and gives it back some time after its own end, behind a grace period and a work item: after the last close()
 * "rmmod netmap" would fail for a while. It also asks for BTF in netmap.ko, and so for pahole and a vmlinux of the same build
 * when the module is built. So there are two programs:
 *
 * - an official one, which passes all packets, loaded and attached by a link of BPF, by the calls that a program in user space
 *   would use. The core has the driver prepare itself for XDP, "ip link" shows the program by its name, and whoever wants to
 *   attach another one, or to take this one away, gets EBUSY;
 * - the one that the driver is then given in place of the first. It is made here, not verified, and has one call, which the
 *   verifier has no means to allow. The driver takes it as it takes any replacement: without a reset.
 *
 * The driver owns a reference to whichever program it has, and drops it when it is given another one or none. When the link
 * goes (by us, by the core because the device goes, or by an administrator who detaches or updates it) the driver is given
 * what the core wants, and so drops the second program without knowing. That needs no undoing in reverse. Meanwhile packets
 * that do not come this way come by netfilter's hook, which is always there.
 *
 * Detaching a link takes the RTNL mutex, which is held where a port ends: it is left to a work item. From the port's end to that
 * the program passes all packets.
 */

#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/filter.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/rtnetlink.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/netdev_lock.h>
#include <net/xdp.h>

#include "helpers.h"

MODULE_IMPORT_NS("BPF_INTERNAL");

/* Exported, and declared where it is called, as in kernel/bpf/syscall.c. */
int kern_sys_bpf(int cmd, union bpf_attr *attr, unsigned int size);

static LIST_HEAD(leaving);
static DEFINE_SPINLOCK(leaving_lock);

/*
 * Whether packets of a device are to come by XDP. With the RTNL mutex held.
 *
 * A program sees what the driver has got, and XDP does not say whether that is complete: in a virtual machine the sender's
 * checksum may have been left to the receiver. virtio-net has its host complete all packets while a program is attached. What
 * comes out of a real card, or one that pretends to be one, was complete on the wire. veth and tap have packets of a stack,
 * whose checksums are not yet there, and for which they make a buffer and an skb again, at a higher cost than that of the hook.
 *
 * virtio-net's link stays up when a program is attached. igb, i40e, ice and others go down and up.
 */
bool netmap_xdp_wanted(struct net_device *dev)
{
	const struct device *parent = dev->dev.parent;
	unsigned int mode = READ_ONCE(netmap_emulated_xdp);

	if (!mode || !parent || !parent->driver || !dev->netdev_ops->ndo_bpf || !(dev->xdp_features & NETDEV_XDP_ACT_BASIC))
		return false;
	return !strcmp(parent->driver->name, "virtio_net") || (mode == 2 && dev_is_pci(parent));
}

static struct bpf_prog *load_official(int *fd)
{
	static const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_0, XDP_PASS),
		BPF_EXIT_INSN(),
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.expected_attach_type = BPF_XDP,
		.insn_cnt = ARRAY_SIZE(insns),
		.insns = (unsigned long)insns,
		.license = (unsigned long)"GPL",
		.prog_flags = BPF_F_XDP_HAS_FRAGS,
		.prog_name = "netmap",
	};
	struct bpf_prog *prog;

	*fd = kern_sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (*fd < 0)
		return ERR_PTR(*fd);
	prog = bpf_prog_get_type_dev(*fd, BPF_PROG_TYPE_XDP, false);
	if (IS_ERR(prog))
		close_fd(*fd);
	return prog;
}

/*
 * In the caller's namespace, by its index. Another thread of the caller may do as it likes with the descriptors while they are
 * there: what they led to is checked when the program is armed.
 */
static struct bpf_link *attach_official(struct net_device *dev, int prog_fd)
{
	union bpf_attr attr = {
		.link_create = {
			.prog_fd = prog_fd,
			.target_ifindex = dev->ifindex,
			.attach_type = BPF_XDP,
			.flags = XDP_FLAGS_DRV_MODE,
		},
	};
	struct bpf_link *link;
	int fd = kern_sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));

	if (fd < 0)
		return ERR_PTR(fd);
	link = bpf_link_get_from_fd(fd);
	close_fd(fd);
	return link;
}

/* One that returns what the function does, which is called with an xdp_buff and what the program is for. */
static struct bpf_prog *make_calling(struct netmap_xdp *xdp, netmap_xdp_run *run)
{
	const struct bpf_insn insns[] = {
		BPF_LD_IMM64(BPF_REG_2, (unsigned long)xdp),
		BPF_EMIT_CALL(run),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = bpf_prog_alloc(bpf_prog_size(ARRAY_SIZE(insns)), 0);
	int error;

	if (!prog)
		return ERR_PTR(-ENOMEM);
	prog->type = BPF_PROG_TYPE_XDP;
	prog->expected_attach_type = BPF_XDP;
	prog->gpl_compatible = 1;
	prog->aux->xdp_has_frags = true;
	prog->len = ARRAY_SIZE(insns);
	memcpy(prog->insnsi, insns, sizeof(insns));
	strscpy(prog->aux->name, "netmap");
	atomic64_set(&prog->aux->refcnt, 1);
	prog = bpf_prog_select_runtime(prog, &error);
	if (error) {
		bpf_prog_free(prog);
		return ERR_PTR(error);
	}
	return prog;
}

/*
 * Attaches the official program: packets go on as before. Without any lock held, in the context of a task whose namespace the
 * device is in, and that has CAP_BPF and CAP_NET_ADMIN.
 */
struct netmap_xdp *netmap_xdp_attach(struct net_device *dev, netmap_xdp_run *run)
{
	struct netmap_xdp *xdp = kzalloc(sizeof(*xdp), (__force gfp_t)netmap_gfp);
	sigset_t blocked, before;
	int error, fd;

	if (!xdp)
		return ERR_PTR(-ENOMEM);
	/* That of an earlier port of the device may not be gone yet. */
	netmap_xdp_settle();
	xdp->program = make_calling(xdp, run);
	if (IS_ERR(xdp->program)) {
		error = PTR_ERR(xdp->program);
		goto free;
	}
	/* The verifier gives up if a signal is pending; that of a timer is no reason to go without. */
	siginitsetinv(&blocked, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_SETMASK, &blocked, &before);
	xdp->official = load_official(&fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (IS_ERR(xdp->official)) {
		error = PTR_ERR(xdp->official);
		goto free_program;
	}
	xdp->link = attach_official(dev, fd);
	close_fd(fd);
	if (IS_ERR(xdp->link)) {
		error = PTR_ERR(xdp->link);
		goto put_official;
	}
	return xdp;

put_official:
	bpf_prog_put(xdp->official);
free_program:
	bpf_prog_free(xdp->program);
free:
	kfree(xdp);
	return ERR_PTR(error);
}

/*
 * Has the driver call the function from now on, with this receiver. With the RTNL mutex held. -ENODEV if it is another device
 * that the official program was attached to, or if it is there no more.
 */
int netmap_xdp_arm(struct netmap_xdp *xdp, struct net_device *dev, const void *receiver)
{
	struct netdev_bpf request = {
		.command = XDP_SETUP_PROG,
		.flags = XDP_FLAGS_DRV_MODE,
		.prog = xdp->program,
	};
	int error = -ENODEV;

	netdev_lock_ops(dev);
	/* The first member of the core's own structure, which nobody else knows, is the link. */
	if (xdp->link->type == BPF_LINK_TYPE_XDP && xdp->link->prog == xdp->official &&
	    (struct bpf_link *)dev->xdp_state[XDP_MODE_DRV].link == xdp->link) {
		WRITE_ONCE(xdp->receiver, receiver);
		bpf_prog_inc(xdp->program);
		error = dev->netdev_ops->ndo_bpf(dev, &request);
		if (error) {
			bpf_prog_put(xdp->program);
			WRITE_ONCE(xdp->receiver, NULL);
		}
	}
	netdev_unlock_ops(dev);
	return error;
}

/* Whether the driver still has the program, as far as the core knows: an administrator may have detached or updated the link. */
bool netmap_xdp_is_armed(const struct netmap_xdp *xdp, const struct net_device *dev)
{
	return (struct bpf_link *)READ_ONCE(dev->xdp_state[XDP_MODE_DRV].link) == xdp->link &&
	       READ_ONCE(xdp->link->prog) == xdp->official;
}

static void release(struct netmap_xdp *xdp)
{
	/* What the core itself does at the request of user space. Nothing if the device has gone. */
	xdp->link->ops->detach(xdp->link);
	bpf_link_put(xdp->link);
	bpf_prog_put(xdp->official);
	if (xdp->dev) {
		rtnl_lock();
		netmap_set_wanted_features(xdp->dev, 0, xdp->features);
		rtnl_unlock();
		netdev_put(xdp->dev, &xdp->tracker);
	}
	/* Drivers keep their pointer to the program until those that use it are done, or wait for no one. */
	synchronize_net();
	if (atomic64_read(&xdp->program->aux->refcnt) != 1) {
		/* It calls the module: better a little memory that is lost than that. */
		pr_warn("a driver does not give an XDP program back: the module stays\n");
		netmap_pin_module();
		return;
	}
	bpf_prog_free(xdp->program);
	kfree(xdp);
}

static void release_all(struct work_struct *work)
{
	struct netmap_xdp *xdp;

	for (;;) {
		spin_lock(&leaving_lock);
		xdp = list_first_entry_or_null(&leaving, struct netmap_xdp, leaving);
		if (xdp)
			list_del(&xdp->leaving);
		spin_unlock(&leaving_lock);
		if (!xdp)
			return;
		release(xdp);
	}
}

static DECLARE_WORK(release_work, release_all);

/*
 * When it returns, the receiver is not used any more. The program goes soon. In process context, with the RTNL mutex or without.
 *
 * If there is a device, these features of it are wanted again then: drivers refuse to turn some of them on as long as they have a program.
 */
void netmap_xdp_detach(struct netmap_xdp *xdp, struct net_device *dev, u64 features)
{
	WRITE_ONCE(xdp->receiver, NULL);
	xdp->dev = dev;
	xdp->features = features;
	if (dev)
		netdev_hold(dev, &xdp->tracker, (__force gfp_t)netmap_gfp);
	synchronize_net();
	spin_lock(&leaving_lock);
	list_add_tail(&xdp->leaving, &leaving);
	spin_unlock(&leaving_lock);
	schedule_work(&release_work);
}

/* Waits for what netmap_xdp_detach() has left to be done. Without the RTNL mutex. */
void netmap_xdp_settle(void)
{
	flush_work(&release_work);
}

/* Copies from a packet in several parts. */
bool netmap_xdp_copy(const struct xdp_buff *buff, u32 offset, u8 *to, u32 len)
{
	const struct skb_shared_info *info = xdp_get_shared_info_from_buff(buff);
	const u8 *from = buff->data;
	u32 size = buff->data_end - buff->data, part;
	unsigned int next = 0;

	for (;;) {
		if (offset < size) {
			part = min(len, size - offset);
			memcpy(to, from + offset, part);
			to += part;
			len -= part;
			offset = size;
		}
		if (!len)
			return true;
		if (!xdp_buff_has_frags(buff) || next == info->nr_frags)
			return false;
		offset -= size;
		from = skb_frag_address(&info->frags[next]);
		size = skb_frag_size(&info->frags[next]);
		next++;
	}
}

/* The bytes of a packet, in all its parts. */
u32 netmap_xdp_len(const struct xdp_buff *buff)
{
	return xdp_get_buff_len(buff);
}
