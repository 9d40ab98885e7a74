#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The stock driver on a model of the 82599 with faults, without netmap: each fault does what it says, the driver recovers
# as it does on silicon, and breaks no rule meanwhile. Faults that make a kernel complain have no place here.
set -u
. ./wire.sh
. ./ixgbe.sh

fault() {
	model "$TEST_IF" fault "$@"
}

# TCP with loss and damage on the way.
lossy() {
	model "$TEST_IF" wire "$@" >/dev/null && model "$TEST_PEER" wire "$@" >/dev/null
}

gone() {
	! carrier_is "$TEST_IF" 1
}

# How much the packet buffer holds.
holds() {
	[ "$(wire "$TEST_IF" buffered)" -gt 0 ]
}

removed() {
	dmesg | tail -n 20 | grep -q "$device: Adapter removed"
}

plan 14
rmmod netmap
broken_rules >/tmp/broken-before
make_hosts

fault stop rx on
! ping -c 3 -W 1 $peer_address >/dev/null && holds
check $? "without receive DMA, frames stay in the packet buffer"
fault stop rx off
talk
check $? "and are delivered when it goes on"

fault lose-interrupts 3
talk
check $? "the driver makes up for lost interrupts"
fault spurious-interrupts 100
talk
check $? "interrupts without a cause do no harm"

fault late 20000000
# Twenty milliseconds at this end, sent and received.
ping -c 3 -W 2 $peer_address | sed -n 's,^round-trip.* = \([0-9]*\)\..*,\1,p' >/tmp/least
[ "$(cat /tmp/least)" -ge 20 ]
check $? "reports come late by what was asked for"
fault clear

fault corrupt errors 2
talk
check $? "a report with errors costs no more than its frame"

dd if=/dev/urandom of=/tmp/file bs=256k count=1 2>/dev/null
lossy --lose 50 --damage 70
check_that "TCP survives loss and damage" send_file '' in_peer "$peer_address" 5001
lossy --lose 0 --damage 0

model "$TEST_IF" sfp out
wait_for gone
check $? "without a module there is no carrier"
model "$TEST_IF" sfp in
wait_for carriers && talk
check $? "with it there is"
model "$TEST_IF" sfp swap
serial() {
	ethtool -m "$TEST_IF" | grep -q 82599MODEL0002
}
wait_for carriers && talk && wait_for serial
check $? "a module is replaced by another"

received() {
	[ "$(($(stat "$TEST_IF" rx_pkts_nic) - before))" -ge 2000 ]
}
before=$(stat "$TEST_IF" rx_pkts_nic)
model "$TEST_IF" generate start --count 2000 --length 200 --rate 5000 --to "$nic_address:9" >/dev/null
model "$TEST_IF" generate wait 60000 | grep -qx 'sent 2000' && wait_for received
check $? "the source's frames are counted"

unmake_hosts
fault dead on
wait_for removed
check $? "the driver notices that the card is gone"
echo 1 >"/sys/bus/pci/devices/$device/remove"
fault dead off
echo 1 >/sys/bus/pci/rescan
anew "the card is there again"
check_that "the driver broke no rule of the model" no_rule_broken
unmake_hosts
finish_test
