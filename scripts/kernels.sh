# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # sets variables for, and uses those of, the script that sources it
# The kernels that the tests know, by name. Sourced, after cache.sh.

# kernel_files NAME: set kernel_bed (the testbed whose compilers built it), kernel_image, kernel_release, and
# kernel_root (what holds lib/modules/RELEASE), as seen from here. Fails if that kernel is not there yet.
kernel_files() {
	kernel_bed=trixie
	case $1 in
	stable) ;;
	sid) kernel_bed=sid ;;
	debug)
		"$src/scripts/debug-kernel" ready || die "there is no debug kernel yet: run 'scripts/debug-kernel'"
		kernel_root=$("$src/scripts/debug-kernel" path)
		kernel_release=$(cat "$kernel_root/.release")
		kernel_image=$kernel_root/arch/x86/boot/bzImage
		kernel_root=$kernel_root/root
		return
		;;
	*) die "no kernel is called '$1': use stable, sid or debug" ;;
	esac
	"$src/scripts/testbed" -b "$kernel_bed" ready ||
		die "there is no $kernel_bed root yet: run 'scripts/testbed -b $kernel_bed create'"
	kernel_root=$("$src/scripts/testbed" -b "$kernel_bed" path)
	kernel_release=$(find "$kernel_root/lib/modules" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)
	kernel_image=$kernel_root/boot/vmlinuz-$kernel_release
}
