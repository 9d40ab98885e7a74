#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Stack ports: the tests of `stack`, between two hosts at the ends of the wire.
. ./wire.sh

make_hosts6 >/dev/null
./stack
status=$?
unmake_hosts6
exit $status
