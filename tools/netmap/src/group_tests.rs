// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use core::ptr::NonNull;
use std::sync::atomic::AtomicUsize;

fn region() -> Arc<Region> {
    // SAFETY: of no octets, so that the address does not matter.
    unsafe { Region::fake(NonNull::dangling(), 0) }
}

/// A member, and what tells whether its file is open.
fn member(region: &Arc<Region>) -> (Arc<Member>, Weak<AtomicUsize>) {
    let file = Arc::<AtomicUsize>::default();
    let open = Arc::downgrade(&file);
    (Member::new(region, file), open)
}

fn is_open(file: &Weak<AtomicUsize>) -> bool {
    file.strong_count() != 0
}

fn exchange(one: &Member, other: &Member) {
    one.label().meet(other.label());
}

#[test]
fn a_file_is_closed_with_its_last_view() {
    let region = region();
    let ((a, file_a), (b, file_b)) = (member(&region), member(&region));
    exchange(&a, &a);
    let view = Arc::clone(&a);
    drop(a);
    assert_eq!((is_open(&file_a), is_open(&file_b)), (true, true));
    drop(view);
    assert_eq!((is_open(&file_a), is_open(&file_b)), (false, true));
    drop(b);
    assert!(!is_open(&file_b));
}

#[test]
fn files_that_have_exchanged_buffers_are_closed_together() {
    let region = region();
    let ((a, file_a), (b, file_b)) = (member(&region), member(&region));
    exchange(&a, &b);
    exchange(&b, &a);
    drop(a);
    assert!(is_open(&file_a) && is_open(&file_b));
    drop(b);
    assert!(!is_open(&file_a) && !is_open(&file_b));
}

#[test]
fn a_buffer_may_have_come_by_way_of_others() {
    let region = region();
    let files = [(); 4].map(|()| member(&region));
    let open = files.clone().map(|(_, file)| file);
    let [(a, _), (b, _), (c, _), (d, _)] = files;
    exchange(&a, &b);
    drop(a);
    exchange(&c, &d);
    exchange(&b, &c);
    drop((b, c));
    assert!(open.iter().all(is_open));
    drop(d);
    assert!(!open.iter().any(is_open));
}

#[test]
fn who_binds_a_ring_again_gets_what_was_exchanged_with_it() {
    let region = region();
    let ((a, file_a), (b, file_b)) = (member(&region), member(&region));
    b.hold(512);
    exchange(&a, &b);
    drop(b);
    let ((again, _), (other, _)) = (member(&region), member(&region));
    again.hold(512);
    other.hold(256);
    drop(a);
    assert!(is_open(&file_a) && is_open(&file_b));
    drop(again);
    assert!(!is_open(&file_a) && !is_open(&file_b));
    drop(other);
}

/// The first file keeps the ring in use, and its slots may hold extra buffers of the second.
#[test]
fn files_of_one_ring_are_closed_together() {
    let region = region();
    let ((first, file), (second, other)) = (member(&region), member(&region));
    first.hold(512);
    second.hold(512);
    drop(second);
    assert!(is_open(&file) && is_open(&other));
    drop(first);
    assert!(!is_open(&file) && !is_open(&other));
    // Their ring is another one's now.
    let (third, third_file) = member(&region);
    third.hold(512);
    drop(third);
    assert!(!is_open(&third_file));
}

/// The ring stays with those that may have put something into it, when all members of its own file are gone.
#[test]
fn a_ring_outlives_its_views() {
    let region = region();
    let [(a, file_a), (b, file_b), (c, file_c)] = [(); 3].map(|()| member(&region));
    a.hold(512);
    exchange(&a, &b);
    drop(a);
    c.hold(512);
    drop(b);
    assert!([&file_a, &file_b, &file_c].into_iter().all(is_open));
    drop(c);
    assert!(![&file_a, &file_b, &file_c].into_iter().any(is_open));
}

#[test]
fn what_was_released_is_given_back_once() {
    let region = region();
    let files = [(); 2].map(|()| Arc::<AtomicUsize>::default());
    let [a, b] = files
        .clone()
        .map(|file| Member::new(&region, file as Arc<dyn File>));
    let released = || files.clone().map(|file| file.load(Ordering::Relaxed));
    exchange(&a, &b);
    let view = Arc::clone(&a);
    drop(a);
    assert_eq!(released(), [0, 0]);
    drop(view);
    assert_eq!(released(), [1, 0]);
    drop(b);
    assert_eq!(released(), [1, 1]);
    assert!(files.iter().all(|file| Arc::strong_count(file) == 1));
}

#[test]
fn threads_make_one_group() {
    let region = region();
    let files = [(); 4].map(|()| member(&region));
    std::thread::scope(|scope| {
        for (one, other) in [(0, 1), (2, 3), (1, 2), (3, 0)] {
            let (one, other) = (&files[one].0, &files[other].0);
            scope.spawn(move || exchange(one, other));
        }
    });
    let open = files.clone().map(|(_, file)| file);
    let [_, _, _, (last, _)] = { files };
    assert!(open.iter().all(is_open));
    drop(last);
    assert!(!open.iter().any(is_open));
}

/// What others do at the same time keeps nothing open: each thread finds its file closed when its drop has returned.
#[test]
fn a_drop_closes_while_others_open_and_exchange() {
    let region = region();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let region = &region;
            scope.spawn(move || {
                for turn in 0..500 {
                    let ((a, file_a), (b, file_b)) = (member(region), member(region));
                    a.hold(thread * 500 + turn);
                    exchange(&a, &b);
                    drop(a);
                    drop(b);
                    assert!(!is_open(&file_a) && !is_open(&file_b));
                }
            });
        }
    });
    let groups = lock(region.groups());
    assert!(groups.groups.is_empty() && groups.rings.is_empty());
}

/// A file that is about to be closed keeps its ring in use until then: who binds the ring before gets what is in its slots.
#[test]
fn no_group_ends_while_a_ring_is_bound() {
    let region = region();
    let (old, file) = member(&region);
    old.hold(512);
    let binds = lock(&BINDS);
    let (new, new_file) = std::thread::scope(|scope| {
        let open = file.upgrade().unwrap();
        scope.spawn(move || drop(old));
        while open.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let (new, new_file) = member(&region);
        new.hold(512);
        drop(binds);
        (new, new_file)
    });
    assert!(is_open(&file) && is_open(&new_file));
    drop(new);
    assert!(!is_open(&file) && !is_open(&new_file));
}

/// Each of 500 files, of four rings, has exchanged buffers with all others.
fn moved(exchanges: impl Fn(&[(Arc<Member>, Weak<AtomicUsize>)])) -> usize {
    const FILES: usize = 500;
    let region = region();
    let mut files: Vec<_> = (0..FILES).map(|_| member(&region)).collect();
    for (number, (file, _)) in files.iter().enumerate() {
        for ring in 0..4 {
            file.hold(number * 4 + ring);
        }
    }
    exchanges(&files);
    let groups = lock(region.groups());
    assert_eq!((groups.groups.len(), groups.rings.len()), (1, 4 * FILES));
    let moved = groups.moved;
    drop(groups);
    let (last, file) = files.remove(FILES / 2);
    assert!(files.iter().all(|(_, file)| is_open(file)));
    drop(files);
    assert!(is_open(&file));
    drop(last);
    assert!(!is_open(&file));
    moved
}

/// A file, its four rings and its member: so much changes groups, in each union of the smaller of the two.
const EACH: usize = 6;

#[test]
fn a_union_costs_no_more_than_the_smaller_group() {
    // As a port with its pipes: one is added at a time.
    let star = moved(|files| {
        for (file, _) in files {
            exchange(&files[0].0, file);
        }
    });
    assert_eq!(star, 499 * EACH);
    let chain = moved(|files| {
        for two in files.windows(2) {
            exchange(&two[1].0, &two[0].0);
        }
    });
    assert_eq!(chain, 499 * EACH);
    // Groups of one size, the worst order: no file moves more often than groups can double.
    let tree = moved(|files| {
        for step in (0..9).map(|log| 1 << log) {
            for two in files.chunks(2 * step).filter(|two| two.len() > step) {
                exchange(&two[0].0, &two[step].0);
            }
        }
    });
    assert!(tree > 499 * EACH && tree <= 500 * EACH * 9, "{tree}");
}
