#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Flow bifurcation: the NIC's flow director sends one UDP port to the last queue, which netmap has; all else is the host's.
set -u
. ./wire.sh

last=$(($(find "/sys/class/net/$TEST_IF/queues/" -name 'rx-*' | wc -l) - 1))
nic_mac=$(cat "/sys/class/net/$TEST_IF/address")

# sends COUNT PORT: the peer, by a queue of its own, so that nothing of its stack is in the way. Slowly: nobody may miss one.
sends() {
	in_peer timeout 240 nm-pkt-gen -i "netmap:$TEST_PEER-0/T" -f tx -n "$1" -l 60 -R 1000 \
		-s $peer_address:5000 -d "$nic_address:$2" -D "$nic_mac" >/tmp/sent 2>&1 || sed 's/^/# /' /tmp/sent
}

# What the host's stack got for UDP ports that nobody listens on.
heard() {
	awk '/^Udp: [0-9]/ { print $3 }' /proc/net/snmp
}
heard_is() {
	[ "$(heard)" = "$1" ]
}
received_is() {
	[ "$(received_by "$TEST_IF")" = "$1" ]
}

plan 13
make_hosts
dd if=/dev/urandom of=/tmp/file bs=1M count=4 2>/dev/null
ethtool -K "$TEST_IF" ntuple on && wait_for carrier_is "$TEST_IF" 1 && wait_for hosts_talk && wait_for carriers
check $? "filters are on"
ethtool -X "$TEST_IF" equal "$last"
check $? "the hash leaves queue $last alone"
ethtool -N "$TEST_IF" flow-type udp4 dst-port 9000 action "$last" >/tmp/rule
check $? "a filter sends UDP port 9000 there"
changes=$(carrier_changes) before=$(heard)
mark_log

sends 1000 9000
wait_for heard_is $((before + 1000))
check $? "without netmap the host gets the packets"

set_takeover hot
start_holding "netmap:$TEST_IF-$last"
check $? "queue $last is taken"
sends 2000 9000
wait_for received_is 2000
check $? "the program gets all packets of port 9000"
heard_is $((before + 1000))
check $? "and the host none"
sends 1000 9001
wait_for heard_is $((before + 2000))
check $? "the host gets all packets of port 9001"
received_is 2000
check $? "and the program none"

both_ways &
transfer=$!
# No more at once than the ring has room for.
for ((all = 2300; all <= 5000; all += 300)); do
	sends 300 9000
	wait_for received_is $all || break
done
wait $transfer && received_is 5000
check $? "both pass beside a TCP transfer of the host"
stop_holding
sends 1000 9000
wait_for heard_is $((before + 3000))
check $? "when the queue is given back, the host gets the packets again"
[ "$(carrier_changes)" = "$changes" ]
check $? "the carrier never changed"
check_that "the driver has nothing to say" quiet_log
ethtool -N "$TEST_IF" delete "$(sed -n 's/.* ID \([0-9]*\).*/\1/p' /tmp/rule)"
ethtool -X "$TEST_IF" default
ethtool -K "$TEST_IF" ntuple off
wait_for carrier_is "$TEST_IF" 1
finish_test
