#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the programs say when they are told to end in the middle, and when nobody takes what they send: what has left, and no more.
set -u
. ./wire.sh
. ./programs.sh

plan 16

frames 50 >/tmp/tools/many
# in_the_middle PATTERN COMMAND...: what it says that it has sent when it is told to end is what has arrived.
in_the_middle() {
	local pattern=$1 receiver sender sent got
	shift
	start receiver 'tools}1' nm-pkt-gen -i 'netmap:tools}1' -f rx --json --idle-exit 2000 || return 1
	receiver=$started
	start sender 'tools{1' "$@" || return 1
	sender=$started
	wait_for has_said "$pattern" /tmp/tools/sender.err || { kill "$sender" "$receiver"; cat /tmp/tools/sender.err; return 1; }
	ends_at INT "$sender" || { cat /tmp/tools/sender.err; return 1; }
	wait "$receiver"
	# What was in the pipe still may have been taken out of it afterwards.
	sent=$(field /tmp/tools/sender.out packets) got=$(field /tmp/tools/receiver.out packets)
	[ "$sent" -gt 0 ] && [ "$got" -ge "$sent" ] && [ "$got" -le $((sent + $(field /tmp/tools/sender.out unsent))) ] && return
	cat /tmp/tools/sender.out /tmp/tools/receiver.out
	return 1
}
check_that "nm-replay ends in the middle of a file, and has sent what it says" in_the_middle 'in the last second' \
	nm-replay -v --json --loop -R 2000 -i 'netmap:tools{1' -f /tmp/tools/many
check_that "and so does nm-pkt-gen" in_the_middle 'pps' nm-pkt-gen --json -T 200 -R 2000 -i 'netmap:tools{1' -f tx
# No one takes what is sent. All of them wait at once for that to be certain, each at a pipe of its own.
# sending NAME COMMAND...
sending() {
	local name=$1 status=0
	shift
	"$@" --json -i "netmap:$name{1" >"/tmp/tools/$name.out" 2>"/tmp/tools/$name.errors" || status=$?
	echo "$status" >"/tmp/tools/$name.status"
}
sending replay nm-replay -t --loop -f /tmp/tools/many &
sending plain nm-pkt-gen -f tx &
sending pieces nm-pkt-gen -f tx -l 900 -F 3 &
sending few nm-pkt-gen -f tx -n 20 &
sending numbered nm-pkt-gen -f txseq &
# stuck NAME OCTETS: packets of as many octets.
stuck() {
	local sent unsent out=/tmp/tools/$1.out
	wait_for test -s "/tmp/tools/$1.status"
	sent=$(field "$out" packets) unsent=$(field "$out" unsent)
	[ "$(cat "/tmp/tools/$1.status")" = 1 ] && grep -q 'packets do not leave the ring: is the link up' "/tmp/tools/$1.errors" &&
		[ "$unsent" -gt 0 ] && [ "$(field "$out" bytes)" = $((sent * $2)) ] && return
	cat "$out" "/tmp/tools/$1.errors"
	return 1
}
check_that "packets that nobody takes are an error, and not sent" stuck replay 64
check_that "of nm-pkt-gen, too" stuck plain 60
check_that "where each has several slots" stuck pieces 900
check_that "and where all are in the ring" stuck few 60
check_that "and of numbered slots" stuck numbered 60
# It reports ten times a second, and had the time to fill the ring.
stands() {
	[ "$(grep -c '^0.000 pps' /tmp/tools/sender.err)" -ge 5 ]
}
# The ring is full: nothing has been sent since the last report.
told_when_stuck() {
	start sender 'tools{1' nm-pkt-gen --json -T 100 -i 'netmap:tools{1' -f tx || return 1
	wait_for stands
	ends_at INT "$started" && [ "$(field /tmp/tools/sender.out unsent)" -gt 0 ] && return
	cat /tmp/tools/sender.out /tmp/tools/sender.err
	return 1
}
check_that "which is none where the program was told to end" told_when_stuck

# goes_on FIELDS COMMAND...: a program that takes what comes by a pipe is told to end in the middle, and who opens the pipe's end next gets
# what follows on that; FIELDS of its report are all that it has taken.
goes_on() {
	local fields=$1 program sender name taken=0
	shift
	start program 'tools}1' "$@" --json || return 1
	program=$started
	start sender 'tools{1' nm-pkt-gen --json -T 100 -i 'netmap:tools{1' -f tx --check || return 1
	sender=$started
	wait_for has_said '^[1-9].*pps' /tmp/tools/sender.err || { kill "$sender" "$program"; cat /tmp/tools/sender.err; return 1; }
	ends_at INT "$program"
	nm-pkt-gen -i 'netmap:tools}1' -f rx --check --json -n 100 >/tmp/tools/receiver.out 2>/tmp/tools/receiver.err
	ends_at INT "$sender"
	for name in $fields; do
		taken=$((taken + $(field /tmp/tools/program.out "$name" | grep . || echo 0)))
	done
	[ "$taken" -gt 0 ] && [ "$(field /tmp/tools/receiver.out first)" = "$taken" ] &&
		grep -q '"check":{"ok":100,"lost":0,"duplicate":0,"reordered":0,"corrupt":0,"foreign":0,' /tmp/tools/receiver.out && return
	cat /tmp/tools/program.* /tmp/tools/sender.out /tmp/tools/receiver.*
	return 1
}
check_that "what nm-pkt-gen has received last nobody gets again" goes_on packets nm-pkt-gen -i 'netmap:tools}1' -f rx
check_that "nor what it has answered" goes_on 'packets drops unsent' nm-pkt-gen -i 'netmap:tools}1' -f pong
check_that "nor what nm-bridge has carried" goes_on slots_forth nm-bridge 'netmap:tools}1' vale0:b
check_that "nor what nm-lb has" goes_on total nm-lb -i 'netmap:tools}1' -p tools:1 -w 0
# The wait for the link is no reason not to hear.
waiting() {
	start waiting vale0:w "$@" && ends_at INT "$started" && return
	cat /tmp/tools/waiting.err
	return 1
}
check_that "nm-bridge ends while it waits for the link" waiting nm-bridge -w 100000 vale0:w vale0:v
check_that "and nm-replay" waiting nm-replay -w 100000 -i vale0:w -f /tmp/tools/many
check_that "and nm-pkt-gen" waiting nm-pkt-gen -w 100000 -i vale0:w -f tx
check_that "and nm-lb" waiting nm-lb -w 100000 -i vale0:w
finish_test
