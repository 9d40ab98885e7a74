#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An emulated port beside others that want the packets of its device: devices above it, which hear nothing while it is bound and
# all afterwards, and what looks at packets before it.
set -u
. ./wire.sh
. ./exchange.sh
. ./relay.sh

# beside DESCRIPTION COMMAND...: while packets of a program go both ways, COMMAND succeeds, and they go on.
beside() {
	local what=$1
	shift
	goes_on() {
		"$@" && flows && return
		sed 's/^/# /' /tmp/exchange "$ports"
		return 1
	}
	check_that "$what" goes_on "$@"
}

# The near host's address is at a device above TEST_IF, or at that itself.
address_at() {
	ip addr flush dev "$TEST_IF"
	ip addr add "$nic_address/24" dev "$1"
	ip neigh replace "$peer_address" lladdr "$peer_mac" dev "$1"
	in_peer ip neigh replace "$nic_address" lladdr "$(cat "/sys/class/net/$1/address")" dev "$TEST_PEER"
}

# above DESCRIPTION NAME: a device above TEST_IF is there. It is the host's way before, hears nothing while the port is bound, and is
# the host's way again.
above() {
	ip link set "$2" up
	only_afterwards() {
		local status
		wait_for carrier_is "$1" 1
		wait_for hosts_talk || { echo "no talk before"; return 1; }
		start_exchange && quiet "$1"
		status=$?
		[ "$status" = 0 ] || sed 's/^/# /' /tmp/exchange "$ports"
		stop_exchange && [ "$status" = 0 ] || return 1
		wait_for hosts_talk || { echo "no talk afterwards"; return 1; }
	}
	address_at "$2"
	check_that "$1" only_afterwards "$2"
}

# quiet NAME: it hears nothing of what flows. (The counters of a bond are those of its slaves.)
quiet() {
	local listener status
	rm -f /tmp/heard /tmp/listening
	tcpdump -Z root -e -nn -l -i "$1" -Q in ether proto 0x88b5 >/tmp/heard 2>/tmp/listening &
	listener=$!
	wait_for grep -q listening /tmp/listening && flows
	status=$?
	kill "$listener"
	wait "$listener"
	[ "$status" = 0 ] && ! grep ethertype /tmp/heard
}

enslave() {
	ip link set "$TEST_IF" master nmbr && flows && ip link set "$TEST_IF" nomaster
}

in_bond() {
	ip link set "$TEST_IF" down && ip link set "$TEST_IF" master nmbond && ip link set nmbond up && wait_for carriers && flows &&
		ip link set "$TEST_IF" nomaster && ip link set "$TEST_IF" up && wait_for carriers
}

devices_above() {
	ip link add link "$TEST_IF" name nmv7 type vlan id 7 && ip link set nmv7 up && flows && quiet nmv7 &&
		ip link add link "$TEST_IF" name nmmac type macvlan mode bridge && ip link set nmmac up && flows && quiet nmmac &&
		ip link del nmmac && ip link del nmv7
}

# 50 packets that came in, as the peer's program sent them.
dumped() {
	timeout 240 tcpdump -Z root -e -nn -i "$TEST_IF" -Q in -c 50 ether proto 0x88b5 >/tmp/dump 2>&1
	[ "$(grep -c 'ethertype' /tmp/dump)" = 50 ] || { cat /tmp/dump; return 1; }
}

# filter_that ACTION: of all that the programs send.
filter_that() {
	tc filter add dev "$TEST_IF" ingress prio 1 protocol 0x88b5 u32 match u32 0 0 action "$1"
}
passed_by_filter() {
	[ "$(tc -s filter show dev "$TEST_IF" ingress | awk '/Sent/ { n = $4 } END { print n + 0 }')" -gt 100 ]
}
filters_pass() {
	tc qdisc add dev "$TEST_IF" clsact && filter_that pass && flows && wait_for passed_by_filter
}
filters_drop() {
	tc filter del dev "$TEST_IF" ingress && filter_that drop && rests "$TEST_IF" "$TEST_PEER"
}
no_filters() {
	tc qdisc del dev "$TEST_IF" clsact
}

# An XDP program that the stack runs, while the standard input of a process of ours is open.
attach_xdp() {
	rm -f /tmp/keep /tmp/kept
	mkfifo /tmp/keep
	./port xdp-stack "$TEST_IF" </tmp/keep >/tmp/kept 2>&1 &
	keeper=$!
	exec 9>/tmp/keep
	wait_for grep -q attached /tmp/kept || { cat /tmp/kept; return 1; }
}
detach_xdp() {
	exec 9>&-
	wait "$keeper"
}

modprobe dummy numdummies=0
modprobe bonding max_bonds=0
modprobe -a 8021q bridge macvlan
# The debug kernel has no filters.
filters=3
[ "$TEST_KERNEL" != debug ] || filters=0
head -c 300000 /dev/urandom >/tmp/file

plan $((13 + filters))
make_hosts
# What comes before the port: the devices above are there already.
ip link add nmbr type bridge forward_delay 0
ip link set "$TEST_IF" master nmbr
above "a slave of a bridge: the port gets all, and the bridge again afterwards" nmbr
ip link set "$TEST_IF" nomaster
ip addr flush dev nmbr
ip link add link "$TEST_IF" name nmmac type macvlan mode bridge
above "under a macvlan likewise" nmmac
ip link del nmmac
ip link add nmbond type bond mode active-backup miimon 100
ip link set "$TEST_IF" down
ip link set "$TEST_IF" master nmbond
above "a slave of a bond likewise" nmbond
ip link set "$TEST_IF" nomaster
ip addr flush dev nmbond
ip link set "$TEST_IF" up
ip addr replace "$nic_address/24" dev "$TEST_IF"
introduce
wait_for carriers && wait_for hosts_talk
check $? "without them the interface is the host's"

# What comes while the port is bound.
start_exchange
check $? "packets go both ways"
beside "the interface becomes a slave of a bridge, and stops it" enslave
beside "a VLAN and a macvlan come above it, hear nothing, and go" devices_above
beside "it becomes a slave of a bond, and stops it" in_bond
beside "tcpdump sees what comes in" dumped
if [ "$filters" != 0 ]; then
	modprobe -a sch_ingress cls_u32 act_gact
	beside "so does a filter of traffic control, and passes it" filters_pass
	check_that "what that drops the port does not get" filters_drop
	beside "without it all goes on" no_filters
fi
attach_xdp
check $? "the stack runs an XDP program"
beside "packets go on through that" true
stop_exchange
ip addr replace "$nic_address/24" dev "$TEST_IF"
introduce
joined() {
	relayed host "$TEST_IF"
}
check_that "what host rings send up goes to the stack through it, and not around" joined
detach_xdp
wait_for hosts_talk
check $? "and the hosts talk afterwards"
ip link del nmbr
ip link del nmbond
unmake_hosts
finish_test
