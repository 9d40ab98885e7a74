# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034 # sets variables for the script that sources it
# Counts the results of a test program. Sourced.

# count_results OUTPUT STATUS: set passed and failed from the program's KTAP, if it printed any, and its exit status.
count_results() {
	local planned skipped seen status=$2
	planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$1" | head -n 1)
	if [ -z "$planned" ]; then
		passed=$((status == 0)) failed=$((status != 0))
		[ "$status" = 0 ] || echo "  # exit status $status"
		return
	fi
	skipped=$(grep -cE '^ok .*# SKIP' "$1") || true
	passed=$(grep -c '^ok ' "$1") || true
	passed=$((passed - skipped))
	failed=$(grep -c '^not ok ' "$1") || true
	seen=$((passed + failed + skipped))
	if [ "$skipped" -gt 0 ]; then
		echo "  # $skipped skipped: a test that cannot run here does not belong in this line of the list"
		failed=$((failed + skipped))
	fi
	if [ $seen -lt "$planned" ]; then
		echo "  # $((planned - seen)) of $planned tests gave no result"
		failed=$((failed + planned - seen))
	elif [ $seen -gt "$planned" ] || [ $seen = 0 ]; then
		echo "  # $planned tests were planned, and $seen gave a result"
		failed=$((failed + 1))
	fi
	if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
		echo "  # all tests passed, but the exit status is $status"
		failed=1
	fi
}
