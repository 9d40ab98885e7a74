// SPDX-License-Identifier: BSD-2-Clause
//! The public names of the crate are those in `api.txt`, so that nobody changes one without noticing.
//!
//! `UPDATE_API=1 cargo test -p netmap` writes that file anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What each file declares as public: items, and fields, variants and methods with the type that they are of.
fn declared(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut owner = String::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let is_type = text.starts_with("pub struct") || text.starts_with("pub enum");
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
        if !text.starts_with("pub ") || text.starts_with("pub use") {
            continue;
        }
        // A declaration ends where its body or the next one begins.
        let mut whole = text.to_owned();
        while !whole.ends_with(['{', ';', ',', '}'])
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
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let public = declared(source.split("#[cfg(test)]\nmod tests {").next().unwrap());
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
                  pub enum Kind {\n    /// Docs.\n    One(u32),\n    Other {\n        part: u32,\n    },\n}\n";
    assert_eq!(
        declared(source),
        [
            "impl Port: pub fn long( &self, number: u32, ) -> bool",
            "pub struct Open",
            "pub struct Open: pub field: u32",
            "pub enum Kind",
            "pub enum Kind: One(u32)",
            "pub enum Kind: Other",
        ]
    );
}
