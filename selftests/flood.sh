#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# nm-pkt-gen sends PACKETS numbered packets each way as fast as it can: what arrives is whole and arrives once. That none
# is lost needs a sender that heeds the receiver, which is what the test traffic has.
# PACKETS: 500000, on the debug kernel 50000.
set -u
. ./wire.sh

[ "$TEST_KERNEL" = debug ] && default=50000 || default=500000
packets=${PACKETS:-$default}

# field NAME: a number of the receiver's report.
field() {
	sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" /tmp/received | head -n 1
}

heard() {
	[ "$(received_by "$1")" -gt 0 ]
}

# transfer FROM TO LENGTH
transfer() {
	local from=$1 to=$2 length=$3 receiver probe start
	rm -f /tmp/received /tmp/receiver
	nm-pkt-gen -i "netmap:$to" -f rx --check --json --idle-exit 5000 >/tmp/received 2>/tmp/receiver &
	receiver=$!
	# An emulated e1000 is deaf for a second.
	nm-pkt-gen -i "netmap:$from" -f tx -n 100000 -R 200 >/dev/null 2>&1 &
	probe=$!
	wait_for heard "$to"
	check $? "$to hears $from"
	kill -INT $probe
	wait $probe
	start=$SECONDS
	nm-pkt-gen -i "netmap:$from" -f tx --check --json -n "$packets" -l "$length" >/tmp/sent 2>/tmp/sender
	check $? "$from sends $packets packets of $length bytes"
	wait $receiver
	check $? "none is corrupt or comes twice"
	say "$(tail -n 1 /tmp/receiver)"
	say "$((SECONDS - start)) s; $(sed -n 's/.*"pps":\([0-9]*\).*/\1/p' /tmp/sent) packets per second sent"
	# In front of a NIC without free descriptors QEMU lets later frames overtake earlier ones: the order is no test.
	[ "$(field ok)" -gt 0 ] && [ "$(($(field ok) + $(field lost)))" -le "$packets" ]
	check $? "nor is there one that was not sent"
}

plan 8
transfer "$TEST_IF" "$TEST_PEER" 60
transfer "$TEST_PEER" "$TEST_IF" 1514
finish_test
