#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# All queues are taken and given back, and nothing else: for modules that break a rule in it.
exec ./port bind "netmap:$TEST_IF"
