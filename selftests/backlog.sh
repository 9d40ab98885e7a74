#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What was synced leaves before a queue is given back: a whole ring of the longest frames, on a wire that takes a quarter of a second
# for them, about half of what is waited for.
set -u
. ./wire.sh

# closes RATE: fills a ring, syncs once, closes; what was put in is in /tmp/closed.
closes() {
	model "$TEST_IF" wire --rate "$1" >/dev/null && ./swap fill "$TEST_IF" 4096 >/tmp/closed
}

# arrived: frames at the other end since then, by the card's own counter.
received() {
	in_peer ethtool -S "$TEST_PEER" | awk '$1 == "rx_pkts_nic:" { print $2 }'
}
all_arrive() {
	[ $(($(received) - before)) -ge "$(sed -n 's/^filled //p' /tmp/closed)" ]
}

plan 3
make_hosts
set_takeover hot
# at_rest: no frame has arrived for a while.
at_rest() {
	local seen
	seen=$(received)
	sleep 0.5
	[ "$(received)" = "$seen" ]
}
# The model's wire is late where the host has no processor for it: it is then that more is waited for than there is time. A module that
# does not wait long enough loses frames each time.
closed=1
for ((try = 0; try < 3; try++)); do
	before=$(received)
	closes 200000000
	closed=$?
	[ $closed = 0 ] || break
	wait_for at_rest
	! all_arrive || break
	say "$(cat /tmp/closed), $(($(received) - before)) arrived"
done
check $closed "a program fills a ring of 4096 slots and closes it"
all_arrive
check $? "all of its frames arrive"
say "$(cat /tmp/closed), $(($(received) - before)) arrived"
model "$TEST_IF" wire --rate 0 >/dev/null
wait_for hosts_talk
check $? "the hosts talk"
unmake_hosts
finish_test
