#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# nm-vale asks for what its options say, prints what scripts read, and tells what went wrong.
set -u
. ./wire.sh

nic=vale0:$TEST_IF

# says LINES ARG...: nm-vale succeeds, and prints this.
says() {
	local want=$1 got
	shift
	got=$(nm-vale "$@" 2>&1) || { echo "nm-vale $*: $got"; return 1; }
	[ "$got" = "$want" ] || { printf 'nm-vale %s: %s\n' "$*" "$got"; return 1; }
}

# fails PATTERN ARG...: nm-vale fails with this in its message.
fails() {
	local want=$1 got
	shift
	got=$(nm-vale "$@" 2>&1) && { echo "nm-vale $* succeeds"; return 1; }
	grep -q -- "$want" <<<"$got" || { printf 'nm-vale %s: %s\n' "$*" "$got"; return 1; }
}

# field NAME ARG...: a number that nm-vale prints.
field() {
	local name=$1
	shift
	nm-vale "$@" | sed -n "s/^$name: *//p"
}

plan 14
check_that "there is no port" says ""

attached() {
	says "" -a "$nic" && says "$nic bridge_idx 0 port_idx 0" && says $'bridge_idx: 0\nport_idx:   0' -l "$nic"
}
check_that "an interface is attached, listed and found" attached

twice() {
	fails 'cannot attach .*it is in use' -a "$nic" && fails 'it is in use' -h "$nic" && fails 'it is in use' -a "vale1:$TEST_IF" &&
		says "$nic bridge_idx 0 port_idx 0"
}
check_that "it is attached once" twice

# A pipe would be in memory that the switch works on.
no_pipe() {
	local base
	for base in "netmap:$TEST_IF" "$nic"; do
		nm-pkt-gen -i "$base{1" -f rx 2>/tmp/errors && return 1
		grep -q 'os error 16' /tmp/errors || { cat /tmp/errors; return 1; }
	done
}
check_that "no pipe is put on it" no_pipe

member() {
	local owner
	nm-pkt-gen -i vale0:program -f rx >/dev/null 2>&1 &
	owner=$!
	wait_for grep -q '^vale0:program' "$ports" || return 1
	says "$nic bridge_idx 0 port_idx 0
vale0:program bridge_idx 0 port_idx 1" && says $'bridge_idx: 0\nport_idx:   1' -l vale0:program &&
		says "hdr_len:    0" --header vale0:program && says "" --header vale0:program --header-length 12 &&
		says "hdr_len:    12" --header vale0:program && says "hdr_len:    0" --header "$nic" &&
		fails 'a name or a number is wrong' --header vale0:program --header-length 11 &&
		says "hdr_len:    12" --header vale0:program &&
		fails 'there is no such interface or port' -d vale0:program
	local status=$?
	kill "$owner"
	wait "$owner"
	return "$status"
}
check_that "the header of a program's port is set and shown; it cannot be detached" member
check_that "of an interface that is on no switch it is none" says "hdr_len:    0" --header "$TEST_PEER"

described() {
	[ "$(field tx_slots -g "$TEST_IF")" -gt 1 ] && [ "$(field mem_id -g "$TEST_IF")" = 1 ] &&
		[ "$(field mem_id -g "$nic")" = 1 ] && [ "$(field tx_rings -g "$nic")" -ge 1 ] &&
		[ "$(field host_rx_rings -g "$nic")" = 0 ] && [ "$(field memsize -g "$nic")" -gt 4096 ]
}
check_that "its rings are described" described

polls() {
	if [ "$(nproc)" -gt 1 ]; then
		says "" -p "$nic" -C 0,1 && fails 'it is in use' -p "$nic" -C 0,1 && fails 'it is in use' -d "$nic" && says "" -P "$nic"
	else
		fails 'a name or a number is wrong' -p "$nic" -C 0,1
	fi && fails 'a name or a number is wrong' -P "$nic" && fails 'there is no such interface or port' -p vale0:nothing -C 0 &&
		fails 'is 0\[,CPU\] or 1' -p "$nic" -C 2
}
check_that "it is polled, and not any more" polls

detached() {
	says "port_index: 0" -v -d "$nic" && says "" && fails 'there is no such interface or port' -d "$nic"
}
check_that "it is detached" detached

with_host() {
	says "port_index: 0" -v -h "$nic" && says "$nic bridge_idx 0 port_idx 0
$nic^ bridge_idx 0 port_idx 1" && says "" -d "$nic" && says ""
}
check_that "its host is attached with it" with_host

# Of its own region, that of another port, and none that there is.
in_region() {
	local owner id
	nm-pkt-gen -i vale1:other -f rx >/dev/null 2>&1 &
	owner=$!
	wait_for grep -q '^vale1:other' "$ports" || return 1
	id=$(field mem_id -g vale1:other)
	[ "$id" -gt 1 ] && says "" -a "$nic" -m vale1:other && [ "$(field mem_id -g "$nic")" = "$id" ] &&
		[ "$(field mem_id -g "$TEST_IF")" = "$id" ] && says "" -d "$nic" &&
		fails 'a name or a number is wrong' -a "$nic" -m 999 && says "vale1:other bridge_idx 0 port_idx 0"
	local status=$?
	kill "$owner"
	wait "$owner"
	return "$status"
}
check_that "its memory is that of another port, if that is wanted" in_region

wrong() {
	fails 'a name or a number is wrong' -a vale0:nothing0 && fails 'a name or a number is wrong' -a "$TEST_IF" &&
		fails 'there is no such' -l vale0:nothing && fails 'is no port of a VALE switch' -l "$TEST_IF" &&
		fails 'there is no such interface or port' -d vale9:none && fails 'there is no such interface or port' -g nothing0 &&
		fails 'there is no such interface or port' --header vale0:nothing && fails 'cannot be used with' -a "$nic" -d "$nic" &&
		fails 'required' -p "$nic" && fails 'invalid value' -p "$nic" -C x && fails 'unexpected argument' "$nic" && says ""
}
check_that "what is wrong is told" wrong

bounds() {
	setpriv --bounding-set -net_admin --inh-caps -net_admin nm-vale -a "$nic" >/tmp/out 2>&1 && return 1
	grep -q 'that takes CAP_NET_ADMIN' /tmp/out || { cat /tmp/out; return 1; }
}
check_that "without the capability nothing is attached" bounds

as_empty() {
	[ -z "$(cat "$regions")" ] && [ -z "$(cat "$ports")" ]
}
check_that "nothing is left" wait_for as_empty
finish_test
