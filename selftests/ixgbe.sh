# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the tests of the stock ixgbe on its model share, behind wire.sh: counters. Sourced.

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
