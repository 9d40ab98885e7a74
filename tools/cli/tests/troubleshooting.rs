// SPDX-License-Identifier: BSD-2-Clause
//! Documentation/troubleshooting.md is keyed by what the programs and the kernel say: each error of the programs and of the crate has
//! a row, and each row is said by somebody.

use std::fs;
use std::path::{Path, PathBuf};

/// The crate, and the programs that are documented by their errors.
const SOURCES: [&str; 12] = [
    "bridge", "capture", "cli", "ctl", "dump", "echo", "http", "lb", "netmap", "pkt-gen", "replay",
    "vale",
];

/// Files about the command line alone: what is wrong there is said in full, and --help tells more.
const COMMAND_LINE: [&str; 6] = [
    "args.rs",
    "addresses.rs",
    "contradictions.rs",
    "name.rs",
    "name_options.rs",
    "number.rs",
];

/// Errors without a row: what they say of the command line is all that there is to say, or they say what to do themselves.
const EXCEPTIONS: [&str; 9] = [
    "several threads need a port name without ring selection",
    "there is no CPU …",
    "cannot run on CPU …",
    "--check needs packets of … octets or more",
    "packets are no text for a terminal",
    "is no port of a VALE switch",
    "top needs a terminal",
    "cannot handle signal …",
    "…: the port has no …",
];

/// What code ends with before the text of an error, without white space.
const BEFORE_ERRORS: [&str; 11] = [
    "Err(",
    "Err(format!(",
    "#[error(",
    "Unfit(",
    "Unfit(format!(",
    "|format!(",
    "||",
    "ok_or(",
    "write_str(",
    "write!(f,",
    "reason=format!(",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Rust files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.to_string_lossy().ends_with("_tests.rs")
        {
            found.push(path);
        }
    }
    found
}

/// A string of a source.
struct Literal {
    /// The code before it, since the last string, without white space.
    before: String,
    /// What is different each time is `…`.
    text: String,
}

/// The strings of a source, without those of its tests.
fn literals(source: &str) -> Vec<Literal> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let mut found = Vec::new();
    let mut before = String::new();
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => {
                rest.by_ref().find(|c| *c == '\n');
            }
            '\'' => {
                // A character, or the name of a lifetime, which no quote ends.
                let mut ahead = rest.clone();
                let escaped = ahead.next() == Some('\\');
                let length = match escaped {
                    true => ahead.position(|c| c == '\'').map(|at| at + 2),
                    false => (ahead.next() == Some('\'')).then_some(2),
                };
                rest.by_ref().take(length.unwrap_or(0)).for_each(drop);
            }
            '"' => {
                let mut text = String::new();
                while let Some(c) = rest.next().filter(|c| *c != '"') {
                    match c {
                        '\\' => match rest.next() {
                            Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                            Some('n') => text.push('\n'),
                            other => text.extend(other),
                        },
                        '{' if rest.next_if_eq(&'{').is_some() => text.push('{'),
                        '}' if rest.next_if_eq(&'}').is_some() => text.push('}'),
                        '{' => {
                            rest.by_ref().find(|c| *c == '}');
                            text.push('…');
                        }
                        c => text.push(c),
                    }
                }
                found.push(Literal {
                    before: core::mem::take(&mut before),
                    text,
                });
            }
            c if c.is_whitespace() => {}
            c => before.push(c),
        }
    }
    found
}

/// What the files below a directory say.
fn said_below(directory: &str) -> Vec<String> {
    files(&top().join(directory))
        .iter()
        .flat_map(|path| literals(&fs::read_to_string(path).unwrap()))
        .map(|literal| literal.text)
        .collect()
}

/// The errors of the programs and the crate, each with its file.
fn errors() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for source in SOURCES {
        for path in files(&top().join("tools").join(source).join("src")) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if COMMAND_LINE.contains(&name) {
                continue;
            }
            for literal in literals(&fs::read_to_string(&path).unwrap()) {
                // What to do about it is as much a part of the error.
                let is_error = BEFORE_ERRORS
                    .iter()
                    .any(|end| literal.before.ends_with(end))
                    || name == "refusal.rs";
                if is_error && is_told(&literal.text) {
                    found.push((path.clone(), literal.text));
                }
            }
        }
    }
    found
}

/// Whether something is said: three words or more. Less is between what others have said.
fn is_told(text: &str) -> bool {
    let is_word = |word: &&str| word.chars().any(char::is_alphabetic);
    text.split_whitespace().filter(is_word).count() >= 3
}

/// The first cells of the tables, each with the heading that it is below.
fn keys() -> Vec<(String, String)> {
    let page = fs::read_to_string(top().join("Documentation/troubleshooting.md")).unwrap();
    let mut heading = String::new();
    let mut keys = Vec::new();
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text.to_owned();
        } else if line.starts_with("| `") {
            let cell = line.trim_start_matches("| ").split(" | ").next().unwrap();
            let spans = cell.split('`').skip(1).step_by(2);
            keys.extend(spans.map(|key| (heading.clone(), key.to_owned())));
        }
    }
    keys
}

#[test]
fn each_row_is_said_by_somebody() {
    let programs: Vec<String> = SOURCES
        .iter()
        .flat_map(|source| said_below(&format!("tools/{source}/src")))
        .collect();
    let module = said_below("rust");
    let build = fs::read_to_string(top().join("scripts/kernel-metadata")).unwrap();
    let keys = keys();
    assert!(keys.len() > 20, "{keys:?}");
    for (heading, key) in keys {
        assert!(key.contains(' '), "{key:?} may be said of anything");
        if heading == "When the module is built" {
            let missing = key.split('…').find(|part| !build.contains(part));
            assert_eq!(missing, None, "of {key:?}");
            continue;
        }
        let said = match heading.as_str() {
            "What the log says" => &module,
            _ => &programs,
        };
        let is_said = said.iter().any(|text| text.contains(&key));
        assert!(is_said, "nobody says {key:?}");
    }
}

#[test]
fn each_error_has_a_row() {
    let keys = keys();
    let errors = errors();
    assert!(errors.len() > 40, "{errors:?}");
    let has_row = |text: &str| {
        let keys = keys.iter().map(|(_, key)| key.as_str());
        keys.chain(EXCEPTIONS).any(|key| text.contains(key))
    };
    let missing: Vec<_> = errors.iter().filter(|(_, text)| !has_row(text)).collect();
    assert!(missing.is_empty(), "errors without a row: {missing:#?}");
    for exception in EXCEPTIONS {
        let is_said = errors.iter().any(|(_, text)| text.contains(exception));
        assert!(is_said, "nobody says {exception:?}");
    }
}

#[test]
fn strings_are_found() {
    let source = r##"
        // "a comment"
        fn of<'a>(c: char) -> &'a str {
            let _ = ['"', '\'', '\n'];
            Err(format!("{name}: two \
                lines, {{braces}} and \"quotes\""))
        }
        #[cfg(test)]
        const T: &str = "a test";
    "##;
    let found = literals(source);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].text, "…: two lines, {braces} and \"quotes\"");
    assert!(found[0].before.ends_with("Err(format!("));
}
