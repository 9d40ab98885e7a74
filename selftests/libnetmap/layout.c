// SPDX-License-Identifier: BSD-2-Clause
/* Compiles if libnetmap.h has the structures, constants and functions that programs are written for. */
#include <stddef.h>
#include <libnetmap.h>

#ifdef __cplusplus
#define ASSERT(condition, text) static_assert(condition, text)
#else
#define ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define VALUE(name, value) \
	ASSERT((name) == (value), #name);
#define STRUCT(name, bytes) \
	ASSERT(sizeof(struct name) == (bytes), "size of " #name);
#define FIELD(name, field, at, bytes) \
	ASSERT(offsetof(struct name, field) == (at), "offset of " #name "." #field); \
	ASSERT(sizeof(((struct name *)0)->field) == (bytes), "size of " #name "." #field);

STRUCT(nmport_d, 216)
FIELD(nmport_d, hdr, 0, 88)
FIELD(nmport_d, reg, 88, 56)
FIELD(nmport_d, mem, 144, 8)
FIELD(nmport_d, ctx, 152, 8)
FIELD(nmport_d, register_done, 160, 4)
FIELD(nmport_d, mmap_done, 164, 4)
FIELD(nmport_d, extmem, 168, 8)
FIELD(nmport_d, fd, 176, 4)
FIELD(nmport_d, nifp, 184, 8)
FIELD(nmport_d, first_tx_ring, 192, 2)
FIELD(nmport_d, last_tx_ring, 194, 2)
FIELD(nmport_d, first_rx_ring, 196, 2)
FIELD(nmport_d, last_rx_ring, 198, 2)
FIELD(nmport_d, cur_tx_ring, 200, 2)
FIELD(nmport_d, cur_rx_ring, 202, 2)
FIELD(nmport_d, clist, 208, 8)

STRUCT(nmctx, 48)
FIELD(nmctx, verbose, 0, 4)
FIELD(nmctx, error, 8, 8)
FIELD(nmctx, malloc, 16, 8)
FIELD(nmctx, free, 24, 8)
FIELD(nmctx, lock, 32, 8)
FIELD(nmctx, mem_descs, 40, 8)

STRUCT(nmem_d, 48)
FIELD(nmem_d, mem_id, 0, 2)
FIELD(nmem_d, refcount, 4, 4)
FIELD(nmem_d, mem, 8, 8)
FIELD(nmem_d, size, 16, 8)
FIELD(nmem_d, is_extmem, 24, 4)
FIELD(nmem_d, next, 32, 8)
FIELD(nmem_d, prev, 40, 8)

VALUE(NMREQ_OPT_MAXKEYS, 16)
STRUCT(nmreq_opt_key, 16)
FIELD(nmreq_opt_key, key, 0, 8)
FIELD(nmreq_opt_key, id, 8, 4)
FIELD(nmreq_opt_key, flags, 12, 4)
VALUE(NMREQ_OPTK_ALLOWEMPTY, 1U)
VALUE(NMREQ_OPTK_MUSTSET, 2U)
VALUE(NMREQ_OPTK_DEFAULT, 4U)

STRUCT(nmreq_opt_parser, 304)
ASSERT(__alignof__(struct nmreq_opt_parser) == 16, "alignment of nmreq_opt_parser");
FIELD(nmreq_opt_parser, prefix, 0, 8)
FIELD(nmreq_opt_parser, parse, 8, 8)
FIELD(nmreq_opt_parser, default_key, 16, 4)
FIELD(nmreq_opt_parser, nr_keys, 20, 4)
FIELD(nmreq_opt_parser, flags, 24, 4)
FIELD(nmreq_opt_parser, next, 32, 8)
FIELD(nmreq_opt_parser, keys, 40, 256)
VALUE(NMREQ_OPTF_DISABLED, 1U)
VALUE(NMREQ_OPTF_ALLOWEMPTY, 2U)

STRUCT(nmreq_parse_ctx, 144)
FIELD(nmreq_parse_ctx, ctx, 0, 8)
FIELD(nmreq_parse_ctx, token, 8, 8)
FIELD(nmreq_parse_ctx, keys, 16, 128)

/* An assignment that warns if a function's type is another one. */
#define FUNCTION(result, name, arguments) \
	result (*name##_type) arguments = name;

FUNCTION(struct nmport_d *, nmport_open, (const char *))
FUNCTION(void, nmport_close, (struct nmport_d *))
FUNCTION(int, nmport_inject, (struct nmport_d *, const void *, size_t))
FUNCTION(struct nmport_d *, nmport_new, (void))
FUNCTION(int, nmport_parse, (struct nmport_d *, const char *))
FUNCTION(int, nmport_register, (struct nmport_d *))
FUNCTION(int, nmport_mmap, (struct nmport_d *))
FUNCTION(void, nmport_delete, (struct nmport_d *))
FUNCTION(void, nmport_undo_parse, (struct nmport_d *))
FUNCTION(void, nmport_undo_register, (struct nmport_d *))
FUNCTION(void, nmport_undo_mmap, (struct nmport_d *))
FUNCTION(struct nmport_d *, nmport_prepare, (const char *))
FUNCTION(int, nmport_open_desc, (struct nmport_d *))
FUNCTION(void, nmport_undo_prepare, (struct nmport_d *))
FUNCTION(void, nmport_undo_open_desc, (struct nmport_d *))
FUNCTION(struct nmport_d *, nmport_clone, (struct nmport_d *))
FUNCTION(int, nmport_extmem, (struct nmport_d *, void *, size_t))
FUNCTION(int, nmport_extmem_from_file, (struct nmport_d *, const char *))
FUNCTION(struct nmreq_pools_info *, nmport_extmem_getinfo, (struct nmport_d *))
FUNCTION(int, nmport_offset, (struct nmport_d *, uint64_t, uint64_t, uint64_t, uint64_t))
FUNCTION(void, nmport_disable_option, (const char *))
FUNCTION(int, nmport_enable_option, (const char *))
FUNCTION(void, nmreq_header_init, (struct nmreq_header *, uint16_t, void *))
FUNCTION(int, nmreq_header_decode, (const char **, struct nmreq_header *, struct nmctx *))
FUNCTION(int, nmreq_register_decode, (const char **, struct nmreq_register *, struct nmctx *))
FUNCTION(int, nmreq_options_decode, (const char *, struct nmreq_opt_parser *, void *, struct nmctx *))
FUNCTION(int32_t, nmreq_get_mem_id, (const char **, struct nmctx *))
FUNCTION(void, nmreq_push_option, (struct nmreq_header *, struct nmreq_option *))
FUNCTION(void, nmreq_remove_option, (struct nmreq_header *, struct nmreq_option *))
FUNCTION(struct nmreq_option *, nmreq_find_option, (struct nmreq_header *, uint32_t))
FUNCTION(void, nmreq_free_options, (struct nmreq_header *))
FUNCTION(const char *, nmreq_option_name, (uint32_t))
FUNCTION(struct nmctx *, nmctx_get, (void))
FUNCTION(struct nmctx *, nmctx_set_default, (struct nmctx *))
FUNCTION(void, nmctx_set_threadsafe, (void))
FUNCTION(void, nmctx_ferror, (struct nmctx *, const char *, ...))
FUNCTION(void *, nmctx_malloc, (struct nmctx *, size_t))
FUNCTION(void, nmctx_free, (struct nmctx *, void *))
FUNCTION(void, nmctx_lock, (struct nmctx *))
FUNCTION(void, nmctx_unlock, (struct nmctx *))
