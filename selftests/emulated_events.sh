#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What an administrator does to the device of an emulated port while packets go through it both ways. Nothing is refused: it passes
# by, or the program waits or is told.
set -u
. ./wire.sh
[ "$TEST_NIC" = veth ] || . ./link.sh
. ./exchange.sh

# event DESCRIPTION COMMAND...: something that succeeds, and after which all goes on.
event() {
	local what=$1
	shift
	survives() {
		"$@" && flows && return
		sed 's/^/# /' /tmp/exchange "$ports"
		return 1
	}
	check_that "$what" survives "$@"
}

mtu() {
	ip link set "$TEST_IF" mtu 1400 && wait_for carriers && flows && ip link set "$TEST_IF" mtu 1500 && wait_for carriers
}

# The driver restarts with other rings, if it has any that can be changed.
sizes() {
	local before
	before=$(ring_sizes "$TEST_IF" 2>/dev/null)
	ethtool -G "$TEST_IF" rx 512 tx 512 2>/dev/null || return 0
	# shellcheck disable=SC2086 # words
	wait_for carriers && flows && ethtool -G "$TEST_IF" $before && wait_for carriers
}

# What a program has in the ring of a queue that is gone waits until it is back.
channels() {
	local all one
	case $TEST_NIC in
	veth) all='rx 2 tx 2' one='rx 1 tx 1' ;;
	emulated) all='combined 2' one='combined 1' ;;
	*) return 0 ;;
	esac
	[ -e "/sys/class/net/$TEST_IF/queues/tx-1" ] || return 1
	# shellcheck disable=SC2086 # words
	ethtool -L "$TEST_IF" $one && wait_for carriers && flows && ethtool -L "$TEST_IF" $all && wait_for carriers
}

gro() {
	ethtool -K "$TEST_IF" gro on && flows && ethtool -K "$TEST_IF" gro off
}

promiscuous() {
	ip link set "$TEST_IF" promisc on allmulticast on && flows && ip link set "$TEST_IF" promisc off allmulticast off
}

rename() {
	ip link set "$TEST_IF" name nmrenamed && grep -q '^nmrenamed: emulated' "$ports" && TEST_IF=nmrenamed flows &&
		ip link set nmrenamed name "$TEST_IF"
}

# One that has a lock of its own, with which the stack tells of the name.
other_renamed() {
	local status
	modprobe dummy numdummies=0 && ip link add nmdummy type dummy && ip link set nmdummy up || return 1
	start_holding netmap:nmdummy && ip link set nmdummy name nmother && grep -q '^nmother: emulated' "$ports" && stop_holding
	status=$?
	ip link del nmother
	return "$status"
}

# A second program binds the same rings, again and again, until it is killed.
second() {
	local other i
	for i in 1 2 3; do
		./port cycle "netmap:$TEST_IF" 1000000 >/dev/null 2>&1 &
		other=$!
		flows || return 1
		kill -KILL "$other"
		wait "$other" 2>/dev/null
	done
	return 0
}

down_and_up() {
	ip link set "$TEST_IF" down && silent && ip link set "$TEST_IF" up && introduce && wait_for carriers
}
peer_down_and_up() {
	in_peer ip link set "$TEST_PEER" down && silent && in_peer ip link set "$TEST_PEER" up && introduce && wait_for carriers
}
# Nothing arrives any more, and nobody is told of an error.
silent() {
	local before=-1 now
	until now=$(received_by "$TEST_IF")$(received_by "$TEST_PEER"); [ "$now" = "$before" ]; do
		before=$now
		sleep 1 # that is what is tested
	done
	! ended "$exchange"
}

# killed: the program is, in the midst of its traffic, and nothing is left of it.
killed() {
	disown "$exchange"
	kill -KILL "$exchange"
	wait_for nothing_left && wait_for hosts_talk
}

# Bound while it is down, and set up then.
bound_down() {
	ip link set "$TEST_IF" down
	./exchange "$TEST_IF" "/run/netns/$peer" "$TEST_PEER" >/tmp/exchange 2>&1 &
	exchange=$!
	wait_for grep -q bound /tmp/exchange && ip link set "$TEST_IF" up && introduce && wait_for carriers && flows && stop_exchange
}

moves_away() {
	ip netns add elsewhere && ip link set "$TEST_IF" netns elsewhere && told && wait_for nothing_left || return 1
	binds_in elsewhere bound && binds_in '' ENXIO
}
# binds_in NAMESPACE ANSWER: a bind of the interface there.
binds_in() {
	local answer
	answer=$(${1:+ip netns exec "$1"} ./port bind "netmap:$TEST_IF" 2>&1)
	[ "$answer" = "$2" ] || { echo "$answer, not $2"; return 1; }
}
comes_back() {
	ip netns exec elsewhere ip link set "$TEST_IF" netns 1 && ip netns del elsewhere && ip link set "$TEST_IF" up &&
		ip addr add "$nic_address/24" dev "$TEST_IF" && introduce && wait_for carriers
}

# The device goes for good, and one like it comes.
make_veth() {
	ip link add "$TEST_IF" numtxqueues 2 numrxqueues 2 type veth peer name "$TEST_PEER" numtxqueues 2 numrxqueues 2 &&
		ip link set "$TEST_IF" up
}
goes() {
	if [ "$TEST_NIC" = veth ]; then
		ip link del "$TEST_IF"
	else
		echo "$device" >"$driver/unbind"
	fi
	told && wait_for nothing_left && [ ! -e "/sys/class/net/$TEST_IF" ]
}
comes() {
	if [ "$TEST_NIC" = veth ]; then
		trap - EXIT
		ip netns del $peer
		make_veth
	else
		unmake_hosts
		echo "$device" >"$driver/bind"
		wait_for both_back
	fi
	make_hosts
}

# A bind that has found the device just before it goes does not keep it: it fails, or the program is told.
races() {
	local i binder status=0
	for ((i = 0; i < 20 && status == 0; i++)); do
		ip link add nmrace type veth peer name nmother
		ip link set nmrace up
		ip link set nmother up
		rm -f /tmp/race
		./port race nmrace >/tmp/race 2>&1 &
		binder=$!
		wait_for grep -q racing /tmp/race
		ip link del nmrace
		wait "$binder"
		status=$?
	done
	[ "$status" = 0 ] || cat /tmp/race
	return "$status"
}

# The module is removed while what a program has sent is still in the driver, or on its way through the stack.
unloads() {
	local i sender admode
	admode=$(cat /sys/module/netmap/parameters/admode)
	for i in 1 2 3 4 5; do
		rm -f /tmp/sent
		nm-pkt-gen -i "netmap:$TEST_IF" -f tx >/tmp/sent 2>&1 &
		sender=$!
		sending() {
			[ "$(sent_by "$TEST_IF")" -gt 5000 ]
		}
		wait_for sending
		kill -KILL "$sender"
		wait "$sender" 2>/dev/null
		wait_for rmmod netmap || return 1
		insmod netmap.ko "admode=$admode" || return 1
	done
	wait_for hosts_talk
}
sent_by() {
	awk -v port="$1:" '
		/^[^ ]/ { mine = $1 == port }
		mine && $1 == "tx" { for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) }
		END { print n + 0 }' "$ports"
}

results=22
[ "$TEST_NIC" != veth ] || results=$((results + 1))
plan $results
make_hosts
start_exchange
check $? "packets go both ways"
event "the MTU changes and changes back" mtu
event "ring sizes change, where they can" sizes
event "the number of queues changes, where it can" channels
event "the user turns GRO on" gro
event "the interface becomes promiscuous and stops it" promiscuous
event "it gets another name" rename
event "so does another device with a port" other_renamed
event "a second program binds the same rings, and is killed, three times" second
event "the interface goes down: nothing arrives; and up" down_and_up
event "the other end goes down: nothing arrives; and up" peer_down_and_up
killed
check $? "the program is killed: nothing is left, and the hosts talk"
check_that "a port is bound while the interface is down, and works when it is up" bound_down
start_exchange
moves_away
check $? "it moves to another namespace: the program is told, and binds are possible there alone"
check_that "it comes back" comes_back
start_exchange
check $? "a new bind"
goes
check $? "it is unregistered: the program is told, and nothing keeps it"
comes
check $? "one like it comes"
start_exchange
check $? "a new bind"
mark_log
killed
check $? "the program is killed again"
[ "$TEST_NIC" != veth ] || check_that "a bind loses the race against the end of its device" races
check_that "the module is removed with packets on their way, five times" unloads
quiet_about() {
	! log_since | grep -E 'waiting for .* to become free|NETDEV WATCHDOG|BUG|WARNING'
}
check_that "the kernel has nothing to say to that" quiet_about
unmake_hosts
finish_test
