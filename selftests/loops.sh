#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A bridge of the stack over two emulated ports, each of them with a program between device and host: what a host beyond the one
# says to a host beyond the other goes by both programs. And with a third and a fourth port, which are the two ends of a wire and
# slaves of the same bridge, frames to everybody go around for ever, by programs and the bridge: the machine goes on, and when
# the loop is cut they rest.
set -u
. ./wire.sh
. ./relay.sh

relays=()
# relay_host INTERFACE: a program is between it and its host.
relay_host() {
	start_relay host "$1" && relays+=("$relay")
}
end_relays() {
	local status=0
	for relay in "${relays[@]}"; do
		stop_relay || status=1
	done
	relays=()
	return $status
}

# host_received INTERFACE: packets that its host ring has received of the stack.
host_received() {
	awk -v port="$1:" '
		/^[^ ]/ { mine = $1 == port }
		mine && $1 == "host-rx" { for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) }
		END { print n + 0 }' "$ports"
}
goes_around() {
	[ "$(host_received nmloop0)" -gt 2000 ] && [ "$(host_received nmloop1)" -gt 2000 ]
}

rests() {
	local before
	before=$(host_received nmloop1)
	sleep 0.5 # that is what is tested
	[ "$(host_received nmloop1)" = "$before" ]
}

# What one host says to the other, with the bridge between them.
other_talks() {
	ip netns exec other ping -c 1 -W 2 "$peer_address"
}

plan 7
make_hosts
# The second slave, with a host beyond it, and the loop.
ip netns add other
ip link add nmnear type veth peer name nmfar netns other
ip link add nmloop0 type veth peer name nmloop1
ip netns exec other ip link set nmfar up
ip netns exec other ip addr add 192.0.2.3/24 dev nmfar
ip addr flush dev "$TEST_IF"
ip link add nmbr type bridge forward_delay 0
for slave in "$TEST_IF" nmnear; do
	ip link set "$slave" up promisc on
	ip link set "$slave" master nmbr
done
ip link set nmbr up
wait_for other_talks
check $? "the hosts talk through the bridge"
relay_host "$TEST_IF" && relay_host nmnear
check $? "both slaves are bound, with a program between each and its host"
wait_for other_talks
check $? "they talk by the programs and the bridge"
mark_log
for slave in nmloop0 nmloop1; do
	ip link set "$slave" up promisc on
	relay_host "$slave"
	ip link set "$slave" master nmbr
done
ip netns exec other ping -b -c 3 -W 1 192.0.2.255 >/dev/null 2>&1
wait_for goes_around
check $? "frames to everybody go around"
# Without the programs it would go on in the stack alone.
ip link set nmloop0 nomaster && wait_for rests
check $? "the loop is cut in the midst of it: it ends"
end_relays && wait_for other_talks && [ -z "$(cat "$regions")" ]
check $? "the programs end, and nothing is left"
quiet_about() {
	! log_since | grep -E 'WATCHDOG|BUG|WARNING|stall|blocked for'
}
check_that "the kernel has nothing to say to that" quiet_about
ip link del nmloop0
ip link del nmbr
ip netns del other
unmake_hosts
finish_test
