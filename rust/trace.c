// SPDX-License-Identifier: GPL-2.0
/* The tracepoints' data, and the functions through which Rust hits those that are on. */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "trace.h"
