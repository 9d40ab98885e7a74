# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # uses variables of wire.sh
# The program relay, behind wire.sh. Sourced.

# start_relay ARG...: until it is ready. Its process is $relay, and its last words are in /tmp/relay.
start_relay() {
	rm -f /tmp/relay
	./relay "$@" >/tmp/relay 2>&1 &
	relay=$!
	wait_for grep -q . /tmp/relay
	[ "$(head -n 1 /tmp/relay)" = ready ]
}

stop_relay() {
	kill "$relay" && wait "$relay"
}

# relayed ARG...: the hosts' connections go by the relay, both ways at once.
relayed() {
	local status
	start_relay "$@" && both_ways
	status=$?
	[ "$status" = 0 ] || sed 's/^/# /' "$ports"
	stop_relay && awk '$1 == "to-host" && $2 > 0 && $4 > 0 { found = 1 } END { exit !found }' /tmp/relay || status=1
	[ "$status" = 0 ] || sed 's/^/# /' /tmp/relay
	return "$status"
}
