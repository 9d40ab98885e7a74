#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Stack ports: the tests of `stack_faults`, between two hosts at the ends of the wire.
. ./wire.sh

modprobe sch_netem
make_hosts >/dev/null
introduce
wait_for carrier_is "$TEST_IF" 1
retries=$(sysctl -n net.ipv4.tcp_retries1)
sysctl -q -w net.ipv4.tcp_retries1=1
./stack_faults
status=$?
sysctl -q -w "net.ipv4.tcp_retries1=$retries"
unmake_hosts
exit $status
