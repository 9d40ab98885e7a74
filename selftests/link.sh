# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034 # sets variables for the script that sources it
# The NIC under test and its peer as devices that may go away and come back, behind wire.sh. Sourced.

device=$(basename "$(readlink -f "/sys/class/net/$TEST_IF/device")")
driver=$(readlink -f "/sys/class/net/$TEST_IF/device/driver")
mac=$(cat "/sys/class/net/$TEST_IF/address")
peer_mac=$(cat "/sys/class/net/$TEST_PEER/address")

# back NAME MAC: whether an interface of this address is there, by this name, and up.
back() {
	local now
	now=$(grep -lx "$2" /sys/class/net/*/address | sed 's,/sys/class/net/\(.*\)/address,\1,')
	[ -n "$now" ] || return 1
	if [ "$now" != "$1" ]; then
		ip link set "$now" down
		ip link set "$now" name "$1" || return 1
	fi
	ip link set "$1" up
}

# Whether both are there, and have a carrier. An optical link needs both ends.
both_back() {
	back "$TEST_IF" "$mac"
	back "$TEST_PEER" "$peer_mac"
	carriers
}

# anew WHAT: after WHAT, both interfaces come up, and hosts talk. There is a carrier only if both lasers are on.
anew() {
	wait_for back "$TEST_IF" "$mac" && wait_for back "$TEST_PEER" "$peer_mac" && wait_for carriers && make_hosts && talk
	check $? "hosts talk after $1"
}
