#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Persistent ports of VALE switches as the host uses them: one is the host's on a switch to which the NIC under test is attached, too,
# with the peer on its wire.
set -u
. ./wire.sh
. ./switch.sh

no_interface() {
	[ ! -e "/sys/class/net/$1" ]
}

as_empty() {
	[ -z "$(cat "$regions")" ] || { cat "$regions" "$ports"; return 1; }
}

unprivileged() {
	setpriv --bounding-set -net_admin --inh-caps -net_admin "$@"
}

plan 10
head -c 300000 /dev/urandom >/tmp/file
make_hosts || say "the hosts do not talk before"

made() {
	./switch new v0 && ip link show dev v0 | grep -q LOWER_UP && ip -d link show dev v0 | grep -qw netmap
}
check_that "a persistent port is an interface, which is up" made

# Tests have no IPv6 but here.
silent() {
	local switch=/proc/sys/net/ipv6/conf/default/disable_ipv6 was
	was=$(<"$switch")
	echo 0 >"$switch" && ./switch new v6 && echo "$was" >"$switch" &&
		ip -d link show dev v6 | grep -qw 'addrgenmode none' && [ -z "$(ip -6 -o addr show dev v6)" ] &&
		ip addr add 2001:db8::1/64 dev v6 nodad && ip -6 route show dev v6 | grep -q '^2001:db8::/64' &&
		ip link set v6 addrgenmode eui64 && ip link set v6 down && ip link set v6 up &&
		ip -6 -o addr show dev v6 | grep -q fe80: && ./switch delete v6
}
check_that "the host has no address there before it gets one" silent

privileged() {
	refused EPERM unprivileged ./switch new v1 && no_interface v1 && refused EPERM unprivileged ./switch delete v0 &&
		refused EPERM unprivileged ./switch attach vale0:v0
}
check_that "CAP_NET_ADMIN is asked for" privileged

# The address of the host, and the hardware's that the peer knows, go to it.
moved() {
	local mac
	mac=$(cat "/sys/class/net/$TEST_IF/address")
	ip addr del "$nic_address/24" dev "$TEST_IF"
	ip link set v0 address "$mac" && ip addr add "$nic_address/24" dev v0 &&
		ip neigh replace "$peer_address" lladdr "$peer_mac" dev v0
}
switched() {
	moved && ./switch attach vale0:v0 && ./switch attach "vale0:$TEST_IF" && listed "vale0:$TEST_IF" vale0:v0 &&
		refused EOPNOTSUPP ./switch poll vale0:v0
}
check_that "it is attached, and the NIC, too" switched
check_that "the host talks through it" talk
check_that "it has TCP through it, both ways, whose content is right" both_ways

counted() {
	local rx tx
	rx=$(cat /sys/class/net/v0/statistics/rx_bytes)
	tx=$(cat /sys/class/net/v0/statistics/tx_bytes)
	echo "$rx received, $tx sent"
	[ "$rx" -gt 300000 ] && [ "$tx" -gt 300000 ]
}
check_that "the interface counts what it sends and receives" counted

detached() {
	both_ways &
	local going=$!
	./switch detach vale0:v0 && listed "vale0:$TEST_IF" && ./switch attach vale0:v0 && wait "$going" &&
		./switch detach vale0:v0 && ./switch delete v0 && no_interface v0 && ./switch detach "vale0:$TEST_IF" && as_empty
}
check_that "it is detached and attached while packets go, and deleted" detached
unmake_hosts

namespace() {
	ip netns add other && ip netns exec other ./switch new v0 && ip netns exec other ./switch attach vale0:v0 || return 1
	ip -n other link set v0 netns 1 && return 1
	ip -n other link show dev v0 >/dev/null && no_interface v0 && listed "" && ip netns del other && wait_for as_empty && no_interface v0
}
check_that "it stays in its network namespace, and goes with that" namespace

unloaded() {
	./switch new v0 && ./switch new v1 && ./switch attach vale0:v0 && rmmod netmap && no_interface v0 && no_interface v1 &&
		insmod netmap.ko && as_empty
}
check_that "it goes with the module" unloaded
finish_test
