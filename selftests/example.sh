#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The receive loop of the documentation takes what is sent to it.
set -u

# No more than a ring takes: the virtual NICs lose what finds no descriptor, and the sender does not wait.
frames=200
rm -f /tmp/example /tmp/example.ready
mkfifo /tmp/example.ready
./example-receive "$TEST_IF" $frames >/tmp/example 2>/tmp/example.ready &
example=$!
exec 4</tmp/example.ready
rm /tmp/example.ready
read -r -u 4 line

echo "KTAP version 1"
echo "1..2"
failed=0
if ./pcap_netmap send "$TEST_PEER" $frames | sed 's/^[^#]/# &/' && [ "$line" = listening ] && wait $example; then
	echo "ok 1 the example ends after $frames packets"
else
	echo "not ok 1 the example ends after $frames packets # it said '$line'"
	failed=1
fi
if [ "$(grep -c '^[0-9]* bytes, type 88b5$' /tmp/example)" = $frames ] &&
	[ "$(sed -n 1p /tmp/example)" = "60 bytes, type 88b5" ]; then
	echo "ok 2 it saw each of them"
else
	head -n 5 /tmp/example | sed 's/^/# /'
	echo "not ok 2 it saw each of them"
	failed=1
fi
exit $failed
