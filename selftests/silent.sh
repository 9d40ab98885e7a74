# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # uses variables of wire.sh
# What tests of resets that nobody announces share, behind wire.sh, link.sh and exchange.sh. Sourced.

# The program has the first queue, the host all others.
begin() {
	mark_log
	start_exchange 0 || return 1
	ping -q -i 0.05 "$peer_address" >/dev/null &
	pinger=$!
}
end_host_traffic() {
	kill "$pinger"
	wait "$pinger"
}

# Until the cable is back nobody hears of what the driver does.
pull_cable() {
	cable off && wait_for carrier_is "$TEST_IF" 0
}
ends() {
	stop_exchange && wait_for nothing_left
}

carrier_is_back() {
	cable on && wait_for carriers && introduce
}

# What the driver has freed is not programmed, and it is not restarted for what it has done itself. A program that was about to sync at that
# moment may have written a tail to the driver's ring, for which it must be.
unrestarted() {
	! log_since | grep -v 'a tail was written as the driver reset the device' | grep -E 'restarting the driver|taken again|is lost|BUG|WARNING|KASAN|DMAR'
}

