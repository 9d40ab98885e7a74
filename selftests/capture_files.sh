#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# nm-dump and nm-replay, with ports of a switch, devices and pipes, by content; and nm-bridge between a device and a switch.
set -u
. ./wire.sh
. ./programs.sh

plan 20

# Capture files, from and to ports of a switch.
# capture FORMAT...: packets that can be verified, in /tmp/tools/file.
capture() {
	start dump vale0:d nm-dump -i vale0:d -w /tmp/tools/file -c "$count" --json "$@" || return 1
	{ nm-pkt-gen -i vale0:s -f tx --check -n "$count" -l 100 >/dev/null 2>&1 && wait "$started"; } || { cat /tmp/tools/dump.err; return 1; }
	[ "$(field /tmp/tools/dump.out packets)" = "$count" ] && [ "$(field /tmp/tools/dump.out bytes)" = $((count * 100)) ] &&
		[ "$(tcpdump -Z root -n -r /tmp/tools/file 2>/dev/null | wc -l)" = "$count" ]
}
# replayed FLAG...: they arrive, whole and in order.
replayed() {
	start receiver vale0:r nm-pkt-gen -i vale0:r -f rx --check --json -n "$count" || return 1
	{ nm-replay -i vale0:p -f /tmp/tools/file --json "$@" >/tmp/tools/replay.out 2>/tmp/tools/errors && wait "$started"; } || { cat /tmp/tools/errors; return 1; }
	[ "$(field /tmp/tools/replay.out packets)" = "$count" ] || { cat /tmp/tools/replay.out; return 1; }
	grep -q "\"check\":{\"ok\":$count,\"lost\":0,\"duplicate\":0,\"reordered\":0,\"corrupt\":0," /tmp/tools/receiver.out
}
check_that "what a port receives is written as pcapng" capture
check_that "and sent again" replayed -t
check_that "as pcap" capture --pcap
check_that "and sent again, by a rate" replayed -R 5000
check_that "and by nm-pkt-gen" generated -P /tmp/tools/file
check_that "which sends packets of random lengths, too" generated --check -l 1500 -l 60
as_nmreplay() {
	ln -sf "$(command -v nm-replay)" /tmp/tools/nmreplay
	/tmp/tools/nmreplay -n "$count" -w 0 -b 8 -B ether,100M -i vale0:p -f /tmp/tools/file | grep -q "^Sent $count packets"
}
check_that "as nmreplay, by a bandwidth" as_nmreplay
frames 4 >/tmp/tools/times
in_time() {
	local long short
	long=$(nm-replay -i vale0:p -f /tmp/tools/times --json 2>/dev/null | sed -n 's/.*"seconds":\([0-9.]*\).*/\1/p')
	short=$(nm-replay -i vale0:p -f /tmp/tools/times --json -s 3 -l 2 2>/dev/null | sed -n 's/.*"seconds":\([0-9.]*\).*/\1/p')
	say "$long and $short"
	# 300 ms, and twice 100 with a third of 100 between.
	awk -v long="$long" -v short="$short" 'BEGIN { exit !(long >= 0.3 && short >= 0.23) }'
}
check_that "packets keep their distances, and a factor divides them" in_time
# through FROM TO FILE: the packets of the file, of which there are four, are what arrives.
through() {
	rm -f /tmp/tools/back
	start dump "$2" nm-dump -i "$2" -w /tmp/tools/back -c 4 || return 1
	# Another program may have the port, too: the file begins when nm-dump has it.
	wait_for test -s /tmp/tools/back || return 1
	{ nm-replay -t -i "$1" -f "$3" >/dev/null && wait "$started"; } || { cat /tmp/tools/dump.err; return 1; }
	[ "$(packets_of /tmp/tools/back)" = "$(packets_of "$3")" ] && [ -n "$(packets_of /tmp/tools/back)" ]
}
# A program that waits for the link has the port meanwhile, and the length of the header is the port's.
both_ways() {
	local holder file status=0
	start large vale0:d nm-dump -i vale0:d -w /tmp/tools/large -c 4 || return 1
	nm-pkt-gen -i vale0:s -f tx --check -n 4 -l 5000 >/dev/null 2>&1 && wait "$started" || return 1
	start holder vale0:h nm-replay -w 100000 -i vale0:h -f /tmp/tools/times || return 1
	holder=$started
	nm-vale --header vale0:h --header-length 12 || status=1
	for file in times large; do
		through vale0:h vale0:d "/tmp/tools/$file" && through vale0:p vale0:h "/tmp/tools/$file" || status=1
	done
	nm-vale --header vale0:h | grep -q 'hdr_len: *12' || status=1
	ends_at INT "$holder" && return "$status"
}
check_that "a virtio-net header is not in files" both_ways
head -c 24 /tmp/tools/times >/tmp/tools/none
head -c 200 /tmp/tools/times >/tmp/tools/cut
check_that "a file of no packets" fails_with 1 'no packets' nm-replay -i vale0:p -f /tmp/tools/none
check_that "a truncated file" fails_with 1 'truncated' nm-replay -i vale0:p -f /tmp/tools/cut
check_that "a file that is none" fails_with 1 'neither a pcap nor' nm-replay -i vale0:p -f ./tools.sh
check_that "a file that does not exist" fails_with 1 'No such file' nm-replay -i vale0:p -f /tmp/tools/nosuch

# On a device: what is sent comes back from the other end, which is joined with itself, and is what it was.
looped() {
	start loop "$TEST_PEER" nm-bridge -L -i "netmap:$TEST_PEER" || return 1
	local loop=$started
	start dump "$TEST_IF" nm-dump -i "netmap:$TEST_IF" -w /tmp/tools/back -c 4 || return 1
	{ nm-replay -t -i "netmap:$TEST_IF" -f /tmp/tools/times >/dev/null && wait "$started"; } || { cat /tmp/tools/dump.err; return 1; }
	kill -INT "$loop"
	{ wait "$loop" && grep -q 'nm-bridge: 4 slots forth' /tmp/tools/loop.err; } || { cat /tmp/tools/loop.err; return 1; }
	[ "$(packets_of /tmp/tools/back)" = "$(packets_of /tmp/tools/times)" ] && [ -n "$(packets_of /tmp/tools/back)" ]
}
check_that "packets through a device, and back through a bridge that is a loop" looped
# bridged FLAG...: what the peer sends gets to a port of a switch.
bridged() {
	ln -sf "$(command -v nm-bridge)" /tmp/tools/bridge
	start receiver vale0:r nm-pkt-gen -i vale0:r -f rx --check --json -n 200 || return 1
	local receiver=$started
	start bridge "$TEST_IF" /tmp/tools/bridge -w 0 -b 64 "$@" -i "netmap:$TEST_IF" -i vale0:b || return 1
	local bridge=$started
	nm-pkt-gen -i "netmap:$TEST_PEER/T" -f tx --check -n 200 >/dev/null 2>&1
	wait "$receiver" || { cat /tmp/tools/receiver.err; return 1; }
	kill -INT "$bridge"
	wait "$bridge" && grep -q '"check":{"ok":200,"lost":0,' /tmp/tools/receiver.out
}
check_that "as bridge, from a device to a port of a switch" bridged
check_that "and with -c" bridged -c
wait_for is_free "$TEST_IF"
check_that "a bridge one end of which only receives" fails_with 1 'no transmit ring; leave out /R' nm-bridge "netmap:$TEST_IF/R" vale0:b
check_that "a bridge of nothing" fails_with 1 'a port is missing' nm-bridge
check_that "a bridge whose one end does not exist" fails_with 1 'nosuchif.*no such interface' nm-bridge vale0:b netmap:nosuchif

# Pipes, which lose nothing: their sender waits.
piped() {
	start dump 'tools}1' nm-dump -i 'netmap:tools}1' -w /tmp/tools/file -c "$count" || return 1
	{ nm-pkt-gen -i 'netmap:tools{1' -f tx --check -n "$count" >/dev/null 2>&1 && wait "$started"; } || { cat /tmp/tools/dump.err; return 1; }
	start receiver 'tools}1' nm-pkt-gen -i 'netmap:tools}1' -f rx --check --json -n "$count" || return 1
	nmctl show 'netmap:tools}1' | grep -q '^tools}1: pipe' || return 1
	nm-replay -t -i 'netmap:tools{1' -f /tmp/tools/file >/dev/null && wait "$started" &&
		grep -q "\"check\":{\"ok\":$count,\"lost\":0,\"duplicate\":0,\"reordered\":0,\"corrupt\":0," /tmp/tools/receiver.out
}
check_that "packets through a pipe, to a file and from it" piped
finish_test
