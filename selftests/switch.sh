# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What tests of VALE switches have in common. Sourced, in the directory where the program `switch` is.

# refused ERRNO COMMAND...: it fails, and this errno is all that it says.
refused() {
	local why
	why=$("${@:2}" 2>&1) && return 1
	[ "$why" = "$1" ] || { echo "${*:2}: $why"; return 1; }
}

# listed PORT...: these are on switches, and no others.
listed() {
	[ "$(./switch list | sort | xargs)" = "$(printf '%s\n' "$@" | sort | xargs)" ] || { ./switch list; return 1; }
}
