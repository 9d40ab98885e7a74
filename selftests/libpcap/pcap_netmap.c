// SPDX-License-Identifier: BSD-2-Clause
/*
 * pcap_netmap capture IF N	capture N numbered frames on netmap:IF and print them
 * pcap_netmap send IF N	send N numbered frames on netmap:IF
 *
 * A pcap program that knows nothing of netmap but its device's name. capture prints "# ready" when it would not miss
 * a frame any more. Prints KTAP; the exit status is 0 if all passed, 1 if not, 2 for a wrong call. Gives up after
 * SECONDS.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <pcap/pcap.h>

#define SECONDS		20
#define SHORTEST	60
#define LONGEST		1514
#define PROTOCOL	0x88b5	/* for local experiments */
#define FILTER		"ether proto 0x88b5"

/* The frame: number says which it is, and with that its length and every byte after it. */
struct frame {
	uint8_t	 destination[6], source[6];
	uint16_t protocol;
	uint16_t reserved;
	uint32_t number;
	uint8_t	 fill[LONGEST - 20];
};

static pcap_t *pcap;
static int test_number, failed;
static volatile sig_atomic_t late;

static void check(int good, const char *what)
{
	failed |= !good;
	printf("%sok %d %s\n", good ? "" : "not ", ++test_number, what);
	fflush(stdout);
}

static void on_alarm(int signal)
{
	(void)signal;
	late = 1;
	pcap_breakloop(pcap);
}

static uint32_t make_frame(struct frame *frame, uint32_t number)
{
	uint32_t length = SHORTEST + number * 97 % (LONGEST - SHORTEST + 1), i;

	memset(frame, 0xff, sizeof(frame->destination));
	memcpy(frame->source, "\x02nmpcp", sizeof(frame->source));
	frame->protocol = htons(PROTOCOL);
	frame->reserved = 0;
	frame->number = htonl(number);
	for (i = 0; i < sizeof(frame->fill); i++)
		frame->fill[i] = (uint8_t)(number + i * 13);
	return length;
}

static struct {
	uint32_t expected, wrong;
} capture;

static void on_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
	struct frame frame;
	uint32_t length = make_frame(&frame, capture.expected);
	int good = header->len == length && header->caplen == length && !memcmp(bytes, &frame, length);

	(void)user;
	printf("# %u: %u bytes%s\n", capture.expected, header->len, good ? "" : ", not what was sent");
	capture.wrong += !good;
	capture.expected++;
}

static int open_port(const char *interface)
{
	char name[64], errbuf[PCAP_ERRBUF_SIZE] = "";
	int status;

	snprintf(name, sizeof(name), "netmap:%s", interface);
	pcap = pcap_create(name, errbuf);
	if (!pcap) {
		printf("# %s: %s\n", name, errbuf);
		return 0;
	}
	pcap_set_promisc(pcap, 1);
	pcap_set_timeout(pcap, 100);
	status = pcap_activate(pcap);
	if (status < 0) {
		printf("# %s: %s %s\n", name, pcap_statustostr(status), pcap_geterr(pcap));
		return 0;
	}
	return pcap_datalink(pcap) == DLT_EN10MB;
}

static void run_capture(uint32_t wanted)
{
	struct bpf_program filter;
	struct pcap_stat stats;

	check(!pcap_compile(pcap, &filter, FILTER, 1, PCAP_NETMASK_UNKNOWN) && !pcap_setfilter(pcap, &filter), "filter");
	puts("# ready");
	fflush(stdout);
	while (capture.expected < wanted && !late)
		pcap_dispatch(pcap, (int)(wanted - capture.expected), on_packet, NULL);
	check(capture.expected == wanted, "captured all");
	check(capture.wrong == 0, "each is the next one, unchanged");
	check(!pcap_stats(pcap, &stats) && stats.ps_recv >= wanted, "counted");
}

static void run_send(uint32_t wanted)
{
	struct pollfd fd = { .fd = pcap_get_selectable_fd(pcap), .events = POLLOUT };
	struct frame frame;
	uint32_t sent = 0;

	while (sent < wanted && !late) {
		int length = (int)make_frame(&frame, sent);

		if (pcap_inject(pcap, &frame, (size_t)length) == length)
			sent++;
		else if (poll(&fd, 1, -1) < 0 || (fd.revents & POLLERR))
			break;
	}
	check(sent == wanted, "sent all");
	/* The first poll hands over what was filled; room for another is no proof that the last has left. */
	check(poll(&fd, 1, 1000) == 1 && fd.revents == POLLOUT, "ready for more");
	usleep(10000);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_alarm };
	uint32_t wanted;
	int sends;

	sends = argc == 4 && !strcmp(argv[1], "send");
	wanted = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	if (!wanted || (!sends && strcmp(argv[1], "capture"))) {
		fprintf(stderr, "usage: %s capture|send INTERFACE NUMBER\n", argv[0]);
		return 2;
	}
	puts("KTAP version 1");
	printf("1..%d\n", sends ? 3 : 5);
	check(open_port(argv[2]), "open");
	if (failed)
		return 1;
	sigaction(SIGALRM, &action, NULL);
	alarm(SECONDS);
	if (sends)
		run_send(wanted);
	else
		run_capture(wanted);
	pcap_close(pcap);
	return failed;
}
