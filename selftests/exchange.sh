# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # uses variables of wire.sh
# Netmap traffic both ways over the wire, by the program exchange, for scripts that hurt the card meanwhile. Behind wire.sh,
# between make_hosts and unmake_hosts. Sourced.

fault() {
	model "$TEST_IF" fault "$@"
}

# start_exchange [QUEUE]: on all queues, or on one.
start_exchange() {
	rm -f /tmp/exchange
	./exchange "$TEST_IF" "/run/netns/$peer" "$TEST_PEER" "$@" >/tmp/exchange 2>&1 &
	exchange=$!
	wait_for grep -q . /tmp/exchange
	[ "$(head -n 1 /tmp/exchange)" = bound ] && flows
}

# Its last words are in /tmp/exchange.
stop_exchange() {
	kill "$exchange" && wait "$exchange"
}

# saw INTERFACE WHAT: how many packets of a kind the exchange has received there.
saw() {
	awk -v name="$1" -v what="$2" '$1 == name { for (i = 2; i < NF; i++) if ($i == what) print $(i + 1) }' /tmp/exchange
}

# told [INTERFACE]: a port was taken away from the exchange, which was told so by poll(), and at a sync.
told() {
	wait_for ended "$exchange"
	wait "$exchange"
	if [ $? != 3 ] || [ "$(tail -n 1 /tmp/exchange)" != "gone ${1:-$TEST_IF} ENXIO" ]; then
		cat /tmp/exchange >&2
		return 1
	fi
}

ended() {
	! kill -0 "$1"
}

# More than are under way, or in a ring.
flows_to() {
	wait_for received_more "$1" $(($(received_by "$1") + 600))
}
received_more() {
	[ "$(received_by "$1")" -ge "$2" ]
}
flows() {
	flows_to "$TEST_IF" && flows_to "$TEST_PEER"
}

# rests INTERFACE OTHER: nothing arrives at the one while packets arrive at the other.
rests() {
	local before
	before=$(received_by "$1")
	flows_to "$2" && [ "$(received_by "$1")" = "$before" ]
}

# errors_at INTERFACE: frames that arrived damaged in its rx rings.
errors_at() {
	awk -v port="$1:" '
		/^[^ ]/ { mine = $1 == port }
		mine && $1 == "rx" { for (i = 1; i < NF; i++) if ($i == "errors") n += $(i + 1) }
		END { print n + 0 }' "$ports"
}

# logged TEXT: the kernel has said so since the mark.
logged() {
	log_since | grep -q "$1"
}

nothing_left() {
	[ "$(taken "$TEST_IF")" = 0 ] && [ -z "$(cat "$regions")" ]
}
