// SPDX-License-Identifier: GPL-2.0
/* Redirection of a driver's functions by the function tracer, whose callback and work item are C's: see nic/driver/redirect.rs. */

#include <linux/ftrace.h>
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "helpers.h"

/*
 * Redirects calls of functions, as live patching does: decide() is called at their entry with their first two
 * arguments, and says where the call goes instead, or 0. One set of functions at a time.
 */
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
static unsigned long (*redirect_decide)(unsigned long at, unsigned long first, unsigned long second);

static void notrace redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops, struct ftrace_regs *regs)
{
	unsigned long to = redirect_decide(ip, ftrace_regs_get_argument(regs, 0), ftrace_regs_get_argument(regs, 1));

	if (to)
		ftrace_regs_set_instruction_pointer(regs, to);
}

/* decide() calls none of the functions: nothing recurses. */
static struct ftrace_ops redirect_ops = {
	.func = redirect,
	.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT | FTRACE_OPS_FL_RECURSION,
};

int netmap_redirect(unsigned long *functions, unsigned int count,
		    unsigned long (*decide)(unsigned long at, unsigned long first, unsigned long second))
{
	int error;

	redirect_decide = decide;
	error = ftrace_set_filter_ips(&redirect_ops, functions, count, 0, 1);
	if (error)
		return error == -ENOMEM ? error : -EOPNOTSUPP;
	error = register_ftrace_function(&redirect_ops);
	if (error)
		ftrace_free_filter(&redirect_ops);
	return error;
}

void netmap_redirect_end(void)
{
	unregister_ftrace_function(&redirect_ops);
	ftrace_free_filter(&redirect_ops);
}
#else
int netmap_redirect(unsigned long *functions, unsigned int count,
		    unsigned long (*decide)(unsigned long at, unsigned long first, unsigned long second))
{
	return -EOPNOTSUPP;
}

void netmap_redirect_end(void)
{
}
#endif

static void (*redirect_expire)(void);

static void redirect_expired(struct work_struct *work)
{
	redirect_expire();
}

static DECLARE_DELAYED_WORK(redirect_work, redirect_expired);

void netmap_redirect_expire(void (*expire)(void), unsigned int ms)
{
	redirect_expire = expire;
	mod_delayed_work(system_dfl_wq, &redirect_work, msecs_to_jiffies(ms));
}

void netmap_redirect_expire_cancel(void)
{
	cancel_delayed_work_sync(&redirect_work);
}
