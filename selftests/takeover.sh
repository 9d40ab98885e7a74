#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Queues are taken from a live driver and given back: the link, the driver and the other queues do not notice.
set -u
. ./wire.sh

driver=$TEST_NIC
identity() {
	readlink -f "/sys/class/net/$TEST_IF/device/driver"
	ethtool -i "$TEST_IF"
	cat "/sys/module/$driver/sections/.text" "/sys/class/net/$TEST_IF/ifindex"
}

features() {
	ethtool -k "$TEST_IF"
}

all_queues() {
	find "/sys/class/net/$TEST_IF/queues/" -name '[rt]x-*' | wc -l
}

sent_by_stack() {
	cat "/sys/class/net/$TEST_IF/statistics/tx_packets"
}

plan 21
make_hosts
check $? "the hosts talk before"
changes=$(carrier_changes) before=$(identity) before_features=$(features)
mark_log

set_takeover hot
start_holding "netmap:$TEST_IF"
check $? "all queues are taken"
[ "$(taken "$TEST_IF")" = "$(all_queues)" ]
check $? "debugfs says so"
log_since | grep -q "$TEST_IF: native ($driver), [0-9]* tx + [0-9]* rx queues, [0-9]* slots, buffers of 2048"
check $? "and so does the log"
! timeout 2 ping -c 1 -W 1 $peer_address >/dev/null
check $? "the host's own traffic does not pass"
[ "$(identity)" = "$before" ]
check $? "the driver is the same, never reloaded"
stop_holding
check $? "the program dies of a signal"
[ "$(taken "$TEST_IF")" = 0 ]
check $? "its queues are given back"
wait_for hosts_talk
check $? "the hosts talk after"
[ "$(features)" = "$before_features" ]
check $? "the features are as before"

# In each of the ways that a program may leave a ring: something unsent in it, something received and not taken.
sum=0
for _ in 1 2 3; do
	nm-pkt-gen -i "netmap:$TEST_IF" -f tx -n 3000 -l 60 >/dev/null 2>&1 || sum=1
done
check $sum "it sends 3 x 3000 packets, one bind after the other"
wait_for hosts_talk
check $? "the hosts talk after that"

sent=$(sent_by_stack)
start_holding "netmap:$TEST_IF/T"
check $? "the transmit queues alone are taken"
stop_holding && start_holding "netmap:$TEST_IF/R" && stop_holding
check $? "the receive queues alone are taken"
wait_for hosts_talk && [ "$(sent_by_stack)" -gt "$sent" ]
check $? "the hosts talk, and the interface counts it"

[ "$(carrier_changes)" = "$changes" ]
check $? "the carrier never changed"
check_that "the driver has nothing to say" quiet_log

# Drivers refill in steps, which such a ring is no multiple of; the stack's packets bring them to other places each time.
sizes=$(ring_sizes "$TEST_IF")
ethtool -G "$TEST_IF" rx 88 tx 88
wait_for hosts_talk
check $? "the hosts talk over rings of 88 descriptors"
changes=$(carrier_changes)
sum=0
for i in 3 5 7 11 13; do
	{ start_holding "netmap:$TEST_IF" && stop_holding && wait_for hosts_talk &&
		ping -q -c "$i" -i 0.01 -W 5 $peer_address >/dev/null; } || sum=1
done
check $sum "which are taken and given back 5 times"
[ "$(carrier_changes)" = "$changes" ]
check $? "hot each time"
# shellcheck disable=SC2086 # words
ethtool -G "$TEST_IF" $sizes
wait_for hosts_talk
check $? "the hosts talk over rings as they were"
finish_test
