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
by_xdp() {
	grep -q "^$TEST_IF: emulated (xdp)" "$ports" || { cat "$ports"; return 1; }
}
off() {
	is large-receive-offload off && is generic-receive-offload off
}
plan 6
make_hosts
ethtool -K "$TEST_IF" lro on gro on
wait_for as_before
check $? "the driver puts packets together"
start_holding "netmap:$TEST_IF" && by_xdp
check $? "a port receives by XDP"
check_that "nothing is put together" off
stop_holding && wait_for as_before
check $? "it is again afterwards"
# A second file sends alone, so that the port goes on without a receiver.
start_holding "netmap:$TEST_IF/T" && sender=$holder && start_holding "netmap:$TEST_IF/R" && stop_holding && wait_for is generic-receive-offload on
check $? "without a receiver nothing but the driver's own waits for the port's end"
holder=$sender
stop_holding && wait_for as_before
check $? "and comes with that"
wait_for hosts_talk
unmake_hosts
finish_test
