// SPDX-License-Identifier: GPL-2.0
/* For tests, in a module of their own: what makes the time between two atomic operations long enough to be met. */

#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/timex.h>

#include "helpers.h"

/*
 * Mostly no time; one time in four as long as an interrupt takes, and one in 256 as long as another thread needs to bind or
 * close something. It takes no lock and keeps no state: interrupts and probes call it, too.
 */
void netmap_moment(void)
{
	u32 chance = hash_32((u32)random_get_entropy(), 16);

	if (chance % 256 == 0)
		udelay(300);
	else if (chance % 4 == 0)
		udelay(1 + (chance >> 8) % 16);
}
