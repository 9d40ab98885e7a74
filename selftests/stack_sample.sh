#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The StackMap paper's sample sends a file to a host that knows nothing of it; each octet is compared.
set -u
. ./wire.sh

# sends INTERFACE-NAME OCTETS PORT
sends() {
	local receiver status
	head -c "$2" /dev/urandom >/tmp/file
	in_peer busybox nc -l -p "$3" </dev/null >/tmp/copy &
	receiver=$!
	wait_for listening in_peer "$3" || return 1
	timeout 600 ./stack_sample "$1" "$peer_address" "$3" </tmp/file
	status=$?
	wait "$receiver"
	cmp /tmp/file /tmp/copy || status=1
	return "$status"
}

plan 4
make_hosts
check $? "the hosts talk"
check_that "the sample sends 3 MB" sends "$TEST_IF" 3000000 5001
check_that "by the name that the paper's code gives to the port" sends "0+$TEST_IF" 300000 5002
nothing_left() {
	[ -z "$(cat "$regions")" ] && wait_for hosts_talk
}
check_that "nothing is left of the ports" nothing_left
unmake_hosts
finish_test
