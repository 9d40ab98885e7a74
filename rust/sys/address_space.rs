// SPDX-License-Identifier: GPL-2.0

//! Which program an address is one of.

use crate::atomic::{AtomicPtr, Ordering};
use core::ptr::{null_mut, NonNull};
use kernel::{mm::Mm, sync::aref::ARef};

/// The address space of a program, or of none.
///
/// # Invariants
///
/// `mm` is null or owns a reference: there is no other address space at that pointer.
pub(crate) struct AddressSpace {
    mm: AtomicPtr<Mm>,
}

/// Whose an address space is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The caller's.
    Ours,
    /// Another program's, or nobody's.
    Others,
    /// A program's, and the caller is a thread of the kernel's, which has none.
    CallerHasNone,
}

/// The address space of the caller, unless it is a thread of the kernel's.
fn current() -> Option<ARef<Mm>> {
    let task = kernel::current!();
    task.mm().map(|mm| ARef::from(&**mm))
}

impl AddressSpace {
    /// Nobody's.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self {
            mm: AtomicPtr::new(null_mut()),
        }
    }

    /// It is that of the caller from now on.
    pub(crate) fn be_ours(&self) {
        self.set(current());
    }

    /// It is nobody's from now on.
    pub(crate) fn be_nobodys(&self) {
        self.set(None);
    }

    fn set(&self, mm: Option<ARef<Mm>>) {
        let raw = mm.map_or(null_mut(), |mm| ARef::into_raw(mm).as_ptr());
        // INVARIANT: Null, or with a reference. That of the former one goes; whoever has read that does no more than to compare it with
        // its own, which has references of its own.
        let former = self.mm.swap(raw, Ordering::Relaxed);
        if let Some(former) = NonNull::new(former) {
            // SAFETY: By the type's invariant the reference was ours.
            drop(unsafe { ARef::from_raw(former) });
        }
    }

    /// Whose it is.
    pub(crate) fn whose(&self) -> Whose {
        let mm = self.mm.load(Ordering::Relaxed);
        if mm.is_null() {
            return Whose::Others;
        }
        match kernel::current!().mm() {
            Some(ours) if core::ptr::eq::<Mm>(&**ours, mm) => Whose::Ours,
            Some(_) => Whose::Others,
            None => Whose::CallerHasNone,
        }
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        self.be_nobodys();
    }
}
