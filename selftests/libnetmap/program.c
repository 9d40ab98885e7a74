// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a C program sees of libnetmap where there is no kernel module: names, options and contexts. Linked with the static
 * library and with the shared one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libnetmap.h>

static int number, failed;
static char message[1100];
static unsigned int allocated, locked;

static void check(int good, const char *what)
{
	failed |= !good;
	printf("%sok %d %s\n", good ? "" : "not ", ++number, what);
	if (!good)
		printf("# errno %d, message: %s\n", errno, message);
}

static void remember(struct nmctx *ctx, const char *text)
{
	(void)ctx;
	snprintf(message, sizeof(message), "%s", text);
	errno = EIO;
}

static void *count_malloc(struct nmctx *ctx, size_t size)
{
	(void)ctx;
	allocated++;
	return malloc(size);
}

static void count_free(struct nmctx *ctx, void *p)
{
	(void)ctx;
	allocated--;
	free(p);
}

static void count_lock(struct nmctx *ctx, int lock)
{
	(void)ctx;
	locked += lock ? 1 : 100;
}

static void names(struct nmctx *ctx)
{
	static const char *const wrong[] = { "", "eth0", "netmap:", "netmap:vale0:0", "netmap:eth0&", "netmap0:eth0",
		"netmap:pipe{", "netmap:pipe{1}2", "vale0" };
	const char *text = "vale0:p{in-7/Tx@3@conf:rings=1";
	struct nmreq_register reg = { .nr_tx_slots = 5 };
	struct nmreq_header hdr;
	size_t i;

	nmreq_header_init(&hdr, NETMAP_REQ_REGISTER, &reg);
	check(hdr.nr_version == NETMAP_API && hdr.nr_reqtype == NETMAP_REQ_REGISTER &&
	      hdr.nr_body == (uintptr_t)&reg && !hdr.nr_options && !hdr.nr_name[0], "a header");
	check(!nmreq_header_decode(&text, &hdr, ctx) && !strcmp(hdr.nr_name, "vale0:p{in") && !strncmp(text, "-7/", 3),
	      "a name");
	check(!nmreq_register_decode(&text, &reg, ctx) && reg.nr_mode == NR_REG_ONE_NIC && reg.nr_ringid == 7 &&
	      reg.nr_flags == (NR_TX_RINGS_ONLY | NR_EXCLUSIVE) && reg.nr_mem_id == 3 && reg.nr_tx_slots == 5 &&
	      !strcmp(text, "@conf:rings=1"), "rings, flags, region");
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct nmreq_header before = hdr;
		int result;

		text = wrong[i];
		message[0] = '\0';
		result = nmreq_header_decode(&text, &hdr, ctx);
		check(result == -1 && errno == EINVAL && text == wrong[i] && !memcmp(&before, &hdr, sizeof(hdr)) &&
		      message[0], "a wrong name");
	}
}

static struct nmreq_parse_ctx seen;
static char values[2][20];

static int parse(struct nmreq_parse_ctx *p)
{
	int i;

	seen = *p;
	for (i = 0; i < 2; i++)
		snprintf(values[i], sizeof(values[i]), "%s", p->keys[i] ? p->keys[i] : "none");
	if (!strcmp(values[0], "bad")) {
		errno = ERANGE;
		return -1;
	}
	return 0;
}

static void options(struct nmctx *ctx)
{
	static struct nmreq_opt_parser other = { .prefix = "other", .parse = parse, .default_key = -1,
		.flags = NMREQ_OPTF_ALLOWEMPTY };
	static struct nmreq_opt_parser mine = { .prefix = "mine", .parse = parse, .default_key = 0, .nr_keys = 2,
		.next = &other, .keys = { { "first_key", 0, NMREQ_OPTK_DEFAULT }, { "second", 1, NMREQ_OPTK_ALLOWEMPTY } } };
	int result;

	check(!nmreq_options_decode("", &mine, ctx, ctx), "no options");
	check(!nmreq_options_decode("@mine:second,first-key=a=b", &mine, &mine, ctx) && seen.token == &mine &&
	      seen.ctx == ctx && !strcmp(values[0], "a=b") && !strcmp(values[1], "second"), "keys");
	check(!nmreq_options_decode("@mine=x:y@other", &mine, ctx, ctx) && !strcmp(values[0], "none"), "two options");
	check(!nmreq_options_decode("@mine=x:y", &mine, ctx, ctx) && !strcmp(values[0], "x:y"), "a value");
	result = nmreq_options_decode("@mine=bad", &mine, ctx, ctx);
	check(result == -1 && errno == ERANGE, "the error of a parser");
	result = nmreq_options_decode("@none=1", &mine, ctx, ctx);
	check(result == -1 && errno == EINVAL, "an unknown option");
	other.flags |= NMREQ_OPTF_DISABLED;
	result = nmreq_options_decode("@other", &mine, ctx, ctx);
	check(result == -1 && errno == EOPNOTSUPP, "a disabled option");
}

static void lists(void)
{
	struct nmreq_option *o = calloc(1, sizeof(*o)), *p = calloc(1, sizeof(*p)), *at;
	struct nmreq_header hdr;
	int count = 0;

	if (!o || !p)
		exit(1);
	nmreq_header_init(&hdr, NETMAP_REQ_REGISTER, NULL);
	o->nro_reqtype = NETMAP_REQ_OPT_CSB;
	p->nro_reqtype = NETMAP_REQ_OPT_OFFSETS;
	nmreq_push_option(&hdr, o);
	nmreq_push_option(&hdr, p);
	nmreq_foreach_option(&hdr, at)
		count++;
	check(count == 2 && nmreq_find_option(&hdr, NETMAP_REQ_OPT_CSB) == o, "a list of options");
	nmreq_remove_option(&hdr, o);
	check(!nmreq_find_option(&hdr, NETMAP_REQ_OPT_CSB) && nmreq_find_option(&hdr, NETMAP_REQ_OPT_OFFSETS) == p,
	      "a list without one");
	nmreq_push_option(&hdr, o);
	nmreq_free_options(&hdr);
	check(!hdr.nr_options, "a list that was freed");
	check(!strcmp(nmreq_option_name(NETMAP_REQ_OPT_EXTMEM), "extmem"), "the name of an option");
}

static void ports(void)
{
	struct nmport_d *d, *clone;
	int result;

	d = nmport_prepare("netmap:eth0-1/x@conf:rings=2,slots=64");
	check(d && d->fd == -1 && !strcmp(d->hdr.nr_name, "eth0") && d->reg.nr_mode == NR_REG_ONE_NIC &&
	      d->reg.nr_tx_rings == 2 && d->reg.nr_rx_slots == 64 && d->hdr.nr_body == (uintptr_t)&d->reg, "a port");
	if (!d)
		exit(1);
	clone = nmport_clone(d);
	check(clone && clone->reg.nr_tx_rings == 2 && clone->hdr.nr_body == (uintptr_t)&clone->reg, "its clone");
	nmport_close(clone);
	result = nmport_parse(d, "netmap:eth0&");
	check(result == -1 && errno == EINVAL && !strcmp(d->hdr.nr_name, "eth0"), "a port that keeps its name");
	result = nmport_open_desc(d);
	check(result == -1 && errno == ENOENT && d->fd == -1 && strstr(message, "/dev/netmap"), "no module");
	result = nmport_mmap(d);
	check(result == -1 && errno == EINVAL && strstr(message, "eth0: "), "a port that is not registered");
	check(!nmport_extmem_getinfo(d) && !nmport_extmem(d, message, 4096) && nmport_extmem_getinfo(d)->nr_memsize == 4096,
	      "external memory");
	nmport_undo_prepare(d);
	check(!nmport_open("netmap:eth0@offset=4") && errno == EOPNOTSUPP, "an option that must be allowed");
	check(nmport_enable_option("none") == -1 && errno == EOPNOTSUPP, "an option that does not exist");
	check(!nmport_enable_option("offset") && !nmport_open("netmap:eth0@offset=4") && errno == ENOENT,
	      "an option that is allowed");
	nmport_disable_option("offset");
	check(!nmport_open("netmap:eth0@share=netmap:eth1") && errno == ENOENT, "the region of another port");
	nmport_close(NULL);
}

static void *open_and_close(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++)
		nmport_close(nmport_prepare("netmap:eth0@conf:rings=1"));
	return arg;
}

int main(void)
{
	struct nmctx mine, *old = nmctx_get();
	pthread_t threads[4];
	char longest[2000];
	size_t i;

	printf("KTAP version 1\n");
	check(old && old->verbose && old->lock, "the default context");
	mine = *old;
	mine.error = remember;
	mine.malloc = count_malloc;
	mine.free = count_free;
	mine.lock = count_lock;
	check(nmctx_set_default(&mine) == old && nmctx_get() == &mine, "a context of one's own");
	names(&mine);
	options(&mine);
	lists();
	ports();
	check(allocated == 0, "all memory is freed");
	nmctx_lock(&mine);
	nmctx_unlock(&mine);
	check(locked == 101, "the lock of a context");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	nmctx_ferror(&mine, "%d %s %.1f", 7, "seven", 7.5);
	check(!strcmp(message, "7 seven 7.5"), "a message");
	nmctx_ferror(&mine, "%s", longest);
	check(strlen(message) == 999, "a long message");
	mine.verbose = 0;
	nmctx_ferror(&mine, "quiet");
	check(strlen(message) == 999, "no message");
	nmctx_set_default(old);
	old->lock = NULL;
	nmctx_set_threadsafe();
	check(old->lock != NULL, "the lock of the default context");
	for (i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, open_and_close, NULL))
			exit(1);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	check(!old->mem_descs, "threads");
	nmctx_threadsafe = 1;
	printf("1..%d\n", number);
	return failed;
}
