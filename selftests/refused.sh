#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Interfaces whose queues are not taken: an emulated port, or where that is not wanted the errno; and the reason in the log.
set -u
. ./wire.sh

plan 7
mark_log
echo 1 >/sys/module/netmap/parameters/admode
[ "$(./port bind "netmap:$TEST_IF")" = EOPNOTSUPP ]
check $? "an e1000e is not taken unless the parameter e1000e_takeover allows it"
log_since | grep "$TEST_IF: " | grep -q e1000e_takeover
check $? "the log names the parameter"
echo 0 >/sys/module/netmap/parameters/admode
mark_log
[ "$(./port bind "netmap:$TEST_IF")" = bound ]
check $? "it gets an emulated port, unless admode=1 says that it shall not"
log_since | grep -q "$TEST_IF: .*e1000e_takeover" && log_since | grep -q "$TEST_IF: emulated (skb), "
check $? "the log says so, and why it is not native"
[ "$(./port bind netmap:lo)" = EOPNOTSUPP ]
check $? "the loopback interface has no port"
echo 1 >/sys/module/netmap/parameters/e1000e_takeover
[ "$(./port bind "netmap:$TEST_IF")" = bound ]
check $? "with the parameter it is taken"
log_since | grep -q "$TEST_IF: native (e1000e), "
check $? "and native"
finish_test
