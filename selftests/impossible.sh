#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What cannot be is refused before the driver is touched, and what can be needs no restart of it: buffers that the NIC cannot
# receive into, the largest rings, and as many queues as an interface that is down will have.
set -u
. ./wire.sh

parameters=/sys/module/netmap/parameters

bind_is() {
	[ "$(./port bind "netmap:$TEST_IF$2")" = "$1" ]
}
# untouched: the driver was not restarted since mark_log, and the link stayed as it was.
untouched() {
	[ "$(carrier_changes)" = "$changes" ] && quiet_log
}
# rings_are N: how many transmit and receive queues the port in netmap mode has.
rings_are() {
	[ "$(awk -v port="$TEST_IF:" '/^[^ ]/ { mine = $1 == port } mine && $1 ~ /^[rt]x$/ { n++ } END { print n + 0 }' $ports)" = $((2 * $1)) ]
}
taken_are() {
	[ "$(taken "$TEST_IF")" = "$1" ]
}
# The largest rings that the driver may have, in the words of "ethtool -G".
largest_sizes() {
	ethtool -g "$TEST_IF" | awk '/^Current/ { exit } /^[RT]X:/ { print tolower(substr($1, 1, 2)), $2 }' | xargs
}

several=
[ ! -e "/sys/class/net/$TEST_IF/queues/rx-1" ] || several=1
set_takeover hot
plan $((8 + ${several:-0} * 10))

changes=$(carrier_changes)
mark_log
echo 128 >$parameters/buf_size
bind_is EINVAL ''
check $? "buffers that the NIC cannot receive into: EINVAL"
log_since | grep -q "$TEST_IF: .*buffers of this size are too small"
check $? "the log says why"
bind_is bound '/T'
check $? "they will do to send from"
bind_is bound '^'
check $? "and for the host rings"
check_that "the link stayed, and the driver was not restarted" untouched
echo 2048 >$parameters/buf_size
bind_is bound ''
check $? "with larger ones the port is bound"

before=$(ring_sizes "$TEST_IF")
# shellcheck disable=SC2046 # words
ethtool -G "$TEST_IF" $(largest_sizes)
wait_for carriers
mark_log
changes=$(carrier_changes)
bind_is bound ''
check $? "the queues are taken from a driver that has its largest rings"
check_that "the link stayed, and the driver was not restarted" untouched
# shellcheck disable=SC2086 # words
ethtool -G "$TEST_IF" $before
wait_for carriers

if [ "$several" ]; then
	ip link set "$TEST_IF" down
	ethtool -L "$TEST_IF" combined 1
	bind_is EINVAL -1
	check $? "a ring that the interface will not have when it is up: EINVAL"
	start_holding "netmap:$TEST_IF"
	rings_are 1
	check $? "a port of an interface that is down has the rings that it will have"
	ip link set "$TEST_IF" up
	wait_for carriers && wait_for taken_are 2
	check $? "it has their queues when it is up"
	rings_are 1
	check $? "and no others"
	stop_holding
	check $? "the program was not told of any loss"
	ip link set "$TEST_IF" down
	ethtool -L "$TEST_IF" combined 2
	bind_is bound -1
	check $? "the same with more queues than the interface had when it was up"
	start_holding "netmap:$TEST_IF"
	rings_are 2
	check $? "such a port has them, too"
	ip link set "$TEST_IF" up
	wait_for carriers && wait_for taken_are 4
	check $? "and their queues when it is up"
	stop_holding
	check $? "the program was not told of any loss"
	[ ! -s $regions ]
	check $? "nothing is left"
fi
finish_test
