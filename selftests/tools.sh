#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The programs of tools/ on a device, on ports of a switch and on pipes: what they say and what they carry, by content, and what they do
# when something is missing, wrong or gone. What needs a device that can be removed, or that has a native port, is for those.
set -u
. ./wire.sh
. ./programs.sh

kind=native shown="native ($TEST_NIC)" planned=31
[ "$TEST_NIC" != veth ] || kind=emulated shown='emulated (skb)' planned=39
plan $planned

# What there is.
listed() {
	nmctl list | grep -E "^$TEST_IF +$TEST_NIC +$kind +[0-9]+ +[0-9]+ +up +-\$"
}
check_that "a device is listed, with what a port of it would be" listed
listed_json() {
	nmctl list --json | grep -q "\"name\":\"$TEST_IF\",\"driver\":\"$TEST_NIC\",\"port\":\"$kind\"" &&
		nmctl list --json | grep -q '"parameters":{"admode":"0",'
}
check_that "as JSON too, with the parameters" listed_json
# What one program says nobody reads, and each ends by itself, or as it is told.
not_read() {
	local status=0
	unread nmctl list --json && unread nmctl doctor "$TEST_IF" && unread nm-vale && unread nm-pkt-gen --help &&
		unread nm-pkt-gen -i vale0:s -f tx -n 10 && unread nm-pkt-gen -i vale0:s -f tx -n 10 --json &&
		unread nm-pkt-gen -i vale0:s -f tx -R 100 -n 50 -T 100 && unread nm-pkt-gen -i vale0:s -f tx -X || return 1
	unread nm-dump -i vale0:s --nosuch || status=$?
	[ "$status" = 2 ] || return 1
	unread nmctl show nosuchif || status=$?
	[ "$status" = 1 ]
}
check_that "a reader that has gone is no trouble" not_read
# told COMMAND...: it is told to end, and has nobody to tell its counters to.
told() {
	local program
	exec 5> >(:)
	wait $!
	"$@" >&5 2>&5 </dev/null &
	program=$!
	exec 5>&-
	wait_for is_bound vale0:s || return 1
	ends_at INT "$program" && return
	echo "$*"
	return 1
}
told_all() {
	told nm-bridge -v vale0:s vale0:t && told nm-dump -v -i vale0:s -w /tmp/tools/file && told nm-lb -i vale0:s -w 0 -o 1 &&
		told nm-pkt-gen -i vale0:s -f rx
}
check_that "nor at the end" told_all
# A file system that is full.
no_space() {
	local program
	for program in "nmctl list" "nmctl list --json" "nm-pkt-gen -i vale0:s -f tx -X" "nm-pkt-gen -i vale0:s -f tx -n 1" \
		"nm-lb -i vale0:s -w 0 -o 1"; do
		local status=0
		# shellcheck disable=SC2086 # words
		$program >/dev/full 2>/tmp/tools/errors || status=$?
		{ [ "$status" = 1 ] && grep -q 'standard output: No space left' /tmp/tools/errors; } ||
			{ echo "$program: $status"; cat /tmp/tools/errors; return 1; }
	done
}
check_that "what cannot be written is an error" no_space
is_well() {
	nmctl doctor "$TEST_IF" >/tmp/tools/out && grep -qE "^ok *$TEST_IF: $kind.*, nothing is in the way" /tmp/tools/out || return 1
	[ "$kind" = native ] || { grep -q "^note *$TEST_IF: emulated: not a NIC whose queues" /tmp/tools/out && ! grep -vE '^(ok|note) ' /tmp/tools/out; }
}
check_that "the doctor finds nothing wrong with it, and says why it is emulated" is_well
ill() {
	local status=0
	ip link set "$TEST_IF" down
	nmctl doctor "$TEST_IF" >/tmp/tools/out || status=$?
	ip link set "$TEST_IF" up
	[ "$status" = 0 ] && grep -q "^warning $TEST_IF: .*ip link set $TEST_IF up" /tmp/tools/out || return 1
	echo 1 >/sys/module/netmap/parameters/admode
	nmctl doctor --json "$TEST_IF" >/tmp/tools/out || status=$?
	echo 0 >/sys/module/netmap/parameters/admode
	[ "$status" = 1 ] && grep -q '"severity":"error"' /tmp/tools/out && grep -q "echo 0 >.*admode" /tmp/tools/out || return 1
	status=0
	nmctl doctor lo >/tmp/tools/out || status=$?
	[ "$status" = 1 ] && grep -q '^error *lo: .*veth pair' /tmp/tools/out && wait_for carrier_is "$TEST_IF" 1
}
[ "$TEST_NIC" != veth ] || check_that "it finds what is wrong, and what to do" ill
# doctor_says PATTERN PORT: and nothing is well.
doctor_says() {
	! nmctl doctor "$2" >/tmp/tools/out && grep -qE "$1" /tmp/tools/out && ! grep -q ^ok /tmp/tools/out && return
	cat /tmp/tools/out
	return 1
}
check_that "the doctor of nothing" fails_with 1 'nosuchif: there is no such interface' nmctl doctor nosuchif
check_that "the doctor of a ring that is not there" doctor_says "^error *$TEST_IF: there is no ring 99; the last one is" "$TEST_IF-99"
check_that "a port that cannot be shown" fails_with 1 'nosuchif: .*nmctl doctor' nmctl show nosuchif
check_that "top without a terminal" fails_with 1 'needs a terminal' nmctl top

start holder "$TEST_PEER" nm-pkt-gen -i "netmap:$TEST_PEER" -f rx
check $? "a port is bound"
holder=$started
nm-pkt-gen -i "netmap:$TEST_IF/T" -f tx -n 300 -R 1000 >/dev/null 2>&1
heard_300() {
	[ "$(received_by "$TEST_PEER")" -ge 300 ]
}
wait_for heard_300
is_shown() {
	nmctl show "netmap:$TEST_PEER" >/tmp/tools/out && grep -qF "$TEST_PEER: $shown" /tmp/tools/out &&
		awk '$1 == "rx" { seen += $3 } END { exit seen < 300 }' /tmp/tools/out &&
		nmctl show "$TEST_PEER" --json | tee -a /tmp/tools/out | grep -qF "\"kind\":\"$shown\"" && return
	cat /tmp/tools/out
	return 1
}
check_that "it is shown with its counters" is_shown
top_screen() {
	local sender status=0
	nm-pkt-gen -i "netmap:$TEST_IF/T" -f tx -R 500 >/dev/null 2>&1 &
	sender=$!
	./terminal 30 140 nmctl top -i 200 <<-END || status=1
		wait ^nmctl top  [0-9]+ rings  [1-9]
		wait ^PORT +RING +PKT/S +BYTE/S
		wait ^$TEST_PEER +rx [0-9]+ +[1-9][0-9.]*K? +[1-9].*[▁▂▃▄▅▆▇█].*$kind
		wait ^$TEST_IF +tx [0-9]+ +[1-9]
		send space
		wait PAUSED
		send n
		wait ^$TEST_IF
		show
		send q
		end 0
	END
	kill "$sender"
	wait "$sender"
	return "$status"
}
check_that "top shows the rates of both ends, and ends at q" top_screen
# top_ends STEP STATUS
top_ends() {
	./terminal 30 140 nmctl top -i 200 <<-END
		wait ^$TEST_PEER
		$1
		end 0
	END
}
check_that "and at Ctrl-C" top_ends "send ^C"
check_that "and at SIGTERM" top_ends "signal 15"
kill -INT "$holder"
wait "$holder"
check_that "the device is given back" wait_for is_free "$TEST_PEER"

# What programs have: a port of a switch that is asked for 64 slots, and a device on a switch.
configured() {
	start holder vale0:c nm-pkt-gen -i vale0:c@conf:slots=64,rx-slots=128 -f rx || return 1
	nmctl show vale0:c --json >/tmp/tools/out
	ends_at INT "$started" && grep -q '"tx_slots":64,"rx_slots":128' /tmp/tools/out && return
	cat /tmp/tools/out
	return 1
}
check_that "a name says how many slots a port has" configured
attached() {
	local status=0
	nm-vale -a "vale0:$TEST_IF" || return 1
	doctor_says "^error *$TEST_IF: it is attached to a switch, as vale0:$TEST_IF; nm-vale -d" "$TEST_IF" &&
		doctor_says "^error *$TEST_IF: it is attached to a switch" "vale0:$TEST_IF" || status=1
	nm-vale -d "vale0:$TEST_IF" && nmctl doctor "$TEST_IF" | grep -q "^ok *$TEST_IF: " && return "$status"
}
check_that "the doctor of a device on a switch" attached

frames 4 >/tmp/tools/times
frames 50 >/tmp/tools/many
# The other names.
names() {
	local name
	for name in vale-ctl:nm-vale lb:nm-lb pkt-gen:nm-pkt-gen; do
		ln -sf "$(command -v "${name#*:}")" "/tmp/tools/${name%:*}"
	done
	start receiver vale0:r /tmp/tools/pkt-gen -i vale0:r -f rx -w 0 -n 10 || return 1
	/tmp/tools/vale-ctl | grep -q '^vale0:r bridge_idx [0-9]* port_idx [0-9]*$' && nmctl list | grep -q '^vale0 .*vale0:r (' &&
		/tmp/tools/pkt-gen -i vale0:s -f tx -n 10 -w 0 -4 -B | grep -q '^Sent 10 packets' && /tmp/tools/lb -h | grep -q Usage
	local status=$?
	[ "$status" = 0 ] || kill "$started"
	wait "$started" && grep -q '^Received 10 packets' /tmp/tools/receiver.out && return "$status"
}
check_that "by the names of the classic programs" names

# Ends.
whole() {
	[ "$(tcpdump -Z root -n -r /tmp/tools/file 2>/dev/null | wc -l)" -ge 20 ]
}
interrupted() {
	start dump "$TEST_IF" nm-dump -i "netmap:$TEST_IF" -w /tmp/tools/file || return 1
	nm-pkt-gen -i "netmap:$TEST_PEER/T" -f tx -n 20 >/dev/null 2>&1
	wait_for whole
	kill -INT "$started"
	wait "$started" && grep -qE '^[0-9]+ packets of [0-9]+ octets written' /tmp/tools/dump.err && wait_for is_free "$TEST_IF"
}
check_that "a signal ends a capture, with its counters, and gives the device back" interrupted
check_that "whose file is whole" whole
# A closed terminal ends a program, but not for whoever has said nohup.
hung_up() {
	start dump vale0:d nm-dump -i vale0:d -w /tmp/tools/file || return 1
	ends_at HUP "$started" || return 1
	# shellcheck disable=SC2016 # its own words
	start dump vale0:d bash -c 'trap "" HUP; exec "$@"' - nm-dump -i vale0:d -w /tmp/tools/file || return 1
	kill -HUP "$started"
	nm-pkt-gen -i vale0:s -f tx -n 20 >/dev/null 2>&1
	wait_for whole && ends_at INT "$started"
}
check_that "a closed terminal ends a program, unless it was started with nohup" hung_up
# Each packet is written when it comes: the next one after the reader has gone tells.
reader_goes() {
	local sender status
	nm-pkt-gen -i vale0:s -f tx -R 200 >/dev/null 2>&1 &
	sender=$!
	{ nm-dump -i vale0:d 2>/tmp/tools/errors; echo $? >/tmp/tools/status; } | head -c 500 >/tmp/tools/head
	kill "$sender"
	wait "$sender"
	status=$(cat /tmp/tools/status)
	{ [ "$status" = 0 ] && grep -q 'nobody reads it' /tmp/tools/errors && [ "$(stat -c %s /tmp/tools/head)" = 500 ]; } || { cat /tmp/tools/errors; return 1; }
}
check_that "a pipe that nobody reads any more ends a capture" reader_goes
full() {
	nm-pkt-gen -i vale0:s -f tx -R 200 >/dev/null 2>&1 &
	local sender=$! status=0
	nm-dump -i vale0:d -w /dev/full 2>/tmp/tools/errors || status=$?
	kill "$sender"
	wait "$sender"
	[ "$status" = 1 ] && grep -q '/dev/full: No space left' /tmp/tools/errors
}
check_that "a file system that is full" full
nobody() {
	fails_with 1 'permission denied; run this as root' setpriv --reuid 65534 --clear-groups "$(command -v "$1")" "${@:2}"
}
check_that "who may not open the device is told so by nm-dump" nobody nm-dump -i vale0:d -w /tmp/tools/no
check_that "and by nm-replay" nobody nm-replay -i vale0:d -f /tmp/tools/times
check_that "and by nm-bridge" nobody nm-bridge vale0:d vale0:e
check_that "wrong flags are an error" fails_with 2 '^nm-dump: unexpected argument .*--nosuch.*--help' nm-dump -i vale0:d --nosuch
check_that "and a port that is no name" fails_with 2 "^nm-replay: .*'eth0/Q'.*--help" nm-replay -i eth0/Q -f /tmp/tools/times
# gone PATTERN SUMMARY COMMAND...: the interface under test goes while the program has it; it says so, and what it had done.
gone() {
	local status=0 pattern=$1 summary=$2
	shift 2
	start gone "$TEST_IF" "$@" || return 1
	ip link del "$TEST_IF"
	wait "$started" || status=$?
	ip link add "$TEST_IF" numtxqueues 2 numrxqueues 2 type veth peer name "$TEST_PEER" numtxqueues 2 numrxqueues 2
	ip link set "$TEST_IF" up
	ip link set "$TEST_PEER" up
	wait_for carrier_is "$TEST_IF" 1
	{ [ "$status" = 1 ] && grep -q "$pattern" /tmp/tools/gone.err && cat /tmp/tools/gone.out /tmp/tools/gone.err | grep -qE "$summary"; } ||
		{ cat /tmp/tools/gone.out /tmp/tools/gone.err; return 1; }
}
if [ "$TEST_NIC" = veth ]; then
	check_that "an interface that goes ends nm-dump" gone 'the interface is gone' '0 packets of' nm-dump -i "netmap:$TEST_IF" -w /tmp/tools/file
	check_that "and nm-bridge" gone 'the interface is gone' '0 slots forth' nm-bridge "netmap:$TEST_IF" vale0:b
	check_that "and nm-pkt-gen" gone 'the interface is gone' 'Received nothing' nm-pkt-gen -i "netmap:$TEST_IF" -f rx
	check_that "which sends, too" gone 'the interface is gone' '^Sent [1-9]|Sent nothing' nm-pkt-gen -i "netmap:$TEST_IF" -f tx -R 1000
	check_that "and pings" gone 'the interface is gone' '^Replies: [0-9]+, lost: ' nm-pkt-gen -i "netmap:$TEST_IF" -f ping
	check_that "and nm-replay" gone 'the interface is gone' '^Sent [0-9]+ packets' nm-replay --loop -R 100 -i "netmap:$TEST_IF" -f /tmp/tools/many
	check_that "and nm-lb" gone 'the interface is gone' '^0 packets forwarded.  0 packets dropped' nm-lb -w 0 -i "netmap:$TEST_IF"
fi

wait_for rmmod netmap
unloaded() {
	fails_with 1 'modprobe netmap' nm-dump -i vale0:d -w /tmp/tools/no && fails_with 1 'modprobe netmap' nm-replay -i vale0:d -f /tmp/tools/times &&
		fails_with 1 'modprobe netmap' nm-bridge vale0:d vale0:e && fails_with 1 'modprobe netmap' nmctl show vale0:d &&
		fails_with 1 'netmap' nm-pkt-gen -i vale0:d && fails_with 1 'netmap' nm-vale && fails_with 1 'netmap' nm-lb -w 0 -i vale0:d
}
check_that "without the module, each program says so in a line" unloaded
doctor_unloaded() {
	! nmctl doctor >/tmp/tools/out && grep -q '^error *machine: the module is' /tmp/tools/out
}
check_that "and so does the doctor" doctor_unloaded
finish_test
