#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Each fault of the 82599's model during two-way netmap traffic: the traffic goes on as soon as the card does, or the program
# is told that its port is gone; the card is the host's again afterwards, and no rule of the model is ever broken.
set -u
. ./wire.sh
. ./ixgbe.sh
. ./exchange.sh

wire_of_both() {
	model "$TEST_IF" wire "$@" >/dev/null && model "$TEST_PEER" wire "$@" >/dev/null
}

plan 39
make_hosts
broken_rules >/tmp/broken-before
mark_log
set_takeover hot
changes=$(carrier_changes)
start_exchange
check $? "packets go both ways"

fault stop rx on
wait_for rests "$TEST_IF" "$TEST_PEER"
check $? "without receive DMA nothing arrives, and the other way goes on"
fault stop rx off
check_that "it arrives when DMA goes on" flows
fault stop tx on
wait_for rests "$TEST_PEER" "$TEST_IF"
check $? "without transmit DMA nothing leaves, and the other way goes on"
fault stop tx off
check_that "it leaves when DMA goes on" flows

fault lose-interrupts 20
check_that "lost interrupts are made up for" flows
fault spurious-interrupts 200
check_that "interrupts without a cause do no harm" flows
fault late 20000000
check_that "late reports are waited for" flows
fault clear

# corrupt KIND: five reports, each of which is a damaged frame.
corrupt() {
	errors=$(errors_at "$TEST_IF")
	fault corrupt "$1" 5
	wait_for five_errors && flows && five_errors
}
five_errors() {
	[ "$(errors_at "$TEST_IF")" = $((errors + 5)) ]
}
check_that "reports of errors cost their frames" corrupt errors
check_that "so do those with a length beyond the buffer" corrupt length
check_that "and those with none" corrupt empty
errors=$(errors_at "$TEST_IF")
fault corrupt endless 5
flows && [ "$(errors_at "$TEST_IF")" = "$errors" ]
check $? "a frame whose end is not reported ends with the next one"

damage_counted() {
	[ "$(stat "$TEST_IF" rx_crc_errors)" -gt 0 ] && [ "$(stat "$TEST_PEER" rx_crc_errors)" -gt 0 ]
}
wire_of_both --lose 50 --damage 70
wait_for damage_counted && flows
check $? "frames are lost and damaged on the wire, and others arrive"
wire_of_both --lose 0 --damage 0

[ "$(carrier_changes)" = "$changes" ]
check $? "the carrier did not change all the time"
check_that "the driver has nothing to say to all that" quiet_log

cable off
wait_for carrier_is "$TEST_IF" 0
check $? "the cable is pulled"
cable on
wait_for carriers && flows
check $? "with the cable, packets go on"
model "$TEST_IF" sfp out
wait_for carrier_is "$TEST_IF" 0
check $? "the module is out"
model "$TEST_IF" sfp in
wait_for carriers && flows
check $? "with the module, packets go on"
# The driver may be too late to see the time between.
swapped() {
	ethtool -m "$TEST_IF" | grep -q 82599MODEL0002 && carriers
}
model "$TEST_IF" sfp swap
wait_for swapped && flows
check $? "so they do with another one"

# The driver resets the card by itself.
for _ in 1 2; do
	mark_log
	fault memory-error
	wait_for logged 'initiating reset' && wait_for logged 'Tx queue 0 taken again' && wait_for carriers && flows
	check $? "the driver resets its card, the queues are taken again, and packets go on"
done

stop_exchange
check $? "the program ends as it should"
sed 's/^/# /' /tmp/exchange
[ "$(saw "$TEST_IF" empty)" = 15 ] && [ "$(saw "$TEST_IF" parts)" -gt 0 ] && [ "$(saw "$TEST_PEER" empty)" = 0 ] &&
	[ "$(saw "$TEST_PEER" parts)" = 0 ]
check $? "it saw the damaged frames, without a byte, and the endless ones"
unharmed() {
	local end
	for end in "$TEST_IF" "$TEST_PEER"; do
		[ "$(saw "$end" wrong)$(saw "$end" foreign)$(saw "$end" long)" = 000 ] || return 1
	done
}
check_that "and nothing else that was not sent" unharmed
check_that "nothing is left of the ports" nothing_left
check_that "the hosts talk" talk

# Nobody but the driver's own watch, each two seconds, can wake the sleeper.
rm -f /tmp/held
./port listen "netmap:$TEST_IF" 0800 >/tmp/held 2>&1 &
listener=$!
wait_for grep -q bound /tmp/held
fault lose-interrupts 3
in_peer ping -c 1 -W 1 $nic_address >/dev/null
wait_for ended $listener
wait $listener
check $? "a sleeper whose interrupt is lost is woken"
check_that "the hosts talk after that" talk

# A queue that does not start again is lost; the others and the port are not, but the program is told.
start_exchange
check $? "packets go both ways once more"
mark_log
fault stuck rx 0 on
fault memory-error
told
check $? "the program is told of a queue that does not come back from a reset"
log_since | grep -q 'Rx queue 0 is lost: '
check $? "and the log says so"
fault stuck rx 0 off
ethtool -r "$TEST_IF"
check_that "the hosts talk after another reset" talk

# The card answers no more: first the program ends, then there is one when the card is pulled.
removed() {
	logged "$device: Adapter removed"
}
start_exchange
mark_log
fault dead on
wait_for removed
check $? "the driver notices that the card is gone"
stop_exchange && nothing_left && [ "$(./port bind "netmap:$TEST_IF")" = ENODEV ]
check $? "the program ends, nothing is left, and nobody can bind it"
unmake_hosts
echo 1 >"/sys/bus/pci/devices/$device/remove"
fault dead off
echo 1 >/sys/bus/pci/rescan
anew "the card is there again"
start_exchange
fault dead on
echo 1 >"/sys/bus/pci/devices/$device/remove"
told
check $? "the program is told when the card is pulled"
unmake_hosts 2>/dev/null
fault dead off
echo 1 >/sys/bus/pci/rescan
anew "that"

check_that "no rule of the model was broken" no_rule_broken
unmake_hosts
finish_test
