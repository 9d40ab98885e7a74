/* SPDX-License-Identifier: BSD-2-Clause */
/* XDP programs, for tests of ports that receive by XDP. */
#ifndef NETMAP_PROGRAM_H
#define NETMAP_PROGRAM_H

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <sys/syscall.h>
#include "netmap_test.h"

#define COUNT_OF(array)	(sizeof(array) / sizeof((array)[0]))

UNUSED static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	int result = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

UNUSED static int load_insns(const struct bpf_insn *insns, uint32_t count)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .expected_attach_type = BPF_XDP, .insns = (uintptr_t)insns,
		.insn_cnt = count, .license = (uintptr_t)"GPL", .prog_flags = BPF_F_XDP_HAS_FRAGS,
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

/* A program that has one verdict for all packets. */
UNUSED static int load_program(enum xdp_action verdict)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load_insns(insns, COUNT_OF(insns));
}

/* A program that drops what is longer than "longest", for a path that is narrower than it seems. */
UNUSED static int load_limit(int longest)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1,
		  .off = offsetof(struct xdp_md, data) },
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_1,
		  .off = offsetof(struct xdp_md, data_end) },
		{ .code = BPF_ALU64 | BPF_SUB | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_JLE | BPF_K, .dst_reg = BPF_REG_3, .off = 1, .imm = longest },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load_insns(insns, COUNT_OF(insns));
}

/* Has the driver run a program, or the stack (XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE), until the link, which is returned, is closed. */
UNUSED static int attach_in(const char *name, int program, uint32_t mode)
{
	union bpf_attr attr = {
		.link_create = {
			.prog_fd = program, .target_ifindex = if_nametoindex(name), .attach_type = BPF_XDP, .flags = mode,
		},
	};

	return bpf(BPF_LINK_CREATE, &attr);
}

UNUSED static int attach(const char *name, int program)
{
	return attach_in(name, program, XDP_FLAGS_DRV_MODE);
}

/* The link of the program that the interface has; -ENOENT if there is none. */
UNUSED static int find_link(const char *name)
{
	union bpf_attr next = { 0 };

	while (!bpf(BPF_LINK_GET_NEXT_ID, &next)) {
		union bpf_attr by_id = { .link_id = next.next_id };
		struct bpf_link_info info = { 0 };
		union bpf_attr query = { .info = { .info = (uintptr_t)&info, .info_len = sizeof(info) } };
		int fd = bpf(BPF_LINK_GET_FD_BY_ID, &by_id);

		next.start_id = next.next_id;
		if (fd < 0)
			continue;
		query.info.bpf_fd = fd;
		if (!bpf(BPF_OBJ_GET_INFO_BY_FD, &query) && info.type == BPF_LINK_TYPE_XDP &&
		    info.xdp.ifindex == if_nametoindex(name))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

#endif
