#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Debian's libpcap captures and sends on netmap:IF, both ends of the wire at once, in both directions.
set -u

# No more than a ring takes: the virtual NICs lose what finds no descriptor, and the sender does not wait.
frames=200
number=0 failed=0

check() {
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		failed=1
	fi
}

# What a program prints, but for its one line per frame, becomes a comment.
comment() {
	sed -u '/^# [0-9]*: [0-9]* bytes$/d; s/^[^#]/# &/' "$1"
}

# promiscuous IF: whether the interface's flags say so
promiscuous() {
	[ $(($(cat "/sys/class/net/$1/flags") & 0x100)) != 0 ]
}

transfer() {
	local from=$1 to=$2 capture
	mkfifo /tmp/pcap.ready
	./pcap_netmap capture "$to" $frames 2>&1 | tee /tmp/pcap.capture | sed -u -n '/^# ready/p' >/tmp/pcap.ready &
	capture=$!
	exec 4</tmp/pcap.ready
	rm /tmp/pcap.ready
	read -r -u 4
	promiscuous "$to"
	check $? "netmap:$to, as pcap_set_promisc asks, is promiscuous"
	./pcap_netmap send "$from" $frames >/tmp/pcap.send 2>&1
	check $? "libpcap sends $frames frames on netmap:$from"
	wait $capture
	exec 4<&-
	comment /tmp/pcap.send
	comment /tmp/pcap.capture
	[ "$(grep -c '^ok' /tmp/pcap.capture)" = 5 ] && [ "$(grep -c '^# [0-9]*: ' /tmp/pcap.capture)" = $frames ]
	check $? "libpcap captures them on netmap:$to"
}

echo "KTAP version 1"
echo "1..8"
transfer "$TEST_IF" "$TEST_PEER"
transfer "$TEST_PEER" "$TEST_IF"
! promiscuous "$TEST_IF" && ! promiscuous "$TEST_PEER"
check $? "neither is left promiscuous"
./pcap_netmap capture nosuchif 1 2>&1 | grep -q '^# netmap:nosuchif: .*No such device or address$'
check $? "an interface that does not exist cannot be opened: ENXIO"
exit $failed
