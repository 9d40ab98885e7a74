#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A port that is bound while the system is about to sleep has no queues until it has woken up: drivers stop their devices in
# between, and free their rings. A NIC that sleeps on its own is woken for a bind, and kept awake.
set -u
. ./wire.sh

power=/sys/class/net/$TEST_IF/device/power
queues=$(find "/sys/class/net/$TEST_IF/queues/" -mindepth 1 -maxdepth 1 | wc -l)

takes() {
	[ "$(taken "$TEST_IF")" = "$1" ]
}

sleeps=
[ "$TEST_NIC" != igb ] || sleeps=1
if [ "$sleeps" ]; then plan 12; else plan 7; fi
set_takeover hot

# As long as this file is open, hibernation is prepared, and tasks still run.
prepare() {
	sleep infinity 7</dev/snapshot &
	preparation=$!
	wait_for takes 0
}
end_preparation() {
	kill "$preparation"
	wait "$preparation"
}

start_holding "netmap:$TEST_IF" && takes "$queues"
check $? "all queues are taken"
prepare
check $? "they are given back when the system is about to sleep"
stop_holding
start_holding "netmap:$TEST_IF"
check $? "a port is bound while it is"
takes 0
check $? "without a queue"
end_preparation
wait_for takes "$queues"
check $? "which it gets when the system has woken up"
check_that "packets arrive" hears
stop_holding && wait_for takes 0
check $? "and are given back at the end"

# igb suspends a device without a link after a while.
if [ "$sleeps" ]; then
	asleep() {
		[ "$(cat "$power/runtime_status")" = suspended ]
	}
	cable off && wait_for carrier_is "$TEST_IF" 0
	ip link set "$TEST_IF" down
	echo auto >"$power/control"
	wait_for asleep
	check $? "the NIC goes to sleep"
	start_holding "netmap:$TEST_IF"
	check $? "a port of it is bound"
	[ "$(cat "$power/runtime_status")" = active ]
	check $? "for which it is awake"
	ip link set "$TEST_IF" up && cable on && wait_for carrier_is "$TEST_IF" 1 && wait_for takes "$queues" && hears
	check $? "packets arrive when the interface is up"
	cable off && wait_for carrier_is "$TEST_IF" 0
	ip link set "$TEST_IF" down
	stop_holding
	wait_for asleep
	check $? "it goes to sleep again when nothing is bound"
	echo on >"$power/control"
	cable on
	ip link set "$TEST_IF" up
fi
finish_test
