#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What puts packets together is off while a port receives by XDP, and on again afterwards, though the driver refuses that as long as
# it has a program.
set -u
. ./wire.sh

is() {
	ethtool -k "$TEST_IF" | grep -qx "$1: $2" || { ethtool -k "$TEST_IF" | grep "^$1"; return 1; }
}
as_before() {
	is large-receive-offload on && is generic-receive-offload on
}
receives() {
	./port hold "netmap:$TEST_IF$1" >/tmp/held 2>&1 &
	holder=$!
	wait_for grep -q bound /tmp/held || { cat /tmp/held; return 1; }
}
by_xdp() {
	grep -q "^$TEST_IF: emulated (xdp)" "$ports" || { cat "$ports"; return 1; }
}
off() {
	is large-receive-offload off && is generic-receive-offload off
}
ends() {
	kill "$holder"
	wait "$holder" 2>/dev/null
	true
}

plan 6
make_hosts
ethtool -K "$TEST_IF" lro on gro on
wait_for as_before
check $? "the driver puts packets together"
receives '' && by_xdp
check $? "a port receives by XDP"
check_that "nothing is put together" off
ends
wait_for as_before
check $? "it is again afterwards"
# A second file sends alone, so that the port goes on without a receiver.
receives /T && sender=$holder && receives /R && ends && wait_for is generic-receive-offload on
check $? "without a receiver nothing but the driver's own waits for the port's end"
holder=$sender
ends
wait_for as_before
check $? "and comes with that"
wait_for hosts_talk
unmake_hosts
finish_test
