#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# nm-fuzz runs PROGRAMS random programs, the same each time, on both ends of the wire: each ends, returns documented errors
# only, leaves nothing behind, and the host's frames still pass. What random threads do to shared memory meanwhile is not
# the same each time. The long way is scripts/fuzz.
# PROGRAMS: 150.
set -u
. ./wire.sh

plan 1
nm-fuzz --nic "$TEST_IF,$TEST_PEER" --journal /tmp/journal run --seed 1 --programs "${PROGRAMS:-150}"
check $? "$(tail -n 1 /tmp/journal)"
# The program that did it, to be run again by 'nm-fuzz replay'.
[ "$failed" = 0 ] || grep '^start ' /tmp/journal | tail -n 1 | fold -w 120 | sed 's/^/# /'
finish_test
