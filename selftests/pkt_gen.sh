#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The flags of nm-pkt-gen: what it sends, by content, on ports of a switch, devices and pipes.
set -u
. ./wire.sh
. ./programs.sh

plan 27

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
	local from=$1 to=$2 name=${2#netmap:} rate=5000
	shift 2
	# A device's ring has room for a second, the others for all or do without.
	[ "$name" != "$TEST_IF" ] || rate=1000
	start dump "${name%@*}" nm-dump -i "$to" -w /tmp/tools/file -c 3000 --idle-exit 10000 || return 1
	{ nm-pkt-gen -i "$from" -f tx -n 3000 -R "$rate" -s 10.0.0.1:5-10.0.0.7:6 -d 10.1.0.1-10.1.0.3 "$@" >/dev/null 2>/tmp/tools/errors &&
		wait "$started"; } || { cat /tmp/tools/errors /tmp/tools/dump.err; return 1; }
	tcpdump -Z root -n -t -vv -r /tmp/tools/file 2>/dev/null | sed -n 's/^ *\(10\.0\..*\), length.*/\1/p' | sort >/tmp/tools/out
	awk 'BEGIN {
		for (i = 0; i < 3000; i++)
			printf "10.0.0.%d.%d > 10.1.0.%d.1234: [udp sum ok] UDP\n", int(i / 2) % 7 + 1, i % 2 + 5, int(i / 14) % 3 + 1
	}' | sort | diff - /tmp/tools/out >/tmp/tools/differences && return
	head /tmp/tools/differences /tmp/tools/dump.err
	return 1
}
check_that "two ranges of addresses, in several turns of a ring of a switch" turned vale0:p vale0:r@conf:rx-slots=4096
check_that "where packets are numbered, too" turned vale0:p vale0:r@conf:rx-slots=4096 --check
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
finish_test
