#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Failures that stack ports meet: the test `stack_failures`, between two hosts at the ends of the wire.
. ./wire.sh

make_hosts >/dev/null
./stack_failures
status=$?
unmake_hosts
exit $status
