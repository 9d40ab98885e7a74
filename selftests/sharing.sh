#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A NIC with several queues: netmap has queue 1, the host's TCP goes on with the others.
set -u
. ./wire.sh

# queue_packets DIRECTION QUEUE: what the driver has moved for the stack.
queue_packets() {
	ethtool -S "$TEST_IF" | awk -v name="$1_queue_$2_packets:" '$1 == name { print $2 }'
}

stack_packets() {
	cat "/sys/class/net/$TEST_IF/statistics/$1_packets"
}

# TCP both ways, file after file, until /tmp/enough is there; prints how many, and fails if one does not come whole.
transfers() {
	local count=0
	until [ -e /tmp/enough ]; do
		both_ways || return
		count=$((count + 1))
	done
	echo $count
}

plan 16
make_hosts
# Without this, a flow may well be hashed to queue 1, as it should.
ethtool -X "$TEST_IF" equal 1
dd if=/dev/urandom of=/tmp/file bs=1M count=4 2>/dev/null
rm -f /tmp/enough
changes=$(carrier_changes)
mark_log

set_takeover hot
# Ten times taken and given back under the transfer, and traffic of its own in between.
transfers >/tmp/transfers &
transfer=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
	{ ./port cycle "netmap:$TEST_IF-1" 3 && nm-pkt-gen -i "netmap:$TEST_IF-1" -f tx -n 20000 -l 60; } >/tmp/round 2>&1
	sum=$?
	[ "$sum" = 0 ] || break
done
check "$sum" "queue 1 is taken, sends and is given back 40 times"
sed 's/^/# /' /tmp/round
touch /tmp/enough
wait $transfer
check $? "no TCP connection is reset"
count=$(cat /tmp/transfers)
say "$count files of 4 MiB each way"
[ "$count" -gt 0 ]
check $? "both directions moved"

# While it is taken, the stack's counters count what the stack sends.
start_holding "netmap:$TEST_IF-1"
check $? "queue 1 is taken"
all=$(stack_packets tx) first=$(queue_packets tx 0) second=$(queue_packets tx 1)
nm-pkt-gen -i "netmap:$TEST_IF-1/T" -f tx -n 50000 -l 60 >/dev/null 2>&1
check $? "netmap sends 50000 packets on it"
both_ways
check $? "TCP passes meanwhile"
# The driver adds up its counters every two seconds.
settled() {
	[ "$(stack_packets tx)" = "$(($(queue_packets tx 0) + $(queue_packets tx 1)))" ]
}
wait_for settled
check $? "ip -s and ethtool -S agree"
[ "$(queue_packets tx 1)" = "$second" ]
check $? "the stack's packets keep off the taken queue"
[ "$(queue_packets tx 0)" -gt "$first" ] && [ "$(stack_packets tx)" -gt "$all" ]
check $? "and go through the other one"
stop_holding
check $? "it is given back"
[ "$(carrier_changes)" = "$changes" ]
check $? "the carrier never changed"
check_that "the driver has nothing to say" quiet_log

# Some drivers forget the table when they open the device.
set_takeover restart
table=$(ethtool -x "$TEST_IF")
start_holding "netmap:$TEST_IF-1" && wait_for carrier_is "$TEST_IF" 1
check $? "queue 1 is taken by a restart"
[ "$(ethtool -x "$TEST_IF")" = "$table" ]
check $? "ethtool -X stays as it was"
wait_for hosts_talk && both_ways
check $? "TCP passes on the other queue"
stop_holding && wait_for hosts_talk
check $? "it is given back"
ethtool -X "$TEST_IF" default
finish_test
