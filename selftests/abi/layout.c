// SPDX-License-Identifier: BSD-2-Clause
/*
 * Compiles if include/uapi has the binary interface of layout.h. With WRONG_ROW it must not compile: the check checked.
 */
#include <stddef.h>
#include <net/netmap.h>
#include <net/netmap_stack.h>
#include <net/netmap_virt.h>

#ifdef __cplusplus
#define ASSERT(condition, text) static_assert(condition, text)
#else
#define ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define VALUE(name, value) \
	ASSERT((unsigned long long)(name) == (value), #name);
#define STRUCT(name, bytes) \
	ASSERT(sizeof(struct name) == (bytes), "size of " #name);
#define ARRAY(name, field, at) \
	ASSERT(offsetof(struct name, field) == (at), "offset of " #name "." #field);
#define FIELD(name, field, at, bytes) \
	ARRAY(name, field, at) \
	ASSERT(sizeof(((struct name *)0)->field) == (bytes), "size of " #name "." #field);

#include "layout.h"

#ifdef WRONG_ROW
FIELD(netmap_ring, tail, 24, 4)
#endif
