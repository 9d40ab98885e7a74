#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Queues that something else uses, or that the driver uses in a way of its own, are not taken: EBUSY and the reason in
# the log. Once it has ended they are.
set -u
. ./wire.sh

device=/sys/class/net/$TEST_IF/device
several=
[ ! -e "/sys/class/net/$TEST_IF/queues/rx-1" ] || several=1

# refused WHAT REASON: a bind is refused, and the log says why.
refused() {
	mark_log
	[ "$(./port bind "netmap:$TEST_IF")" = EBUSY ]
	check $? "$1: EBUSY"
	check_that "the log says why" grep -q "$TEST_IF: .*$2" <(log_since)
}

# The driver may have restarted.
accepted() {
	bound() {
		[ "$(./port bind "netmap:$TEST_IF")" = bound ]
	}
	wait_for carrier_is "$TEST_IF" 1 && wait_for bound
	check $? "without it, the port is bound"
}

# keeping COMMAND...: in the background until let_go, once it has said that it is there.
keeping() {
	mkfifo /tmp/keep
	rm -f /tmp/kept
	"$@" </tmp/keep >/tmp/kept 2>&1 &
	keeper=$!
	exec 9>/tmp/keep
	wait_for grep -qE 'attached|bound' /tmp/kept || sed 's/^/# /' /tmp/kept
}
let_go() {
	exec 9>&-
	wait $keeper
	rm /tmp/keep
}

if [ "$several" ]; then plan 15; else plan 3; fi
ethtool -K "$TEST_IF" rx-all on
refused "all frames are received, damaged ones too" "rx-all"
ethtool -K "$TEST_IF" rx-all off
accepted
if [ "$several" ]; then
	keeping ./port xdp-hold "$TEST_IF"
	refused "an XDP program" "XDP program"
	let_go
	accepted

	keeping ./port xsk-hold "$TEST_IF"
	refused "an AF_XDP socket" "AF_XDP"
	let_go
	accepted

	tc qdisc add dev "$TEST_IF" root mqprio num_tc 2 map 0 1 queues 1@0 1@1 hw 0
	refused "traffic classes" "traffic classes"
	tc qdisc del dev "$TEST_IF" root
	accepted

	if [ -e "$device/sriov_numvfs" ]; then
		echo 1 >"$device/sriov_numvfs"
		refused "virtual functions" "SR-IOV"
		echo 0 >"$device/sriov_numvfs"
	else
		ethtool -K "$TEST_IF" l2-fwd-offload on
		refused "queues for macvlans" "macvlan offload"
		ethtool -K "$TEST_IF" l2-fwd-offload off
	fi
	accepted
fi
finish_test
