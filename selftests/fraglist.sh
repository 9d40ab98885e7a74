#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Packets that the stack has made a list of (rx-gro-list) and forwards so: each of them comes out of a ring, of the device that such a
# list is for, and of the host ring of the device that it is to leave by.
set -u
. ./wire.sh

sent=2000
in_route=10.99.1.2

# One flow, whose packets the near host's veth collects for 100 ms at a time.
collecting() {
	ethtool -K "$TEST_IF" gro on rx-gro-list on && echo 100000000 >"/sys/class/net/$TEST_IF/gro_flush_timeout" &&
		echo 1 >"/sys/class/net/$TEST_IF/napi_defer_hard_irqs" && sysctl -qw net.ipv4.ip_forward=1 &&
		in_peer ip route add 10.99.1.0/24 via "$nic_address" && introduce
}

# forwarded PORT: packets of the far host's go out of the interface nma, most of them in lists, and all come out of the port's rings.
forwarded() {
	local port=$1 device=${1%\*} before arrived from
	start_holding "netmap:$port" || return 1
	before=$(packets_of nma)
	arrived() {
		[ "$(rings_of "$device")" -ge "$1" ]
	}
	# No more at once than the veth has room for, which is emptied every 100 ms.
	for ((from = 0; from < sent; from += 200)); do
		in_peer bash -c "exec 5>/dev/udp/$in_route/9; for ((i = 0; i < 200; i++)); do printf '%0500d' \$i >&5; done"
		wait_for arrived $((from + 200)) || break
	done
	arrived=$(rings_of "$device")
	echo $(($(packets_of nma) - before)) >/tmp/lists
	stop_holding
	[ "$arrived" = "$sent" ] || { echo "$arrived of $sent came out of $port"; return 1; }
}
packets_of() {
	cat "/sys/class/net/$1/statistics/tx_packets"
}
# Packets of 542 bytes that the port's rx rings got, those of the host included.
rings_of() {
	awk -v port="$1:" '
		/^[^ ]/ { mine = $1 == port }
		mine && $1 ~ /^(host-)?rx$/ { for (i = 1; i < NF; i++) if ($i == "bytes") n += $(i + 1) }
		END { print int(n / 542) }' "$ports"
}
in_lists() {
	echo "$(cat /tmp/lists) packets of the stack for $sent frames"
	[ "$(cat /tmp/lists)" -lt $((sent / 2)) ]
}

plan 4
make_hosts
ip link add nma type veth peer name nmb
ip link set nma up
ip link set nmb up
ip addr add 10.99.1.1/24 dev nma
ip neigh add "$in_route" lladdr 02:00:00:00:99:02 dev nma
collecting
check $? "the far host's packets are forwarded, and collected first"
check_that "each packet of a list comes out of the rings of a port" forwarded nmb
check_that "there were lists" in_lists
check_that "each packet of a list comes out of a host ring" forwarded 'nma*'
sysctl -qw net.ipv4.ip_forward=0
ip link del nma
unmake_hosts
finish_test
