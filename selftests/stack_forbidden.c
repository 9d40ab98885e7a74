// SPDX-License-Identifier: BSD-2-Clause
/*
 * A security module forbids a program to send or receive on its socket: it cannot be registered with a stack port. The module is a
 * program of BPF. For stack_forbidden.sh, which makes hosts of both ends of the wire.
 */
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <bpf/libbpf.h>
#include "stack_fixture.h"

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	int result = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

/* Has a hook return this error to our process, until the descriptor is closed. */
static int forbid(const char *hook, int error)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid },
		{ .code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 32 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_1, .imm = getpid(), .off = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = error },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_LSM, .expected_attach_type = BPF_LSM_MAC, .insns = (uintptr_t)insns,
		.insn_cnt = sizeof(insns) / sizeof(*insns), .license = (uintptr_t)"GPL",
	};
	union bpf_attr attach = { 0 };
	int program, type = libbpf_find_vmlinux_btf_id(hook, BPF_LSM_MAC), link;

	if (type < 0)
		return type;
	load.attach_btf_id = (uint32_t)type;
	program = bpf(BPF_PROG_LOAD, &load);
	if (program < 0)
		return program;
	attach.raw_tracepoint.prog_fd = (uint32_t)program;
	link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attach);
	close(program);
	return link;
}

TEST_F(stack, forbidden)
{
	static const struct {
		const char *hook;
		int error;
	} cases[] = {
		{ "socket_sendmsg", -EPERM }, { "socket_recvmsg", -EPERM }, { "socket_sendmsg", -EACCES }, { "socket_recvmsg", -EACCES },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int link = forbid(cases[i].hook, cases[i].error);

		ASSERT_GE(link, 0);
		EXPECT_EQ(stack_register(&self->port, self->pair.nic), cases[i].error);
		EXPECT_EQ(stack_config(&self->port, self->pair.nic), cases[i].error);
		put(&self->port, self->pair.nic, 1, 0, 10, 10);
		EXPECT_EQ(tx_sync(&self->port), 0);
		EXPECT_TOLD(self->pair.nic, NS_STACK_ERROR, -cases[i].error);
		close(link);
	}
	EXPECT_EQ(stack_register(&self->port, self->pair.nic), 0);
	put(&self->port, self->pair.nic, 1, 0, 100, 10);
	EXPECT_EQ(tx_sync(&self->port), 0);
	EXPECT_EQ(expect(self->pair.peer, 1, 0, 100), 0);
}

TEST_HARNESS_MAIN
