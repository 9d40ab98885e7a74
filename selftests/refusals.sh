#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# While queues are taken: what would re-program them is refused, what happens to the link is survived.
set -u
. ./wire.sh

# Only a NIC of several queues has channels, and XDP in its driver.
count=$(find "/sys/class/net/$TEST_IF/queues/" -name 'rx-*' | wc -l)

# busy COMMAND...: it fails, and because the device is busy.
busy() {
	local output
	output=$("$@" 2>&1) && { echo "$* succeeds"; return 1; }
	grep -qi 'busy' <<<"$output" || { echo "$*: $output"; return 1; }
}

# Packets from the peer's netmap port to ours and back.
passes() {
	rm -f /tmp/passes
	timeout 240 ./port listen "netmap:$TEST_PEER/R" 0800 >/tmp/passes 2>&1 &
	local listener=$!
	wait_for grep -q bound /tmp/passes
	timeout 240 nm-pkt-gen -i "netmap:$TEST_IF/T" -f tx -n 200000 -R 500 >/dev/null 2>&1 &
	local sender=$!
	wait $listener
	local status=$?
	kill $sender
	wait $sender 2>/dev/null
	[ $status = 0 ] || say "the peer hears nothing"
	return $status
}

# refuses_requests: four results.
refuses_requests() {
	check_that "ring sizes cannot change" busy ethtool -G "$TEST_IF" rx 1024
	if [ "$count" -gt 1 ]; then
		check_that "nor can channels" busy ethtool -L "$TEST_IF" combined 1
		[ "$(./port xdp "$TEST_IF")" = EBUSY ]
		check $? "no XDP program can be attached"
	else
		check_that "nor can ring sizes of the other direction" busy ethtool -G "$TEST_IF" tx 1024
		check_that "nor can both" busy ethtool -G "$TEST_IF" rx 1024 tx 1024
	fi
	check_that "nor can the MTU beyond a buffer be set" busy ip link set "$TEST_IF" mtu 4000
}

if [ "$count" -gt 1 ]; then plan 26; else plan 23; fi
set_takeover hot
features=$(ethtool -k "$TEST_IF")
sizes=$(ring_sizes "$TEST_IF")
rings=$(ethtool -g "$TEST_IF") mtu=$(cat "/sys/class/net/$TEST_IF/mtu")
start_holding "netmap:$TEST_IF"
check $? "all queues are taken"
mark_log
refuses_requests
if [ "$count" -gt 1 ]; then
	[ "$(./port xsk-zero "$TEST_IF")" = EBUSY ]
	check $? "nor an AF_XDP socket be bound that takes a queue from the driver"
	classes=(tc qdisc add dev "$TEST_IF" root mqprio num_tc 2 map 0 1 queues 1@0 1@1)
	check_that "nor can traffic classes be made in hardware" busy "${classes[@]}" hw 1
	"${classes[@]}" hw 0 && hears && tc qdisc del dev "$TEST_IF" root
	check $? "those of the stack alone can"
fi
check_that "nor can pause parameters" busy ethtool -A "$TEST_IF" rx off tx off
ethtool -t "$TEST_IF" offline >/tmp/self 2>&1
grep -q FAIL /tmp/self
check $? "a self-test fails"
[ "$(ethtool -g "$TEST_IF")" = "$rings" ] && [ "$(cat "/sys/class/net/$TEST_IF/mtu")" = "$mtu" ]
check $? "nothing of it was done"
check_that "the driver has nothing to say" quiet_log
hears && passes
check $? "packets pass both ways"

ip link set "$TEST_IF" mtu 1400 && ip link set "$TEST_IF" mtu "$mtu" && wait_for carrier_is "$TEST_IF" 1
check $? "a smaller MTU can be set"
hears && passes
check $? "and packets pass again"

# The program gets its queues back as they were, so that what is refused does not depend on whether the interface is up.
ip link set "$TEST_IF" down
[ "$(taken "$TEST_IF")" = 0 ]
check $? "the interface goes down, and no queue is taken"
refuses_requests
ip link set "$TEST_IF" up && wait_for carrier_is "$TEST_IF" 1 && [ "$(ethtool -g "$TEST_IF")" = "$rings" ]
check $? "the interface goes up, and nothing of it was done"
hears && passes
check $? "and packets pass again"

cable off && wait_for carrier_is "$TEST_IF" 0 && cable on && wait_for carrier_is "$TEST_IF" 1
check $? "the cable is pulled and plugged in"
hears && passes
check $? "and packets pass again"

ethtool -r "$TEST_IF" >/tmp/self 2>&1
wait_for carrier_is "$TEST_IF" 1 && hears && passes
check $? "packets pass after a new negotiation of the link"
stop_holding
# shellcheck disable=SC2086 # words
[ "$(ethtool -k "$TEST_IF")" = "$features" ] && ethtool -G "$TEST_IF" rx 1024 && ethtool -G "$TEST_IF" $sizes
check $? "when they are given back, all can be done again"
finish_test
