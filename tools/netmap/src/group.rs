// SPDX-License-Identifier: BSD-2-Clause
//! Which files stay open as long as a view can reach their buffers.
//!
//! The kernel frees the buffers of a file when it is closed, but for those that it has seen in slots of another one. An exchange
//! is seen only when the slot is handed over and the kernel has taken it, and no event tells when that was. So files whose
//! views have exchanged buffers are a *group* here, as they will be in the kernel, and each view of the group keeps all of its
//! files open. An exchange within a group, which is each but the first, costs a comparison of two numbers.

use crate::region::{lock, Region};
use std::any::Any;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// Numbers of groups are never used again.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// An open file, and the rings of it that there were views of.
#[derive(Debug)]
struct File {
    rings: Mutex<HashSet<usize>>,
    /// The binding.
    _open: Arc<dyn Any + Send + Sync>,
}

/// What all views of one file have in common: it keeps that file and all of its group open.
///
/// # Invariants
///
/// - Members with the same number keep the same files, or more.
/// - A buffer that a view of a member can reach is of one of these files.
#[derive(Debug)]
pub(crate) struct Member {
    /// Unmapped before the files are closed, as a binding's.
    region: Arc<Region>,
    group: AtomicU64,
    own: Arc<File>,
    kept: Mutex<Vec<Arc<File>>>,
}

impl Member {
    /// A group of one file, whose binding is `open`.
    pub(crate) fn new(region: &Arc<Region>, open: Arc<dyn Any + Send + Sync>) -> Arc<Member> {
        let own = Arc::new(File {
            rings: Mutex::default(),
            _open: open,
        });
        let member = Arc::new(Member {
            region: Arc::clone(region),
            group: AtomicU64::new(NEXT.fetch_add(1, Ordering::Relaxed)),
            kept: Mutex::new(vec![Arc::clone(&own)]),
            own,
        });
        lock(region.members()).push(Arc::downgrade(&member));
        member
    }

    /// The region that the files are bound to.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Before a view of this member exchanges a buffer with one of `other`, in the same region.
    #[inline(always)]
    pub(crate) fn meet(&self, other: &Member) {
        // Groups only ever grow: numbers that were equal stay so.
        if self.group.load(Ordering::Acquire) != other.group.load(Ordering::Acquire) {
            self.unite(other);
        }
    }

    /// Before there is a view of the ring at `offset`. If another file of the ring is kept open by those it has exchanged buffers
    /// with, the slots hold what was exchanged.
    pub(crate) fn view(&self, offset: usize) {
        let members = live(&mut lock(self.region.members()));
        let had =
            |file: &Arc<File>| !Arc::ptr_eq(file, &self.own) && lock(&file.rings).contains(&offset);
        for member in &members {
            let exchanged = {
                let kept = lock(&member.kept);
                kept.len() > 1 && kept.iter().any(had)
            };
            if exchanged {
                self.meet(member);
            }
        }
        lock(&self.own.rings).insert(offset);
    }

    /// Makes two groups one.
    #[cold]
    #[inline(never)]
    fn unite(&self, other: &Member) {
        // One at a time: both numbers are read again, as another thread may have done it.
        let mut registered = lock(self.region.members());
        let members = live(&mut registered);
        let (mine, theirs) = (
            self.group.load(Ordering::Relaxed),
            other.group.load(Ordering::Relaxed),
        );
        let both: Vec<_> = members
            .iter()
            .filter(|member| [mine, theirs].contains(&member.group.load(Ordering::Relaxed)))
            .collect();
        let mut files: Vec<Arc<File>> = Vec::new();
        for member in &both {
            for file in lock(&member.kept).iter() {
                if !files.iter().any(|known| Arc::ptr_eq(known, file)) {
                    files.push(Arc::clone(file));
                }
            }
        }
        // INVARIANT: what each of them can reach, the other may reach after the exchange.
        for member in &both {
            lock(&member.kept).clone_from(&files);
        }
        for member in &both {
            member.group.store(mine, Ordering::Release);
        }
        // Before `members`, the last of which may close a file.
        drop(registered);
    }
}

/// Those that are not gone.
fn live(registered: &mut Vec<Weak<Member>>) -> Vec<Arc<Member>> {
    registered.retain(|member| member.strong_count() != 0);
    registered.iter().filter_map(Weak::upgrade).collect()
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
