// SPDX-License-Identifier: GPL-2.0

//! The allocator against a vector of flags.

use netmap_logic::logic::bitmap::{words_for, Bitmap, FreeFault, TooFewWords};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Alloc,
    Many(u32),
    Run(u32, u32),
    Free(u32),
    Grow(u32),
}

const WORDS: usize = 5;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Alloc),
        1 => (0u32..90).prop_map(Step::Many),
        2 => (0u32..140, 0u32..70).prop_map(|(count, align)| Step::Run(count, align)),
        6 => (0u32..340).prop_map(Step::Free),
        1 => (0u32..340).prop_map(Step::Grow),
    ]
}

fn first_run(used: &[bool], count: usize, align: usize) -> Option<usize> {
    if count == 0 {
        return None;
    }
    (0..used.len())
        .step_by(align.max(1))
        .find(|&i| i + count <= used.len() && !used[i..i + count].contains(&true))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(len in 0u32..=320, steps in prop::collection::vec(step(), 1..80)) {
        let mut words = [u64::MAX; WORDS];
        let mut map = Bitmap::new(&mut words[..], len).unwrap();
        let mut used = vec![false; len as usize];
        for step in steps {
            match step {
                Step::Alloc => {
                    let want = used.iter().position(|used| !used);
                    prop_assert_eq!(map.alloc().map(|i| i as usize), want);
                    if let Some(i) = want {
                        used[i] = true;
                    }
                }
                Step::Many(count) => {
                    let mut got = Vec::new();
                    let number = map.alloc_many(count, |i| got.push(i as usize));
                    let want: Vec<usize> = (0..used.len())
                        .filter(|&i| !used[i])
                        .take(count as usize)
                        .collect();
                    prop_assert_eq!(number as usize, want.len());
                    prop_assert_eq!(&got, &want);
                    for i in want {
                        used[i] = true;
                    }
                }
                Step::Run(count, align) => {
                    let want = first_run(&used, count as usize, align as usize);
                    prop_assert_eq!(map.alloc_run(count, align).map(|i| i as usize), want);
                    if let Some(begin) = want {
                        used[begin..begin + count as usize].fill(true);
                    }
                }
                Step::Free(i) => {
                    let want = match used.get_mut(i as usize) {
                        None => Err(FreeFault::OutOfRange),
                        Some(false) => Err(FreeFault::AlreadyFree),
                        Some(used) => {
                            *used = false;
                            Ok(())
                        }
                    };
                    prop_assert_eq!(map.free(i), want);
                }
                Step::Grow(len) => {
                    if len as usize > WORDS * 64 {
                        prop_assert_eq!(map.grow(len), Err(TooFewWords(words_for(len))));
                    } else {
                        prop_assert_eq!(map.grow(len), Ok(()));
                        used.resize(used.len().max(len as usize), false);
                    }
                }
            }
            prop_assert_eq!(map.len() as usize, used.len());
            prop_assert_eq!(map.is_empty(), used.is_empty());
            let free = used.iter().filter(|&&used| !used).count();
            prop_assert_eq!(map.free_count() as usize, free);
        }
        for i in 0..340 {
            let want = used.get(i as usize).copied().unwrap_or(false);
            prop_assert_eq!(map.is_allocated(i), want);
        }
    }
}

#[test]
fn words_are_counted() {
    assert_eq!(words_for(0), 0);
    assert_eq!(words_for(1), 1);
    assert_eq!(words_for(64), 1);
    assert_eq!(words_for(65), 2);
    assert_eq!(words_for(u32::MAX), 1 << 26);
    assert_eq!(
        Bitmap::new(&mut [0; 1][..], 65).unwrap_err(),
        TooFewWords(2)
    );
}

#[test]
fn owned_storage_works_too() {
    let mut map = Bitmap::new(vec![0u64; 2], 100).unwrap();
    assert_eq!(map.alloc_many(u32::MAX, |_| ()), 100);
    assert_eq!(map.alloc(), None);
    assert_eq!(map.free(99), Ok(()));
    assert_eq!(map.free(99), Err(FreeFault::AlreadyFree));
    assert_eq!(map.alloc(), Some(99));
}
