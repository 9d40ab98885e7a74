// SPDX-License-Identifier: GPL-2.0

//! Sets of rings.

use netmap_logic::logic::ringset::{RingSet, MAX_RINGS};
use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #[test]
    fn holds_what_was_inserted(rings in prop::collection::vec((any::<bool>(), 0..MAX_RINGS + 4), 0..64)) {
        let mut set = RingSet::default();
        let mut model = BTreeSet::new();
        for (transmit, ring) in rings {
            set.insert(transmit, ring);
            if ring < MAX_RINGS {
                model.insert((!transmit, ring));
            }
        }
        let found: Vec<_> = set.iter().map(|(transmit, ring)| (!transmit, ring)).collect();
        prop_assert_eq!(set.is_empty(), model.is_empty());
        prop_assert_eq!(found, model.into_iter().collect::<Vec<_>>());
    }
}
