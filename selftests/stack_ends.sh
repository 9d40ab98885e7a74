#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Ends of stack ports that a program does not choose: it is killed while the peer acknowledges nothing, and the module goes at
# once; its device leaves for another namespace.
. ./wire.sh

# No more than TCP accepts before an acknowledgement.
count=30000
plan 4
make_hosts >/dev/null
insert() {
	[ -d /sys/module/netmap ] || insmod netmap.ko
}

# start: a program that has sent to a listener of the peer, which writes what it hears to /tmp/heard.
start() {
	in_peer busybox nc -l -p 5001 </dev/null >/tmp/heard 2>/dev/null &
	listener=$!
	wait_for listening in_peer 5001
	./stack_hold send $peer_address 5001 $count >/tmp/hold 2>&1 &
	holder=$!
	wait_for grep -q ready /tmp/hold
}
says() {
	wait_for grep -q "$1" /tmp/hold || { cat /tmp/hold; return 1; }
}

# The peer's acknowledgements, and all else that it sends, go to nobody.
deafen() {
	in_peer ip neigh replace $nic_address lladdr 02:00:00:00:00:99 dev "$TEST_PEER"
}

start
deafen
kill -USR1 "$holder"
says sent || say "the program has not sent"
kill -KILL "$holder"
wait "$holder" 2>/dev/null
check_that "a program is killed, its payload unacknowledged, and the module goes at once" rmmod netmap

alone() {
	# A socket that nobody has, which still has something to send.
	ss -tnH "dport = 5001" | grep -qE 'FIN-WAIT-1|LAST-ACK' || return 1
	introduce
	wait_for ended_listener || return 1
	cmp /tmp/heard <(./stack_hold octets $count)
}
ended_listener() {
	! kill -0 "$listener"
}
check_that "its connection goes on alone, to the last octet" alone

insert
start
kill -USR1 "$holder"
says sent
ip netns add nmother
ip link set "$TEST_IF" netns nmother
check_that "the device leaves: the program is told, its connection is an ordinary socket" \
	says 'gone ENXIO, an ordinary socket'
kill -KILL "$holder"
wait "$holder" 2>/dev/null
ip netns exec nmother ip link set "$TEST_IF" netns 1
ip netns del nmother
ip link set "$TEST_IF" up

nothing_held() {
	[ -z "$(cat $regions)" ] && [ -z "$(cat $ports)" ]
}
check_that "nothing is left" wait_for nothing_held
kill "$listener" 2>/dev/null
unmake_hosts
finish_test
