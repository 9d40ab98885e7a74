#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The device goes away from under a bound port, with a program asleep in poll: it is told, and all can begin anew.
set -u
. ./wire.sh
. ./link.sh

asleep() {
	[ "$(awk '{ print $3 }' "/proc/$holder/stat")" = S ]
}

gone() {
	! kill -0 "$holder" 2>/dev/null
}

# told WHAT: the sleeper was woken, got POLLERR and then ENXIO.
told() {
	wait_for gone
	wait "$holder"
	[ $? = 3 ] && [ "$(tail -n 1 /tmp/held)" = "gone ENXIO" ]
	check $? "the sleeper is told of $1"
	sed 's/^/# /' /tmp/held
	[ "$(taken "$TEST_IF")" = 0 ] && [ ! -s $regions ]
	check $? "nothing is left of the port"
}

# binds_anew: whether the port takes packets again.
binds_anew() {
	local listener sender
	wait_for both_back
	check $? "the interface is there again"
	rm -f /tmp/held
	./port listen "netmap:$TEST_IF" 0800 >/tmp/held 2>&1 &
	listener=$!
	wait_for grep -q bound /tmp/held
	timeout 240 nm-pkt-gen -i "netmap:$TEST_PEER" -f tx -n 30000 -R 500 >/dev/null 2>&1 &
	sender=$!
	wait $listener
	check $? "a new bind gets packets"
	kill $sender 2>/dev/null
	wait $sender 2>/dev/null
}

asleep_on_port() {
	start_holding "netmap:$TEST_IF" && wait_for asleep
	check $? "a program sleeps on a port with all queues taken"
}

unplug=0
[ "$TEST_NIC" = e1000 ] || unplug=4
plan $((5 * 3 + 3 + unplug))
set_takeover hot

asleep_on_port
modprobe -r "$TEST_NIC"
told "the removal of the driver's module"
modprobe "$TEST_NIC"
binds_anew

asleep_on_port
echo "$device" >"$driver/unbind"
told "its device's unbinding"
echo "$device" >"$driver/bind"
binds_anew

asleep_on_port
ip netns add elsewhere
ip link set "$TEST_IF" netns elsewhere
told "a move to another network namespace"
ip netns exec elsewhere ip link set "$TEST_IF" netns 1
ip netns del elsewhere
binds_anew

# Sleep is no departure: the queues are the driver's meanwhile, and the program's again afterwards.
asleep_on_port
sleeps() {
	echo devices >/sys/power/pm_test && echo freeze >/sys/power/state
}
check_that "the system sleeps and wakes up" sleeps
awake() {
	[ "$(taken "$TEST_IF")" -gt 0 ] && carrier_is "$TEST_IF" 1 && carrier_is "$TEST_PEER" 1
}
packets=$(received_by "$TEST_IF")
wait_for awake
timeout 240 nm-pkt-gen -i "netmap:$TEST_PEER" -f tx -n 30000 -R 500 >/dev/null 2>&1 &
sender=$!
more_heard() {
	[ "$(received_by "$TEST_IF")" -gt "$packets" ]
}
wait_for more_heard
check $? "the program hears again"
kill $sender $holder
wait $sender $holder

# The emulated bridge of the e1000 has no slot that can be emptied.
if [ $unplug != 0 ]; then
	asleep_on_port
	pull && ! grep -qx "$mac" /sys/class/net/*/address
	check $? "the card is pulled"
	told "that"
fi
finish_test
