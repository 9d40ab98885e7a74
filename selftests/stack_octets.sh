#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Every octet of many connections whose one end is in slots: over a good wire, over one that loses, reorders and doubles packets
# in both directions, with hardly any memory for TCP, with thousands of short connections, and beside a program that writes to all
# that it shares.
set -u
. ./wire.sh

# exchange PORT ADDRESS CONNECTIONS ALL OCTETS
exchange() {
	local server status tcp_port=$1
	shift
	./stack_octets port "$TEST_IF" "$tcp_port" "$3" "$4" >/tmp/octets-port 2>&1 &
	server=$!
	wait_for listening '' "$tcp_port" || { sed 's/^/# /' /tmp/octets-port; return 1; }
	in_peer ./stack_octets sockets "$1" "$tcp_port" "$2" "$3" "$4" >/tmp/octets-sockets 2>&1
	status=$?
	[ "$status" = 0 ] || kill "$server"
	wait "$server" || status=1
	[ "$status" = 0 ] || sed 's/^/# /' /tmp/octets-port /tmp/octets-sockets
	return "$status"
}

# Both directions: what leaves an interface passes its queueing discipline.
bad_wire() {
	local how=(netem delay 2ms 1ms loss 5% reorder 10% 50% duplicate 5% limit 10000)
	tc qdisc add dev "$TEST_IF" root "${how[@]}" && in_peer tc qdisc add dev "$TEST_PEER" root "${how[@]}"
}
good_wire() {
	tc qdisc del dev "$TEST_IF" root
	in_peer tc qdisc del dev "$TEST_PEER" root
}
retransmissions() {
	awk '/^Tcp:/ { n = $13 } END { print n }' /proc/net/snmp
}
with_losses() {
	local before status
	before=$(retransmissions)
	bad_wire || return 1
	exchange "$@"
	status=$?
	good_wire
	[ "$(retransmissions)" -gt $((before + 10)) ] || { echo "nothing was lost"; return 1; }
	return "$status"
}

# All of what TCP may have is held by a connection that nobody reads from, so that each other one gets the least that it is
# promised, and TCP resets one that is closed before all of it was acknowledged. Which host's meets the limit is chance.
pressures() {
	{ cat /proc/net/netstat; in_peer cat /proc/net/netstat; } | awk '
		/^TcpExt: [A-Z]/ { split($0, name); next }
		/^TcpExt:/ { for (i in name) if (name[i] == "TCPMemoryPressures") n += $i }
		END { print n + 0 }'
}
pages() {
	awk '/^TCP:/ { print $NF }' /proc/net/sockstat
}
# More than what each processor may have beside that count.
many_pages() {
	[ "$(pages)" -gt 600 ]
}
with_little_memory() {
	local before status memory buffers reader writer
	before=$(pressures)
	memory=$(sysctl -n net.ipv4.tcp_mem)
	buffers=$(sysctl -n net.ipv4.tcp_wmem)
	nc -l 127.0.0.1 6999 >/dev/null &
	reader=$!
	wait_for listening '' 6999 || return 1
	kill -STOP "$reader"
	sysctl -q -w net.ipv4.tcp_wmem='4096 8388608 8388608'
	nc 127.0.0.1 6999 </dev/zero &
	writer=$!
	wait_for many_pages && sysctl -q -w net.ipv4.tcp_mem='100 200 300' "net.ipv4.tcp_wmem=$buffers" &&
		ACKNOWLEDGED=1 exchange "$@"
	status=$?
	sysctl -q -w "net.ipv4.tcp_mem=$memory" "net.ipv4.tcp_wmem=$buffers"
	kill -KILL "$reader" "$writer"
	wait "$reader" "$writer" 2>/dev/null
	[ "$(pressures)" -gt "$before" ] || { echo "TCP was never short of memory"; return 1; }
	return "$status"
}

# beside_scribbler PORT COMMAND...: a program scribbles, with connections of its own, while those of another are verified.
beside_scribbler() {
	local scribbler talker status tcp_port=$1
	shift
	./stack_octets scribble "$TEST_IF" "$tcp_port" 1000000 60000 >/tmp/octets-scribble 2>&1 &
	scribbler=$!
	wait_for listening '' "$tcp_port" || { sed 's/^/# /' /tmp/octets-scribble; return 1; }
	in_peer bash -c "while :; do timeout 5 ./stack_octets sockets $nic_address $tcp_port 20 20 60000; done" >/dev/null 2>&1 &
	talker=$!
	"$@"
	status=$?
	kill -0 "$scribbler" 2>/dev/null || { sed 's/^/# scribbler: /' /tmp/octets-scribble; status=1; }
	kill "$talker"
	kill -KILL "$scribbler"
	wait "$talker" "$scribbler" 2>/dev/null
	return "$status"
}

nothing_left() {
	[ -z "$(cat "$regions")" ] && wait_for hosts_talk
}

modprobe sch_netem
plan 11
make_hosts6
check $? "the hosts talk"

# Connections of the sockets' end are in its descriptors.
ulimit -n 8192
many=${CONNECTIONS:-4000}
check_that "a port without connections" ./stack_octets idle "$TEST_IF"
check_that "200 connections, each octet both ways" exchange 6001 $nic_address 200 200 60000
check_that "the same over IPv6" exchange 6002 $nic_address6 50 50 60000
check_that "200 connections over a wire that loses, reorders and doubles" with_losses 6003 $nic_address 200 200 30000
check_that "and by IPv6" with_losses 6004 $nic_address6 20 40 30000
check_that "100 connections that get the least memory that TCP promises" with_little_memory 6007 $nic_address 100 100 30000
check_that "$many connections, opened and closed" exchange 6005 $nic_address 100 "$many" 300
mark_log
check_that "beside a program that scribbles" beside_scribbler 6100 exchange 6006 $nic_address 100 200 30000
quiet_about() {
	! log_since | grep -E 'BUG|WARNING|refcount|waiting for .* to become free'
}
check_that "the kernel has nothing to say to that" quiet_about
check_that "nothing is left of the ports" wait_for nothing_left
unmake_hosts6
finish_test
