#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Interfaces on a VALE switch: the NIC under test and its host are two ports, and the peer is a host of its own on the wire.
set -u
. ./wire.sh

# refused ERRNO WHAT...: the request fails so.
refused() {
	local why
	why=$(./switch "${@:2}" 2>&1) && return 1
	[ "$why" = "$1" ] || { echo "${*:2}: $why"; return 1; }
}

listed() {
	[ "$(./switch list | sort | xargs)" = "$*" ] || { ./switch list; return 1; }
}

state() {
	ethtool -k "$TEST_IF"
	ip addr show dev "$TEST_IF"
}

plan 11
head -c 300000 /dev/urandom >/tmp/file
make_hosts || say "the hosts do not talk before"
before=$(state)
nic=vale0:$TEST_IF

names() {
	refused ENXIO detach "$nic" && refused EINVAL attach vale0:nothing0 && refused EINVAL attach "$TEST_IF" &&
		refused ENXIO attach "vale-0:$TEST_IF" && refused ENXIO poll "$nic" && listed ""
}
check_that "what is not there is neither attached nor detached" names

attached() {
	./switch attach-host "$nic" && listed "$nic" "$nic^"
}
check_that "an interface and its host are attached" attached

twice() {
	refused EBUSY attach "$nic" && refused EBUSY attach "vale1:$TEST_IF" && refused EINVAL rest "$nic" && refused EOPNOTSUPP poll "$nic^"
}
check_that "it is attached once" twice
check_that "the hosts talk through the switch" talk
check_that "they have TCP both ways, whose content is right" both_ways

polls() {
	if [ "$(nproc)" -gt 1 ]; then
		./switch poll "$nic" && refused EBUSY poll "$nic" && refused EBUSY detach "$nic" && talk && both_ways && ./switch rest "$nic"
	else
		refused EINVAL poll "$nic"
	fi
}
check_that "so they do when the switch polls" polls

# Ring 0, and if there are as many rings and processors ring 1, by a processor of its own.
polls_rings() {
	local processors rings
	processors=$(nproc)
	rings=$(find "/sys/class/net/$TEST_IF/queues" -name 'rx-*' | wc -l)
	refused EINVAL poll "$nic" 0 "$processors" && refused EINVAL poll "$nic" 0 0 && refused EINVAL poll "$nic" "$rings" 1 &&
		refused EINVAL poll "$nic" 4294967295 1 || return 1
	[ "$processors" -gt 1 ] || return 0
	./switch poll "$nic" 0 1 && refused EBUSY poll "$nic" 0 1 && refused EBUSY poll "$nic" && refused EBUSY detach "$nic" && talk && both_ways &&
		./switch rest "$nic" && refused EINVAL rest "$nic" && talk || return 1
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
exit $failed
