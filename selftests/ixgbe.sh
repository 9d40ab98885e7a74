# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034 # sets variables for the script that sources it
# What the tests of the stock ixgbe on its model share, behind wire.sh: counters, TCP, and how interfaces come back. Sourced.

device=$(basename "$(readlink -f "/sys/class/net/$TEST_IF/device")")
driver=$(readlink -f "/sys/class/net/$TEST_IF/device/driver")
mac=$(cat "/sys/class/net/$TEST_IF/address") peer_mac=$(cat "/sys/class/net/$TEST_PEER/address")

# stat INTERFACE NAME: a counter of the driver.
stat() {
	local run=()
	[ "$1" = "$TEST_IF" ] || run=(in_peer)
	"${run[@]}" ethtool -S "$1" | awk -v name="$2:" '$1 == name { print $2 }'
}

# wire INTERFACE NAME: a counter of the model.
wire() {
	model "$1" stats | awk -v name="$2" '$1 == name { print $2 }'
}

talk() {
	wait_for hosts_talk
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
	$1 timeout 60 bash -c 'cat /tmp/file >"/dev/tcp/$0/$1"' "$3" "$4"
	wait "$receiver"
	cmp /tmp/file "/tmp/copy-$4"
	status=$?
	rm -f "/tmp/copy-$4"
	return "$status"
}

# both COMMAND...: at either end, with its interface's name in place of IF.
both() {
	"${@//IF/$TEST_IF}" && in_peer "${@//IF/$TEST_PEER}"
}

carriers() {
	local run=()
	[ -d "/sys/class/net/$TEST_PEER" ] || run=(in_peer)
	carrier_is "$TEST_IF" 1 && "${run[@]}" ip link show "$TEST_PEER" | grep -q LOWER_UP
}

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

# anew WHAT: after WHAT, both interfaces come up, and hosts talk. There is a carrier only if both lasers are on.
anew() {
	wait_for back "$TEST_IF" "$mac" && wait_for back "$TEST_PEER" "$peer_mac" && wait_for carriers && make_hosts && talk
	check $? "hosts talk after $1"
}

# What rules were broken at both ends, since the machine started; and whether there are more than in /tmp/broken-before.
broken_rules() {
	model "$TEST_IF" violations && model "$TEST_PEER" violations
}
no_rule_broken() {
	broken_rules >/tmp/broken && diff /tmp/broken-before /tmp/broken
}
