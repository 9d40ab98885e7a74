#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Interfaces whose queues are not taken: the errno, and the reason in the log.
set -u
. ./wire.sh

plan 4
mark_log
[ "$(./port bind "netmap:$TEST_IF")" = EOPNOTSUPP ]
check $? "an e1000e is not taken unless the parameter e1000e_takeover allows it"
log_since | grep "$TEST_IF: " | grep -q e1000e_takeover
check $? "the log names the parameter"
[ "$(./port bind netmap:lo)" = EOPNOTSUPP ]
check $? "the loopback interface has no queues to take"
echo 1 >/sys/module/netmap/parameters/e1000e_takeover
[ "$(./port bind "netmap:$TEST_IF")" = bound ]
check $? "with the parameter it is taken"
finish_test
