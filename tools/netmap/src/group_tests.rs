// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use core::ptr::NonNull;

fn region() -> Arc<Region> {
    // SAFETY: of no octets, so that the address does not matter.
    unsafe { Region::fake(NonNull::dangling(), 0) }
}

/// A member, and what tells whether its file is open.
fn member(region: &Arc<Region>) -> (Arc<Member>, Weak<()>) {
    let file = Arc::new(());
    let open = Arc::downgrade(&file);
    (Member::new(region, file), open)
}

fn is_open(file: &Weak<()>) -> bool {
    file.strong_count() != 0
}

#[test]
fn a_file_is_closed_with_its_last_view() {
    let region = region();
    let ((a, file_a), (b, file_b)) = (member(&region), member(&region));
    a.meet(&a);
    drop(a);
    assert_eq!((is_open(&file_a), is_open(&file_b)), (false, true));
    drop(b);
    assert!(!is_open(&file_b));
}

#[test]
fn files_that_have_exchanged_buffers_are_closed_together() {
    let region = region();
    let ((a, file_a), (b, file_b)) = (member(&region), member(&region));
    a.meet(&b);
    b.meet(&a);
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
    a.meet(&b);
    drop(a);
    c.meet(&d);
    b.meet(&c);
    drop((b, c));
    assert!(open.iter().all(is_open));
    drop(d);
    assert!(!open.iter().any(is_open));
}

#[test]
fn who_views_a_ring_again_gets_what_was_exchanged_with_it() {
    let region = region();
    let ((a, file_a), (b, file_b)) = (member(&region), member(&region));
    b.view(512);
    a.meet(&b);
    drop(b);
    let ((again, _), (other, _)) = (member(&region), member(&region));
    again.view(512);
    other.view(256);
    drop(a);
    assert!(is_open(&file_a) && is_open(&file_b));
    drop(again);
    assert!(!is_open(&file_a) && !is_open(&file_b));
    drop(other);
}

#[test]
fn threads_make_one_group() {
    let region = region();
    let files = [(); 4].map(|()| member(&region));
    std::thread::scope(|scope| {
        for (one, other) in [(0, 1), (2, 3), (1, 2), (3, 0)] {
            let (one, other) = (&files[one].0, &files[other].0);
            scope.spawn(move || one.meet(other));
        }
    });
    let open = files.clone().map(|(_, file)| file);
    let [_, _, _, (last, _)] = { files };
    assert!(open.iter().all(is_open));
    drop(last);
    assert!(!open.iter().any(is_open));
}
