#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An 8254x outside of virtual machines, as far as its kernel knows: the driver is restarted when queues are taken and when they
# are given back, unless the administrator allows more.
set -u
. ./wire.sh

# restarts_are N: how often the driver was restarted since mark_log.
restarts_are() {
	[ "$(log_since | grep -c 'restarting the driver.*running 8254x')" = "$1" ]
}

plan 14
[ "$(cat /sys/module/netmap/parameters/e1000_takeover)" = N ]
check $? "nothing is allowed"
make_hosts
check $? "the hosts talk"
mark_log
start_holding "netmap:$TEST_IF"
check $? "the queues are taken"
restarts_are 1
check $? "by a restart"
wait_for carriers && [ "$(taken "$TEST_IF")" = 2 ]
check $? "they are when the link is there"
cable off && wait_for carrier_is "$TEST_IF" 0
mark_log
ip link set "$TEST_IF" mtu 1400
restarts_are 2
check $? "a new MTU takes one to give them back, and one to take them again from a driver that may have been there for long"
cable on && wait_for carriers && [ "$(taken "$TEST_IF")" = 2 ]
check $? "they are there when the link is"
ip link set "$TEST_IF" mtu 1500
wait_for carriers
mark_log
stop_holding && restarts_are 1
check $? "they are given back by a restart"
wait_for hosts_talk
check $? "the hosts talk"
mark_log
set_takeover hot
[ "$(./port bind "netmap:$TEST_IF")" = EOPNOTSUPP ]
check $? "without a restart, as takeover=hot asks, they are not taken: EOPNOTSUPP"
log_since | grep "$TEST_IF: " | grep -q e1000_takeover
check $? "the log names the parameter"
check_that "and nothing was touched" quiet_log
echo 1 >/sys/module/netmap/parameters/e1000_takeover
[ "$(./port bind "netmap:$TEST_IF")" = bound ]
check $? "with it they are"
check_that "without a restart" quiet_log
unmake_hosts
finish_test
