#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Ends of stack ports that a program does not choose: it is killed while the peer acknowledges nothing, or while its packets are in a
# queueing discipline, and the module goes at once; its device leaves for another namespace; its namespace ends.
. ./wire.sh

# No more than TCP accepts before an acknowledgement, and what it sends at once.
count=30000 few=8000
plan 9
make_hosts >/dev/null
modprobe sch_netem
insert() {
	[ -d /sys/module/netmap ] || insmod netmap.ko
}

# start OCTETS [ARG...]: a program that sends to a listener of the peer, which writes what it hears to /tmp/heard, once it is told to.
start() {
	local octets=$1
	shift
	rm -f /tmp/heard /tmp/hold
	in_peer busybox nc -l -p 5001 </dev/null >/tmp/heard 2>/dev/null &
	listener=$!
	wait_for listening in_peer 5001
	./stack_hold "${@:-send}" "$peer_address" 5001 "$octets" >/tmp/hold 2>&1 &
	holder=$!
	says ready
}
says() {
	wait_for grep -q "$1" /tmp/hold || { cat /tmp/hold; return 1; }
}
tell() {
	kill -USR1 "$holder"
	says sent
}
murder() {
	kill -KILL "$holder"
	wait "$holder" 2>/dev/null
}

# heard OCTETS: the listener has heard them, and the end.
ended_listener() {
	! kill -0 "$listener"
}
heard() {
	wait_for ended_listener && cmp /tmp/heard <(./stack_hold octets "$1")
}

# The peer's acknowledgements, and all else that it sends, go to nobody.
deafen() {
	in_peer ip neigh replace $nic_address lladdr 02:00:00:00:00:99 dev "$TEST_PEER"
}

start $count
deafen
tell || say "the program has not sent"
murder
check_that "a program is killed, its payload unacknowledged, and the module goes at once" rmmod netmap

alone() {
	# A socket that nobody has, which still has something to send.
	ss -tnH "dport = 5001" | grep -qE 'FIN-WAIT-1|LAST-ACK' || return 1
	introduce
	heard "$count"
}
check_that "its connection goes on alone, to the last octet" alone

# Packets that a queueing discipline has refer to the port's buffers, and the module waits for them.
held() {
	tc -s qdisc show dev "$TEST_IF" | sed -n 's/.*backlog \([0-9]*\)b.*/\1/p' | head -n 1
}
delayed() {
	tc qdisc add dev "$TEST_IF" root netem delay 10s limit 10000 || return 1
	tell || return 1
	murder
	local backlog
	backlog=$(held)
	rmmod netmap || return 1
	[ "$backlog" -ge "$few" ] || { echo "$backlog bytes were held"; return 1; }
}
insert
start $few
check_that "a program is killed, its packets in a queueing discipline, and the module goes at once" delayed
check_that "they arrive, to the last octet" heard $few
tc qdisc del dev "$TEST_IF" root

insert
start $count
tell
ip netns add nmother
ip link set "$TEST_IF" netns nmother
check_that "the device leaves: the program is told, its connection is an ordinary socket" \
	says 'gone ENXIO, ENXIO, an ordinary socket'
murder
ip netns exec nmother ip link set "$TEST_IF" netns 1
ip netns del nmother
ip link set "$TEST_IF" up
kill "$listener" 2>/dev/null

nothing_held() {
	[ -z "$(cat "$regions")" ] && [ -z "$(cat "$ports")" ]
}
check_that "nothing is left" wait_for nothing_held

# start_away: a program with a port and a connection of a namespace, whose device is one of a pair with one in the peer's. Nothing but
# these has the namespace then, and the device goes with it, and so does the other end of the pair.
start_away() {
	local peer_address=198.51.100.2
	ip netns add nmother
	ip link add nmnear netns nmother type veth peer name nmfar netns $peer
	ip netns exec nmother ip addr add 198.51.100.1/24 dev nmnear
	ip netns exec nmother ip link set nmnear up
	in_peer ip addr add $peer_address/24 dev nmfar
	in_peer ip link set nmfar up
	TEST_IF=nmnear start $count leave nmother
	ip netns del nmother
	in_peer ip link show nmfar >/dev/null || say "the namespace did not wait for its connection"
}
has_ended() {
	! in_peer ip link show nmfar
}
namespace_ends() {
	tell && heard "$count" && wait_for has_ended && says 'gone ENXIO, ENXIO'
}
start_away
check_that "a namespace ends with its last connection, and the port with the namespace" namespace_ends
murder

start_away
murder
check_that "a namespace ends when its last program is killed, with a port and a connection" wait_for has_ended
check_that "nothing is left of these" wait_for nothing_held
kill "$listener" 2>/dev/null
unmake_hosts
finish_test
