#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Stack ports: the tests of `stack`, between two hosts at the ends of the wire.
. ./wire.sh

make_hosts >/dev/null
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0 "net.ipv6.conf.$TEST_IF.disable_ipv6=0"
in_peer sysctl -q -w net.ipv6.conf.all.disable_ipv6=0
ip addr add 2001:db8::1/64 dev "$TEST_IF" nodad
in_peer ip addr add 2001:db8::2/64 dev "$TEST_PEER" nodad
./stack
status=$?
sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
unmake_hosts
exit $status
