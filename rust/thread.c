// SPDX-License-Identifier: GPL-2.0
/* A thread that does one thing again and again: when a wait queue is woken, or all the time. */

#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "helpers.h"

struct netmap_thread {
	struct wait_queue_entry entry;
	struct wait_queue_head *queue;
	struct task_struct *task;
	bool (*pass)(void *data);
	void *data;
	/* Woken since the last pass has begun. */
	unsigned int asked;
	/* Whether it goes on without that. */
	bool spins;
};

static int netmap_thread_woken(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	struct netmap_thread *thread = container_of(entry, struct netmap_thread, entry);

	WRITE_ONCE(thread->asked, 1);
	wake_up_process(thread->task);
	return 1;
}

static int netmap_thread_run(void *argument)
{
	struct netmap_thread *thread = argument;

	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		if (!xchg(&thread->asked, 0) && !READ_ONCE(thread->spins)) {
			schedule();
			continue;
		}
		__set_current_state(TASK_RUNNING);
		/*
		 * Whoever removes a trampoline of ftrace or BPF waits until each task has passed such a point, and to be preempted
		 * is none.
		 */
		while (thread->pass(thread->data) && !kthread_should_stop())
			cond_resched_tasks_rcu_qs();
		cond_resched_tasks_rcu_qs();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* Begins with a pass. An error pointer if there is no memory. */
struct netmap_thread *netmap_thread_start(struct wait_queue_head *queue, bool (*pass)(void *data), void *data,
					  const char *name)
{
	struct netmap_thread *thread = kzalloc(sizeof(*thread), GFP_KERNEL_ACCOUNT);
	struct task_struct *task;

	if (!thread)
		return ERR_PTR(-ENOMEM);
	init_waitqueue_func_entry(&thread->entry, netmap_thread_woken);
	thread->queue = queue;
	thread->pass = pass;
	thread->data = data;
	thread->asked = 1;
	task = kthread_create(netmap_thread_run, thread, "netmap/%s", name);
	if (IS_ERR(task)) {
		kfree(thread);
		return ERR_CAST(task);
	}
	/* Whoever wakes it may do so after it has ended. */
	thread->task = get_task_struct(task);
	add_wait_queue(queue, &thread->entry);
	wake_up_process(task);
	return thread;
}

/* Not from the thread itself. */
void netmap_thread_stop(struct netmap_thread *thread)
{
	remove_wait_queue(thread->queue, &thread->entry);
	kthread_stop(thread->task);
	put_task_struct(thread->task);
	kfree(thread);
}

/*
 * Has it go on all the time, on this processor, as one of so many; or, if they are none, on any, when it is woken. -EINVAL if there
 * is no such processor.
 */
int netmap_thread_spin(struct netmap_thread *thread, unsigned int count, unsigned int cpu)
{
	int err;

	if (!count) {
		WRITE_ONCE(thread->spins, false);
		set_cpus_allowed_ptr(thread->task, cpu_possible_mask);
		return 0;
	}
	/* Of these one processor is for all else, as in the C netmap. */
	if (cpu >= nr_cpu_ids || !cpu_online(cpu) || count >= num_online_cpus())
		return -EINVAL;
	err = set_cpus_allowed_ptr(thread->task, cpumask_of(cpu));
	if (err)
		return err;
	WRITE_ONCE(thread->spins, true);
	wake_up_process(thread->task);
	return 0;
}
