#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Rings whose queues are not there: those that wait for the carrier while others have theirs get them with it, and what is
# lost for good is no longer so for those who bind it next.
set -u
. ./wire.sh
. ./ixgbe.sh

declare -A holders

# hold RING: has it bound by a process that sleeps in poll, and says in /tmp/held-RING how that ends.
hold() {
	rm -f "/tmp/held-$1"
	./port hold "netmap:$TEST_IF-$1" >"/tmp/held-$1" 2>&1 &
	holders[$1]=$!
	wait_for grep -q . "/tmp/held-$1"
	[ "$(head -n 1 "/tmp/held-$1")" = bound ]
}
let_go() {
	kill "${holders[$1]}" 2>/dev/null
	wait "${holders[$1]}"
}
taken_are() {
	[ "$(taken "$TEST_IF")" = "$1" ]
}
logged() {
	log_since | grep -q "$1"
}
fault() {
	model "$TEST_IF" fault "$@" >/dev/null
}
# works RING: what the host at the other end sends arrives there. No IP arrives at ring 0, and the table leads IP to ring 1.
works() {
	local protocol=0806 listener
	[ "$1" = 0 ] || protocol=0800
	rm -f /tmp/listened
	./port listen "netmap:$TEST_IF-$1" "$protocol" >/tmp/listened 2>&1 &
	listener=$!
	wait_for grep -q bound /tmp/listened && wait_for carriers && wait_for sends_to "$listener" "$protocol"
	wait "$listener"
}
sends_to() {
	if [ "$2" = 0806 ]; then
		in_peer busybox arping -c 1 -w 1 -I "$TEST_PEER" "$nic_address" >/dev/null 2>&1
	else
		in_peer ping -c 1 -W 1 "$nic_address" >/dev/null 2>&1
	fi
	! kill -0 "$1" 2>/dev/null
}

plan 21
make_hosts
ethtool -X "$TEST_IF" weight 0 1
set_takeover hot

# Without a carrier one ring is taken, and another cannot be now.
cable off
wait_for carrier_is "$TEST_IF" 0
hold 0 && taken_are 2
check $? "without a carrier a ring is taken"
fault stuck rx 1 until-reset
hold 1 && taken_are 2
check $? "another that the driver does not let go of waits"
fault clear
cable on
wait_for carriers && wait_for taken_are 4
check $? "both are taken when the carrier is there"
let_go 1
check_that "what is sent to it arrives" works 1
let_go 0

# keep RING: has it bound by a process that does not close it when it is told that it is lost.
keep() {
	rm -f /tmp/kept
	./port keep "netmap:$TEST_IF-$1" >/tmp/kept 2>&1 &
	keeper=$!
	wait_for grep -q bound /tmp/kept
}
keeper_told() {
	wait_for grep -q 'gone ENXIO' /tmp/kept
}

# A ring is lost while another goes on.
hold 1 && keep 0
check $? "each ring has a program"
mark_log
fault stuck rx 0 on
fault memory-error
keeper_told
check $? "one is told that its ring is lost"
check_that "the log says so" logged 'Rx queue 0 is lost: '
kill -0 "${holders[1]}"
check $? "the other goes on"
[ "$(./port bind "netmap:$TEST_IF-0")" = EBUSY ]
check $? "nobody else gets a ring that is lost to one who has it"
check_that "the log says that, too" logged 'ring 0 is lost until all who have it bound have closed it'
kill "$keeper"
wait "$keeper" 2>/dev/null
fault stuck rx 0 off
ethtool -r "$TEST_IF"
wait_for carriers
check_that "who binds it when it is closed receives" works 0
let_go 1

# A whole port is, and somebody keeps it open.
keep 0
check $? "a program has a ring"
mark_log
ip link set "$TEST_IF" down
fault stuck rx 0 on
ip link set "$TEST_IF" up
keeper_told
check $? "it is told that it cannot be taken again"
check_that "the log says so" logged 'could not be taken again'
fault stuck rx 0 off
sizes=$(ring_sizes "$TEST_IF")
# shellcheck disable=SC2086 # words
ethtool -G "$TEST_IF" rx 1024 && ethtool -G "$TEST_IF" $sizes
check $? "what is refused while rings are bound is not refused for one that is lost"
ip link set "$TEST_IF" down
ip link set "$TEST_IF" up
introduce
wait_for carriers
# The driver has filled its table anew.
ethtool -X "$TEST_IF" weight 0 1
check_that "another binds the ring and receives" works 0
check_that "and the other ring" works 1
kill -0 "$keeper"
check $? "while the first has not closed it"
kill "$keeper"
wait "$keeper" 2>/dev/null
[ ! -s $ports ]
check $? "no port is left"
[ ! -s $regions ]
check $? "nor memory"
check_that "the hosts talk" wait_for hosts_talk
unmake_hosts
finish_test
