#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What happens to a NIC as a device during two-way netmap traffic: sleep, reset, a transmit timeout; and its end, by the
# driver, by its namespace or by the slot.
set -u
. ./wire.sh
. ./link.sh
. ./exchange.sh

count=$(find "/sys/class/net/$TEST_IF/queues/" -name 'rx-*' | wc -l)

sleeps() {
	echo devices >/sys/power/pm_test && echo freeze >/sys/power/state
}

# masked on|off: the NIC's interrupts are held back, by the bit for that in its configuration: of MSI-X, or of the line. So the
# host's own transmit queue gets stuck, and the driver's transmit timeout is the only end. Not by a NIC that stops: ixgbe
# finds that out itself, and then takes memory for its own state that is not (ixgbe_pf_handle_tx_hang() in 7.3).
config=/sys/class/net/$TEST_IF/device/config
config_word() {
	od -An -tu2 -j "$1" -N 2 "$config" | tr -d ' '
}
masked() {
	local at=4 bit=0x400 next word
	next=$(($(config_word 52) & 0xfc))
	while [ $next != 0 ]; do
		word=$(config_word $next)
		[ $((word & 0xff)) != 17 ] || at=$((next + 2)) bit=0x4000
		next=$((word >> 8 & 0xfc))
	done
	word=$(config_word "$at")
	[ "$1" = on ] && word=$((word | bit)) || word=$((word & ~bit))
	# shellcheck disable=SC2059 # the format is the two octets
	printf "$(printf '\\%03o\\%03o' $((word & 255)) $((word >> 8)))" |
		dd of="$config" bs=2 seek=$((at / 2)) count=1 conv=notrunc 2>/dev/null
}

# Many small packets from the stack, until the kernel says that its queue has timed out.
timed_out() {
	local i
	for ((i = 0; i < 200; i++)); do
		echo stuck >"/dev/udp/$peer_address/9"
	done 2>/dev/null
	# ixgbe looks itself, before the core does. The clock's own watchdog times out on a busy host.
	log_since | grep -v clocksource | grep -qE 'timed out|due to tx timeout'
}

# Nothing else than the timeout is complained of.
sound() {
	! log_since | grep -E 'BUG|WARNING|Oops|KASAN|DMA-API|DMAR|stall|lockup|INFO:'
}

# carrier_back: and what an interface forgets when it goes down is there again.
carrier_back() {
	wait_for carriers && introduce
}

# over WHAT: the program ends after it, and the NIC is the host's.
over() {
	stop_exchange && wait_for nothing_left && carrier_back && talk
	check $? "the hosts talk after $1"
}

# gone_by WHAT [INTERFACE]: the exchange is told, and nothing is left.
gone_by() {
	told "${2:-$TEST_IF}"
	check $? "the program is told of $1"
	wait_for nothing_left
	check $? "and nothing is left of its port"
}

resets=0 unplug=2
# QEMU's bridge of the e1000 has no slot that can be emptied.
[ "$TEST_NIC" != e1000 ] || unplug=0
case $TEST_NIC in igb | e1000e) resets=3 ;; esac
several=$((count > 1))
plan $((3 + 5 + resets + 2 + several + 4 * 3 + unplug))
set_takeover hot
make_hosts

# Sleep: the queues are the driver's meanwhile.
start_exchange
check_that "the system sleeps and wakes up" sleeps
wait_for carriers && flows
check $? "packets go on after that"
over "that"

# A transmit timeout. A queue that is taken cannot have one: the core never sees it stopped. So the program has one queue of
# several, or the receiver alone. The kernel's complaint is what is to be seen, in the log but not on the console.
if [ "$count" -gt 1 ]; then
	start_exchange 0
	moves() {
		flows
	}
else
	start_holding "netmap:$TEST_IF/R"
	exchange=$holder
	ip netns exec $peer nm-pkt-gen -i "netmap:$TEST_PEER/T" -f tx -R 500 >/dev/null 2>&1 &
	sender=$!
	moves() {
		flows_to "$TEST_IF"
	}
fi
check_that "packets go to the program, and the host has a transmit queue" moves
mark_log
dmesg -n 1
masked on
wait_for timed_out
check $? "the host's transmit queue gets stuck and times out"
# Some drivers have an interrupt tell them of the link.
masked off
again() {
	logged 'taken again' && carriers
}
wait_for again
check $? "the driver resets the NIC, and the program's queues are taken again"
wait_for carriers && moves
check $? "packets go on"
[ "$count" -gt 1 ] || { kill "$sender"; wait "$sender"; }
stop_exchange
wait_for nothing_left && carrier_back && talk && sound
check $? "the hosts talk after that, and the kernel says nothing else"
# Not before, for a slow console may still have the complaint before it.
dmesg -n 7

# A reset of the function, of which no driver is told, nor who works for it: with netmap or without, the interface is of use
# again when it has been down and up. The model of the 82599 takes it for a broken rule that the kernel does not stop the
# receiver before, and an e1000 cannot be reset alone.
reset_function() {
	echo 1 >"/sys/class/net/$TEST_IF/device/reset"
}
reset_waits() {
	reset_function && ! ended "$exchange"
}
if [ $resets != 0 ]; then
	start_exchange
	check_that "the function is reset, and the program is not told" reset_waits
	ip link set "$TEST_IF" down
	ip link set "$TEST_IF" up
	carrier_back && flows
	check $? "packets go on when the interface has been down and up"
	over "that"
fi

# What is refused or put off while a port is bound is so while its queues are given back, too.
down_and_up() {
	ip link set "$TEST_IF" down
	ip link set "$TEST_IF" up
}
start_exchange
ethtool -K "$TEST_IF" rx-all on >/dev/null
down_and_up
carrier_back && flows
check $? "a feature waits for the port's end, though the interface has been down"
ethtool -K "$TEST_IF" rx-all off

# What would be refused at a bind, and cannot be while the port is bound.
if [ "$count" -gt 1 ]; then
	mark_log
	tc qdisc add dev "$TEST_IF" root mqprio num_tc 2 map 0 1 queues 1@0 1@1 hw 0
	down_and_up
	wait_for carriers && told && logged 'traffic classes are configured'
	check $? "the program is told if its queues are not taken again"
	tc qdisc del dev "$TEST_IF" root
else
	stop_exchange
fi
wait_for nothing_left && carrier_back && talk
check $? "nothing is left of its port, and the hosts talk"

start_exchange
echo "$device" >"$driver/unbind"
gone_by "its device's unbinding"
unmake_hosts 2>/dev/null
echo "$device" >"$driver/bind"
anew "that"

start_exchange
ip netns add elsewhere
ip link set "$TEST_IF" netns elsewhere
gone_by "a move to another namespace"
unmake_hosts 2>/dev/null
ip netns exec elsewhere ip link set "$TEST_IF" netns 1
ip netns del elsewhere
anew "that"

# The namespace of the other end dies, and with it the port there.
start_exchange
ip netns del $peer
gone_by "the death of the namespace" "$TEST_PEER"
unmake_hosts 2>/dev/null
anew "that"

start_exchange
modprobe -r "$TEST_NIC"
gone_by "the removal of the driver"
unmake_hosts 2>/dev/null
modprobe "$TEST_NIC"
anew "that"

if [ $unplug != 0 ]; then
	start_exchange
	pull
	gone_by "the pulled card"
fi
unmake_hosts 2>/dev/null
finish_test
