/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failures of allocations and of copies from and to user space, one at a time or all after the first, of those that netmap's code
 * is on the stack of; and where they were met. The kernel must have fault injection.
 */
#ifndef NETMAP_FAULTS_H
#define NETMAP_FAULTS_H

#include <fnmatch.h>
#include <sys/klog.h>
#include "kernel_file.h"
#include "netmap_test.h"

#define FAULTS	"/sys/kernel/debug"
/* Few buffers: the thousandth of them is taken as the first is. */
#define SLOTS	64

static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };

UNUSED static int write_to(const char *text, const char *format, const char *a, const char *b)
{
	char path[128];

	snprintf(path, sizeof(path), format, a, b);
	return write_file(path, text);
}

/* Where the function ends that starts here: where the next one starts. */
UNUSED static unsigned long end_of(unsigned long start)
{
	unsigned long end = ~0UL, at;
	char line[512];
	FILE *f = fopen("/proc/kallsyms", "r");

	if (!f)
		return start;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx", &at) == 1 && at > start && at < end)
			end = at;
	fclose(f);
	return end;
}

/* Where a function of the kernel starts and ends; 0 if it has none with a name of this pattern. */
UNUSED static unsigned long extent_of(const char *pattern, unsigned long *end)
{
	unsigned long start = 0, at;
	char line[512], symbol[256];
	FILE *f = fopen("/proc/kallsyms", "r");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx %*c %255s", &at, symbol) == 2 && !fnmatch(pattern, symbol, 0))
			start = at;
	fclose(f);
	*end = end_of(start);
	return start;
}

/* Only what code between two addresses is on the stack of fails. */
UNUSED static int aim_at(unsigned long start, unsigned long end)
{
	char text[32];
	int err = 0;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		snprintf(text, sizeof(text), "0x%lx", start);
		err = err ?: write_to(text, FAULTS "/%s/%s", kinds[i], "require-start");
		snprintf(text, sizeof(text), "0x%lx", end);
		err = err ?: write_to(text, FAULTS "/%s/%s", kinds[i], "require-end");
	}
	return err;
}

UNUSED static int aim_at_module(const char *name)
{
	/* Of its code alone: its data is elsewhere, so that its size does not tell. */
	unsigned long start = ~0UL, end = 0, at;
	char line[512], module[64], type;
	FILE *f = fopen("/proc/kallsyms", "r");

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %c %*s [%63[^]]", &at, &type, module) != 3 || strcmp(module, name) ||
		    (type != 't' && type != 'T'))
			continue;
		start = at < start ? at : start;
		end = at > end ? at : end;
	}
	fclose(f);
	return start < end ? aim_at(start, end_of(end)) : -ENOENT;
}

/*
 * Only what netmap's code is on the stack of fails, whether or not it could have slept instead; but not the DMA debugger's
 * own notes, for it would end its work.
 */
UNUSED static int aim(void)
{
	unsigned long notes, notes_end;
	char text[32];
	size_t i;
	int err;

	err = aim_at_module("netmap");
	if (err)
		return err;
	notes = extent_of("add_dma_entry", &notes_end);
	if (!notes)
		return -ENOENT;
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		err = write_to("32", FAULTS "/%s/%s", kinds[i], "stacktrace-depth");

		snprintf(text, sizeof(text), "0x%lx", notes);
		err = err ?: write_to(text, FAULTS "/%s/%s", kinds[i], "reject-start");
		snprintf(text, sizeof(text), "0x%lx", notes_end);
		err = err ?: write_to(text, FAULTS "/%s/%s", kinds[i], "reject-end");
		err = err ?: write_to("2", FAULTS "/%s/%s", kinds[i], "verbose");
		err = err ?: write_to("0", FAULTS "/%s/%s", kinds[i], "verbose_ratelimit_interval_ms");
		/* For failures that last. */
		err = err ?: write_to("Y", FAULTS "/%s/%s", kinds[i], "task-filter");
		err = err ?: write_to("-1", FAULTS "/%s/%s", kinds[i], "times");
		if (err)
			return err;
	}
	return write_to("0", FAULTS "/%s/%s", kinds[0], "ignore-gfp-wait") ?:
	       write_to("0", FAULTS "/%s/%s", kinds[1], "ignore-gfp-wait") ?:
	       write_to("0", FAULTS "/%s/%s", kinds[1], "min-order");
}

UNUSED static int arm(long n)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", n);
	return write_to(text, "/proc/%s/%s", "thread-self", "fail-nth") ?:
	       write_to(n ? "1" : "0", "/proc/%s/%s", "thread-self", "make-it-fail");
}

/* Whether allocations that come after the one that fails do so too. */
UNUSED static int last(bool on)
{
	return write_to(on ? "100" : "0", FAULTS "/%s/%s", kinds[0], "probability") ?:
	       write_to(on ? "100" : "0", FAULTS "/%s/%s", kinds[1], "probability");
}

/* Whether the failure was met; none is left to come. */
UNUSED static bool met(void)
{
	bool failed = number_in("/proc/%s/fail-nth", "thread-self") == 0;

	arm(0);
	return failed;
}

/* From here out, a failure's way through netmap is as long as tells where it was met. */
#define FRAMES	4
#define SITES	1000

/* The places in netmap that failures were met in, each once: "FUNCTION+OFFSET", and after spaces those that called it. */
struct sites {
	char place[SITES][1024];
	int count;
	int log;
};

UNUSED static void add_site(struct sites *sites, const char *place)
{
	int i;

	for (i = 0; i < sites->count; i++)
		if (!strcmp(sites->place[i], place))
			return;
	if (*place && i < SITES)
		snprintf(sites->place[sites->count++], sizeof(sites->place[0]), "%s", place);
}

/* Reads on in the kernel's log, whose records are "PRIORITY,NUMBER,TIME,FLAGS;TEXT". */
UNUSED static void add_sites(struct sites *sites)
{
	char record[2048], place[1024] = "";
	size_t used = 0;
	int frames = FRAMES;
	ssize_t len;

	while ((len = read(sites->log, record, sizeof(record) - 1)) > 0) {
		char *text = memchr(record, ';', len);
		int length;

		record[len] = 0;
		if (!text)
			continue;
		if (strstr(text, "FAULT_INJECTION")) {
			add_site(sites, place);
			used = frames = 0;
			*place = 0;
		}
		if (frames == FRAMES || !strstr(text, "+0x") || !strstr(text, "[netmap]") || strchr(text, '?'))
			continue;
		text += 1 + strspn(text + 1, " ");
		length = strcspn(text, "/\n");
		if (used + length + 2 > sizeof(place))
			continue;
		used += snprintf(place + used, sizeof(place) - used, "%s%.*s", frames++ ? " " : "", length, text);
	}
	add_site(sites, place);
}

UNUSED static bool is_of_failure(int err)
{
	return err == 0 || err == -ENOMEM || err == -EFAULT;
}

/* The places, for failures that begin to be met now. The kernel's stacks need not go over the serial line. */
UNUSED static struct sites *open_sites(void)
{
	struct sites *sites = calloc(1, sizeof(*sites));

	if (!sites)
		return NULL;
	sites->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (sites->log < 0 || lseek(sites->log, 0, SEEK_END) < 0 || klogctl(8, NULL, 4)) {
		free(sites);
		return NULL;
	}
	return sites;
}

/* Says them for scripts/failure-sites, which knows the lines of the source. */
UNUSED static void close_sites(struct sites *sites)
{
	int i;

	klogctl(8, NULL, 7);
	last(false);
	for (i = 0; i < sites->count; i++)
		printf("# failed at %s\n", sites->place[i]);
	fflush(stdout);
	close(sites->log);
	free(sites);
}

#endif
