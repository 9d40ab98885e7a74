# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A Debian root in which there is nothing but apt and the repository, what is done in it, and a machine that boots the kernel that
# was installed there. Sourced, with work, a directory of the cache, set; prints KTAP.

root=$work/root
number=0 failed=0
rm -rf --one-file-system "$work"
mkdir -p "$work"

unmount() {
	local place
	for place in dev proc sys etc/resolv.conf; do
		umount -l "$root/$place" 2>/dev/null
	done
}

trap 'unmount; rm -rf --one-file-system "$work"' EXIT

# check WHAT CMD...: one result; what CMD says is shown if it fails.
check() {
	local what=$1
	shift
	number=$((number + 1))
	if "$@" >"$work/log" 2>&1; then
		echo "ok $number $what"
	else
		tail -n 40 "$work/log" | sed 's/^/# /'
		echo "not ok $number $what"
		failed=1
	fi
}

# The testbed's mirror is the machine's. Only what is recommended is left out, and documentation: the guide's packages must do.
make_root() {
	mmdebstrap --mode=root --variant=apt --format=directory --architectures=amd64 --dpkgopt=force-unsafe-io \
		--dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-exclude='/usr/share/locale/*' \
		--aptopt=/etc/apt/apt.conf.d/99mmdebstrap \
		--aptopt='APT::Install-Recommends "false"' --aptopt='APT::Get::Assume-Yes "true"' --include=ca-certificates \
		--skip=cleanup/apt/lists \
		--customize-hook='echo "do_initrd = no" >"$1/etc/kernel-img.conf"' \
		trixie "$root" - < <(grep -hs '^deb ' /etc/apt/sources.list /etc/apt/sources.list.d/*.list) || return
	mkdir -p "$root/netmap"
	tar -C "$src" --exclude=.git --exclude=target --exclude='*.o' --exclude='*.ko' --exclude='.*.cmd' -cf - . | tar -C "$root/netmap" -xf - &&
		mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" && mount --rbind /sys "$root/sys" &&
		{ touch "$root/etc/resolv.conf"; mount --bind /etc/resolv.conf "$root/etc/resolv.conf"; }
}

# The kernel whose headers are there, which is not the one that runs.
release() {
	find "$root/usr/lib/modules" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -V | tail -n 1
}

inside() {
	local kernel proxies=() name
	kernel=$(release)
	for name in http_proxy https_proxy no_proxy; do
		[ -z "${!name+set}" ] || proxies+=("$name=${!name}")
	done
	env -i "${proxies[@]}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive INITRD=No ${kernel:+"KDIR=/lib/modules/$kernel/build"} \
		chroot "$root" sh -c "cd /netmap && $1"
}

# copy FILE...: of the root, and the libraries that they are linked with, into the machine's.
copy() {
	local file
	for file in "$@" $(chroot "$root" ldd "$@" 2>/dev/null | grep -o '/[^ :]*' | sort -u); do
		mkdir -p "$tree$(dirname "$file")"
		cp -L "$root$file" "$tree$file"
	done
}

# boots COMMANDS [PROGRAM...]: the machine has the installed kernel, the modules that depmod found, and the programs; the commands
# succeed in it, and the module is there afterwards.
boots() {
	local tree=$work/tree kernel commands=$1
	shift
	kernel=$(release)
	rm -rf "$tree"
	mkdir -p "$tree"/{dev,proc,sys,tmp,usr/bin,usr/sbin,usr/lib,usr/lib64}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$tree/"
	cp /usr/bin/busybox "$tree/usr/bin/"
	ln -s busybox "$tree/usr/bin/sh"
	copy /usr/bin/kmod "$@"
	ln -s ../bin/kmod "$tree/usr/sbin/modprobe"
	mkdir -p "$tree/usr/lib/modules/$kernel"
	cp "$root/usr/lib/modules/$kernel"/modules.* "$tree/usr/lib/modules/$kernel/"
	(cd "$root/usr/lib/modules/$kernel" && find . -name 'netmap.ko*' -exec cp --parents {} "$tree/usr/lib/modules/$kernel/" \;)
	cat >"$tree/init" <<-END
		#!/bin/sh
		export PATH=/usr/sbin:/usr/bin
		busybox mount -t devtmpfs dev /dev
		busybox mount -t proc proc /proc
		$commands && busybox grep -w ^netmap /proc/modules && busybox test -c /dev/netmap && echo THE MODULE IS LOADED
		busybox poweroff -f
	END
	chmod +x "$tree/init"
	(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initramfs" || return
	qemu-system-x86_64 -accel tcg -M q35 -cpu max -m 1024 -nodefaults -display none -no-reboot -serial stdio \
		-kernel "$root/boot/vmlinuz-$kernel" -initrd "$work/initramfs" -append 'console=ttyS0 panic=-1' </dev/null |
		tee "$work/console"
	grep -q '^THE MODULE IS LOADED' "$work/console"
}
