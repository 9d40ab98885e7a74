// SPDX-License-Identifier: BSD-2-Clause
/* nmctx_ferror(): Rust cannot define a function with a variable number of arguments. */
#include <stdarg.h>
#include <stdio.h>

#include <libnetmap.h>

void nmctx_ferror(struct nmctx *ctx, const char *format, ...)
{
	char message[1000];
	va_list args;

	if (!ctx->verbose)
		return;
	va_start(args, format);
	if (vsnprintf(message, sizeof(message), format, args) < 0)
		snprintf(message, sizeof(message), "%s", format);
	va_end(args);
	ctx->error(ctx, message);
}
