#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Interfaces on a VALE switch: the NIC under test and its host are two ports, and the peer is a host of its own on the wire.
set -u
. ./wire.sh
. ./switch.sh

state() {
	ethtool -k "$TEST_IF"
	ip addr show dev "$TEST_IF"
}

plan 13
head -c 300000 /dev/urandom >/tmp/file
make_hosts || say "the hosts do not talk before"
before=$(state)
nic=vale0:$TEST_IF

names() {
	refused ENXIO ./switch detach "$nic" && refused EINVAL ./switch attach vale0:nothing0 && refused EINVAL ./switch attach "$TEST_IF" &&
		refused ENXIO ./switch attach "vale-0:$TEST_IF" && refused ENXIO ./switch poll "$nic" && listed ""
}
check_that "what is not there is neither attached nor detached" names

attached() {
	./switch attach-host "$nic" && listed "$nic" "$nic^"
}
check_that "an interface and its host are attached" attached

twice() {
	refused EBUSY ./switch attach "$nic" && refused EBUSY ./switch attach "vale1:$TEST_IF" && refused EINVAL ./switch rest "$nic" && refused EOPNOTSUPP ./switch poll "$nic^"
}
check_that "it is attached once" twice
check_that "the hosts talk through the switch" talk
check_that "they have TCP both ways, whose content is right" both_ways

polls() {
	if [ "$(nproc)" -gt 1 ]; then
		./switch poll "$nic" && refused EBUSY ./switch poll "$nic" && refused EBUSY ./switch detach "$nic" && talk && both_ways && ./switch rest "$nic"
	else
		refused EINVAL ./switch poll "$nic"
	fi
}
check_that "so they do when the switch polls" polls

# Ring 0, and if there are as many rings and processors ring 1, by a processor of its own.
polls_rings() {
	local processors rings
	processors=$(nproc)
	rings=$(find "/sys/class/net/$TEST_IF/queues" -name 'rx-*' | wc -l)
	refused EINVAL ./switch poll "$nic" 0 "$processors" && refused EINVAL ./switch poll "$nic" 0 0 && refused EINVAL ./switch poll "$nic" "$rings" 1 &&
		refused EINVAL ./switch poll "$nic" 4294967295 1 || return 1
	[ "$processors" -gt 1 ] || return 0
	./switch poll "$nic" 0 1 && refused EBUSY ./switch poll "$nic" 0 1 && refused EBUSY ./switch poll "$nic" && refused EBUSY ./switch detach "$nic" && talk && both_ways &&
		./switch rest "$nic" && refused EINVAL ./switch rest "$nic" && talk || return 1
	if [ "$processors" -gt 2 ] && [ "$rings" -gt 1 ]; then
		./switch poll "$nic" 0 2 && talk && both_ways && ./switch rest "$nic" && both_ways
	fi
}
check_that "so they do when processors poll a ring each" polls_rings

detached() {
	both_ways &
	local going=$!
	./switch detach "$nic" && listed "" && wait "$going"
}
check_that "it is detached while packets go, which then go on without it" detached
as_empty() {
	[ -z "$(cat "$regions")" ]
}
as_before() {
	as_empty && [ "$(state)" = "$before" ] && return
	cat "$regions"
	diff <(state) - <<<"$before"
	return 1
}
check_that "afterwards the device is as it was" as_before

# Two programs on the switch, beside the NIC and its host: one is a host with a TCP/IP of its own, the other sends to all.
echo_address=192.0.2.7
echoes() {
	$1 timeout 240 nc -N "$echo_address" 7 </tmp/file >/tmp/echoed
	cmp /tmp/file /tmp/echoed
}
is_listening() {
	grep -q 'port 7' /tmp/echo
}
programs() {
	local status=0 other echoing
	./switch attach-host "$nic" || return 1
	rm -f /tmp/echo
	nm-echo vale0:echo "$echo_address/24" 7 >/tmp/echo 2>&1 &
	echoing=$!
	# A NIC takes packets for other addresses than its own only if it is told to.
	ip link set "$TEST_IF" promisc on
	# A look-up fails if it takes seconds, as it may on a slow machine.
	ip neigh replace "$echo_address" lladdr 02:00:00:00:00:07 dev "$TEST_IF"
	in_peer ip neigh replace "$echo_address" lladdr 02:00:00:00:00:07 dev "$TEST_PEER"
	timeout 600 nm-pkt-gen -i vale0:other -f tx -n 100000000 -R 20 >/dev/null 2>&1 &
	other=$!
	if wait_for is_listening; then
		{ echoes '' && echoes in_peer; } || status=1
	else
		status=1
	fi
	[ "$status" = 0 ] || cat /tmp/echo "$ports"
	kill "$other" "$echoing"
	wait "$other" "$echoing" 2>/dev/null
	ip neigh del "$echo_address" dev "$TEST_IF"
	ip link set "$TEST_IF" promisc off
	./switch detach "$nic" && [ "$status" = 0 ]
}
check_that "a program's own TCP on the switch echoes to the host and to the peer what they send" programs

again() {
	for _ in 1 2 3 4 5 6 7 8; do
		./switch attach-host "$nic" && ./switch detach "$nic" || return 1
	done
	talk
}
check_that "it comes and goes" again
unmake_hosts

removed() {
	./switch attach-host "$nic" || return 1
	if [ "$TEST_NIC" = veth ]; then
		ip link del "$TEST_IF"
	else
		./switch detach "$nic"
	fi
	wait_for listed "" && wait_for as_empty || return 1
	# As `run` has made it, which takes it away.
	[ "$TEST_NIC" != veth ] || ip link add "$TEST_IF" numtxqueues 2 numrxqueues 2 type veth peer name "$TEST_PEER" \
		numtxqueues 2 numrxqueues 2
}
check_that "an interface that goes leaves the switch" removed

# Both ends of a wire on one switch: what is for all goes round for ever.
round_so_far() {
	awk -v port="vale0:$TEST_PEER:" '
		/^[^ ]/ { mine = $1 == port }
		mine && $1 == "tx" { for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) }
		END { print n + 0 }' "$ports"
}
# within SECONDS COMMAND...: until it succeeds, but no longer.
within() {
	local last=$((SECONDS + $1))
	until "${@:2}" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$last" ] || return 1
		sleep 0.1
	done
}
goes_round() {
	[ "$(round_so_far)" -gt "$1" ]
}
loop() {
	local status=0
	# The one that was in another namespace, or is new, is down.
	ip link set "$TEST_IF" up
	ip link set "$TEST_PEER" up
	within 240 carriers || { echo "no carrier"; return 1; }
	{ ./switch attach "$nic" && ./switch attach "vale0:$TEST_PEER" && listed "$nic" "vale0:$TEST_PEER" && ./switch send vale0:one &&
		within 240 goes_round 2000; } || status=1
	# Meanwhile others have their share of the machine: they come to an end, and so does the loop, by request.
	if [ "$status" = 0 ]; then
		{ timeout 240 ping -c 3 127.0.0.1 && timeout 240 ./switch list && timeout 240 ip addr show && timeout 240 ./switch send vale1:two &&
			within 240 goes_round $(($(round_so_far) + 1000)); } >/dev/null || status=2
	fi
	[ "$status" = 0 ] || { echo "status $status"; cat "$ports"; }
	timeout 240 ./switch detach "vale0:$TEST_PEER" && listed "$nic" && timeout 240 ./switch detach "$nic" && listed "" && [ "$status" = 0 ]
}
check_that "packets that go round for ever leave others the machine, and end with the loop" loop
finish_test
