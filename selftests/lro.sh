#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Queues that coalesce segments (RSC, by the feature lro) are taken in the midst of TCP and given back: netmap's do not, and
# the driver's do again. A driver so slow that a queue cannot be taken at some moment is restarted, and the bind refused: on the
# debug kernel that may be.
set -u
. ./wire.sh
. ./ixgbe.sh

coalesced() {
	stat "$TEST_IF" hw_rsc_aggregated
}
coalesces() {
	local before
	before=$(coalesced)
	send_file in_peer '' "$nic_address" 5002 && [ "$(coalesced)" -gt "$before" ]
}
lro_is_on() {
	ethtool -k "$TEST_IF" | grep -qx 'large-receive-offload: on'
}

may_refuse=0
[ "$TEST_KERNEL" != debug ] || may_refuse=2
plan 10
make_hosts
broken_rules >/tmp/broken-before
set_takeover hot
ethtool -K "$TEST_IF" lro on
wait_for carriers && talk && lro_is_on
check $? "lro is on"
dd if=/dev/urandom of=/tmp/file bs=1M count=1 2>/dev/null
wait_for coalesces
check $? "segments are coalesced"
mark_log
changes=$(carrier_changes)

# One way TCP all the time, so that the queues are taken with coalesced frames in them.
dd if=/dev/urandom of=/tmp/file bs=1M count=48 2>/dev/null
send_file in_peer '' $nic_address 5001 &
transfer=$!
goes_on() {
	[ "$(cat "/sys/class/net/$TEST_IF/statistics/rx_bytes")" -gt $((received + 100000)) ] || ! kill -0 "$transfer"
}
rounds=0 taken=0
while kill -0 $transfer 2>/dev/null; do
	received=$(cat "/sys/class/net/$TEST_IF/statistics/rx_bytes")
	wait_for goes_on
	kill -0 $transfer 2>/dev/null || break
	rounds=$((rounds + 1))
	! ./port bind "netmap:$TEST_IF" >/tmp/bound || taken=$((taken + 1))
	[ $rounds -lt 10 ] || break
done
refused=$(log_since | grep -c 'restarting the driver')
say "taken $taken times in $rounds rounds, refused $refused times"
[ $rounds -gt 2 ] && [ $((taken + refused)) = $rounds ] && [ "$refused" -le "$may_refuse" ]
check $? "queues that coalesce are taken under TCP, and given back"
wait $transfer
check $? "TCP is whole"
lro_is_on
check $? "lro is on as before"
dd if=/dev/urandom of=/tmp/file bs=1M count=1 2>/dev/null
wait_for coalesces
check $? "segments are coalesced again"

start_holding "netmap:$TEST_IF"
check $? "all queues are taken"
stop_holding
[ "$refused" != 0 ] || [ "$(carrier_changes)" = "$changes" ]
check $? "the carrier never changed by what was not refused"
[ "$refused" != 0 ] || quiet_log
check $? "and the driver has nothing to say"
ethtool -K "$TEST_IF" lro off
wait_for carriers && talk
unmake_hosts
check_that "no rule of the model was broken" no_rule_broken
finish_test
