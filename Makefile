# SPDX-License-Identifier: BSD-2-Clause
# The module is built by kbuild (see Kbuild) for the kernel in KDIR; everything else runs in a testbed of its own.

KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= stable
TIER ?= quick
PREFIX ?= /usr/local
INSTALL_MOD_PATH ?= $(DESTDIR)

# Set by the kernel's own makefiles when they come back here for the module.
ifeq ($(KERNELRELEASE),)

# The kernel's headers, with the Rust metadata that some distributions leave out; made at the first use.
define kbuild
	@dir=$$(scripts/kernel-metadata "$(KDIR)") && $(MAKE) -C "$$dir" M="$(CURDIR)" $(1)
endef

module:
	$(call kbuild,modules)

# What was built is installed as it is: root, for whom this is, may have neither the cache nor the compilers of who built it.
install: release = $$(cat "$(KDIR)/include/config/kernel.release")
install:
	@[ -e netmap.ko ] || $(MAKE) --no-print-directory module
	@case $$(PATH="$$PATH:/usr/sbin:/sbin" modinfo -F vermagic ./netmap.ko) in "$(release) "*) ;; *) \
		echo "netmap.ko is not for $(release), the kernel of KDIR=$(KDIR): run 'make' with the same KDIR"; exit 1 ;; esac >&2
	$(MAKE) -C "$(KDIR)" M="$(CURDIR)" modules_install CONFIG_MODULE_SIG_ALL= INSTALL_MOD_PATH="$(INSTALL_MOD_PATH)"
	@[ -n "$(INSTALL_MOD_PATH)" ] || PATH="$$PATH:/usr/sbin:/sbin" depmod "$(release)"
	install -d "$(DESTDIR)$(PREFIX)/include/net" "$(DESTDIR)$(PREFIX)/share/man/man4"
	install -m 644 include/uapi/net/*.h "$(DESTDIR)$(PREFIX)/include/net/"
	install -m 644 Documentation/netmap.4 Documentation/stackmap.4 "$(DESTDIR)$(PREFIX)/share/man/man4/"

clean:
	@[ ! -e "$(KDIR)/Makefile" ] || $(MAKE) -C "$(KDIR)" M="$(CURDIR)" clean
	@rm -rf rust-project.json tools/target rust/logic/target

rust-analyzer:
	$(call kbuild,rust-analyzer)

tools:
	@scripts/build tools

libnetmap:
	@scripts/build libnetmap

# LIBNETMAP is what `make libnetmap` has printed.
install-libnetmap:
	@[ -e "$(LIBNETMAP)/libnetmap.a" ] || { echo "LIBNETMAP=DIR is the directory that 'make libnetmap' prints"; exit 1; } >&2
	@$(MAKE) --no-print-directory -C tools/libnetmap install OUT="$(LIBNETMAP)" PREFIX="$(PREFIX)"

deb:
	@scripts/deb

htmldocs:
	@scripts/htmldocs

test:
	@scripts/test -k $(KERNEL) --tier $(TIER) $(TESTS)

soak:
	@scripts/soak

demo:
	@scripts/demo

bench:
	@scripts/bench

fuzz:
	@scripts/fuzz

clippy:
	@scripts/build clippy

rustfmt-check:
	@scripts/testbed run sh -c 'find rust tools -name target -prune -o -name "*.rs" ! -name "*_generated.rs" -print | xargs -r rustfmt --check --edition 2021'

shellcheck:
	@shellcheck scripts/cache.sh scripts/kernels.sh $$(grep -lE '^#!/(usr/bin/env bash|bin/(ba|busybox )?sh|bin/bash)' -r scripts selftests .ci)

help:
	@echo 'make                 netmap.ko for the kernel in KDIR=$(KDIR)'
	@echo 'make install         the module, where modprobe finds it, the headers and the manual (PREFIX=$(PREFIX), DESTDIR=)'
	@echo 'make clean           remove what was built here (the cache, ~/.cache/netmap, stays)'
	@echo 'make rust-analyzer   rust-project.json for editors'
	@echo
	@echo 'The rest makes its own Debian root in ~/.cache/netmap at the first use, and works there:'
	@echo 'make demo            packets through a veth and three pairs of NICs, in a virtual machine'
	@echo 'make test            each feature and each NIC family; TIER=full for all tests; KERNEL=stable, sid or debug'
	@echo '                     TESTS="NAME --nic igb --vm plain" for some'
	@echo 'make soak            traffic, binds, kills and events for 30 minutes, or SOAK=N; KERNEL=debug'
	@echo 'make bench           guest instructions per packet, and per request; OUT=DIR for bench.json and a chart; ROW=NAME for one row (scripts/bench -h)'
	@echo 'make fuzz            random programs against the debug kernel for 30 minutes, or FUZZ=N; a report of what they reached'
	@echo 'make tools           the programs of tools/; prints their directory'
	@echo 'make libnetmap       the library for C programs; prints its directory, which is LIBNETMAP of make install-libnetmap'
	@echo 'make deb             packages for Debian, of the module by DKMS, the programs and the library; prints their directory'
	@echo 'make htmldocs        the documentation as a book; prints its directory'
	@echo 'make clippy, rustfmt-check, shellcheck'

.PHONY: module install clean rust-analyzer tools libnetmap install-libnetmap deb htmldocs test soak fuzz demo bench clippy rustfmt-check shellcheck help
.DEFAULT_GOAL := module

endif
