#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Fatal errors on the bus during netmap traffic both ways and traffic of the host: the driver detaches the device and stops it, the
# slot is reset, and the driver starts again. A program that is there goes on. If it ends meanwhile nothing of the driver's is written.
set -u
. ./wire.sh
. ./link.sh
. ./exchange.sh
. ./silent.sh

# The slot's port reports an error of its own.
bus_error() {
	monitor pcie_aer_inject_error "port${TEST_IF_ID#n}" DLP >/dev/null
}
recovered() {
	logged 'device recovery successful'
}

plan 7
set_takeover hot
make_hosts

begin
check $? "packets go to the program and to the host"
check_that "there is an error on the bus" bus_error
wait_for recovered && wait_for logged 'taken again' && carrier_is_back && flows
check $? "the driver recovers, and packets go on"
mark_log
pull_cable && bus_error
check $? "there is another error, without a link"
# Mostly while the driver has the device detached.
ends
check $? "the program ends before the link is back"
end_host_traffic
wait_for recovered && carrier_is_back && talk && unrestarted
check $? "the driver recovers, and the hosts talk"
start_exchange && stop_exchange
check $? "a port is bound again, and packets go both ways"
unmake_hosts
finish_test
