# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the tests of the stock ixgbe on its model share, behind wire.sh: counters and TCP. Sourced.

. ./link.sh

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

# What rules were broken at both ends, since the machine started; and whether there are more than in /tmp/broken-before.
broken_rules() {
	model "$TEST_IF" violations && model "$TEST_PEER" violations
}
no_rule_broken() {
	broken_rules >/tmp/broken && diff /tmp/broken-before /tmp/broken
}
