#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What an administrator, or the cable, does to a NIC during two-way netmap traffic: it is refused, or it passes by, or the
# traffic goes on after it. On a NIC with several queues the program has the first of them, and the host the others.
set -u
. ./wire.sh
. ./link.sh
. ./exchange.sh

count=$(find "/sys/class/net/$TEST_IF/queues/" -name 'rx-*' | wc -l)
queue='' near=netmap:$TEST_IF
[ "$count" = 1 ] || queue=0 near+=-0

# Frames that are no IP, as those of the exchange, go to queue 0; the hosts' packets keep off it.
divide() {
	[ "$count" = 1 ] || { ethtool -X "$TEST_IF" weight 0 1 && in_peer ethtool -X "$TEST_PEER" weight 0 1 && divided=1; }
}
unite() {
	[ "$count" = 1 ] || { ethtool -X "$TEST_IF" default && in_peer ethtool -X "$TEST_PEER" default; }
}

# goes_on: the program's packets go both ways, and so do the host's where it has queues. (Drivers forget the division when
# they restart, with netmap or without.)
divided=
goes_on() {
	flows || { say "the exchange stands still"; sed 's/^/# /' /tmp/exchange "$ports"; return 1; }
	[ -z "$divided" ] || { divide && talk; } || { say "the hosts do not talk"; return 1; }
}

# event DESCRIPTION COMMAND...: something that succeeds, and after which all goes on.
event() {
	local what=$1
	shift
	survives() {
		"$@" && goes_on
	}
	check_that "$what" survives "$@"
}

# refused DESCRIPTION COMMAND...: the device is busy, and all goes on.
refused() {
	local what=$1
	shift
	busy() {
		local output
		output=$("$@" 2>&1) && { echo "$* succeeds"; return 1; }
		grep -qi 'busy' <<<"$output" || { echo "$*: $output"; return 1; }
		goes_on
	}
	check_that "$what" busy "$@"
}

# unsupported DESCRIPTION COMMAND...: the driver cannot.
unsupported() {
	local what=$1
	shift
	cannot() {
		local output
		output=$("$@" 2>&1) && { echo "$* succeeds"; return 1; }
		grep -qi 'not supported' <<<"$output" || { echo "$*: $output"; return 1; }
		goes_on
	}
	check_that "$what" cannot "$@"
}

# Each feature that is not fixed is switched and switched back, one that another one has taken along too.
features() {
	local before name state line
	before=$(ethtool -k "$TEST_IF")
	while read -r name state; do
		ethtool -K "$TEST_IF" "$name" "$([ "$state" = on ] && echo off || echo on)" >/dev/null 2>&1
		flows || { say "not after $name"; return 1; }
		ethtool -K "$TEST_IF" "$name" "$state" >/dev/null 2>&1
		while read -r line; do
			ethtool -K "$TEST_IF" "${line%% *}" "${line##* }" >/dev/null 2>&1
		done < <(switches <<<"$before" | grep -vxFf <(ethtool -k "$TEST_IF" | switches))
	done < <(switches <<<"$before")
	goes_on || return 1
	[ "$(ethtool -k "$TEST_IF")" = "$before" ] || { diff <(ethtool -k "$TEST_IF") - <<<"$before"; return 1; }
}

# Of what "ethtool -k" says: each feature by a name that "ethtool -K" knows, and what is wanted of it.
switches() {
	awk -F '[][: \t]+' '
		BEGIN {
			split("rx-checksumming rx scatter-gather sg generic-segmentation-offload gso generic-receive-offload gro " \
			      "large-receive-offload lro rx-vlan-offload rxvlan tx-vlan-offload txvlan ntuple-filters ntuple " \
			      "receive-hashing rxhash", pairs, " ")
			for (i = 1; i in pairs; i += 2)
				short[pairs[i]] = pairs[i + 1]
		}
		/\[fixed\]|^Features|^tx-checksumming|^tcp-segmentation/ { next }
		{
			name = /^[\t ]/ ? $2 : $1
			print (name in short ? short[name] : name), (/requested on/ ? "on" : /requested off/ ? "off" : / on/ ? "on" : "off")
		}'
}

vlan() {
	ip link add link "$TEST_IF" name "$TEST_IF.7" type vlan id 7 && ip link set "$TEST_IF.7" up && flows &&
		ip link add link "$TEST_IF" name "$TEST_IF.8" type vlan id 8 && ip link set "$TEST_IF.8" up && flows &&
		ip link del "$TEST_IF.8" && ip link del "$TEST_IF.7"
}

promiscuous() {
	ip link set "$TEST_IF" promisc on allmulticast on && flows && ip link set "$TEST_IF" promisc off allmulticast off
}

# More addresses than the filters have room for, or the first few.
multicast() {
	local i
	for ((i = 0; i < 200; i++)); do
		printf 'maddress add 01:00:5e:00:01:%02x dev %s\n' "$i" "$TEST_IF"
	done >/tmp/addresses
	ip -batch /tmp/addresses && flows && sed 's/ add / del /' /tmp/addresses | ip -batch -
}

address() {
	ip link set "$TEST_IF" address 02:00:00:00:00:77 && flows && ip link set "$TEST_IF" address "$mac" && introduce
}

registers() {
	ethtool -d "$TEST_IF" >/dev/null && ethtool -S "$TEST_IF" >/dev/null && ethtool -e "$TEST_IF" length 16 >/dev/null
}

# self_test KIND: fails, without having been run.
self_test() {
	ethtool -t "$TEST_IF" "$1" >/tmp/self-test 2>&1
	grep -q FAIL /tmp/self-test
}

coalescing() {
	local before
	before=$(ethtool -c "$TEST_IF" | awk '$1 == "rx-usecs:" { print $2 }')
	ethtool -C "$TEST_IF" rx-usecs 100 && flows && ethtool -C "$TEST_IF" rx-usecs "$before"
}

# A second program binds the same rings, again and again, until it is killed.
second() {
	local other before i
	before=$(bindings)
	for i in 1 2 3 4 5; do
		./port cycle "$near" 1000000 >/dev/null 2>&1 &
		other=$!
		flows || return 1
		kill -KILL "$other"
		wait "$other" 2>/dev/null
		flows || return 1
	done
	[ "$(bindings)" = "$before" ] || { say "$(bindings) interfaces instead of $before after round $i"; return 1; }
}
bindings() {
	sed -n 's/^  interface pages: used \([0-9]*\) .*/\1/p' "$regions"
}

still() {
	local before
	before=$(received_by "$TEST_IF")$(received_by "$TEST_PEER")
	sleep 5 # that is what is tested
	[ "$(received_by "$TEST_IF")$(received_by "$TEST_PEER")" = "$before" ] && ! ended "$exchange"
}

down_and_up() {
	ip link set "$TEST_IF" down && carrier_is "$TEST_IF" '' && ip link set "$TEST_IF" up && introduce && wait_for carriers
}

mtu() {
	ip link set "$TEST_IF" mtu 1400 && wait_for carriers && flows &&
		ip link set "$TEST_IF" mtu 1500 && wait_for carriers
}

negotiation() {
	# The driver of the 82599 has fibre: there is nothing to negotiate on it, and it restarts the card.
	ethtool -r "$TEST_IF" && wait_for carriers
}

modprobe -q 8021q
plan 36
make_hosts
mark_log
set_takeover hot
changes=$(carrier_changes)
start_exchange $queue
check $? "packets go both ways"
if [ "$count" -gt 1 ]; then
	refused "the number of channels cannot change" ethtool -L "$TEST_IF" combined 1
else
	unsupported "the number of channels cannot change" ethtool -L "$TEST_IF" combined 1
fi
divide
check_that "the host's packets go by other queues, if there are" goes_on

refused "nor can ring sizes" ethtool -G "$TEST_IF" rx 1024
refused "nor can both" ethtool -G "$TEST_IF" rx 1024 tx 1024
refused "nor can pause parameters" ethtool -A "$TEST_IF" rx off tx off
refused "nor can what the link advertises" ethtool -s "$TEST_IF" advertise 0x020
refused "nor can the MTU beyond a buffer" ip link set "$TEST_IF" mtu 4000
unsupported "a reset is nothing these drivers have" ethtool --reset "$TEST_IF" all
event "an online self-test fails" self_test online
event "so does one offline" self_test offline
case $TEST_NIC in
ixgbe) refused "interrupt coalescing cannot change" coalescing ;;
e1000) unsupported "interrupt coalescing cannot change" coalescing ;;
*) event "interrupt coalescing changes" coalescing ;;
esac
check_that "features are switched and switched back" features
event "VLAN interfaces come and go" vlan
event "the interface becomes promiscuous and stops it" promiscuous
event "200 multicast addresses come and go" multicast
event "the MAC address changes and changes back" address
event "registers, counters and EEPROM are read" registers
event "a second program binds the same rings, and is killed, five times" second
[ "$(carrier_changes)" = "$changes" ]
check $? "the carrier did not change all the time"
check_that "the driver has nothing to say to all that" quiet_log

cable off
wait_for carrier_is "$TEST_IF" 0 && still
check $? "without a cable nothing arrives for 5 s, and there is no error"
cable on
event "with it packets go on" wait_for carriers
[ "$(carrier_changes)" = $((changes + 2)) ]
check $? "the carrier was lost once"
event "the interface goes down and up" down_and_up
event "and once more" down_and_up
event "the MTU becomes smaller, and what it was" mtu
event "the link is negotiated anew" negotiation

ethtool -K "$TEST_IF" rx off >/dev/null 2>&1
event "a feature that restarts the driver waits" true
stop_exchange && wait_for carriers && nothing_left
check $? "the program ends, and nothing is left"
ethtool -k "$TEST_IF" | grep -q '^rx-checksumming: off'
check $? "the feature is off then"
ethtool -K "$TEST_IF" rx on >/dev/null 2>&1
wait_for carriers && talk
check $? "the hosts talk"

# Two programs, one for each direction.
pair_flows() {
	flows_to "$TEST_IF" && wait_for sent_more $(($(sent) + 600))
}
sent() {
	awk -v port="$TEST_IF:" '/^[^ ]/ { mine = $1 == port } mine && $1 == "tx" { n += $4 } END { print n + 0 }' "$ports"
}
sent_more() {
	[ "$(sent)" -ge "$1" ]
}
start_sender() {
	nm-pkt-gen -i "netmap:$TEST_IF/T" -f tx -R 500 >/dev/null 2>&1 &
	sender=$!
}
unite
start_holding "netmap:$TEST_IF/R"
start_sender
ip netns exec $peer nm-pkt-gen -i "netmap:$TEST_PEER/T" -f tx -R 500 >/dev/null 2>&1 &
other=$!
check_that "two programs have a direction each" pair_flows
kill -KILL $sender
wait $sender 2>/dev/null
flows_to "$TEST_IF"
check $? "the sender is killed, and the receiver goes on"
start_sender
pair_flows && kill -KILL "$holder" && wait_for sent_more $(($(sent) + 600))
check $? "the receiver is killed, and another sender goes on"
kill $sender $other
wait
check_that "nothing is left, and the hosts talk" eval 'wait_for nothing_left && talk'
unmake_hosts
finish_test
