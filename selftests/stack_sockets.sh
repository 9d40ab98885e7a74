#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The sockets of stack ports: the tests of `stack_sockets`, between two hosts at the ends of the wire.
. ./wire.sh

make_hosts6 >/dev/null
./stack_sockets
status=$?
unmake_hosts6
exit $status
