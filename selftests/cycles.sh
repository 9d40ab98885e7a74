#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# All queues taken and given back CYCLES times under traffic both ways, and nothing leaks, flaps or gets lost.
# CYCLES: 500, on the debug kernel 60; with as few as that, the slower ways are gone a few times only.
set -u
. ./wire.sh
. ./resources.sh

# The debug kernel is slow enough to have no processor left for the cycles while the stacks send.
pause=0.002 default=500
[ "$TEST_KERNEL" != debug ] || pause=0.02 default=60
cycles=${CYCLES:-$default}
warm=20 slow=10 restarts=20
[ "$cycles" -gt 60 ] || slow=4 restarts=5
[ "$cycles" -gt 20 ] || warm=5 slow=2 restarts=2
mkfifo /tmp/never

# Both stacks send all the time; what arrives while queues are taken is the programs' and dropped. A pause is a wait for what
# never comes, since a process for each would be most of the work.
talk() {
	local never
	exec {never}<>/tmp/never
	while :; do
		for _ in 1 2 3 4 5 6 7 8; do
			echo request >"/dev/udp/$1/9"
		done
		read -r -t "$2" -u "$never"
	done
}

start_traffic() {
	talk $peer_address $pause 2>/dev/null &
	talkers=$!
	export -f talk
	in_peer bash -c "talk $nic_address $pause" 2>/dev/null &
	talkers+=" $!"
}

stop_traffic() {
	# shellcheck disable=SC2086 # pids
	kill $talkers && wait $talkers 2>/dev/null
}

received() {
	cat "/sys/class/net/$TEST_IF/statistics/rx_packets"
}

received_more_than() {
	[ "$(received)" -gt "$1" ]
}

plan 14
make_hosts
check $? "the hosts talk before"
changes=$(carrier_changes)
mark_log
set_takeover hot
start_traffic

# To let caches fill that the first times fill.
./port cycle "netmap:$TEST_IF" $warm >/tmp/cycle && in_peer ./port cycle "netmap:$TEST_PEER" $warm >/tmp/cycle
check $? "$warm cycles of either end"
stop_traffic
take_stock
start_traffic
./port cycle "netmap:$TEST_IF" "$cycles" >/tmp/cycle
check $? "$cycles cycles of one end, without a pause"
sed 's/^/# /' /tmp/cycle
stop_traffic
no_page_leaks "$cycles"
check $? "no page leaks"
no_object_leaks "$cycles"
check $? "no object leaks"

start_traffic
# An emulated e1000 hears nothing for a second after each change of hands: some cycles wait until it does.
ok=0
for ((i = 0; i < slow; i++)); do
	before=$(received)
	wait_for received_more_than "$((before + 20))" || ok=1
	start_holding "netmap:$TEST_IF" || ok=1
	packets=$(received_by "$TEST_IF")
	more_packets() {
		[ "$(received_by "$TEST_IF")" -gt "$((packets + 20))" ]
	}
	wait_for more_packets || ok=1
	stop_holding || ok=1
done
check $ok "$slow times the traffic changes hands in both directions"
stop_traffic
no_mapping_leaks
check $? "no DMA mapping leaks"
[ ! -s $regions ]
check $? "no region is left"
[ "$(carrier_changes)" = "$changes" ]
check $? "the carrier never changed"
check_that "the driver has nothing to say" quiet_log
wait_for hosts_talk
check $? "the hosts talk after"

# The other way to take queues: the driver stops and opens, and the link goes down for a moment.
set_takeover restart
changes=$(carrier_changes)
mark_log
ok=0
for ((i = 0; i < restarts; i++)); do
	wait_for carrier_is "$TEST_IF" 1 || ok=1
	./port cycle "netmap:$TEST_IF" 1 >/tmp/cycle 2>&1 || { ok=1; say "cycle $i: $(cat /tmp/cycle)"; }
done
check $ok "$restarts cycles with takeover=restart"
[ "$(log_since | grep -c 'restarting the driver')" -ge $restarts ]
check $? "the log says each time that the driver restarts"
wait_for carrier_is "$TEST_IF" 1 && wait_for hosts_talk
check $? "the hosts talk after that"
rm /tmp/never
finish_test
