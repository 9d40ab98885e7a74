#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two machines, each with one end of the same wire; this runs in both of them, as SIDE a and b. b asks and a answers, and
# when b takes its end down, a is done. In both, netmap has queue 1 and UDP port 9000, and the host all else.
set -u
. ./wire.sh

nic=eth0
case $SIDE in
a) address=$nic_address far=$peer_address ;;
b) address=$peer_address far=$nic_address ;;
esac

# wait_long COMMAND...: until it succeeds. The other machine may still be booting.
wait_long() {
	local limit=$((SECONDS + 900))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $limit ] || return 1
		sleep 0.1
	done
}

far_answers() {
	ping -c 1 -W 2 "$far"
}

far_mac() {
	ip neigh show "$far" | sed -n 's/.*lladdr \([^ ]*\).*/\1/p'
}

meet() {
	ip link set $nic up && wait_long carrier_is $nic 1 && ip addr add "$address/24" dev $nic && wait_long far_answers
	check $? "the other machine is there"
	# This takes the link down for a moment, at both ends.
	ethtool -K $nic ntuple on && ethtool -X $nic equal 1 &&
		ethtool -N $nic flow-type udp4 dst-port 9000 action 1 >/tmp/rule
	check $? "a filter sends UDP port 9000 to queue 1, the hash all else to queue 0"
	wait_long far_answers && ip neigh replace "$far" lladdr "$(far_mac)" dev $nic
	check $? "the hosts talk"
}

# got COUNT: the program has got so many packets.
got() {
	[ "$(received_by "$nic")" -ge "$1" ]
}

answer() {
	iperf3 -s -1 >/tmp/iperf 2>&1
	check $? "a TCP transfer is served"
	set_takeover hot
	nm-pkt-gen -i "netmap:$nic-1" -f pong >/tmp/pong 2>&1 &
	local pong=$!
	wait_long carrier_is $nic 0
	check $? "the other machine has done its part"
	wait_for got 5200 || { say "$(received_by "$nic") packets"; false; }
	check $? "the program has got its packets"
	kill $pong && wait $pong
	check $? "and has ended well"
}

# replies COUNT: so many packets come back, all of them.
replies() {
	nm-pkt-gen -i "netmap:$nic-1" -f ping -n "$1" -s "$address:9000" -d "$far:9000" -D "$(far_mac)" --json >/tmp/ping 2>&1 &&
		grep -q "\"replies\":$1,\"lost\":0" /tmp/ping
}

ask() {
	wait_long iperf3 -c "$far" -n 20M --connect-timeout 2000
	check $? "20 MB go by TCP"
	set_takeover hot
	# As long as the other program has not got its queue, nobody answers.
	wait_long replies 200 || { sed 's/^/# /' /tmp/ping; false; }
	check $? "200 packets come back from the other program, all of them"
	nm-pkt-gen -i "netmap:$nic-1/T" -f tx -n 5000 -R 5000 -s "$address:9001" -d "$far:9000" -D "$(far_mac)" >/tmp/tx 2>&1
	check $? "5000 packets go to it"
	wait_for far_answers
	check $? "the hosts still talk"
	ip link set $nic down
}

plan 7
meet
case $SIDE in
a) answer ;;
b) ask ;;
esac
finish_test
