#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The servers of the documentation, in C and in Rust, whose connections are in slots: curl, nc and wrk talk to them, over IPv4
# and IPv6, from the host at the other end of the wire.
set -u
. ./wire.sh

# start_server SERVER OCTETS PORT
start_server() {
	$1 "$TEST_IF" "$3" "$2" 2>/tmp/server &
	server=$!
	wait_for listening '' "$3" || { sed 's/^/# /' /tmp/server; return 1; }
}

lives() {
	kill -0 "$server" || { sed 's/^/# /' /tmp/server; return 1; }
}

body_is() {
	[ "$(tr -d . <"$1" | wc -c)" = 0 ] && [ "$(wc -c <"$1")" = "$2" ]
}

# curl's first request and three more on the same connection.
by_curl() {
	local address=$1 port=$2 size=$3 i connections
	rm -f /tmp/body*
	connections=$(in_peer curl -sS -f -m 240 -w '%{num_connects}\n' "http://$address:$port/[1-4]" -o '/tmp/body#1') || return 1
	for i in 1 2 3 4; do
		body_is "/tmp/body$i" "$size" || return 1
	done
	[ "$(xargs <<<"$connections")" = "1 0 0 0" ]
}

# How many answers nc got.
answers() {
	grep -o 'HTTP/1\.1 200 OK' /tmp/nc | wc -l
}

# nc sends requests, two in one segment, of which the second asks for the end, and reads until there is no more.
by_nc() {
	printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' |
		in_peer timeout 240 nc "$1" "$2" >/tmp/nc || return 1
	[ "$(answers)" = 2 ] && [ "$(tr -cd . </tmp/nc | wc -c)" -ge $((2 * $3)) ]
}

# A request in pieces, and the end of what the client sends before the answer.
by_nc_in_pieces() {
	{ printf 'GET / HT'; sleep 0.2; printf 'TP/1.0\r\n\r'; sleep 0.2; printf '\n'; } |
		in_peer timeout 240 nc -N "$1" "$2" >/tmp/nc || return 1
	[ "$(answers)" = 1 ] && [ "$(tr -cd . </tmp/nc | wc -c)" -ge "$3" ]
}

# What is no GET gets no answer, but an end.
refuses() {
	printf 'BREW / HTTP/1.1\r\n\r\n' | in_peer timeout 240 nc "$1" "$2" >/tmp/nc
	[ ! -s /tmp/nc ]
}

# wrk counts what it gets, and each response that is not what HTTP has it be. On a slow machine none may be whole at first.
by_wrk() {
	local seconds
	for seconds in 3 20 60; do
		in_peer wrk -t 1 -c "$3" -d "${seconds}s" --timeout 30s "http://$1:$2/" >/tmp/wrk 2>&1 || break
		! grep -qE 'Socket errors|Non-2xx' /tmp/wrk || break
		[ "$(awk '$2 == "requests" { print $1 }' /tmp/wrk)" = 0 ] || return 0
	done
	cat /tmp/wrk
	return 1
}

# with_server NAME COMMAND OCTETS PORT
with_server() {
	local name=$1 size=$3 port=$4
	start_server "$2" "$size" "$port"
	check $? "$name: it serves $size octets"
	check_that "$name: curl gets four pages on one connection" by_curl $nic_address "$port" "$size"
	check_that "$name: and by IPv6" by_curl "[$nic_address6]" "$port" "$size"
	check_that "$name: nc gets two, asked for at once, and the end" by_nc $nic_address "$port" "$size"
	check_that "$name: nc asks in pieces, and by HTTP/1.0" by_nc_in_pieces $nic_address "$port" "$size"
	check_that "$name: what is no GET ends the connection" refuses $nic_address "$port"
	check_that "$name: wrk has 50 connections, and no error" by_wrk $nic_address "$port" 50
	check_that "$name: it goes on" lives
	kill "$server"
	wait "$server" 2>/dev/null
}

plan $((1 + 4 * 8 + 1))
make_hosts6
check $? "the hosts talk"
with_server "C" ./example-http 100 8001
with_server "C" ./example-http 100000 8002
with_server "Rust" nm-http 100 8003
with_server "Rust" nm-http 100000 8004
nothing_left() {
	[ -z "$(cat "$regions")" ] && wait_for hosts_talk
}
check_that "nothing is left of the ports" nothing_left
unmake_hosts6
finish_test
