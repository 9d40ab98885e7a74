#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What a security module forbids: the test `stack_forbidden`, between two hosts at the ends of the wire.
. ./wire.sh

make_hosts >/dev/null
./stack_forbidden
status=$?
unmake_hosts
exit $status
