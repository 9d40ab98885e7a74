#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# nm-lb spreads packets over pipes: by flow, to each group, whole and once each; what finds no room waits, and the oldest give way.
# They come by a pipe too, for that loses nothing: its sender waits.
set -u
. ./wire.sh
. ./programs.sh

source="$TEST_IF{90"
stats=/tmp/lb.stats

# start_lb ARG...
start_lb() {
	rm -f $stats
	nm-lb -i "netmap:$TEST_IF}90" -w 0 -o 1 "$@" >$stats 2>/tmp/lb.errors &
	lb=$!
	wait_for grep -q '"output_ring":null' $stats
	check $? "nm-lb $*"
}

# stop_lb: with what it says of packets forwarded and dropped in $forwarded, $dropped.
stop_lb() {
	kill -TERM $lb
	wait $lb
	check $? "it ends when it is told to"
	sed 's/^/# /' /tmp/lb.errors
	forwarded=$(sed -n 's/^\([0-9]*\) packets forwarded.*/\1/p' $stats)
	dropped=$(sed -n 's/.* \([0-9]*\) packets dropped.*/\1/p' $stats)
}

# of_port FIELD: its value in the last report.
of_port() {
	sed -n "s/.*\"output_ring\":null.*\"$1\":\([0-9]*\).*/\1/p" $stats | tail -n 1
}

has_received() {
	[ "$(of_port packets_received)" = "$1" ]
}

# send COUNT [ARG...]
send() {
	nm-pkt-gen -i "netmap:$source" -f tx --check -n "$@" >/tmp/sent 2>&1
	check $? "$1 packets are sent"
}

# field FILE NAME: a number of the report of nm-pkt-gen.
field() {
	sed -n "s/.*\"check\":{[^[]*\"$2\":\([0-9]*\).*/\1/p" "$1"
}

# receive PIPE FILE ARG...: what comes by a pipe is checked. $TEST_IF{PIPE is there by then.
receive() {
	local pipe=$1 file=$2
	shift 2
	nm-pkt-gen -i "netmap:$TEST_IF}$pipe" -f rx --check --json "$@" >"$file" 2>"$file.errors" && return
	sed 's/^/# /' "$file" "$file.errors"
	return 1
}

# two_receive COUNT ARG...: of COUNT packets, whose addresses ARG... say, two pipes have what they have in /tmp/one and /tmp/other.
two_receive() {
	local count=$1 one other
	receive 0 /tmp/one -n "$2" --idle-exit 5000 &
	one=$!
	receive 1 /tmp/other -n "$2" --idle-exit 5000 &
	other=$!
	shift 2
	send "$count" "$@"
	wait $one && wait $other
	check $? "none is corrupt or comes twice"
}

spread() {
	local sum
	# All may wait: the receivers need not be as fast as the sender.
	start_lb -p "$TEST_IF:2" -B 20000
	two_receive 20000 0 -s 10.0.0.1:1-10.0.0.1:500
	sum=$(($(field /tmp/one ok) + $(field /tmp/other ok)))
	say "$(field /tmp/one ok) and $(field /tmp/other ok)"
	[ $sum = 20000 ] && [ "$(field /tmp/one ok)" -gt 5000 ] && [ "$(field /tmp/other ok)" -gt 5000 ]
	check $? "all of them arrive, a good part by each pipe"
	[ "$(field /tmp/one reordered)" = 0 ] && [ "$(field /tmp/other reordered)" = 0 ]
	check $? "and in order"
	stop_lb
	[ "$forwarded" = 20000 ] && [ "$dropped" = 0 ]
	check $? "it says so"
}

# Both groups have one pipe; the last one gets the buffers, the other one copies.
both_groups() {
	start_lb -p "$TEST_IF:1" -p "$TEST_IF:1" -B 3000
	two_receive 1000 1000
	[ "$(field /tmp/one ok)" = 1000 ] && [ "$(field /tmp/other ok)" = 1000 ]
	check $? "each group receives all"
	stop_lb
	[ "$forwarded" = 2000 ] && [ "$dropped" = 0 ]
	check $? "it counts both"
}

# Nobody reads: the ring takes what it can, the rest waits.
queue() {
	start_lb -p "$TEST_IF:1" -B 3000
	send 3000
	wait_for has_received 3000
	check $? "it receives packets that nobody reads yet"
	[ "$(of_port packets_dropped)" = 0 ] && [ "$(of_port free_buffer_slots)" -lt 3000 ]
	check $? "and keeps them"
	receive 0 /tmp/one -n 3000
	check $? "none is corrupt or comes twice"
	[ "$(field /tmp/one ok)" = 3000 ] && [ "$(field /tmp/one reordered)" = 0 ]
	check $? "all come, in order"
	stop_lb
	[ "$forwarded" = 3000 ] && [ "$dropped" = 0 ]
	check $? "it says so"
}

overflow() {
	local first last
	start_lb -p "$TEST_IF:1" -B 100
	send 3000
	wait_for has_received 3000
	check $? "it receives more than there are buffers for"
	first=$(of_port packets_forwarded) last=$((3000 - $(of_port packets_dropped)))
	say "$first in the ring, $((last - first)) wait"
	[ "$last" -gt "$first" ] && [ $((last - first)) -le 100 ] && [ "$last" -lt 3000 ]
	check $? "as many as there are extra buffers wait"
	receive 0 /tmp/one -n "$last"
	check $? "none is corrupt or comes twice"
	[ "$(field /tmp/one ok)" = "$last" ] && grep -q '"last":2999' /tmp/one
	check $? "the newest have stayed"
	stop_lb
}

# What waits when it ends was meant for somebody, who does not get it.
ended() {
	start_lb -p "$TEST_IF:1" -B 3000
	send 3000
	wait_for has_received 3000
	stop_lb
	say "$forwarded and $dropped"
	[ $((forwarded + dropped)) = 3000 ] && [ "$dropped" -gt 0 ]
	check $? "what waits at the end is dropped, and counted"
}

wrong() {
	nm-lb -i netmap:nosuchif/x -w 0 >/tmp/out 2>&1
	[ $? = 1 ] && grep -q '^nm-lb: .*nosuchif.*No such device' /tmp/out
	check $? "an interface that does not exist"
	nm-pkt-gen -i "netmap:$TEST_IF{0/x" -f rx >/dev/null 2>&1 &
	local owner=$!
	wait_for grep -q "$TEST_IF{0" "$ports"
	nm-lb -i "netmap:$TEST_IF}90" -w 0 -p "$TEST_IF:1" >/tmp/out 2>&1
	[ $? = 1 ] && grep -q "^nm-lb: .*$TEST_IF{0.*busy" /tmp/out
	check $? "a pipe that another program has"
	kill $owner
	wait $owner
	nm-lb -i "netmap:$TEST_IF/T" -w 0 >/tmp/out 2>&1
	[ $? = 1 ] && grep -q '^nm-lb: .*no receive ring' /tmp/out
	check $? "a port that receives nothing"
}

# behind_header: a port of a switch whose packets have a header, which is set before by another program's having it.
behind_header() {
	local holder forwarded
	nm-replay -w 100000 -i vale0:h -f /tmp/one-packet >/dev/null 2>&1 &
	holder=$!
	wait_for grep -q 'vale0:h: ' "$ports" && nm-vale --header vale0:h --header-length 12
	rm -f $stats
	nm-lb -i vale0:h -p lbh:2 -w 0 -o 1 >$stats 2>/tmp/lb.errors &
	lb=$!
	wait_for grep -q '"output_ring":null' $stats
	nm-pkt-gen -i vale0:s -f tx -n 300 -s 10.0.0.1-10.0.0.99 >/dev/null 2>&1
	wait_for has_received 300
	check $? "packets with a header are received"
	stop_lb
	[ "$(of_port non_ip_packets)" = 0 ] && [ "$(grep -o '"output_ring":[01],"packets_forwarded":[0-9]*' $stats | grep -c ':[1-9][0-9]*$')" -ge 2 ]
	check $? "and spread by what is behind it"
	kill "$holder"
	wait "$holder"
}

frames 1 >/tmp/one-packet
plan 38
spread
both_groups
queue
overflow
ended
wrong
behind_header
finish_test
