/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints netmap:bind, unbind, takeover, release and sync. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM netmap

#if !defined(NETMAP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NETMAP_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(bind,
	TP_PROTO(const char *port, u32 tx_rings, u32 rx_rings, u64 offset),
	TP_ARGS(port, tx_rings, rx_rings, offset),
	TP_STRUCT__entry(
		__string(port, port)
		__field(u32, tx_rings)
		__field(u32, rx_rings)
		__field(u64, offset)
	),
	TP_fast_assign(
		__assign_str(port);
		__entry->tx_rings = tx_rings;
		__entry->rx_rings = rx_rings;
		__entry->offset = offset;
	),
	TP_printk("port=%s tx_rings=%u rx_rings=%u offset=%llu", __get_str(port),
		  __entry->tx_rings, __entry->rx_rings, __entry->offset)
);

TRACE_EVENT(unbind,
	TP_PROTO(const char *port),
	TP_ARGS(port),
	TP_STRUCT__entry(
		__string(port, port)
	),
	TP_fast_assign(
		__assign_str(port);
	),
	TP_printk("port=%s", __get_str(port))
);

DECLARE_EVENT_CLASS(queue,
	TP_PROTO(const char *dev, bool tx, u32 queue),
	TP_ARGS(dev, tx, queue),
	TP_STRUCT__entry(
		__string(dev, dev)
		__field(bool, tx)
		__field(u32, queue)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->tx = tx;
		__entry->queue = queue;
	),
	TP_printk("dev=%s queue=%s%u", __get_str(dev), __entry->tx ? "tx" : "rx", __entry->queue)
);

DEFINE_EVENT(queue, takeover,
	TP_PROTO(const char *dev, bool tx, u32 queue),
	TP_ARGS(dev, tx, queue)
);

DEFINE_EVENT(queue, release,
	TP_PROTO(const char *dev, bool tx, u32 queue),
	TP_ARGS(dev, tx, queue)
);

TRACE_EVENT(sync,
	TP_PROTO(const char *port, bool tx, bool host, u32 ring, u32 flags, u32 rhead, u32 hwcur,
		 u32 hwtail),
	TP_ARGS(port, tx, host, ring, flags, rhead, hwcur, hwtail),
	TP_STRUCT__entry(
		__string(port, port)
		__field(bool, tx)
		__field(bool, host)
		__field(u32, ring)
		__field(u32, flags)
		__field(u32, rhead)
		__field(u32, hwcur)
		__field(u32, hwtail)
	),
	TP_fast_assign(
		__assign_str(port);
		__entry->tx = tx;
		__entry->host = host;
		__entry->ring = ring;
		__entry->flags = flags;
		__entry->rhead = rhead;
		__entry->hwcur = hwcur;
		__entry->hwtail = hwtail;
	),
	TP_printk("port=%s ring=%s%s%u flags=%#x head=%u hwcur=%u hwtail=%u", __get_str(port),
		  __entry->host ? "host-" : "", __entry->tx ? "tx" : "rx", __entry->ring,
		  __entry->flags, __entry->rhead, __entry->hwcur, __entry->hwtail)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
