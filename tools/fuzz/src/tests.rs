// SPDX-License-Identifier: BSD-2-Clause
//! Programs as text, without a kernel.

use crate::machine::Mapping;
use crate::operations::OPERATIONS;
use crate::program::Program;
use crate::{domain::Domain, journal, seeds::SEEDS};
use fastrand::Rng;
use proptest::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_says_all_of_a_program(seed: u64) {
        let rng = &mut Rng::with_seed(seed);
        let (first, second) = (Program::draw(rng), Program::draw(rng));
        for program in [first.mutated(&second, rng), first] {
            let text = program.to_string();
            prop_assert_eq!(Program::parse(&text), Ok(program));
        }
    }

    #[test]
    fn chance_is_the_seed(seed: u64) {
        let draw = || {
            let rng = &mut Rng::with_seed(seed);
            let program = Program::draw(rng);
            program.mutated(&program, rng)
        };
        prop_assert_eq!(draw(), draw());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[&a-z =;#0-9x|,_\n]{0,80}") {
        if let Ok(program) = Program::parse(&text) {
            prop_assert_eq!(Program::parse(&program.to_string()), Ok(program));
        }
    }
}

#[test]
fn names_are_unique() {
    let mut operations = HashSet::new();
    for operation in OPERATIONS {
        assert!(operations.insert(operation.name), "{}", operation.name);
        let mut args = HashSet::new();
        for arg in operation.args {
            assert!(args.insert(arg.name), "{} {}", operation.name, arg.name);
            if let Domain::Row(table) | Domain::List(table) = arg.domain {
                let names: HashSet<_> = (0..table.count()).map(|i| table.name(i)).collect();
                assert_eq!(names.len() as u64, table.count(), "{}", arg.name);
            }
            if let Domain::Value(rows, _) | Domain::Bits(rows, _) = arg.domain {
                for row in rows {
                    assert!(
                        row.name.starts_with(|c: char| c.is_ascii_alphabetic()),
                        "{}",
                        row.name
                    );
                }
            }
            if let Domain::List(table) = arg.domain {
                assert!(table.count() < 16);
            }
        }
    }
}

#[test]
fn chance_reaches_every_operation() {
    let rng = &mut Rng::with_seed(1);
    let drawn: HashSet<_> = (0..1000)
        .flat_map(|_| Program::draw(rng).steps)
        .map(|step| step.operation)
        .collect();
    assert_eq!(drawn.len(), OPERATIONS.len());
}

#[test]
fn the_seeds_are_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files: Vec<_> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let names: Vec<_> = SEEDS
        .iter()
        .map(|(name, _)| format!("{name}.txt"))
        .collect();
    assert_eq!(files, names);
}

#[test]
fn the_seeds_have_every_operation() {
    let mut operations = HashSet::new();
    for (name, text) in SEEDS {
        let program = Program::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        operations.extend(program.steps.iter().map(|step| step.operation));
    }
    let missing: Vec<_> = OPERATIONS
        .iter()
        .enumerate()
        .filter(|(i, _)| !operations.contains(i))
        .map(|(_, operation)| operation.name)
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_last_program_of_a_journal_is_found() {
    let text = "section .text 0x1\nstart 1 open\nnew 1 2\nstart 2 close; die\nfinding x\n";
    assert_eq!(journal::last_program(text), Some("close; die"));
    assert_eq!(journal::last_program("open\nclose\n"), None);
}

#[test]
fn nothing_outside_of_a_mapping_is_told() {
    let mapping = Mapping {
        address: 0x7000_0000,
        length: 0x4000,
        offset: 0x1000,
        layout: None,
    };
    assert_eq!(mapping.at(0x1000), 0x7000_0000);
    assert_eq!(mapping.at(0x4000), 0x7000_3000);
    for outside in [0, 0xfff, 0x5000, 0x4fff, u64::MAX] {
        assert_eq!(mapping.at(outside), 0, "{outside:#x}");
    }
}
