#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A driver closes and opens its device without telling anybody, for virtual functions or after an error on the bus, during netmap
# traffic both ways and traffic of the host. A program that is there goes on, or is told. If it ends before the link is back,
# there is nothing to give back: the driver has its queues already, and its old rings may be freed.
set -u
. ./wire.sh
. ./link.sh
. ./exchange.sh

functions=/sys/class/net/$TEST_IF/device/sriov_numvfs
bar=$(awk 'NR == 1 { print $1 }' "/sys/class/net/$TEST_IF/device/resource")

# base_of DIRECTION: where the first hardware queue has its ring, in hexadecimal; 0 if it has none.
base_of() {
	local -A at=([rx]=0x2800 [tx]=0x3800)
	monitor xp "/2xw $(printf '0x%x' $((bar + ${at[$1]})))" | sed 's/^[^:]*: 0x\(.*\) 0x\(.*\)$/\2\1/; s/^0*\(.\)/\1/'
}

# The program has the first queue, the host all others.
begin() {
	mark_log
	start_exchange 0 || return 1
	ping -q -i 0.05 "$peer_address" >/dev/null &
	pinger=$!
}
end_host_traffic() {
	kill "$pinger"
	wait "$pinger"
}

# The driver has lost the carrier and is at its work, which it does under the RTNL mutex: the program's end waits for that, and
# comes before the link.
ends_meanwhile() {
	wait_for carrier_is "$TEST_IF" 0 && stop_exchange && wait_for nothing_left
}

make_functions() {
	echo 1 >"$functions"
}

# What the driver has freed is not programmed, and it is not restarted for what it has done itself.
unrestarted() {
	! log_since | grep -E 'restarting the driver|taken again|is lost|BUG|WARNING|KASAN|DMAR'
}

plan 18
set_takeover hot
make_hosts

begin
check $? "packets go to the program and to the host"
make_functions &
maker=$!
ends_meanwhile
check $? "the program ends while the driver makes room for virtual functions"
wait "$maker"
check $? "which are there then"
# They have the first queues now, and nobody uses them.
[ "$(base_of rx) $(base_of tx)" = "0 0" ]
check $? "the queues, which are theirs, have no ring"
end_host_traffic
carrier_is_back() {
	wait_for carriers && introduce
}
carrier_is_back && talk && unrestarted
check $? "the hosts talk"
[ "$(./port bind "netmap:$TEST_IF")" = EBUSY ]
check $? "no port is bound beside virtual functions"
echo 0 >"$functions"
carrier_is_back && talk
check $? "the hosts talk without them"

begin
check $? "packets go to a program again"
make_functions
check $? "virtual functions are made once more"
told && logged 'SR-IOV'
check $? "the program is told, and the log says why"
end_host_traffic
echo 0 >"$functions"
carrier_is_back && talk && wait_for nothing_left
check $? "the hosts talk when they are gone, and nothing is left of the port"

# An error that the slot's port reports: the driver detaches the device and stops it, the slot is reset, it starts again.
bus_error() {
	monitor pcie_aer_inject_error "port${TEST_IF_ID#n}" DLP >/dev/null
}
recovered() {
	logged 'device recovery successful'
}

begin
check $? "packets go to a program once more"
check_that "there is an error on the bus" bus_error
wait_for recovered && wait_for logged 'taken again' && carrier_is_back && flows
check $? "the driver recovers, and packets go on"
mark_log
check_that "there is another error" bus_error
ends_meanwhile
check $? "the program ends while the device is detached"
end_host_traffic
wait_for recovered && carrier_is_back && talk && unrestarted
check $? "the driver recovers, and the hosts talk"
start_exchange && stop_exchange
check $? "a port is bound again, and packets go both ways"
unmake_hosts
finish_test
