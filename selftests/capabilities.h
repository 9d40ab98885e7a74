/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef NETMAP_SELFTESTS_CAPABILITIES_H
#define NETMAP_SELFTESTS_CAPABILITIES_H

#include <linux/capability.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The caller has the capabilities in the bits KEPT from now on, below 32, and no others; 0, or -1 with errno set. */
static inline int keep_capabilities(uint32_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { .effective = kept, .permitted = kept } };

	return syscall(SYS_capset, &header, caps);
}

#endif
