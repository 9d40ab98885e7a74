# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the kernel has given out, for tests that look for leaks: it is noted by take_stock, and compared later. Behind wire.sh.
# Sourced.

# free KiB when everything that can be has been given back: the most of several looks, for some is given back later. The lists of free
# pages that each CPU keeps for itself hold pages of 2 MiB too, and are not in MemFree.
free_memory() {
	local look
	sync
	for look in 1 2 3 4 5; do
		echo 3 >/proc/sys/vm/drop_caches
		awk '/^MemFree:/ { n += $2 } /^ *count: *[0-9]+$/ { n += 4 * $2 } END { print n }' /proc/meminfo /proc/zoneinfo
		[ "$look" = 5 ] || sleep 0.1
	done | sort -n | tail -n 1
}

# Entries of the DMA API's debugging, where the kernel has it: each live mapping holds one.
dma_entries() {
	local free=/sys/kernel/debug/dma-api/num_free_entries total=/sys/kernel/debug/dma-api/nr_total_entries
	[ -e $free ] && echo $(($(cat $total) - $(cat $free))) || echo 0
}

# Objects in use by slab cache.
objects() {
	awk 'NR > 2 { print $1, $2 }' /proc/slabinfo
}

take_stock() {
	dma_before=$(dma_entries) free_before=$(free_memory)
	objects >/tmp/objects
}

# no_page_leaks CYCLES: a page for each cycle is a leak. The kernel's own caches take some hundreds of pages for all that
# runs here, so that only many cycles can show it.
no_page_leaks() {
	local limit=$((4 * $1)) now
	[ $limit -ge 1024 ] || limit=1024
	[ "$TEST_KERNEL" != debug ] || limit=$((limit + 16384)) # the sanitizer's quarantine
	now=$(free_memory)
	say "free memory: $free_before KiB before, $now after $1 cycles"
	[ $((free_before - now)) -lt $limit ]
}

# no_object_leaks CYCLES: no cache has an object more for each cycle, but for vmap_area, where the kernel keeps freed addresses
# for later. Fewer cycles than objects that lie in the caches' free lists show nothing.
no_object_leaks() {
	local more
	more=$(objects | awk -v cycles="$1" 'NR == FNR { before[$1] = $2; next }
		$1 != "vmap_area" && $2 - before[$1] >= cycles { print $1 " +" $2 - before[$1] }' /tmp/objects -)
	[ -z "$more" ] || say "$more"
	[ -z "$more" ] || [ "$1" -lt 400 ]
}

no_mapping_leaks() {
	local now
	now=$(dma_entries)
	say "DMA mappings: $dma_before before, $now after"
	[ "$now" -le $((dma_before + 8)) ]
}
