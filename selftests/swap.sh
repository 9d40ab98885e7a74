#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A program that forwards without copies keeps frames in hand and exchanges their buffers while its queues are not its own:
# an MTU changes, the interface goes down and up, the cable is pulled, the system sleeps, the driver restarts. No frame comes
# back twice or with other bytes, and another program, that takes whatever buffers are free, has them for itself.
set -u
. ./wire.sh
. ./link.sh

start() {
	rm -f /tmp/swap /tmp/hold
	./swap reflect "$TEST_IF" /run/netns/$peer "$TEST_PEER" >/tmp/swap 2>&1 &
	reflector=$!
	./swap hold "$TEST_IF" 3000 >/tmp/hold 2>&1 &
	holder=$!
	wait_for grep -q bound /tmp/swap && wait_for grep -q bound /tmp/hold && flows
}

# More than a lap of both rings, at both ends.
flows() {
	wait_for received_more "$TEST_IF" $(($(received_by "$TEST_IF") + 1000)) &&
		wait_for received_more "$TEST_PEER" $(($(received_by "$TEST_PEER") + 1000))
}
received_more() {
	[ "$(received_by "$1")" -ge "$2" ]
}

# What an earlier event left behind shows in a later one. A few CYCLES mean a short test, which does each of them once.
all_times='1 2 3'
[ "${CYCLES:-100}" -ge 100 ] || all_times=1

# event DESCRIPTION COMMAND...: after which frames go round.
event() {
	local what=$1 times
	shift
	survives() {
		for times in $all_times; do
			if ! { "$@" && wait_for carriers && flows; }; then
				say "time $times"
				cat "$ports"
				return 1
			fi
		done
	}
	check_that "$what" survives "$@"
}

mtu() {
	ip link set "$TEST_IF" mtu 1400 && ip link set "$TEST_IF" mtu 1500
}

# What the program has in hand is passed on meanwhile, and what its transmit rings then hold is closed with them.
down_and_up() {
	ip link set "$TEST_IF" down && passed_on && toggle closed && held_anew &&
		ip link set "$TEST_IF" up && wait_for carriers && toggle bound
}
passed_on() {
	wait_for nothing_in_hand
}
nothing_in_hand() {
	awk -v port="$TEST_IF:" '
		/^[^ ]/ { mine = $1 == port }
		mine && $1 == "rx" {
			for (i = 1; i < NF; i++)
				if ($i == "head")
					head = $(i + 1)
				else if ($i == "tail")
					busy += $(i + 1) != head
		}
		END { exit busy > 0 }' "$ports"
}
# toggle WORD: has the program close its transmit rings, or bind them again, and waits until it says so.
toggle() {
	local before
	before=$(says "$1" /tmp/swap)
	kill -USR1 "$reflector" && wait_for says_more "$1" /tmp/swap "$before"
}
says() {
	grep -cx "$1" "$2"
}
says_more() {
	[ "$(says "$1" "$2")" -gt "$3" ]
}
# The other program closes what it has, and takes what is free, twice.
held_anew() {
	wait_for says_more bound /tmp/hold $(($(says bound /tmp/hold) + 1))
}

cable_out_and_in() {
	cable off && wait_for carrier_is "$TEST_IF" 0 && passed_on && cable on
}

sleeps() {
	echo devices >/sys/power/pm_test && echo freeze >/sys/power/state
}

# All drivers but that of the 82599 reset the card for this; that one has its own way.
restarts() {
	ethtool -r "$TEST_IF"
}

plan 8
make_hosts
start
check $? "frames go round without copies"
event "the MTU becomes smaller, and what it was" mtu
event "the interface goes down and up" down_and_up
event "the cable is pulled and plugged in" cable_out_and_in
event "the system sleeps and wakes up" sleeps
event "the link is negotiated anew" restarts
kill "$reflector" && wait "$reflector"
status=$?
say "$(tail -n 1 /tmp/swap)"
[ $status = 0 ] && grep -Eq '^reflected .* stale 0 wrong 0 errors 0$' /tmp/swap
check $? "every frame came once, with its own bytes"
kill "$holder" && wait "$holder"
say "$(tail -n 1 /tmp/hold)"
grep -Eq '^held [1-9][0-9]* changed 0$' /tmp/hold
check $? "nobody wrote into the buffers of the other program"
unmake_hosts
finish_test
