// SPDX-License-Identifier: GPL-2.0

//! The Rust types and constants against the C headers: the C compiler compares.

use netmap_logic::abi::{
    interface_flags::*, ioctl::*, legacy::*, mode::*, option_type::*, polling::*,
    register_flags::*, request_type::*, ring_flags::*, slot_flags::*, sync_loop::*, *,
};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

macro_rules! constants {
    ($source:ident: $($name:ident)+) => {
        $(writeln!(
            $source,
            "_Static_assert({0} == {1}, \"{0}\");",
            stringify!($name),
            $name as u64,
        ).unwrap();)+
    };
}

macro_rules! structures {
    ($source:ident: $($c:ident $rust:ident { $($field:ident)+ })+) => {
        $(
            writeln!(
                $source,
                "_Static_assert(sizeof(struct {0}) == {1}, \"{0}\");",
                stringify!($c),
                size_of::<$rust>(),
            ).unwrap();
            $(writeln!(
                $source,
                "_Static_assert(__builtin_offsetof(struct {0}, {1}) == {2}, \"{0}.{1}\");",
                stringify!($c),
                stringify!($field),
                core::mem::offset_of!($rust, $field),
            ).unwrap();)+
        )+
    };
}

/// Runs the compiler over `source`; what it says about it.
fn compile(source: &str) -> Result<(), String> {
    let mut compiler = Command::new("cc")
        .args(["-fsyntax-only", "-Wall", "-Werror", "-x", "c", "-I"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../include/uapi"))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cc compiles the comparison");
    let mut stdin = compiler.stdin.take().unwrap();
    stdin.write_all(source.as_bytes()).unwrap();
    drop(stdin);
    let output = compiler.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

const INCLUDES: &str = "#include <sys/types.h>\n#include <net/if.h>\n#include <net/netmap.h>\n#include <net/netmap_stack.h>\n";

#[test]
fn c_agrees() {
    let mut source = String::from(INCLUDES);
    constants! { source:
        NETMAP_API NETMAP_BDG_ATTACH NETMAP_BDG_DELIF NETMAP_BDG_DETACH NETMAP_BDG_HOST NETMAP_BDG_LIST
        NETMAP_BDG_NEWIF NETMAP_BDG_POLLING_OFF NETMAP_BDG_POLLING_ON NETMAP_BDG_REGOPS NETMAP_BDG_VNET_HDR
        NETMAP_DO_RX_POLL NETMAP_HW_RING NETMAP_MAX_API NETMAP_MAX_FRAGS NETMAP_MIN_API NETMAP_NO_TX_POLL
        NETMAP_POLLING_MODE_MULTI_CPU NETMAP_POLLING_MODE_SINGLE_CPU NETMAP_PT_HOST_CREATE NETMAP_PT_HOST_DELETE
        NETMAP_REQ_IFNAMSIZ NETMAP_REQ_MAXSIZE NETMAP_RING_MASK NETMAP_SW_RING NETMAP_VNET_HDR_GET NIOCCONFIG
        NIOCCTRL NIOCGINFO NIOCREGIF NIOCRXSYNC NIOCTXSYNC NI_PRIV_MEM NM_CACHE_ALIGN NM_IFRDATA_LEN
        NM_OPT_SYNC_KLOOP_DIRECT_RX NM_OPT_SYNC_KLOOP_DIRECT_TX NR_ACCEPT_VNET_HDR NR_DO_RX_POLL NR_EXCLUSIVE
        NR_FORWARD NR_MONITOR_RX NR_MONITOR_TX NR_NO_TX_POLL NR_STACK NS_STACK_END NS_STACK_ERROR
        NETMAP_REQ_PST_FD_REG NETMAP_REQ_PST_FD_UNREG NR_REG_MASK NR_RX_RINGS_ONLY NR_TIMESTAMP
        NR_TX_RINGS_ONLY NR_ZCOPY_MON NS_BUF_CHANGED NS_FORWARD NS_INDIRECT NS_MOREFRAG NS_NO_LEARN NS_PORT_MASK
        NS_PORT_SHIFT NS_REPORT NS_TXMON NETMAP_REQ_REGISTER NETMAP_REQ_PORT_INFO_GET NETMAP_REQ_VALE_ATTACH
        NETMAP_REQ_VALE_DETACH NETMAP_REQ_VALE_LIST NETMAP_REQ_PORT_HDR_SET NETMAP_REQ_PORT_HDR_GET
        NETMAP_REQ_VALE_NEWIF NETMAP_REQ_VALE_DELIF NETMAP_REQ_VALE_POLLING_ENABLE NETMAP_REQ_VALE_POLLING_DISABLE
        NETMAP_REQ_POOLS_INFO_GET NETMAP_REQ_SYNC_KLOOP_START NETMAP_REQ_SYNC_KLOOP_STOP NETMAP_REQ_CSB_ENABLE
        NETMAP_REQ_OPT_EXTMEM NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS NETMAP_REQ_OPT_CSB NETMAP_REQ_OPT_SYNC_KLOOP_MODE
        NETMAP_REQ_OPT_OFFSETS NETMAP_REQ_OPT_MAX NR_REG_DEFAULT NR_REG_ALL_NIC NR_REG_SW NR_REG_NIC_SW
        NR_REG_ONE_NIC NR_REG_PIPE_MASTER NR_REG_PIPE_SLAVE NR_REG_NULL NR_REG_ONE_SW
    }
    structures! { source:
        netmap_slot Slot { buf_idx len flags ptr }
        netmap_stack_run StackRun { fd first count }
        netmap_stack_runs StackRuns { count max run }
        nmreq_pst_fd_reg StackSocket { fd }
        netmap_ring Ring { buf_ofs num_slots nr_buf_size ringid dir head cur tail flags ts offset_mask buf_align
            stack_ofs stack_room
            sem slot }
        netmap_if Interface { ni_name ni_version ni_flags ni_tx_rings ni_rx_rings ni_bufs_head ni_host_tx_rings
            ni_host_rx_rings ni_spare1 ring_ofs }
        nmreq LegacyRequest { nr_name nr_version nr_offset nr_memsize nr_tx_slots nr_rx_slots nr_tx_rings
            nr_rx_rings nr_ringid nr_cmd nr_arg1 nr_arg2 nr_arg3 nr_flags spare2 }
        nmreq_header Header { nr_version nr_reqtype nr_reserved nr_name nr_options nr_body }
        nmreq_option OptionHeader { nro_next nro_reqtype nro_status nro_size }
        nmreq_register Register { nr_offset nr_memsize nr_tx_slots nr_rx_slots nr_tx_rings nr_rx_rings
            nr_host_tx_rings nr_host_rx_rings nr_mem_id nr_ringid nr_mode nr_extra_bufs nr_flags }
        nmreq_port_info_get PortInfo { nr_memsize nr_tx_slots nr_rx_slots nr_tx_rings nr_rx_rings
            nr_host_tx_rings nr_host_rx_rings nr_mem_id pad }
        nmreq_vale_attach ValeAttach { reg port_index pad1 }
        nmreq_vale_detach ValeDetach { port_index pad1 }
        nmreq_vale_list ValeList { nr_bridge_idx pad1 nr_port_idx }
        nmreq_port_hdr PortHeader { nr_hdr_len pad1 }
        nmreq_vale_newif ValeNewInterface { nr_tx_slots nr_rx_slots nr_tx_rings nr_rx_rings nr_mem_id pad1 }
        nmreq_vale_polling ValePolling { nr_mode nr_first_cpu_id nr_num_polling_cpus pad1 }
        nmreq_pools_info PoolsInfo { nr_memsize nr_mem_id pad1 nr_if_pool_offset nr_if_pool_objtotal
            nr_if_pool_objsize nr_ring_pool_offset nr_ring_pool_objtotal nr_ring_pool_objsize nr_buf_pool_offset
            nr_buf_pool_objtotal nr_buf_pool_objsize }
        nmreq_sync_kloop_start SyncLoopStart { sleep_us pad1 }
        nm_csb_atok CsbToKernel { head cur appl_need_kick sync_flags pad }
        nm_csb_ktoa CsbToApplication { hwcur hwtail kern_need_kick pad }
        nmreq_opt_sync_kloop_eventfds SyncLoopEventfds { nro_opt eventfds }
        nmreq_opt_sync_kloop_mode SyncLoopMode { nro_opt mode }
        nmreq_opt_extmem ExternalMemory { nro_opt nro_usrptr nro_info }
        nmreq_opt_csb Csb { nro_opt csb_atok csb_ktoa }
        nmreq_opt_offsets Offsets { nro_opt nro_max_offset nro_initial_offset nro_offset_bits nro_tx_align
            nro_min_gap }
        nm_ifreq SwitchConfig { nifr_name data }
    }
    compile(&source).unwrap_or_else(|told| panic!("{told}"));
}

#[test]
fn a_difference_is_told() {
    let wrong = format!("{INCLUDES}_Static_assert(NETMAP_API == 0, \"NETMAP_API\");\n");
    assert!(compile(&wrong).unwrap_err().contains("NETMAP_API"));
}
