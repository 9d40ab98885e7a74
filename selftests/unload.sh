#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The module goes when nothing is bound, and only then.
set -u
. ./wire.sh

plan 7
ok=0
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	rmmod netmap && insmod netmap.ko e1000e_takeover=1 || ok=1
done
check $ok "it is removed and inserted 20 times"
ok=0
for _ in 1 2 3 4 5; do
	{ ./port bind "netmap:$TEST_IF" && rmmod netmap && insmod netmap.ko e1000e_takeover=1; } >/dev/null || ok=1
done
check $ok "and 5 times right after a bind"

start_holding "netmap:$TEST_IF"
check $? "a port is bound"
output=$(rmmod netmap 2>&1) && status=1 || status=0
grep -q 'in use' <<<"$output"
check $((status | $?)) "the module is in use: $output"
[ "$(taken "$TEST_IF")" -gt 0 ] && kill -0 "$holder"
check $? "nobody noticed"
stop_holding
rmmod netmap
check $? "it goes when the program is gone"
insmod netmap.ko e1000e_takeover=1 && [ "$(./port bind "netmap:$TEST_IF")" = bound ]
check $? "and comes again"
finish_test
