#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two-way traffic for SOAK minutes (1, a fraction too), while programs of all kinds come and are killed, and the NIC is set
# down, unplugged and reconfigured, in an order that RANDOM gives: SEED=N repeats one. At the end everything that
# was taken has been given back, and the last line says how much there was of it.
set -u
. ./wire.sh
[ "$TEST_NIC" = veth ] || . ./link.sh
. ./exchange.sh
. ./resources.sh

RANDOM=${SEED:=$$}
seconds=$(awk "BEGIN { print int(60 * ${SOAK:-1}) }")
mac=$(cat "/sys/class/net/$TEST_IF/address")
[ "$TEST_NIC" = veth ] || rings=$(ring_sizes "$TEST_IF")
modes=('' ^ '*' -0 /T /R ^/R '*/T' -0/R /x)
packets=0 findings=0
declare -A done_of=()

# finding WHAT: goes into the report, and fails the test.
finding() {
	findings=$((findings + 1))
	say "finding, $SECONDS s after the start (SEED=$SEED): $*"
	sed 's/^/#   /' /tmp/exchange /tmp/program "$ports" 2>/dev/null
	return 0
}

count_packets() {
	packets=$((packets + $(received_by "$TEST_IF") + $(received_by "$TEST_PEER")))
}

# The ports' counters begin anew with their first binding.
begin_exchange() {
	start_exchange || finding "no packets"
}
kill_exchange() {
	count_packets
	kill "-$1" "$exchange" 2>/dev/null
	wait "$exchange" 2>/dev/null
}

# choose [MODES]: sets port to one at the near end, in one of so many of the modes; the last one is not for those that must get
# it. (A subshell would have random numbers of its own.)
choose() {
	local count=${1:-$((${#modes[@]} - 1))}
	port=netmap:$TEST_IF${modes[RANDOM % count]}
}

# program COMMAND...: in the background until killed, in the midst of whatever it does. Fails if it ended before that.
program() {
	local pid
	rm -f /tmp/program
	"$@" >/tmp/program 2>&1 &
	pid=$!
	sleep "0.$((RANDOM % 5))"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	[ $? = 137 ]
}

# Whether the driver keeps its queues: then nothing is refused, or turned off, because rings are bound.
emulated() {
	[ "$TEST_NIC" = emulated ] || [ "$TEST_NIC" = veth ]
}

# What is done, one per name. The near end's rings are bound by the exchange all the time, so that only what takes rings for
# itself, or what is not there, may be refused.
op_bind() {
	local said
	choose ${#modes[@]}
	said=$(./port bind "$port")
	case $port,$said in
	*,bound | */x,EBUSY) ;;
	*) finding "bind of $port: $said" ;;
	esac
}
op_cycle() { choose && ./port cycle "$port" 10 >/tmp/program; }
op_cycle_killed() { choose && program ./port cycle "$port" 100000; }
op_hold_killed() { program ./port hold "netmap:$TEST_IF^"; }
op_exchange_killed() { kill_exchange KILL; begin_exchange; }
op_exchange_ended() { kill_exchange TERM; begin_exchange; }
op_sender_killed() {
	kill_exchange KILL
	program nm-pkt-gen -i "netmap:$TEST_IF/T" -f tx || finding "a sender ends"
	program nm-pkt-gen -i "netmap:$TEST_IF" -f rx || finding "a receiver ends"
	begin_exchange
}
op_restart() {
	kill_exchange TERM
	set_takeover restart
	op_bind
	set_takeover auto
	wait_for carriers || finding "no carrier after a restart"
	begin_exchange
}
op_down() { ip link set "$TEST_IF" down && ip link set "$TEST_IF" up && introduce; }
op_mtu() { ip link set "$TEST_IF" mtu $((1300 + RANDOM % 200)) && ip link set "$TEST_IF" mtu 1500; }
op_cable() { cable off && sleep "0.$((RANDOM % 9))" && cable on; }
op_negotiate() { ethtool -r "$TEST_IF"; }
op_promiscuous() { ip link set "$TEST_IF" promisc on && ip link set "$TEST_IF" promisc off; }
op_address() { ip link set "$TEST_IF" address 02:00:00:00:00:77 && ip link set "$TEST_IF" address "$mac" && introduce; }
op_rings_busy() { emulated || ! ethtool -G "$TEST_IF" rx 1024 2>/dev/null; }
op_rings() {
	kill_exchange KILL
	# shellcheck disable=SC2086 # words
	ethtool -G "$TEST_IF" rx $((RANDOM % 2 ? 1024 : 2048)) && begin_exchange && kill_exchange TERM &&
		ethtool -G "$TEST_IF" $rings && wait_for carriers
	begin_exchange
}
# Off while queues are taken, whatever is wanted.
op_feature() {
	ethtool -K "$TEST_IF" rxvlan off >/dev/null 2>&1
	ethtool -K "$TEST_IF" rxvlan on >/dev/null 2>&1
	ethtool -k "$TEST_IF" | grep -q '^rx-vlan-offload: .*on'
}
# Of emulated ports alone: rings and queues change under them.
op_emulated_rings() {
	# shellcheck disable=SC2086 # words
	ethtool -G "$TEST_IF" tx $((RANDOM % 2 ? 64 : 128)) && wait_for carriers && flows && ethtool -G "$TEST_IF" $rings
}
op_emulated_queues() {
	local all='combined 2' one='combined 1'
	[ "$TEST_NIC" = emulated ] || all='rx 2 tx 2' one='rx 1 tx 1'
	# shellcheck disable=SC2086 # words
	ethtool -L "$TEST_IF" $one && wait_for carriers && flows && ethtool -L "$TEST_IF" $all
}
# between NAME SENDER...: packets go from one port without a device to another until both are killed.
between() {
	local owner
	nm-pkt-gen -i "$1" -f rx >/dev/null 2>&1 &
	owner=$!
	shift
	program nm-pkt-gen -f tx "$@"
	local status=$?
	kill -KILL "$owner"
	wait "$owner" 2>/dev/null
	return "$status"
}
op_pipe_killed() { between "netmap:soak}1" -i "netmap:soak{1" && between "netmap:$TEST_IF{2" -i "netmap:$TEST_IF}2"; }
op_pipe_cycle() { ./port cycle "netmap:soak{$((RANDOM % 3))" 20 >/tmp/program && ./port cycle "netmap:$TEST_IF}2" 5 >/tmp/program; }
op_vale_killed() { between vale90:a -i vale90:b; }
op_vale_cycle() { ./port cycle "vale90:$((RANDOM % 3))" 20 >/tmp/program; }
op_vale_attached() {
	kill_exchange TERM
	wait_for carriers && nm-vale -h "vale90:$TEST_IF" && { between vale90:a -i vale90:b; wait_for talk; } && nm-vale -d "vale90:$TEST_IF"
	local status=$?
	begin_exchange
	return "$status"
}
op_emulated_together() {
	ethtool -K "$TEST_IF" gro on && flows && ethtool -K "$TEST_IF" gro off
}
mapfile -t ops < <(compgen -A function op_)
# A veth has neither rings nor a link of its own.
case $TEST_NIC in
veth) mapfile -t ops < <(compgen -A function op_ | grep -vxE 'op_(rings|rings_busy|emulated_rings|negotiate)') ;;
emulated) ;;
*) mapfile -t ops < <(compgen -A function op_ | grep -v '^op_emulated_') ;;
esac

# settled: the link is there, and what has become of the exchange shows that it was not hurt.
settled() {
	wait_for carriers || finding "no carrier after $1"
	ended "$exchange" 2>/dev/null && finding "the exchange has ended after $1" && begin_exchange
	flows || finding "the exchange stands still after $1"
}

once() {
	"$1" || finding "$1 failed"
	done_of[$1]=$((${done_of[$1]:-0} + 1))
	settled "$1"
}

plan 10
make_hosts
check $? "the hosts talk before"
# To let caches fill that the first time fills.
begin_exchange
for op in "${ops[@]}"; do
	once "$op"
done
kill_exchange TERM
wait_for carriers && talk && nothing_left
check $? "each thing is done once, and all is well"
take_stock
holders=$(cat /sys/module/netmap/refcnt)
packets=0 done_of=() total=0 until=$((SECONDS + seconds))
begin_exchange
while [ $SECONDS -lt $until ]; do
	once "${ops[RANDOM % ${#ops[@]}]}"
	total=$((total + 1))
	[ $((total % 20)) != 0 ] || say "$total operations"
done
kill_exchange TERM
[ $findings = 0 ]
check $? "$total things happened in $seconds s, and packets went both ways after each"
[ "$packets" -gt 0 ] && [ "$total" -gt 0 ]
check $? "$packets packets were received"
wait_for carriers && talk
check $? "the hosts talk after"
nothing_left
check $? "no queue is taken, and no region is left"
[ "$(cat /sys/module/netmap/refcnt)" = "$holders" ]
check $? "nobody holds the module"
no_page_leaks "$total"
check $? "no page leaks"
no_object_leaks "$total"
check $? "no object leaks"
no_mapping_leaks
check $? "no DMA mapping leaks"
for op in "${ops[@]}"; do
	say "${op#op_} ${done_of[$op]:-0}"
done
say "soak: $total operations, $packets packets, $findings findings in $seconds s on $TEST_NIC, SEED=$SEED"
unmake_hosts
finish_test
