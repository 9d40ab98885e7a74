#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The programs of tools/ on a device, on ports of a switch and on pipes: what they say and what they carry, by content, and what they do
# when something is missing, wrong or gone. What needs a device that can be removed, or that has a native port, is for those.
set -u
. ./wire.sh

mkdir -p /tmp/tools

# fails_with STATUS PATTERN COMMAND...: it ends with this status, and one line of error that matches.
fails_with() {
	local status=$1 pattern=$2 got=0
	shift 2
	"$@" >/tmp/tools/out 2>/tmp/tools/errors </dev/null || got=$?
	[ "$got" = "$status" ] && [ "$(wc -l </tmp/tools/errors)" = 1 ] && grep -qE "$pattern" /tmp/tools/errors && return
	echo "$*: status $got"
	cat /tmp/tools/out /tmp/tools/errors
	return 1
}

is_bound() {
	grep -qF "$1: " "$ports"
}

is_free() {
	! is_bound "$1"
}

# start NAME PORT COMMAND...: in the background, until its port is bound; its output is in /tmp/tools/NAME.out and NAME.err, its process in $started.
start() {
	local name=$1 port=$2
	shift 2
	"$@" >"/tmp/tools/$name.out" 2>"/tmp/tools/$name.err" &
	started=$!
	wait_for is_bound "$port"
}

# unread COMMAND...: with nobody who reads what it prints, from the start on.
unread() {
	local reader status=0
	exec 5> >(:)
	reader=$!
	wait "$reader"
	"$@" >&5 2>&5 </dev/null || status=$?
	exec 5>&-
	return "$status"
}

is_gone() {
	! kill -0 "$1"
}

# ends_at SIGNAL PROCESS: it ends in order.
ends_at() {
	kill -s "$1" "$2"
	if ! wait_for is_gone "$2"; then
		kill -KILL "$2"
		return 1
	fi
	wait "$2"
}

# field FILE NAME: a number of a report in JSON.
field() {
	sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$1" | head -n 1
}

# packets_of FILE: the octets of each packet, without times. (tcpdump would become a user whom the machine does not have.)
packets_of() {
	tcpdump -Z root -n -t -xx -r "$1" 2>/dev/null | grep 0x
}

# frames COUNT: a pcap file of as many packets, at distances of 100 ms.
frames() {
	local number
	printf '\xd4\xc3\xb2\xa1\2\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0'
	for ((number = 0; number < $1; number++)); do
		# shellcheck disable=SC2059 # octets are the format
		printf "\\x$(printf %02x $((number / 10 + 1)))\0\0\0\\x$(printf %02x $((number % 10 * 100000 & 255)))\\x$(printf %02x \
			$((number % 10 * 100000 >> 8 & 255)))\\x$(printf %02x $((number % 10 * 100000 >> 16)))\0\x40\0\0\0\x40\0\0\0"
		printf '\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\1\x88\xb5'
		printf '%050d' $number
	done
}

kind=native shown="native ($TEST_NIC)" planned=90
[ "$TEST_NIC" != veth ] || kind=emulated shown='emulated (skb)' planned=98
plan $planned

# What there is.
listed() {
	nmctl list | grep -E "^$TEST_IF +$TEST_NIC +$kind +[0-9]+ +[0-9]+ +up +-\$"
}
check_that "a device is listed, with what a port of it would be" listed
listed_json() {
	nmctl list --json | grep -q "\"name\":\"$TEST_IF\",\"driver\":\"$TEST_NIC\",\"port\":\"$kind\"" &&
		nmctl list --json | grep -q '"parameters":{"admode":"0",'
}
check_that "as JSON too, with the parameters" listed_json
# What one program says nobody reads, and each ends by itself, or as it is told.
not_read() {
	local status=0
	unread nmctl list --json && unread nmctl doctor "$TEST_IF" && unread nm-vale && unread nm-pkt-gen --help &&
		unread nm-pkt-gen -i vale0:s -f tx -n 10 && unread nm-pkt-gen -i vale0:s -f tx -n 10 --json &&
		unread nm-pkt-gen -i vale0:s -f tx -R 100 -n 50 -T 100 && unread nm-pkt-gen -i vale0:s -f tx -X || return 1
	unread nm-dump -i vale0:s --nosuch || status=$?
	[ "$status" = 2 ] || return 1
	unread nmctl show nosuchif || status=$?
	[ "$status" = 1 ]
}
check_that "a reader that has gone is no trouble" not_read
# told COMMAND...: it is told to end, and has nobody to tell its counters to.
told() {
	local program
	exec 5> >(:)
	wait $!
	"$@" >&5 2>&5 </dev/null &
	program=$!
	exec 5>&-
	wait_for is_bound vale0:s || return 1
	ends_at INT "$program" && return
	echo "$*"
	return 1
}
told_all() {
	told nm-bridge -v vale0:s vale0:t && told nm-dump -v -i vale0:s -w /tmp/tools/file && told nm-lb -i vale0:s -w 0 -o 1 &&
		told nm-pkt-gen -i vale0:s -f rx
}
check_that "nor at the end" told_all
# A file system that is full.
no_space() {
	local program
	for program in "nmctl list" "nmctl list --json" "nm-pkt-gen -i vale0:s -f tx -X" "nm-pkt-gen -i vale0:s -f tx -n 1" \
		"nm-lb -i vale0:s -w 0 -o 1"; do
		local status=0
		# shellcheck disable=SC2086 # words
		$program >/dev/full 2>/tmp/tools/errors || status=$?
		{ [ "$status" = 1 ] && grep -q 'standard output: No space left' /tmp/tools/errors; } ||
			{ echo "$program: $status"; cat /tmp/tools/errors; return 1; }
	done
}
check_that "what cannot be written is an error" no_space
is_well() {
	nmctl doctor "$TEST_IF" >/tmp/tools/out && grep -qE "^ok *$TEST_IF: $kind.*, nothing is in the way" /tmp/tools/out || return 1
	[ "$kind" = native ] || { grep -q "^note *$TEST_IF: emulated: not a NIC whose queues" /tmp/tools/out && ! grep -vE '^(ok|note) ' /tmp/tools/out; }
}
check_that "the doctor finds nothing wrong with it, and says why it is emulated" is_well
ill() {
	local status=0
	ip link set "$TEST_IF" down
	nmctl doctor "$TEST_IF" >/tmp/tools/out || status=$?
	ip link set "$TEST_IF" up
	[ "$status" = 0 ] && grep -q "^warning $TEST_IF: .*ip link set $TEST_IF up" /tmp/tools/out || return 1
	echo 1 >/sys/module/netmap/parameters/admode
	nmctl doctor --json "$TEST_IF" >/tmp/tools/out || status=$?
	echo 0 >/sys/module/netmap/parameters/admode
	[ "$status" = 1 ] && grep -q '"severity":"error"' /tmp/tools/out && grep -q "echo 0 >.*admode" /tmp/tools/out || return 1
	status=0
	nmctl doctor lo >/tmp/tools/out || status=$?
	[ "$status" = 1 ] && grep -q '^error *lo: .*veth pair' /tmp/tools/out && wait_for carrier_is "$TEST_IF" 1
}
[ "$TEST_NIC" != veth ] || check_that "it finds what is wrong, and what to do" ill
check_that "the doctor of nothing" fails_with 1 'nosuchif: there is no such interface' nmctl doctor nosuchif
check_that "a port that cannot be shown" fails_with 1 'nosuchif: .*nmctl doctor' nmctl show nosuchif
check_that "top without a terminal" fails_with 1 'needs a terminal' nmctl top

start holder "$TEST_PEER" nm-pkt-gen -i "netmap:$TEST_PEER" -f rx
check $? "a port is bound"
holder=$started
nm-pkt-gen -i "netmap:$TEST_IF/T" -f tx -n 300 -R 1000 >/dev/null 2>&1
heard_300() {
	[ "$(received_by "$TEST_PEER")" -ge 300 ]
}
wait_for heard_300
is_shown() {
	nmctl show "netmap:$TEST_PEER" >/tmp/tools/out && grep -qF "$TEST_PEER: $shown" /tmp/tools/out &&
		awk '$1 == "rx" { seen += $3 } END { exit seen < 300 }' /tmp/tools/out &&
		nmctl show "$TEST_PEER" --json | tee -a /tmp/tools/out | grep -qF "\"kind\":\"$shown\"" && return
	cat /tmp/tools/out
	return 1
}
check_that "it is shown with its counters" is_shown
top_screen() {
	local sender status=0
	nm-pkt-gen -i "netmap:$TEST_IF/T" -f tx -R 500 >/dev/null 2>&1 &
	sender=$!
	./terminal 30 140 nmctl top -i 200 <<-END || status=1
		wait ^nmctl top  [0-9]+ rings  [1-9]
		wait ^PORT +RING +PKT/S +BYTE/S
		wait ^$TEST_PEER +rx [0-9]+ +[1-9][0-9.]*K? +[1-9].*[▁▂▃▄▅▆▇█].*$kind
		wait ^$TEST_IF +tx [0-9]+ +[1-9]
		send space
		wait PAUSED
		send n
		wait ^$TEST_IF
		show
		send q
		end 0
	END
	kill "$sender"
	wait "$sender"
	return "$status"
}
check_that "top shows the rates of both ends, and ends at q" top_screen
# top_ends STEP STATUS
top_ends() {
	./terminal 30 140 nmctl top -i 200 <<-END
		wait ^$TEST_PEER
		$1
		end 0
	END
}
check_that "and at Ctrl-C" top_ends "send ^C"
check_that "and at SIGTERM" top_ends "signal 15"
kill -INT "$holder"
wait "$holder"
check_that "the device is given back" wait_for is_free "$TEST_PEER"

# Capture files, from and to ports of a switch.
count=50
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
# generated FLAG...: what nm-pkt-gen sends arrives, whole and in order.
generated() {
	start receiver vale0:r nm-pkt-gen -i vale0:r -f rx --check --json -n "$count" || return 1
	nm-pkt-gen -i vale0:p -f tx -n "$count" "$@" >/dev/null 2>/tmp/tools/errors && wait "$started" &&
		grep -q "\"check\":{\"ok\":$count,\"lost\":0,\"duplicate\":0,\"reordered\":0,\"corrupt\":0," /tmp/tools/receiver.out && return
	cat /tmp/tools/errors
	return 1
}
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

# The other flags of pkt-gen.
ipv6() {
	start dump "$TEST_IF" nm-dump -i "netmap:$TEST_IF" -w /tmp/tools/file -c 4 || return 1
	{ nm-pkt-gen -i "netmap:$TEST_PEER/T" -f tx -l 70 -n 4 -s '7@[fd00::1]:5-[fd00::2]:6' -d '[fd00::9]:7' >/dev/null 2>/tmp/tools/errors &&
		wait "$started"; } || { cat /tmp/tools/errors /tmp/tools/dump.err; return 1; }
	# By several queues they come in another order.
	tcpdump -Z root -n -t -vv -r /tmp/tools/file 2>/dev/null | sed 's/^.*) //' | sort >/tmp/tools/out
	diff - /tmp/tools/out <<-END
		fd00::1.5 > fd00::9.7: [udp sum ok] UDP, length 8
		fd00::1.6 > fd00::9.7: [udp sum ok] UDP, length 8
		fd00::2.5 > fd00::9.7: [udp sum ok] UDP, length 8
		fd00::2.6 > fd00::9.7: [udp sum ok] UDP, length 8
	END
}
check_that "packets of IPv6, from a range of addresses, through a device" ipv6
check_that "which are whole" generated --check -6 -l 100
check_that "packets of several slots" generated --check -l 900 -F 3
check_that "of no more octets in a slot than it is told" generated --check -l 1000 -l 600 -M 100
# cut_into SLOTS FLAG...: packets have so many slots, by who counts these.
cut_into() {
	local slots=$1
	shift
	start receiver vale0:r nm-pkt-gen -i vale0:r -f rxseq --json -n $((count * slots)) || return 1
	nm-pkt-gen -i vale0:p -f tx -n "$count" "$@" >/dev/null 2>/tmp/tools/errors && wait "$started" &&
		grep -q "\"cut_otherwise\":0,\"slots_per_packet\":$slots}" /tmp/tools/receiver.out && return
	cat /tmp/tools/errors /tmp/tools/receiver.out
	return 1
}
check_that "of which there are as many as -F says" cut_into 3 -l 900 -F 3
check_that "or as -M needs" cut_into 10 -l 1000 -M 100
check_that "and of more octets than a buffer" generated --check -l 5000
check_that "with a virtio-net header, which the other port does not have" generated --check -H 12
has_header() {
	nm-vale --header vale0:r 2>/dev/null | grep -qw 12
}
both_headers() {
	start receiver vale0:r nm-pkt-gen -i vale0:r -f rx -H 12 --check --json -n "$count" || return 1
	wait_for has_header
	nm-pkt-gen -i vale0:p -f tx -H 10 --check -n "$count" >/dev/null 2>/tmp/tools/errors && wait "$started" &&
		grep -q "\"check\":{\"ok\":$count,\"lost\":0,\"duplicate\":0,\"reordered\":0,\"corrupt\":0," /tmp/tools/receiver.out &&
		[ "$(field /tmp/tools/receiver.out bytes)" = $((count * 72)) ] && return
	cat /tmp/tools/errors /tmp/tools/receiver.out
	return 1
}
check_that "and with another one there" both_headers
# turned PORT PORT FLAG...: what goes from the one to the other in several turns of its ring has all addresses of two ranges in their order
# (which several receive rings may change), and right checksums.
turned() {
	local from=$1 to=$2
	shift 2
	start dump "${to#netmap:}" nm-dump -i "$to" -w /tmp/tools/file -c 3000 --idle-exit 10000 || return 1
	{ nm-pkt-gen -i "$from" -f tx -n 3000 -R 2000 -s 10.0.0.1:5-10.0.0.7:6 -d 10.1.0.1-10.1.0.3 "$@" >/dev/null 2>/tmp/tools/errors &&
		wait "$started"; } || { cat /tmp/tools/errors /tmp/tools/dump.err; return 1; }
	tcpdump -Z root -n -t -vv -r /tmp/tools/file 2>/dev/null | sed -n 's/^ *\(10\.0\..*\), length.*/\1/p' | sort >/tmp/tools/out
	awk 'BEGIN {
		for (i = 0; i < 3000; i++)
			printf "10.0.0.%d.%d > 10.1.0.%d.1234: [udp sum ok] UDP\n", int(i / 2) % 7 + 1, i % 2 + 5, int(i / 14) % 3 + 1
	}' | sort | diff - /tmp/tools/out >/tmp/tools/differences && return
	head /tmp/tools/differences
	return 1
}
check_that "two ranges of addresses, in several turns of a ring of a switch" turned vale0:p vale0:r
check_that "where packets are numbered, too" turned vale0:p vale0:r --check
check_that "and through a device" turned "netmap:$TEST_PEER/T" "netmap:$TEST_IF"
check_that "which are numbered, too" turned "netmap:$TEST_PEER/T" "netmap:$TEST_IF" --check
check_that "and through a pipe" turned 'netmap:tools{1' 'netmap:tools}1'
check_that "which are numbered, too" turned 'netmap:tools{1' 'netmap:tools}1' --check
wait_for is_free "$TEST_IF"
# sent FLAG...: the packets that a port of the switch gets.
sent() {
	start dump vale0:d nm-dump -i vale0:d -w /tmp/tools/file -c 5 || return 1
	nm-pkt-gen -i vale0:s -f tx -n 5 -l 100 "$@" >/dev/null 2>/tmp/tools/errors && wait "$started" || return 1
	packets_of /tmp/tools/file
}
indirect() {
	{ sent >/tmp/tools/direct && sent -I >/tmp/tools/indirect && sent -o 32 >/tmp/tools/option; } || { cat /tmp/tools/errors; return 1; }
	[ -s /tmp/tools/direct ] && cmp /tmp/tools/direct /tmp/tools/indirect && cmp /tmp/tools/direct /tmp/tools/option
}
check_that "from the program's memory" indirect
has_come() {
	[ "$(tcpdump -Z root -n -r /tmp/tools/file 2>/dev/null | wc -l)" -ge "$1" ]
}
# came ADDRESS: how many packets from there.
came() {
	tcpdump -Z root -n -r /tmp/tools/file "src $1" 2>/dev/null | wc -l
}
# send FLAG...: by all slots of a port that another program keeps.
send() {
	nm-pkt-gen -i vale0:s -f tx -l 100 -n 100 "$@" >/dev/null 2>/tmp/tools/errors || { cat /tmp/tools/errors; return 1; }
}
# What is in buffers that stay shows what was written into them.
rubbish() {
	local dump holder
	start dump vale0:d nm-dump -i vale0:d -w /tmp/tools/file || return 1
	dump=$started
	start holder vale0:s nm-pkt-gen -i vale0:s -f rx -C 64 || return 1
	holder=$started
	send -s 10.9.0.1 && send -r && wait_for has_come 200 && send -s 10.9.0.2 -I && send -r && wait_for has_come 300
	ends_at INT "$dump"
	ends_at INT "$holder"
	say "$(came 10.9.0.1) and $(came 10.9.0.2)"
	# Those that were written, and what is in the buffers twice. What is in a program's memory is dropped where two programs have the region.
	[ "$(came 10.9.0.1)" = 300 ] && [ "$(came 10.9.0.2)" = 0 ] && return
	packets_of /tmp/tools/file | head -n 20
	return 1
}
check_that "what the buffers have in them, which is nothing that was in the program's memory" rubbish
options() {
	nm-pkt-gen -i vale0:s -f tx -n 2 -o 64 -o 512 >/tmp/tools/out 2>/dev/null && [ "$(grep -c '^60 octets' /tmp/tools/out)" = 2 ] &&
		[ "$(grep '^   16: ' /tmp/tools/out | sort -u | wc -l)" = 2 ] &&
		nm-pkt-gen -i vale0:s -f tx -R 1000 -n 500 -T 100 -A 2>&1 | grep -q 'pps \[avg/std [0-9.]* K*/[0-9.]* K*pps\]('
}
check_that "options by number, one of them random addresses, and means of rates" options
check_that "options that contradict each other" fails_with 2 '^nm-pkt-gen: -P and -z contradict each other' nm-pkt-gen -i vale0:s -f tx -P x -o 512
# numbered SLOTS PORT PORT FLAG...: numbered slots get from the one to the other.
numbered() {
	local slots=$1 from=$2 to=$3
	shift 3
	start receiver "${to#netmap:}" nm-pkt-gen -i "$to" -f rxseq --json -n 90 || return 1
	nm-pkt-gen -i "$from" -f txseq -n 90 "$@" >/dev/null 2>/tmp/tools/errors && wait "$started" && grep -q \
		"\"sequence\":{\"gaps\":0,\"missing\":0,\"out_of_order\":0,\"unnumbered\":0,\"cut_otherwise\":0,\"slots_per_packet\":$slots}" \
		/tmp/tools/receiver.out && return
	cat /tmp/tools/errors /tmp/tools/receiver.out
	return 1
}
check_that "numbered slots, three of which make a packet" numbered 3 vale0:p vale0:r -F 3 -l 100
# Each ring of a card has numbers of its own, and addresses that differ are spread over them.
ethtool -X "$TEST_IF" equal 1 2>/dev/null
check_that "and through a device, from a range of addresses" numbered 1 "netmap:$TEST_PEER/T" "netmap:$TEST_IF" -6 -l 70 -s fd00::1-fd00::9
ethtool -X "$TEST_IF" default 2>/dev/null
disordered() {
	start receiver vale0:r nm-pkt-gen -i vale0:r -f rxseq --json -n 20 || return 1
	nm-pkt-gen -i vale0:p -f txseq -n 10 >/dev/null 2>&1 && nm-pkt-gen -i vale0:p -f txseq -n 10 >/dev/null 2>&1
	wait "$started" && grep -q '"gaps":0,"missing":0,"out_of_order":1,' /tmp/tools/receiver.out &&
		grep -q 'Sequence OUT OF ORDER: exp 10 found 0' /tmp/tools/receiver.err
}
check_that "numbers that start over are told" disordered
check_that "an address of another kind" fails_with 2 '10.0.0.1 is no IPv6 address' nm-pkt-gen -i vale0:s -f tx -6 -s 10.0.0.1
check_that "memory of the program, where no switch takes it" fails_with 2 'ports of switches' nm-pkt-gen -i "netmap:$TEST_IF" -f tx -I
check_that "a header of another length" fails_with 2 '0, 10 or 12' nm-pkt-gen -i vale0:s -f tx -H 11
check_that "a header where there can be none" fails_with 1 'ports of switches can have one' nm-pkt-gen -i "netmap:$TEST_IF" -f tx -H 12 -n 1
check_that "more slots than a packet can have" fails_with 1 'need 70 slots of 100 octets' nm-pkt-gen -i vale0:s -f tx -l 7000 -M 100 -n 1
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
frames 50 >/tmp/tools/many
has_said() {
	grep -q "$1" "$2"
}
# in_the_middle PATTERN COMMAND...: what it says that it has sent when it is told to end is what has arrived.
in_the_middle() {
	local pattern=$1 receiver sender
	shift
	start receiver 'tools}1' nm-pkt-gen -i 'netmap:tools}1' -f rx --json --idle-exit 2000 || return 1
	receiver=$started
	start sender 'tools{1' "$@" || return 1
	sender=$started
	wait_for has_said "$pattern" /tmp/tools/sender.err || { kill "$sender" "$receiver"; cat /tmp/tools/sender.err; return 1; }
	ends_at INT "$sender" || { cat /tmp/tools/sender.err; return 1; }
	wait "$receiver"
	[ "$(field /tmp/tools/sender.out packets)" -gt 0 ] &&
		[ "$(field /tmp/tools/sender.out packets)" = "$(field /tmp/tools/receiver.out packets)" ] && return
	cat /tmp/tools/sender.out /tmp/tools/receiver.out
	return 1
}
check_that "nm-replay ends in the middle of a file, and has sent what it says" in_the_middle 'in the last second' \
	nm-replay -v --json --loop -R 2000 -i 'netmap:tools{1' -f /tmp/tools/many
check_that "and so does nm-pkt-gen" in_the_middle 'pps' nm-pkt-gen --json -T 200 -R 2000 -i 'netmap:tools{1' -f tx
# No one takes what is sent.
# stuck OCTETS COMMAND...: packets of as many octets.
stuck() {
	local status=0 sent unsent octets=$1
	shift
	"$@" --json -i 'netmap:tools{1' >/tmp/tools/out 2>/tmp/tools/errors || status=$?
	sent=$(field /tmp/tools/out packets) unsent=$(field /tmp/tools/out unsent)
	[ "$status" = 1 ] && grep -q 'packets do not leave the ring: is the link up' /tmp/tools/errors && [ "$unsent" -gt 0 ] &&
		[ "$(field /tmp/tools/out bytes)" = $((sent * octets)) ] && return
	cat /tmp/tools/out /tmp/tools/errors
	return 1
}
check_that "packets that nobody takes are an error, and not sent" stuck 64 nm-replay -t --loop -f /tmp/tools/many
check_that "of nm-pkt-gen, too" stuck 60 nm-pkt-gen -f tx
check_that "where each has several slots" stuck 900 nm-pkt-gen -f tx -l 900 -F 3
check_that "and where all are in the ring" stuck 60 nm-pkt-gen -f tx -n 20
check_that "and of numbered slots" stuck 60 nm-pkt-gen -f txseq
# The ring is full: nothing has been sent since the last report.
told_when_stuck() {
	start sender 'tools{1' nm-pkt-gen --json -T 100 -i 'netmap:tools{1' -f tx || return 1
	wait_for has_said '^0.000 pps' /tmp/tools/sender.err
	ends_at INT "$started" && [ "$(field /tmp/tools/sender.out unsent)" -gt 0 ] && return
	cat /tmp/tools/sender.out /tmp/tools/sender.err
	return 1
}
check_that "which is none where the program was told to end" told_when_stuck

# goes_on FIELDS COMMAND...: a program that takes what comes by a pipe is told to end in the middle, and who opens the pipe's end next gets
# what follows on that; FIELDS of its report are all that it has taken.
goes_on() {
	local fields=$1 program sender name taken=0
	shift
	start program 'tools}1' "$@" --json || return 1
	program=$started
	start sender 'tools{1' nm-pkt-gen --json -T 100 -i 'netmap:tools{1' -f tx --check || return 1
	sender=$started
	wait_for has_said '^[1-9].*pps' /tmp/tools/sender.err || { kill "$sender" "$program"; cat /tmp/tools/sender.err; return 1; }
	ends_at INT "$program"
	nm-pkt-gen -i 'netmap:tools}1' -f rx --check --json -n 100 >/tmp/tools/receiver.out 2>/tmp/tools/receiver.err
	ends_at INT "$sender"
	for name in $fields; do
		taken=$((taken + $(field /tmp/tools/program.out "$name" | grep . || echo 0)))
	done
	[ "$taken" -gt 0 ] && [ "$(field /tmp/tools/receiver.out first)" = "$taken" ] &&
		grep -q '"check":{"ok":100,"lost":0,"duplicate":0,"reordered":0,"corrupt":0,"foreign":0,' /tmp/tools/receiver.out && return
	cat /tmp/tools/program.* /tmp/tools/sender.out /tmp/tools/receiver.*
	return 1
}
check_that "what nm-pkt-gen has received last nobody gets again" goes_on packets nm-pkt-gen -i 'netmap:tools}1' -f rx
check_that "nor what it has answered" goes_on 'packets drops unsent' nm-pkt-gen -i 'netmap:tools}1' -f pong
check_that "nor what nm-bridge has carried" goes_on slots_forth nm-bridge 'netmap:tools}1' vale0:b
check_that "nor what nm-lb has" goes_on total nm-lb -i 'netmap:tools}1' -p tools:1 -w 0
# The wait for the link is no reason not to hear.
waiting() {
	start waiting vale0:w "$@" && ends_at INT "$started" && return
	cat /tmp/tools/waiting.err
	return 1
}
check_that "nm-bridge ends while it waits for the link" waiting nm-bridge -w 100000 vale0:w vale0:v
check_that "and nm-replay" waiting nm-replay -w 100000 -i vale0:w -f /tmp/tools/many
check_that "and nm-pkt-gen" waiting nm-pkt-gen -w 100000 -i vale0:w -f tx
check_that "and nm-lb" waiting nm-lb -w 100000 -i vale0:w

# The other names.
names() {
	local name
	for name in vale-ctl:nm-vale lb:nm-lb pkt-gen:nm-pkt-gen; do
		ln -sf "$(command -v "${name#*:}")" "/tmp/tools/${name%:*}"
	done
	start receiver vale0:r /tmp/tools/pkt-gen -i vale0:r -f rx -w 0 -n 10 || return 1
	/tmp/tools/vale-ctl | grep -q '^vale0:r bridge_idx [0-9]* port_idx [0-9]*$' && nmctl list | grep -q '^vale0 .*vale0:r (' &&
		/tmp/tools/pkt-gen -i vale0:s -f tx -n 10 -w 0 -4 -B | grep -q '^Sent 10 packets' && /tmp/tools/lb -h | grep -q Usage
	local status=$?
	[ "$status" = 0 ] || kill "$started"
	wait "$started" && grep -q '^Received 10 packets' /tmp/tools/receiver.out && return "$status"
}
check_that "by the names of the classic programs" names

# Ends.
whole() {
	[ "$(tcpdump -Z root -n -r /tmp/tools/file 2>/dev/null | wc -l)" -ge 20 ]
}
interrupted() {
	start dump "$TEST_IF" nm-dump -i "netmap:$TEST_IF" -w /tmp/tools/file || return 1
	nm-pkt-gen -i "netmap:$TEST_PEER/T" -f tx -n 20 >/dev/null 2>&1
	wait_for whole
	kill -INT "$started"
	wait "$started" && grep -qE '^[0-9]+ packets of [0-9]+ octets written' /tmp/tools/dump.err && wait_for is_free "$TEST_IF"
}
check_that "a signal ends a capture, with its counters, and gives the device back" interrupted
check_that "whose file is whole" whole
# A closed terminal ends a program, but not for whoever has said nohup.
hung_up() {
	start dump vale0:d nm-dump -i vale0:d -w /tmp/tools/file || return 1
	ends_at HUP "$started" || return 1
	# shellcheck disable=SC2016 # its own words
	start dump vale0:d bash -c 'trap "" HUP; exec "$@"' - nm-dump -i vale0:d -w /tmp/tools/file || return 1
	kill -HUP "$started"
	nm-pkt-gen -i vale0:s -f tx -n 20 >/dev/null 2>&1
	wait_for whole && ends_at INT "$started"
}
check_that "a closed terminal ends a program, unless it was started with nohup" hung_up
# Each packet is written when it comes: the next one after the reader has gone tells.
reader_goes() {
	local sender status
	nm-pkt-gen -i vale0:s -f tx -R 200 >/dev/null 2>&1 &
	sender=$!
	{ nm-dump -i vale0:d 2>/tmp/tools/errors; echo $? >/tmp/tools/status; } | head -c 500 >/tmp/tools/head
	kill "$sender"
	wait "$sender"
	status=$(cat /tmp/tools/status)
	{ [ "$status" = 0 ] && grep -q 'nobody reads it' /tmp/tools/errors && [ "$(stat -c %s /tmp/tools/head)" = 500 ]; } || { cat /tmp/tools/errors; return 1; }
}
check_that "a pipe that nobody reads any more ends a capture" reader_goes
full() {
	nm-pkt-gen -i vale0:s -f tx -R 200 >/dev/null 2>&1 &
	local sender=$! status=0
	nm-dump -i vale0:d -w /dev/full 2>/tmp/tools/errors || status=$?
	kill "$sender"
	wait "$sender"
	[ "$status" = 1 ] && grep -q '/dev/full: No space left' /tmp/tools/errors
}
check_that "a file system that is full" full
nobody() {
	fails_with 1 'permission denied; run this as root' setpriv --reuid 65534 --clear-groups "$(command -v "$1")" "${@:2}"
}
check_that "who may not open the device is told so by nm-dump" nobody nm-dump -i vale0:d -w /tmp/tools/no
check_that "and by nm-replay" nobody nm-replay -i vale0:d -f /tmp/tools/times
check_that "and by nm-bridge" nobody nm-bridge vale0:d vale0:e
check_that "wrong flags are an error" fails_with 2 '^nm-dump: unexpected argument .*--nosuch.*--help' nm-dump -i vale0:d --nosuch
check_that "and a port that is no name" fails_with 2 "^nm-replay: .*'eth0/Q'.*--help" nm-replay -i eth0/Q -f /tmp/tools/times
# gone PATTERN SUMMARY COMMAND...: the interface under test goes while the program has it; it says so, and what it had done.
gone() {
	local status=0 pattern=$1 summary=$2
	shift 2
	start gone "$TEST_IF" "$@" || return 1
	ip link del "$TEST_IF"
	wait "$started" || status=$?
	ip link add "$TEST_IF" numtxqueues 2 numrxqueues 2 type veth peer name "$TEST_PEER" numtxqueues 2 numrxqueues 2
	ip link set "$TEST_IF" up
	ip link set "$TEST_PEER" up
	wait_for carrier_is "$TEST_IF" 1
	{ [ "$status" = 1 ] && grep -q "$pattern" /tmp/tools/gone.err && cat /tmp/tools/gone.out /tmp/tools/gone.err | grep -qE "$summary"; } ||
		{ cat /tmp/tools/gone.out /tmp/tools/gone.err; return 1; }
}
if [ "$TEST_NIC" = veth ]; then
	check_that "an interface that goes ends nm-dump" gone 'the interface is gone' '0 packets of' nm-dump -i "netmap:$TEST_IF" -w /tmp/tools/file
	check_that "and nm-bridge" gone 'the interface is gone' '0 slots forth' nm-bridge "netmap:$TEST_IF" vale0:b
	check_that "and nm-pkt-gen" gone 'the interface is gone' 'Received nothing' nm-pkt-gen -i "netmap:$TEST_IF" -f rx
	check_that "which sends, too" gone 'the interface is gone' '^Sent [1-9]|Sent nothing' nm-pkt-gen -i "netmap:$TEST_IF" -f tx -R 1000
	check_that "and pings" gone 'the interface is gone' '^Replies: [0-9]+, lost: ' nm-pkt-gen -i "netmap:$TEST_IF" -f ping
	check_that "and nm-replay" gone 'the interface is gone' '^Sent [0-9]+ packets' nm-replay --loop -R 100 -i "netmap:$TEST_IF" -f /tmp/tools/many
	check_that "and nm-lb" gone 'the interface is gone' '^0 packets forwarded.  0 packets dropped' nm-lb -w 0 -i "netmap:$TEST_IF"
fi

wait_for rmmod netmap
unloaded() {
	fails_with 1 'modprobe netmap' nm-dump -i vale0:d -w /tmp/tools/no && fails_with 1 'modprobe netmap' nm-replay -i vale0:d -f /tmp/tools/times &&
		fails_with 1 'modprobe netmap' nm-bridge vale0:d vale0:e && fails_with 1 'modprobe netmap' nmctl show vale0:d &&
		fails_with 1 'netmap' nm-pkt-gen -i vale0:d && fails_with 1 'netmap' nm-vale && fails_with 1 'netmap' nm-lb -w 0 -i vale0:d
}
check_that "without the module, each program says so in a line" unloaded
doctor_unloaded() {
	! nmctl doctor >/tmp/tools/out && grep -q '^error *machine: the module is' /tmp/tools/out
}
check_that "and so does the doctor" doctor_unloaded
finish_test
