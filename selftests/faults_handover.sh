#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Faults of the 82599's model when queues are taken and given back: what cannot be shown to be at rest is refused, or the
# driver is restarted; the card is the host's afterwards, and no rule of the model is ever broken.
set -u
. ./wire.sh
. ./ixgbe.sh
. ./exchange.sh

restarts() {
	log_since | grep -c "$TEST_IF: restarting the driver"
}

# talks_after DESCRIPTION: the hosts do, and nothing is left of netmap.
talks_after() {
	wait_for carriers && talk && nothing_left
	check $? "the hosts talk after $1"
}

plan 34
make_hosts
broken_rules >/tmp/broken-before

for side in rx tx; do
	set_takeover hot
	mark_log
	fault stuck $side 0 until-reset
	[ "$(./port bind "netmap:$TEST_IF")" = EAGAIN ] && logged 'a queue does not stop' && [ "$(restarts)" = 1 ]
	check $? "a $side queue that does not stop is not taken"
	talks_after "that"

	set_takeover auto
	mark_log
	fault stuck $side 0 until-reset
	start_exchange && [ "$(restarts)" = 1 ]
	check $? "by a restart of the driver it is"
	stop_exchange && [ "$(restarts)" = 1 ]
	check $? "and given back without"
	talks_after "that"

	start_exchange
	mark_log
	fault stuck $side 0 until-reset && flows
	check $? "a stuck $side queue goes on"
	stop_exchange && logged 'a queue does not stop' && [ "$(restarts)" = 1 ]
	check $? "and is given back by a restart"
	talks_after "that"

	# A reset does not help.
	mark_log
	fault stuck $side 0 on
	[ "$(./port bind "netmap:$TEST_IF")" = EAGAIN ] && [ "$(restarts)" = 1 ]
	check $? "a $side queue that neither stops nor starts is not taken"
	fault stuck $side 0 off
	ethtool -r "$TEST_IF"
	talks_after "its repair"
	start_exchange
	fault stuck $side 0 on
	stop_exchange && nothing_left
	check $? "nor is it kept"
	fault stuck $side 0 off
	ethtool -r "$TEST_IF"
	talks_after "its repair"
done

set_takeover auto
# stopped SIDE RESTARTS: give back with that half's DMA stopped in the midst of traffic.
stopped() {
	start_exchange
	mark_log
	fault stop "$1" on
	if [ "$1" = rx ]; then
		wait_for rests "$TEST_IF" "$TEST_PEER"
	else
		wait_for rests "$TEST_PEER" "$TEST_IF"
	fi
	stop_exchange && [ "$(restarts)" = "$2" ]
}
stopped rx 0
check $? "queues are given back without receive DMA"
fault stop rx off
talks_after "it goes on"
stopped tx 1
check $? "without transmit DMA only by a restart"
fault stop tx off
talks_after "it goes on"

# A queue that is stopped writes what it has to report, however late it would have been.
mark_log
fault late 5000000000
in_peer ping -c 1 -W 1 $nic_address >/dev/null
start_holding "netmap:$TEST_IF" && [ "$(restarts)" = 0 ]
check $? "queues are taken with a report under way"
in_peer ping -c 1 -W 1 $nic_address >/dev/null
stop_holding && [ "$(restarts)" = 0 ]
check $? "and given back with one"
fault clear
talks_after "that"

fault late 20000000
start_exchange && stop_exchange
check $? "queues are taken and given back with late reports"
fault clear
talks_after "that"

check_that "no rule of the model was broken" no_rule_broken
unmake_hosts
finish_test
