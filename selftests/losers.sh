#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A program forwards without copies at full speed, beside hundreds of programs that are killed with extra buffers in their own
# rings and another one that takes whatever buffers are free. No buffer in use is freed: every frame comes once, with its own
# bytes. And none is lost: what the killed programs had comes back, all of it, while the others go on.
set -u
. ./wire.sh

rounds=${CYCLES:-300}

start() {
	rm -f /tmp/swap /tmp/hold /tmp/lose
	./swap reflect "$TEST_IF" /run/netns/$peer "$TEST_PEER" >/tmp/swap 2>&1 &
	reflector=$!
	wait_for grep -q bound /tmp/swap && flows
}
flows() {
	wait_for received_more "$TEST_PEER" $(($(received_by "$TEST_PEER") + 1000))
}
received_more() {
	[ "$(received_by "$1")" -ge "$2" ]
}

# of_region WORDS: the number behind these words.
of_region() {
	sed -n "s/^  $1 \([0-9]*\).*/\1/p" $regions
}

killed() {
	./swap lose "$TEST_IF" 200 "$rounds" >/tmp/lose 2>&1
	say "$(tail -n 1 /tmp/lose)"
	grep -qx "killed $rounds" /tmp/lose
}

last_words() {
	kill "$1" && wait "$1"
	say "$(tail -n 1 "$2")"
	grep -Eq "$3" "$2"
}

plan 7
make_hosts
start
check $? "frames go round without copies"
used=$(of_region 'buffers: used')
rm -f /tmp/hold
./swap hold "$TEST_IF" 3000 >/tmp/hold 2>&1 &
holder=$!
wait_for grep -q bound /tmp/hold && killed
check $? "$rounds programs are killed with extra buffers in their rings"
flows
check $? "frames go round"
last_words "$holder" /tmp/hold '^held [1-9][0-9]* changed 0$'
check $? "nobody wrote into the buffers of the other program"
[ "$(of_region 'buffers: used')" = "$used" ] && [ "$(of_region 'lost buffers:')" = 0 ]
check $? "what the killed programs had is free"
last_words "$reflector" /tmp/swap '^reflected .* stale 0 wrong 0 errors 0$'
check $? "every frame came once, with its own bytes"
nothing_left() {
	[ -z "$(cat "$regions")" ]
}
wait_for nothing_left
check $? "nothing is left"
unmake_hosts
finish_test
