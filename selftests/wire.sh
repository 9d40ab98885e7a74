# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The two ends of the wire as hosts, for test scripts: the NIC under test stays where it is, the peer goes to a network
# namespace. Sourced. Each test says "plan N" and then "check STATUS DESCRIPTION" N times.

peer=peer nic_address=192.0.2.1 peer_address=192.0.2.2
regions=/sys/kernel/debug/netmap/regions ports=/sys/kernel/debug/netmap/ports
number=0 failed=0 planned=0

plan() {
	planned=$1
	echo "KTAP version 1"
	echo "1..$planned"
}

# check STATUS DESCRIPTION: one result.
check() {
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		failed=1
	fi
}

# check_that DESCRIPTION COMMAND...: one result, with what the command prints if it fails.
check_that() {
	local what=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	[ $status = 0 ] || [ -z "$output" ] || sed 's/^/# /' <<<"$output"
	check $status "$what"
}

say() {
	echo "# $*"
}

# wait_for COMMAND...: until it succeeds, but not for ever.
wait_for() {
	local end=$((SECONDS + 240))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

in_peer() {
	ip netns exec $peer "$@"
}

# send_file FROM TO ADDRESS PORT: a file over TCP, from and to where two commands' prefixes are; the copy is compared.
listening() {
	$1 ss -ltnH "sport = $2" | grep -q .
}
send_file() {
	local receiver status
	$2 busybox nc -l -p "$4" </dev/null >"/tmp/copy-$4" &
	receiver=$!
	wait_for listening "$2" "$4" || return 1
	# shellcheck disable=SC2016 # words of the shell within
	$1 timeout 600 bash -c 'cat /tmp/file >"/dev/tcp/$0/$1"' "$3" "$4"
	wait "$receiver"
	cmp /tmp/file "/tmp/copy-$4"
	status=$?
	rm -f "/tmp/copy-$4"
	return "$status"
}

# both_ways: /tmp/file over two connections at once.
both_ways() {
	local other first second
	send_file '' in_peer "$peer_address" 5001 &
	other=$!
	send_file in_peer '' "$nic_address" 5002
	first=$?
	wait "$other"
	second=$?
	[ "$first$second" = 00 ]
}

carrier_is() {
	[ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = "$2" ]
}

# Both ends. Hosts may talk for a moment after a driver has told that its carrier is gone.
carriers() {
	local run=()
	[ -d "/sys/class/net/$TEST_PEER" ] || run=(in_peer)
	carrier_is "$TEST_IF" 1 && "${run[@]}" ip link show "$TEST_PEER" | grep -q LOWER_UP
}

# cable on|off: plug the cable of the NIC under test in, or pull it.
cable() {
	local -A end=([on]=up [off]=down)
	if [ "$TEST_NIC" = ixgbe ]; then
		model "$TEST_IF" link "${end[$1]}"
	elif [ "$TEST_NIC" = veth ]; then
		# Its carrier is that the peer is up, which forgets its neighbours when it is not.
		in_peer ip link set "$TEST_PEER" "${end[$1]}" && { [ "$1" = off ] || introduce; }
	else
		monitor set_link "$TEST_IF_ID" "$1"
	fi
}

# Pulls the card under test: of a model that QEMU does not let go, the card answers no more and its slot is switched off.
pull() {
	local device
	device=$(basename "$(readlink -f "/sys/class/net/$TEST_IF/device")")
	if [ "$TEST_NIC" = ixgbe ]; then
		model "$TEST_IF" fault dead on
		echo 1 >"/sys/bus/pci/devices/$device/remove"
	else
		monitor -e DEVICE_DELETED device_del "$TEST_IF_ID"
	fi
}

# The peer into its namespace, addresses on both, no look-ups that a taken queue would have to answer.
make_hosts() {
	nic_mac=$(cat "/sys/class/net/$TEST_IF/address") peer_mac=$(cat "/sys/class/net/$TEST_PEER/address")
	mkdir -p /run/netns
	trap unmake_hosts EXIT
	trap 'exit 143' TERM
	ip netns add $peer
	ip link set "$TEST_PEER" netns $peer
	in_peer sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
	in_peer ip link set lo up
	in_peer ip link set "$TEST_PEER" up
	in_peer ip addr add $peer_address/24 dev "$TEST_PEER"
	ip addr add $nic_address/24 dev "$TEST_IF"
	introduce
	wait_for carrier_is "$TEST_IF" 1 && wait_for in_peer ethtool "$TEST_PEER"
	wait_for hosts_talk && wait_for carriers
}

# make_hosts, and IPv6 on both ends, without a wait for who else may have these addresses.
nic_address6=2001:db8::1 peer_address6=2001:db8::2
make_hosts6() {
	make_hosts || return 1
	sysctl -q -w "net.ipv6.conf.$TEST_IF.disable_ipv6=0"
	in_peer sysctl -q -w "net.ipv6.conf.$TEST_PEER.disable_ipv6=0"
	ip addr add $nic_address6/64 dev "$TEST_IF" nodad
	in_peer ip addr add $peer_address6/64 dev "$TEST_PEER" nodad
	ip neigh replace $peer_address6 lladdr "$peer_mac" dev "$TEST_IF"
	in_peer ip neigh replace $nic_address6 lladdr "$nic_mac" dev "$TEST_PEER"
	trap unmake_hosts6 EXIT
}

unmake_hosts6() {
	unmake_hosts
	sysctl -q -w "net.ipv6.conf.$TEST_IF.disable_ipv6=1" "net.ipv6.conf.$TEST_PEER.disable_ipv6=1"
}

# The hosts know each other's addresses, which they forget when an interface goes down or changes its own.
introduce() {
	ip neigh replace $peer_address lladdr "$peer_mac" dev "$TEST_IF"
	in_peer ip neigh replace $nic_address lladdr "$nic_mac" dev "$TEST_PEER"
}

unmake_hosts() {
	trap - EXIT
	in_peer ip link set "$TEST_PEER" netns 1
	ip addr flush dev "$TEST_IF"
	ip netns del $peer
}

# One exchange of packets, both ways.
hosts_talk() {
	ping -c 1 -W 2 $peer_address
}

talk() {
	wait_for hosts_talk
}

# The kernel's log is read from a mark of ours on.
mark=
mark_log() {
	mark="selftests: mark $RANDOM$RANDOM"
	echo "$mark" >/dev/kmsg
}

log_since() {
	dmesg | sed -n "/$mark/,\$p"
}

# What a driver says when its link or its rings did not survive. The clock's own watchdog times out on a busy host, and the links of
# other interfaces may still come up after the test before.
quiet_log() {
	local others
	others=$(find /sys/class/net/ -mindepth 1 -printf '%f\n' | grep -vxE "lo|$TEST_IF|$TEST_PEER" | xargs | tr ' ' '|')
	! log_since | grep -v clocksource | grep -vwE "${others:-no other}" | grep -E 'Link is (Down|Up)|[Rr]eset|Unit Hang|restarting the driver|timed out|is lost|taken again'
}

carrier_changes() {
	cat "/sys/class/net/$TEST_IF/carrier_changes"
}

# ring_sizes INTERFACE: what the driver's rings have now, in the words of "ethtool -G".
ring_sizes() {
	ethtool -g "$1" | awk '/^Current/ { now = 1 } now && /^[RT]X:/ { print tolower(substr($1, 1, 2)), $2 }' | xargs
}

# taken INTERFACE: how many of its queues are.
taken() {
	awk -v port="$1:" '/^[^ ]/ { mine = $1 == port } mine && / taken$/ { n++ } END { print n + 0 }' $ports
}

# received_by INTERFACE: packets that its rx rings in netmap mode have received, over all queues.
received_by() {
	awk -v port="$1:" '
		/^[^ ]/ { mine = $1 == port }
		mine && $1 == "rx" { for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) }
		END { print n + 0 }' $ports
}

# start_holding PORT: have it bound, by a process that sleeps in poll. Its last words are in /tmp/held.
start_holding() {
	rm -f /tmp/held
	./port hold "$1" >/tmp/held 2>&1 &
	holder=$!
	wait_for grep -q . /tmp/held
	[ "$(head -n 1 /tmp/held)" = bound ] || { sed 's/^/# /' /tmp/held; return 1; }
}

stop_holding() {
	kill "$holder" && wait "$holder"
	[ $? = 143 ]
}

# hears: whether what the peer sends gets to the holder.
hears() {
	local before sender status
	before=$(received_by "$TEST_IF")
	timeout 240 nm-pkt-gen -i "netmap:$TEST_PEER/T" -f tx -n 200000 -R 500 >/dev/null 2>&1 &
	sender=$!
	more_heard() {
		[ "$(received_by "$TEST_IF")" -gt "$before" ]
	}
	wait_for more_heard
	status=$?
	[ $status = 0 ] || sed 's/^/# not heard: /' $ports
	kill $sender
	wait $sender 2>/dev/null
	return $status
}

set_takeover() {
	echo "$1" >/sys/module/netmap/parameters/takeover
}

# finish: the test's last command.
finish_test() {
	[ "$number" = "$planned" ] || { say "$number results of $planned"; failed=1; }
	exit $failed
}
