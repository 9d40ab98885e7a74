// SPDX-License-Identifier: GPL-2.0

//! Who owns the buffers of a region: groups of files and rings, see [`crate::logic::groups`].

use crate::{
    atomic::{AtomicU32, Ordering},
    logic::groups::{self, Account, Left},
    prelude::*, //
};

/// The owners of all buffers of a region.
pub(crate) type Owners = groups::Owners<KVVec<AtomicU32>>;

/// What one bind made, as its rings and its file know it.
///
/// Its group may become one with another at any time; what a ring of it has been handed until then is its own afterwards.
pub(crate) struct Group {
    label: AtomicU32,
}

impl Group {
    /// The label of the group's buffers now.
    #[inline]
    pub(crate) fn label(&self) -> u32 {
        self.label.load(Ordering::Relaxed)
    }
}

/// The groups of a region, behind its mutex.
pub(super) struct Groups {
    /// As many as there are binds with members, in the same order.
    accounts: KVec<Account>,
    binds: KVec<Arc<Group>>,
    /// The label of the last one that was made.
    last: u32,
}

impl Groups {
    pub(super) const fn new() -> Self {
        Self {
            accounts: KVec::new(),
            binds: KVec::new(),
            last: groups::NOBODY,
        }
    }

    /// A group with a file as its only member.
    pub(super) fn open(&mut self) -> Result<Arc<Group>> {
        self.accounts.reserve(1, GFP_CHARGED)?;
        self.binds.reserve(1, GFP_CHARGED)?;
        let account = Account::new(&self.accounts, self.last);
        let group = Arc::new(
            Group {
                label: AtomicU32::new(account.label()),
            },
            GFP_CHARGED,
        )?;
        self.last = account.label();
        // There is room for both.
        let _ = self.accounts.push_within_capacity(account);
        let _ = self.binds.push_within_capacity(group.clone());
        Ok(group)
    }

    fn number(&self, group: &Arc<Group>) -> Option<usize> {
        self.binds.iter().position(|bind| Arc::ptr_eq(bind, group))
    }

    /// The account of a group that has members.
    pub(super) fn account(&mut self, group: &Arc<Group>) -> Option<&mut Account> {
        let number = self.number(group)?;
        self.accounts.get_mut(number)
    }

    /// Makes the group that owns `index` one with `group`. False if the buffer has no owner.
    pub(super) fn exchange(&mut self, group: &Group, owners: &Owners, index: u32) -> bool {
        let (theirs, mine) = (owners.owner(index), group.label());
        if theirs == groups::NOBODY {
            return false;
        }
        if theirs != mine {
            groups::unite(&mut self.accounts, owners, theirs, mine);
            for (account, bind) in self.accounts.iter().zip(self.binds.iter()) {
                bind.label.store(account.label(), Ordering::Relaxed);
            }
        }
        true
    }

    /// A file or a ring of a group is gone. Returns label and number of the buffers that are free now.
    pub(super) fn leave(&mut self, group: &Arc<Group>) -> Option<(u32, u32)> {
        let number = self.number(group)?;
        let left = groups::leave(&mut self.accounts, number);
        if left == Left::Open {
            return None;
        }
        // They are in the same order, and stay so.
        let _ = self.accounts.remove(number);
        let _ = self.binds.remove(number);
        match left {
            Left::Free { label, buffers } => Some((label, buffers)),
            _ => None,
        }
    }
}
