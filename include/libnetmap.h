/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libnetmap: ports by name, the requests behind them, and the memory that they share. See netmap(4) for what a port is.
 *
 *	struct nmport_d *d = nmport_open("netmap:eth0");
 *
 *	if (!d)
 *		exit(1);	(the reason is on stderr)
 *	poll() on d->fd, NETMAP_RXRING(d->nifp, i) for i from d->first_rx_ring to d->last_rx_ring, ...
 *	nmport_close(d);
 *
 * Link with -lnetmap, or ask pkg-config for netmap. All functions may be called from several threads, each port from one at a
 * time; those that say so are for the beginning of the program. LIBNETMAP_NOTHREADSAFE, which programs define that do not want
 * the locks, changes nothing.
 *
 * A function that fails sets errno and, while the context's verbose is not 0, hands a message to the context's error().
 */
#ifndef _LIBNETMAP_H_
#define _LIBNETMAP_H_

#include <net/netmap_user.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nmctx;
struct nmem_d;
struct nmport_cleanup_d;

/*
 * The name of a port
 *
 *	netmap:IF	an interface; netmap:NAME, with no interface of that name, for pipes
 *	valeS:PORT	a port of the VALE switch S, which may be empty
 *	stack:IF	the stack port of an interface; stack:N+IF, with any number N, is the same
 *
 * IF, PORT and NAME consist of letters, digits and the characters "_.-+", S of letters, digits and '_'. A '-' that something
 * else than a number follows belongs to the name. Behind the name,
 *
 *	{ID	master end of the pipe ID, letters, digits and '_'		}ID	slave end
 *	-N	ring pair N of the NIC		*	NIC and host stack
 *	^	rings of the host stack		^N	pair N of those
 *	/	and any of x (exclusive), R (rx only), T (tx only), r (monitor rx), t (monitor tx), z (without copies)
 *	@N	memory region N
 *
 * in this order, but that /flags and @N may come in any order and more than once; then options, each of which begins with '@':
 *
 *	@share=PORT			the memory region of PORT, which has no '@' in it
 *	@conf:KEY=N,...			rings, tx-rings, rx-rings, host-rings, host-tx-rings, host-rx-rings, slots, tx-slots,
 *					rx-slots: what is wanted of a port that makes its rings now. More specific keys win.
 *	@extmem=FILE			the file's memory as region, mapped shared
 *	@extmem:file=FILE,KEY=N,...	if-num, if-size, ring-num, ring-size, buf-num, buf-size: what is in it
 *	@offset=N			packets begin N bytes from their buffers' start
 *	@offset:initial=N,bits=B	and the low B bits of a slot's ptr say so. Disabled at first, see nmport_enable_option().
 *
 * Errors: EINVAL the name is wrong; EOPNOTSUPP an option is disabled. What the kernel does not serve is its own error, when
 * the port is registered.
 */

/**
 * struct nmport_d - a port
 * @hdr:	the header of the request that registers it
 * @reg:	the request; after nmport_register() as the kernel answered it
 * @mem:	the region, once mapped. The same for all ports of a context that can exchange buffers.
 * @ctx:	the context that was the default one when the port was made
 * @register_done: not 0 between nmport_register() and its undoing
 * @mmap_done:	not 0 between nmport_mmap() and its undoing
 * @extmem:	the option of that name in @hdr, or NULL
 * @fd:		the open /dev/netmap, for poll() and the sync ioctls; -1 if not registered; open across execve()
 * @nifp:	the rings, once mapped
 * @first_tx_ring: first and @last_tx_ring: last bound tx ring; none if first > last
 * @first_rx_ring: first and @last_rx_ring: last bound rx ring
 * @cur_tx_ring: where nmport_inject() begins to look for room
 * @cur_rx_ring: the program's
 * @clist:	the library's
 *
 * Programs write @hdr and @reg before the port is registered, and @cur_rx_ring; they only read the rest.
 */
struct nmport_d {
	struct nmreq_header hdr;
	struct nmreq_register reg;
	struct nmem_d	*mem;
	struct nmctx	*ctx;
	int		register_done;
	int		mmap_done;
	struct nmreq_opt_extmem *extmem;
	int		fd;
	struct netmap_if *nifp;
	uint16_t	first_tx_ring;
	uint16_t	last_tx_ring;
	uint16_t	first_rx_ring;
	uint16_t	last_rx_ring;
	uint16_t	cur_tx_ring;
	uint16_t	cur_rx_ring;
	struct nmport_cleanup_d *clist;
};

/* nmport_open() - nmport_prepare() and nmport_open_desc(): the port, or NULL */
struct nmport_d *nmport_open(const char *portspec);

/* nmport_close() - undo nmport_open(); d may be NULL. Buffers that are listed at ni_bufs_head go back to the region. */
void nmport_close(struct nmport_d *d);

/*
 * nmport_inject() - copy a packet into a tx ring with room; the next sync or poll() sends it
 *
 * A packet larger than a buffer takes several slots. Returns size, or 0 if no ring has room.
 */
int nmport_inject(struct nmport_d *d, const void *buf, size_t size);

/*
 * The steps of nmport_open(), for programs that change d->reg or add options in between. Those with an int return 0, or -1
 * with the port as it was before.
 *
 *	nmport_new()		a port without a name
 *	nmport_parse()		its name, and the options in it
 *	nmport_prepare()	both
 *	nmport_register()	opens /dev/netmap and binds it
 *	nmport_mmap()		maps the region, unless another port of the context has it; EFAULT: the rings are not in it
 *	nmport_open_desc()	both
 */
struct nmport_d *nmport_new(void);
int nmport_parse(struct nmport_d *d, const char *portspec);
int nmport_register(struct nmport_d *d);
int nmport_mmap(struct nmport_d *d);
struct nmport_d *nmport_prepare(const char *portspec);
int nmport_open_desc(struct nmport_d *d);

/* Each undoes what its namesake did; nmport_delete() is for nmport_new(). nmport_undo_prepare() also takes NULL. */
void nmport_delete(struct nmport_d *d);
void nmport_undo_parse(struct nmport_d *d);
void nmport_undo_register(struct nmport_d *d);
void nmport_undo_mmap(struct nmport_d *d);
void nmport_undo_prepare(struct nmport_d *d);
void nmport_undo_open_desc(struct nmport_d *d);

/*
 * nmport_clone() - a prepared port of the same name, rings and region, without options; or NULL
 *
 * Not for a port with external memory that is not registered.
 */
struct nmport_d *nmport_clone(struct nmport_d *d);

/*
 * nmport_extmem() - have the region of a port that is not registered in size bytes of the program's memory at base
 * nmport_extmem_from_file() - in the memory of a file, which is unmapped when the port is closed
 * nmport_extmem_getinfo() - what is in that memory: to write before the port is registered, to read after; NULL if none
 */
int nmport_extmem(struct nmport_d *d, void *base, size_t size);
int nmport_extmem_from_file(struct nmport_d *d, const char *fname);
struct nmreq_pools_info *nmport_extmem_getinfo(struct nmport_d *d);

/*
 * nmport_offset() - have packets start at an offset in their buffers, see NETMAP_BUF_OFFSET()
 * @d:		a port that is not registered
 * @initial:	offset to put into all slots at first
 * @maxoff:	largest offset in use
 * @bits:	low bits of a slot's ptr that hold it, 0 for all
 * @mingap:	0
 */
int nmport_offset(struct nmport_d *d, uint64_t initial, uint64_t maxoff, uint64_t bits, uint64_t mingap);

/*
 * nmport_disable_option(), nmport_enable_option() - whether names may have an option, such as "offset"
 *
 * For the beginning of the program. Enabling one that is not known returns -1, with EOPNOTSUPP.
 */
void nmport_disable_option(const char *opt);
int nmport_enable_option(const char *opt);

/* nmreq_header_init() - clear a header, and set version, type and body */
void nmreq_header_init(struct nmreq_header *hdr, uint16_t reqtype, void *body);

/*
 * nmreq_header_decode() - take a port's name from the text at *ppspec: hdr->nr_name
 * nmreq_register_decode() - take rings, flags and region from *pmode, which is behind a name
 *
 * The pointer moves behind what was taken. nmreq_register_decode() leaves options, from their '@' on, to its caller, and a
 * region that is set already must be the same. Return 0; or -1 with EINVAL, and nothing has changed.
 */
int nmreq_header_decode(const char **ppspec, struct nmreq_header *hdr, struct nmctx *ctx);
int nmreq_register_decode(const char **pmode, struct nmreq_register *reg, struct nmctx *ctx);

/*
 * nmreq_get_mem_id() - ask the kernel for the region of the port whose name is at *portname, which moves behind it
 *
 * Return: the region, or -1.
 */
int32_t nmreq_get_mem_id(const char **portname, struct nmctx *ctx);

#define NMREQ_OPT_MAXKEYS 16	/* most keys of an option */

/**
 * struct nmreq_opt_key - a key of an option
 * @key:	its name, with '_' where users write '-'
 * @id:		where its value goes in nmreq_parse_ctx.keys
 * @flags:	NMREQ_OPTK_*
 */
struct nmreq_opt_key {
	const char	*key;
	int		id;
	unsigned int	flags;
#define NMREQ_OPTK_ALLOWEMPTY	(1U << 0)	/* it may stand alone, and is its own value then */
#define NMREQ_OPTK_MUSTSET	(1U << 1)	/* it must be there */
#define NMREQ_OPTK_DEFAULT	(1U << 2)	/* "option=value" is meant for it */
};

struct nmreq_parse_ctx;
typedef int (*nmreq_opt_parser_cb)(struct nmreq_parse_ctx *);

/**
 * struct nmreq_opt_parser - an option that names may have
 * @prefix:	its name
 * @parse:	called with the values of its keys; what it returns, less than 0 for an error with errno, ends
 *		nmreq_options_decode()
 * @default_key: the id that "option=value" is meant for; negative if that is an error
 * @nr_keys:	number of keys
 * @flags:	NMREQ_OPTF_*
 * @next:	the next one of the list
 * @keys:	its keys; one whose name is NULL ends them
 */
struct nmreq_opt_parser {
	const char	*prefix;
	nmreq_opt_parser_cb parse;
	int		default_key;
	int		nr_keys;
	unsigned int	flags;
#define NMREQ_OPTF_DISABLED	(1U << 0)	/* refused with EOPNOTSUPP */
#define NMREQ_OPTF_ALLOWEMPTY	(1U << 1)	/* it may stand alone */
	struct nmreq_opt_parser *next;
	struct nmreq_opt_key keys[NMREQ_OPT_MAXKEYS];
} __attribute__((aligned(16)));

/**
 * struct nmreq_parse_ctx - an option that was found in a name
 * @ctx:	for messages and memory
 * @token:	of nmreq_options_decode()
 * @keys:	the value of each key, by id; NULL if it was not there. They live until the callback returns.
 */
struct nmreq_parse_ctx {
	struct nmctx	*ctx;
	void		*token;
	const char	*keys[NMREQ_OPT_MAXKEYS];
};

/* nmreq_options_decode() - hand the options at opt, each from its '@' on, to their parsers; 0, or -1 at the first error */
int nmreq_options_decode(const char *opt, struct nmreq_opt_parser *parsers, void *token, struct nmctx *ctx);

/* The list of options of a request. nmreq_free_options() frees all of them, which malloc() must have made. */
void nmreq_push_option(struct nmreq_header *hdr, struct nmreq_option *opt);
void nmreq_remove_option(struct nmreq_header *hdr, struct nmreq_option *opt);
struct nmreq_option *nmreq_find_option(struct nmreq_header *hdr, uint32_t reqtype);
void nmreq_free_options(struct nmreq_header *hdr);
const char *nmreq_option_name(uint32_t reqtype);
#define nmreq_foreach_option(_hdr, _opt) \
	for ((_opt) = (struct nmreq_option *)(uintptr_t)(_hdr)->nr_options; (_opt) != NULL; \
	     (_opt) = (struct nmreq_option *)(uintptr_t)(_opt)->nro_next)

typedef void (*nmctx_error_cb)(struct nmctx *, const char *);
typedef void *(*nmctx_malloc_cb)(struct nmctx *, size_t);
typedef void (*nmctx_free_cb)(struct nmctx *, void *);
typedef void (*nmctx_lock_cb)(struct nmctx *, int);

/**
 * struct nmctx - how the library says, allocates and locks; and the regions that it has mapped
 * @verbose:	0: no messages
 * @error:	called with each message
 * @malloc:	allocates
 * @free:	frees
 * @lock:	locks @mem_descs if its second argument is not 0, else unlocks; or NULL
 * @mem_descs:	the regions
 *
 * A context of the program's own begins as a copy of the default one.
 */
struct nmctx {
	int		verbose;
	nmctx_error_cb	error;
	nmctx_malloc_cb	malloc;
	nmctx_free_cb	free;
	nmctx_lock_cb	lock;
	struct nmem_d	*mem_descs;
};

/* nmctx_get() - the default context; nmctx_set_default() - replace it, at the beginning of the program; the one before */
struct nmctx *nmctx_get(void);
struct nmctx *nmctx_set_default(struct nmctx *ctx);

/* nmctx_set_threadsafe() - give the default context a lock, which it has from the start; nmctx_threadsafe is of no use */
void nmctx_set_threadsafe(void);
extern int nmctx_threadsafe;

/* What a context has, by function. nmctx_ferror() cuts messages at 999 bytes. */
void nmctx_ferror(struct nmctx *ctx, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));
void *nmctx_malloc(struct nmctx *ctx, size_t size);
void nmctx_free(struct nmctx *ctx, void *p);
void nmctx_lock(struct nmctx *ctx);
void nmctx_unlock(struct nmctx *ctx);

/**
 * struct nmem_d - a region that is mapped
 * @mem_id:	its number
 * @refcount:	ports that use it
 * @mem:	its first byte
 * @size:	its size, bytes
 * @is_extmem:	not 0: the memory is the program's
 * @next:	of the context's list
 * @prev:	of the context's list
 */
struct nmem_d {
	uint16_t	mem_id;
	int		refcount;
	void		*mem;
	size_t		size;
	int		is_extmem;
	struct nmem_d	*next;
	struct nmem_d	*prev;
};

#ifdef __cplusplus
}
#endif

#endif /* _LIBNETMAP_H_ */
