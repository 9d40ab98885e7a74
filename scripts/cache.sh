# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Where everything lives that is built once and kept: outside the repository, keyed by what it is made of.
# Sourced by the other scripts.

src=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cache=${NETMAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/netmap}
mkdir -p "$cache"

# say WORDS: one line of progress, on stderr so that a script's output stays its result.
say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die WORDS: one sentence that says what is wrong and what to do about it.
die() {
	say "$@"
	exit 1
}

# key_of [FILE...]: a short key of the files' contents and of standard input.
# shellcheck disable=SC2120 # Those who source this pass files.
key_of() {
	cat -- "$@" - | sha256sum | cut -c1-12
}

# in_testbed: succeed where scripts/testbed runs its commands (the cache is /cache there).
in_testbed() {
	[ "$src" = /netmap ] && [ "$cache" = /cache ]
}

# place_of_build: where what is built of this checkout is, each in a directory of its own, so that two do not build over each other.
place_of_build() {
	printf '%s\n' "$cache/build/$(key_of <<<"${NETMAP_SRC_OUTSIDE:-$src}")"
}

# with_lock NAME CMD...: run CMD while no other process of this cache does so under the same name.
with_lock() {
	local name=$1
	shift
	mkdir -p "$cache/locks"
	(
		if ! flock -n 9; then
			say "waiting for another run that is making $name"
			flock 9
		fi
		"$@" 9>&-
	) 9>"$cache/locks/$name"
}

# built [-q] WHAT: make it by scripts/build and print its directory; what the compilers say is shown only if it fails.
built() {
	local log=$cache/log/build-${*: -1}.log
	mkdir -p "$cache/log"
	"$src/scripts/build" "$@" 2>"$log" || { cat "$log" >&2; return 1; }
}
