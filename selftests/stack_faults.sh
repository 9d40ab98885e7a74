#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Stack ports: the tests of `stack_faults`, between two hosts at the ends of the wire. The peer says that it hears longer packets than
# it does, for the tests that want a path which is narrower than it seems.
. ./wire.sh

modprobe sch_netem
make_hosts >/dev/null
in_peer ip link set "$TEST_PEER" mtu 1200
in_peer ip route replace 192.0.2.0/24 dev "$TEST_PEER" proto kernel scope link src $peer_address advmss 1460
introduce
wait_for carrier_is "$TEST_IF" 1
retries=$(sysctl -n net.ipv4.tcp_retries1)
sysctl -q -w net.ipv4.tcp_retries1=1
./stack_faults
status=$?
sysctl -q -w "net.ipv4.tcp_retries1=$retries"
in_peer ip link set "$TEST_PEER" mtu 1500
unmake_hosts
exit $status
