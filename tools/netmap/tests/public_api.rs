// SPDX-License-Identifier: BSD-2-Clause
//! The public names of the crate are those in `api.txt`, so that nobody changes one without noticing.
//!
//! `UPDATE_API=1 cargo test -p netmap` writes that file anew.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The names of the types and traits that a file declares as public.
fn types(source: &str) -> Vec<String> {
    let named = |line: &str| {
        let line = line.strip_prefix("pub ")?;
        let rest = ["struct ", "enum ", "trait ", "union "]
            .iter()
            .find_map(|kind| line.strip_prefix(kind))?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        Some(rest[..end.unwrap_or(rest.len())].to_owned())
    };
    source.lines().filter_map(named).collect()
}

/// What the line of an `impl` says, if it is of a trait for one of these types.
fn implemented(line: &str, types: &[String]) -> Option<String> {
    let text = line.strip_prefix("unsafe ").unwrap_or(line);
    let (_, target) = text.strip_prefix("impl")?.split_once(" for ")?;
    let end = target.find(|c: char| !c.is_alphanumeric() && c != '_');
    let name = &target[..end.unwrap_or(target.len())];
    types
        .iter()
        .any(|known| known == name)
        .then(|| line.trim_end_matches([' ', '{', '}']).to_owned())
}

/// What each file declares as public: items, and fields, variants and methods with the type that they are of, names of other
/// modules, and the traits of `types`.
fn declared(source: &str, types: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut owner = String::new();
    let mut derived = None;
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let is_type = text.starts_with("pub struct") || text.starts_with("pub enum");
        found.extend(implemented(line, types));
        if line.starts_with("#[derive(") {
            derived = Some(line);
        }
        if is_type && indent == 0 {
            let name = text.trim_end_matches([' ', '{', ';']);
            found.extend(derived.take().map(|derived| format!("{name}: {derived}")));
        } else if !text.starts_with("#[") && !text.starts_with("//") {
            derived = derived.filter(|_| text.starts_with("#"));
        }
        if text.starts_with("impl") || is_type {
            owner = text.trim_end_matches([' ', '{', ';']).to_owned();
        }
        let is_variant = indent == 4 && text.starts_with(char::is_uppercase);
        if owner.starts_with("pub enum") && is_variant {
            found.push(format!(
                "{owner}: {}",
                text.trim_end_matches([' ', '{', ','])
            ));
        }
        if line == "}" {
            owner.clear();
        }
        if !text.starts_with("pub ") {
            continue;
        }
        // A declaration ends where its body or the next one begins, a list of names with the whole.
        let mut whole = text.to_owned();
        let is_use = whole.starts_with("pub use");
        while is_use && !whole.ends_with(';')
            || !is_use && !whole.ends_with(['{', ';', ',', '}'])
            || whole.matches('(').count() > whole.matches(')').count()
        {
            match lines.next() {
                Some(next) => {
                    whole.push(' ');
                    whole.push_str(next.trim());
                }
                None => break,
            }
        }
        let whole = whole.trim_end_matches([' ', '{', ';', ',']);
        match indent {
            0 => found.push(whole.to_owned()),
            _ => found.push(format!("{owner}: {whole}")),
        }
    }
    found
}

fn listed(sources: &Path) -> String {
    let mut files: Vec<_> = fs::read_dir(sources)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.to_string_lossy().ends_with("_tests.rs"))
        .collect();
    files.sort();
    let mut text = String::new();
    let read = |file: &PathBuf| {
        let source = fs::read_to_string(file).unwrap();
        let own = source.split("#[cfg(test)]\nmod tests {").next();
        own.unwrap_or_default().to_owned()
    };
    let types: Vec<_> = files.iter().flat_map(|file| types(&read(file))).collect();
    for file in &files {
        let public = declared(&read(file), &types);
        if !public.is_empty() {
            writeln!(text, "# {}", file.file_name().unwrap().to_string_lossy()).unwrap();
        }
        for name in public {
            writeln!(text, "{name}").unwrap();
        }
    }
    text
}

#[test]
fn the_public_names_are_those_in_the_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (now, list) = (listed(&root.join("src")), root.join("api.txt"));
    if std::env::var_os("UPDATE_API").is_some() {
        fs::write(&list, &now).unwrap();
    }
    let before = fs::read_to_string(&list).unwrap_or_default();
    let gone: Vec<_> = before
        .lines()
        .filter(|line| !now.lines().any(|l| l == *line))
        .collect();
    let new: Vec<_> = now
        .lines()
        .filter(|line| !before.lines().any(|l| l == *line))
        .collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "api.txt has {gone:#?}, the sources {new:#?}: UPDATE_API=1 cargo test -p netmap"
    );
}

#[test]
fn a_public_name_is_found() {
    let source = "impl Port {\n    /// Docs.\n    pub fn long(\n        &self,\n        number: u32,\n    ) -> bool {\n        true\n    }\n}\n\
                  pub struct Open {\n    pub field: u32,\n    private: u32,\n}\npub(crate) fn hidden() {}\n\
                  pub enum Kind {\n    /// Docs.\n    One(u32),\n    Other {\n        part: u32,\n    },\n}\n\
                  #[derive(Clone, Copy)]\npub struct Tuple(u32);\npub use port::{\n    Port, Ring,\n};\n\
                  #[derive(Debug)]\nstruct Hidden;\nunsafe impl Send for Hidden {}\nunsafe impl Send for Open {}\nimpl<T> From<T> for Kind {\n}\n";
    let types = types(source);
    assert_eq!(types, ["Open", "Kind", "Tuple"]);
    assert_eq!(
        declared(source, &types),
        [
            "impl Port: pub fn long( &self, number: u32, ) -> bool",
            "pub struct Open",
            "pub struct Open: pub field: u32",
            "pub enum Kind",
            "pub enum Kind: One(u32)",
            "pub enum Kind: Other",
            "pub struct Tuple(u32): #[derive(Clone, Copy)]",
            "pub struct Tuple(u32)",
            "pub use port::{ Port, Ring, }",
            "unsafe impl Send for Open",
            "impl<T> From<T> for Kind",
        ]
    );
}

/// What no declaration says: which types threads may have.
#[test]
fn threads_may_have_ports_and_rings() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<netmap::Port>();
    send::<netmap::StackPort>();
    send::<netmap::TxRing>();
    send::<netmap::RxRing>();
    send::<netmap::ExtraBuf>();
    send::<netmap::Binding>();
    sync::<netmap::Binding>();
    send::<netmap::OpenError>();
    sync::<netmap::OpenError>();
}
