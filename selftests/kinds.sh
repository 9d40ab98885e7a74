#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An emulated port on each kind of device: on TEST_IF itself and on what the stack makes of it (VLAN, bond, bridge, macvlan), and
# for a veth pair, which stands for all that is made of nothing, also on a tap and a dummy. The far end of each wire is an
# emulated port or a host. What the device was before, it is afterwards.
set -u
. ./wire.sh
. ./exchange.sh
. ./relay.sh

base=$TEST_IF base_peer=$TEST_PEER

# What a port may not leave changed: features, flags, promiscuity, queueing, filters, addresses.
state() {
	ethtool -k "$TEST_IF"
	ip addr show dev "$TEST_IF"
	tc qdisc show dev "$TEST_IF"
	tc filter show dev "$TEST_IF" ingress 2>/dev/null
	# Not what a bridge says of itself, as how many addresses it has heard.
	{ ip -d link show dev "$TEST_IF" && ip -d link show dev "$base"; } | grep -v '^    bridge '
}

# carried: packets went both ways in the exchange, each as it was sent.
carried() {
	local name
	stop_exchange || return 1
	for name in "$TEST_IF" "$TEST_PEER"; do
		[ "$(saw "$name" whole)" -gt 600 ] && [ "$(saw "$name" wrong)$(saw "$name" empty)$(saw "$name" parts)$(saw "$name" long)" = 0000 ] ||
			return 1
	done
}

says_emulated() {
	grep -q "^$1: emulated (skb)" "$ports"
}

# with_port KIND: three results for the wire between TEST_IF and TEST_PEER, which are up.
with_port() {
	local before
	make_hosts || say "the hosts do not talk before"
	before=$(state)
	exchanged() {
		start_exchange && says_emulated "$TEST_IF"
		carried && return
		sed 's/^/# /' /tmp/exchange
		return 1
	}
	check_that "$1: programs at both ends hear each other" exchanged
	check_that "$1: the hosts have TCP both ways through all rings of the port" relayed host "$TEST_IF"
	as_before() {
		wait_for hosts_talk && [ -z "$(cat "$regions")" ] || return 1
		[ "$(state)" = "$before" ] || { diff <(state) - <<<"$before"; return 1; }
	}
	check_that "$1: afterwards the device is as it was, and the host's" as_before
	unmake_hosts
}

# over KIND NAME PEER: what was made of the base, as the wire.
over() {
	local TEST_IF=$2 TEST_PEER=$3
	ip link set "$base_peer" up
	ip link set "$TEST_IF" up
	ip link set "$TEST_PEER" up
	wait_for carrier_is "$TEST_IF" 1
	with_port "$1"
}

vlan() {
	ip link set "$base_peer" up
	ip link add link "$base" name nmv5 type vlan id 5
	ip link add link "$base_peer" name nmp5 type vlan id 5
	over "VLAN over $TEST_NIC" nmv5 nmp5
	ip link del nmv5
	ip link del nmp5
}

macvlan() {
	ip link set "$base_peer" up
	ip link add link "$base" name nmmac type macvlan mode bridge
	over "macvlan over $TEST_NIC" nmmac "$base_peer"
	ip link del nmmac
}

bridge() {
	ip link add nmbr type bridge forward_delay 0
	ip link set "$base" master nmbr
	over "bridge over $TEST_NIC" nmbr "$base_peer"
	ip link del nmbr
}

# Active-backup, over the base and a device that has no wire.
bond() {
	ip link add nmspare type veth peer name nmnone
	ip link add nmbond type bond mode active-backup miimon 100
	ip link set "$base" down
	ip link set "$base" master nmbond
	ip link set nmspare master nmbond
	over "bond over $TEST_NIC" nmbond "$base_peer"
	ip link del nmbond
	ip link del nmspare
	ip link set "$base" up
}

tap() {
	local wire
	start_relay taps nmtap nmother
	wire=$relay
	over tap nmtap nmother
	kill "$wire" && wait "$wire"
}

# What is sent leaves the device, and nothing comes.
dummy() {
	local TEST_IF=nmdummy before sent
	ip link add nmdummy type dummy
	ip link set nmdummy up
	before=$(state)
	sent=$(cat /sys/class/net/nmdummy/statistics/tx_packets)
	nm-pkt-gen -i netmap:nmdummy -f tx -n 5000 >/tmp/sent 2>&1 || sed 's/^/# /' /tmp/sent
	[ $(($(cat /sys/class/net/nmdummy/statistics/tx_packets) - sent)) = 5000 ]
	check $? "dummy: each packet that a program sends leaves it"
	[ "$(state)" = "$before" ]
	check $? "dummy: afterwards the device is as it was"
	ip link del nmdummy
}

# refused NAME REASON: EOPNOTSUPP, and the log says why.
refused() {
	is_refused() {
		mark_log
		[ "$(./port bind "netmap:$1")" = EOPNOTSUPP ] && log_since | grep -q "$1: $2"
	}
	check_that "$1 is refused, and the log says why" is_refused "$1" "$2"
}

modprobe dummy numdummies=0
modprobe bonding max_bonds=0
modprobe -a 8021q bridge macvlan tun
# The debug kernel has no tunnels.
tunnels=1
[ "$TEST_KERNEL" != debug ] || tunnels=0
head -c 300000 /dev/urandom >/tmp/file

results=$((3 * 5))
[ "$TEST_NIC" != veth ] || results=$((results + 3 + 2 + 2 + tunnels))
plan $results
with_port "$TEST_NIC"
vlan
macvlan
bridge
bond
if [ "$TEST_NIC" = veth ]; then
	tap
	dummy
	refused lo "the loopback interface"
	ip tuntap add nmtun mode tun
	refused nmtun "not an Ethernet device"
	ip link del nmtun
	if [ "$tunnels" = 1 ]; then
		modprobe ipip
		ip link add nmtunnel type ipip remote 192.0.2.9 local 192.0.2.8
		refused nmtunnel "not an Ethernet device"
		ip link del nmtunnel
	fi
fi
finish_test
