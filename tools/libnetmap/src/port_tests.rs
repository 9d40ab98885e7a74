// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use crate::port_buffers::{nmport_extmem, nmport_offset};
use std::cell::RefCell;
use std::ffi::{CStr, CString};

thread_local! {
    /// What contexts of this thread were told.
    static MESSAGES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" fn listen(_: *mut Context, message: *const c_char) {
    // SAFETY: a string, by the contract of the callback.
    let message = unsafe { CStr::from_ptr(message) };
    let message = message.to_string_lossy().into_owned();
    MESSAGES.with(|messages| messages.borrow_mut().push(message));
}

/// A port of a context of its own, which remembers messages.
struct Test {
    context: Box<Context>,
    port: *mut PortDesc,
}

impl Test {
    fn new() -> Test {
        // SAFETY: the default context is one, and lives for ever.
        let global = unsafe { &*nmctx_get() };
        let mut context = Box::new(Context {
            error: listen,
            mem_descs: null_mut(),
            ..*global
        });
        // SAFETY: the context is one.
        let port = unsafe { new(&mut *context) };
        Test { context, port }
    }

    fn port(&self) -> &PortDesc {
        // SAFETY: the port lives as long as the test, and nothing writes to it meanwhile.
        unsafe { &*self.port }
    }

    /// `errno` and message, if the name is refused.
    fn parse(&mut self, text: &str) -> Result<(), (c_int, String)> {
        let text = CString::new(text).unwrap();
        // SAFETY: a port and a string.
        let result = unsafe { nmport_parse(self.port, text.as_ptr()) };
        self.result(result)
    }

    fn result(&mut self, result: c_int) -> Result<(), (c_int, String)> {
        let (errno, _) = last_error();
        let messages = MESSAGES.with(RefCell::take);
        match result {
            0 => {
                assert!(messages.is_empty(), "{messages:?}");
                Ok(())
            }
            _ => Err((errno, messages.join("\n"))),
        }
    }

    fn name(&self) -> String {
        // SAFETY: a header.
        unsafe { name_in(&raw const (*self.port).hdr) }
    }

    fn undo_parse(&mut self) {
        // SAFETY: a port.
        unsafe { nmport_undo_parse(self.port) };
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        // SAFETY: a port that is closed once.
        unsafe { nmport_close(self.port) };
        assert!(self.context.mem_descs.is_null());
    }
}

/// Name, mode, ring, flags and region that a text gives a port.
fn parts(text: &str) -> (String, u32, u16, u64, u16) {
    let mut test = Test::new();
    assert_eq!(test.parse(text), Ok(()));
    let reg = test.port().reg;
    (
        test.name(),
        reg.nr_mode,
        reg.nr_ringid,
        reg.nr_flags,
        reg.nr_mem_id,
    )
}

#[test]
fn names_fill_the_request() {
    let flags = abi::NR_TX_RINGS_ONLY | abi::NR_EXCLUSIVE;
    assert_eq!(
        parts("netmap:eth0"),
        ("eth0".into(), abi::NR_REG_ALL_NIC, 0, 0, 0)
    );
    assert_eq!(
        parts("vale1:p{in-7/Tx@3"),
        ("vale1:p{in".into(), abi::NR_REG_ONE_NIC, 7, flags, 3)
    );
    let mut test = Test::new();
    let port = test.port();
    let body = core::ptr::from_ref(&port.reg).addr() as u64;
    assert_eq!(
        (port.hdr.nr_body, port.hdr.nr_reqtype),
        (body, abi::NETMAP_REQ_REGISTER)
    );
    test.parse("netmap:eth0").unwrap();
    assert_eq!(test.port().hdr.nr_body, body);
}

#[test]
fn conf_asks_for_rings_and_slots() {
    let conf = |text: &str| {
        let mut test = Test::new();
        test.parse(&format!("vale0:a@conf:{text}")).unwrap();
        let reg = test.port().reg;
        (
            (reg.nr_tx_rings, reg.nr_rx_rings),
            (reg.nr_host_tx_rings, reg.nr_host_rx_rings),
            (reg.nr_tx_slots, reg.nr_rx_slots),
        )
    };
    assert_eq!(conf("rings=2,slots=512"), ((2, 2), (0, 0), (512, 512)));
    assert_eq!(
        conf("tx-rings=3,rings=2,rx-slots=7"),
        ((3, 2), (0, 0), (0, 7))
    );
    assert_eq!(
        conf("host-rings=4,host-rx-rings=5"),
        ((0, 0), (4, 5), (0, 0))
    );
    assert_eq!(
        conf("host-tx-rings=1,tx-slots=8,rx-rings=9"),
        ((0, 9), (1, 0), (8, 0))
    );
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let cases = [
        ("eth0", libc::EINVAL, "begins with none of netmap:"),
        ("netmap:vale0:0", libc::EINVAL, "a name has no ':'"),
        ("netmap:eth0&", libc::EINVAL, "a name has no '&'"),
        ("netmap:eth0/q", libc::EINVAL, "unknown flag 'q'"),
        ("netmap:eth0@", libc::EINVAL, "nothing after '@'"),
        (
            "netmap:eth0@what=1",
            libc::EINVAL,
            "option what: there is no such option",
        ),
        (
            "netmap:eth0@conf",
            libc::EINVAL,
            "option conf: '=' and a value",
        ),
        (
            "netmap:eth0@conf=1",
            libc::EINVAL,
            "option conf: it has keys",
        ),
        (
            "netmap:eth0@conf:",
            libc::EINVAL,
            "option conf: a key without a name",
        ),
        (
            "netmap:eth0@conf:rings",
            libc::EINVAL,
            "no value for key rings",
        ),
        (
            "netmap:eth0@conf:rings=",
            libc::EINVAL,
            "no value for key rings",
        ),
        (
            "netmap:eth0@conf:color=1",
            libc::EINVAL,
            "there is no key color",
        ),
        (
            "netmap:eth0@conf:slots=1,slots=2",
            libc::EINVAL,
            "key slots is there twice",
        ),
        ("netmap:eth0@conf:rings=x", libc::EINVAL, "x is no number"),
        (
            "netmap:eth0@conf:rings=65536",
            libc::EINVAL,
            "65536 is no number, or too large",
        ),
        ("netmap:eth0@conf:rings=-1", libc::EINVAL, "-1 is no number"),
        (
            "netmap:eth0@share",
            libc::EINVAL,
            "option share: '=' and a value",
        ),
        (
            "netmap:eth0@share=eth1",
            libc::EINVAL,
            "begins with none of netmap:",
        ),
        (
            "netmap:eth0@share:port",
            libc::EINVAL,
            "no value for key port",
        ),
        (
            "netmap:eth0@extmem:buf-num=1",
            libc::EINVAL,
            "key file must be there",
        ),
        (
            "netmap:eth0@extmem=/nowhere/at/all",
            libc::ENOENT,
            "/nowhere/at/all",
        ),
        (
            "netmap:eth0@offset=64",
            libc::EOPNOTSUPP,
            "this program does not allow it",
        ),
        (
            "netmap:eth0@conf:rings=1@@",
            libc::EINVAL,
            "an option without a name",
        ),
    ];
    for (text, errno, reason) in cases {
        let mut test = Test::new();
        test.parse("vale3:before-2/R@9").unwrap();
        // A region of the name would not be the one that is set.
        let reg = test.port().reg;
        let refused = test.parse(text).unwrap_err();
        assert_eq!(refused.0, errno, "{text}: {}", refused.1);
        assert!(refused.1.contains(reason), "{text}: {}", refused.1);
        assert_eq!(test.name(), "vale3:before", "{text}");
        let now = test.port().reg;
        assert_eq!(
            (
                now.nr_mode,
                now.nr_ringid,
                now.nr_flags,
                now.nr_mem_id,
                now.nr_tx_rings
            ),
            (reg.nr_mode, reg.nr_ringid, reg.nr_flags, reg.nr_mem_id, 0),
            "{text}"
        );
        assert_eq!(test.port().hdr.nr_options, 0, "{text}");
    }
}

/// A file of a page.
fn page() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("libnetmap-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, [0; 4096]).unwrap();
    path
}

#[test]
fn external_memory_is_an_option_that_goes_with_the_name() {
    let path = page();
    let mut test = Test::new();
    let text = format!(
        "netmap:eth0@extmem:file={},buf-num=9,ring-size=7",
        path.display()
    );
    test.parse(&text).unwrap();
    let option = test.port().extmem;
    assert_eq!(test.port().hdr.nr_options, option.addr() as u64);
    // SAFETY: the option is the port's.
    let (kind, info) = unsafe { ((*option).nro_opt.nro_reqtype, (*option).nro_info) };
    assert_eq!((kind, info.nr_memsize), (abi::NETMAP_REQ_OPT_EXTMEM, 4096));
    assert_eq!(
        (info.nr_buf_pool_objtotal, info.nr_ring_pool_objsize),
        (9, 7)
    );
    // SAFETY: a port.
    let twice = unsafe { nmport_extmem(test.port, null_mut(), 1) };
    assert_eq!(test.result(twice).unwrap_err().0, libc::EINVAL);
    // SAFETY: a port.
    assert!(unsafe { nmport_clone(test.port) }.is_null());
    MESSAGES.with(RefCell::take);
    test.undo_parse();
    let port = test.port();
    assert!(port.extmem.is_null() && port.clist.is_null());
    assert_eq!((port.hdr.nr_options, test.name()), (0, String::new()));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn an_option_that_fails_takes_earlier_ones_along() {
    let path = page();
    let mut test = Test::new();
    let text = format!("netmap:eth0@extmem={}@what=1", path.display());
    assert_eq!(test.parse(&text).unwrap_err().0, libc::EINVAL);
    assert!(test.port().extmem.is_null() && test.port().clist.is_null());
    assert_eq!(test.port().hdr.nr_options, 0);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn offsets_are_there_once_they_are_allowed() {
    // SAFETY: a string.
    let unknown = unsafe { port_options::nmport_enable_option(c"colors".as_ptr()) };
    assert_eq!(unknown, -1);
    assert_eq!(last_error().0, libc::EOPNOTSUPP);
    let mut test = Test::new();
    // SAFETY: a port.
    let set = unsafe { nmport_offset(test.port, 64, 128, 16, 0) };
    test.result(set).unwrap();
    // SAFETY: the option is the port's.
    let option = unsafe {
        with_exposed_provenance_mut::<OptOffsets>(test.port().hdr.nr_options as usize).read()
    };
    assert_eq!(
        (
            option.nro_initial_offset,
            option.nro_max_offset,
            option.nro_offset_bits
        ),
        (64, 128, 16)
    );
    assert_eq!(option.nro_opt.nro_reqtype, abi::NETMAP_REQ_OPT_OFFSETS);
    // SAFETY: a port.
    let wide = unsafe { nmport_offset(test.port, 0, 0, 1 << 32, 0) };
    assert_eq!(test.result(wide).unwrap_err().0, libc::EINVAL);
}

#[test]
fn clones_have_the_request_and_no_options() {
    let mut test = Test::new();
    test.parse("netmap:eth0-3/x@2").unwrap();
    // SAFETY: a port.
    unsafe {
        assert_eq!(nmport_offset(test.port, 1, 1, 0, 0), 0);
        let clone = nmport_clone(test.port);
        assert_eq!(name_in(&raw const (*clone).hdr), "eth0");
        assert_eq!(((*clone).reg.nr_ringid, (*clone).reg.nr_mem_id), (3, 2));
        assert_eq!((*clone).hdr.nr_options, 0);
        assert_eq!((*clone).hdr.nr_body, (&raw mut (*clone).reg).addr() as u64);
        assert_eq!((*clone).fd, -1);
        nmport_close(clone);
        nmport_close(null_mut());
    }
}

#[test]
fn steps_in_the_wrong_order() {
    let mut test = Test::new();
    // SAFETY: a port.
    let unregistered = unsafe { nmport_mmap(test.port) };
    assert_eq!(test.result(unregistered).unwrap_err().0, libc::EINVAL);
    // SAFETY: a port, which is registered as far as it knows.
    let again = unsafe {
        (*test.port).register_done = 1;
        let again = nmport_register(test.port);
        (*test.port).register_done = 0;
        again
    };
    let refused = test.result(again).unwrap_err();
    assert_eq!(refused.0, libc::EINVAL);
    assert!(refused.1.contains("registered already"));
}

#[test]
fn a_region_is_not_trusted_to_say_where_rings_are() {
    // An `If` that other programs have written nonsense to, and a table of one ring of each kind.
    let mut memory = vec![u64::MAX; 512];
    let size = memory.len() * 8;
    let table = 64 / 8 + size_of::<If>() / 8;
    memory[table..table + 4].copy_from_slice(&[128, 0, 0, 512]);
    let mut test = Test::new();
    let mut mmap = |offset: u64, rings: u16| {
        // SAFETY: a port, registered as far as it knows, whose region is the memory above.
        let result = unsafe {
            if (*test.port).extmem.is_null() {
                assert_eq!(
                    nmport_extmem(test.port, memory.as_mut_ptr().cast(), size),
                    0
                );
            }
            let reg = &mut (*test.port).reg;
            (reg.nr_offset, reg.nr_tx_rings, reg.nr_rx_rings) = (offset, rings, 1);
            (reg.nr_host_tx_rings, reg.nr_host_rx_rings) = (1, 1);
            (*test.port).register_done = 1;
            let result = nmport_mmap(test.port);
            (*test.port).register_done = 0;
            result
        };
        let port = test.port();
        let tx = (port.first_tx_ring, port.last_tx_ring);
        let rx = (port.first_rx_ring, port.last_rx_ring);
        let refused = test.result(result).map_err(|(errno, _)| errno);
        // SAFETY: a port.
        unsafe { nmport_undo_mmap(test.port) };
        refused.map(|()| (tx, rx))
    };
    assert_eq!(mmap(64, 1), Ok(((0, 0), (1, 1))));
    for (offset, rings) in [
        (65, 1),
        (size as u64, 1),
        (size as u64 - 8, 1),
        (64, u16::MAX),
        (u64::MAX - 7, 1),
    ] {
        assert_eq!(mmap(offset, rings), Err(libc::EFAULT), "{offset} {rings}");
    }
}

#[test]
fn no_name_at_all_is_refused() {
    let mut test = Test::new();
    // SAFETY: a port; a null pointer is no name.
    let refused = unsafe { nmport_parse(test.port, core::ptr::null()) };
    assert_eq!(test.result(refused).unwrap_err().0, libc::EINVAL);
    let mut text = core::ptr::null();
    // SAFETY: as above.
    let refused = unsafe { crate::request::nmreq_get_mem_id(&mut text, &mut *test.context) };
    assert_eq!((refused, last_error().0), (-1, libc::EINVAL));
    assert!(test.result(refused).is_err() && text.is_null());
}

#[test]
fn a_silent_context_says_nothing() {
    let mut test = Test::new();
    test.context.verbose = 0;
    assert_eq!(test.parse("eth0"), Err((libc::EINVAL, String::new())));
}

#[test]
fn rings_that_are_bound() {
    let of = |bits: &[u8]| bound(bits.len(), |at| bits[at] != 0);
    assert_eq!(of(&[1, 1, 1]), (0, 2));
    assert_eq!(of(&[0, 1, 0]), (1, 1));
    assert_eq!(of(&[0, 0, 1]), (2, 2));
    assert_eq!(of(&[0, 0]), (1, 0));
    assert_eq!(of(&[]), (1, 0));
}
