#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A driver from outside the kernel's source tree is left alone. Such a one is made of the kernel's own: the word in the module
# that says where it is from is another, and what follows it no signature any more.
set -u
. ./wire.sh
. ./link.sh

plan 7
echo 1 >/sys/module/netmap/parameters/admode
own=$(find /lib/modules/ -name "$TEST_NIC.ko*")
case $own in
*.xz) xz -dc "$own" ;;
*) cat "$own" ;;
esac | LC_ALL=C sed 's/intree=Y/intrex=Y/; s/~Module signature appended~/~Module signature retracted~/' >/tmp/foreign.ko
rmmod "$TEST_NIC" && insmod /tmp/foreign.ko
check $? "the driver is replaced by one from elsewhere"
grep -q O "/sys/module/$TEST_NIC/taint"
check $? "which the kernel says it is"
wait_for both_back
check $? "the interfaces are there"
mark_log
changes=$(carrier_changes)
[ "$(./port bind "netmap:$TEST_IF")" = EOPNOTSUPP ]
check $? "its queues are not taken: EOPNOTSUPP"
log_since | grep "$TEST_IF: " | grep -q "outside the kernel's source tree"
check $? "the log says why"
[ "$(carrier_changes)" = "$changes" ] && quiet_log
check $? "the link stayed, and the driver was not restarted"
rmmod "$TEST_NIC"
modprobe "$TEST_NIC"
wait_for both_back && [ "$(./port bind "netmap:$TEST_IF")" = bound ]
check $? "those of the kernel's own are"
finish_test
