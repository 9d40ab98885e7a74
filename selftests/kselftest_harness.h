/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's harness without its time limits, which do not know how slow the machine is. The script run does: it ends a test
 * that has printed nothing for too long. Limits that tests name do not count.
 */
#include_next <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	86400
#undef TEST_F_TIMEOUT
#define TEST_F_TIMEOUT(fixture, name, seconds)	TEST_F(fixture, name)
