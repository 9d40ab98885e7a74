#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A driver closes and opens its device without telling anybody, for virtual functions, during netmap traffic both ways and traffic of
# the host. A program that is there is told when the link is back. If it ends before, there is nothing to give back: the driver has its
# queues already, and its old rings are freed. If the device was reset and the driver does not know, the driver is restarted.
set -u
. ./wire.sh
. ./link.sh
. ./exchange.sh
. ./silent.sh

functions=/sys/class/net/$TEST_IF/device/sriov_numvfs
bar=$(awk 'NR == 1 { print $1 }' "/sys/class/net/$TEST_IF/device/resource")

# base_of DIRECTION: where the first hardware queue has its ring, in hexadecimal; 0 if it has none.
base_of() {
	local -A at=([rx]=0x2800 [tx]=0x3800)
	monitor xp "/2xw $(printf '0x%x' $((bar + ${at[$1]})))" | sed 's/^[^:]*: 0x\(.*\) 0x\(.*\)$/\2\1/; s/^0*\(.\)/\1/'
}

make_functions() {
	echo 1 >"$functions"
}

plan 14
set_takeover hot
make_hosts

begin
check $? "packets go to the program and to the host"
pull_cable && make_functions
check $? "virtual functions are made without a link"
ends
check $? "the program ends before the link is back"
# They have the first queues now, and nobody uses them.
[ "$(base_of rx) $(base_of tx)" = "0 0" ]
check $? "the queues, which are theirs, have no ring"
end_host_traffic
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

# A reset of the function, of which nobody is told: the driver believes that it is up, and is of no use to the host.
begin
check $? "packets go to a program once more"
echo 1 >"/sys/class/net/$TEST_IF/device/reset"
ends
check $? "the function is reset, and the program ends"
end_host_traffic
logged 'restarting the driver.*its driver does not know' && carrier_is_back && talk
check $? "the driver is restarted, and the hosts talk"
unmake_hosts
finish_test
