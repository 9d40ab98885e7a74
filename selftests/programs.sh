# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the tests of the programs of tools/ have in common. Sourced, after wire.sh.

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
	rm -f "/tmp/tools/$name.out" "/tmp/tools/$name.err"
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

# has_said PATTERN FILE
has_said() {
	grep -q "$1" "$2"
}

# How many packets are carried.
count=50

# generated FLAG...: what nm-pkt-gen sends arrives, whole and in order.
generated() {
	start receiver vale0:r nm-pkt-gen -i vale0:r -f rx --check --json -n "$count" || return 1
	nm-pkt-gen -i vale0:p -f tx -n "$count" "$@" >/dev/null 2>/tmp/tools/errors && wait "$started" &&
		grep -q "\"check\":{\"ok\":$count,\"lost\":0,\"duplicate\":0,\"reordered\":0,\"corrupt\":0," /tmp/tools/receiver.out && return
	cat /tmp/tools/errors
	return 1
}
