// SPDX-License-Identifier: BSD-2-Clause
//! The grammar of the options behind a port's name, as `libnetmap.h` describes it: `@NAME`, `@NAME=VALUE`, `@NAME:KEY=VALUE,KEY,...`.

use crate::name::shown;

/// Why options make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// Something else before the first option.
    #[error("options begin with '@', not with {0:?}")]
    NoAt(String),
    /// Nothing after an `@`.
    #[error("an option without a name")]
    Empty,
    /// An equals sign at an option's end.
    #[error("option {0}: no value after '='")]
    NoValue(String),
    /// Nothing where a key was expected.
    #[error("option {option}: a key without a name")]
    NoKey {
        /// The option's name.
        option: String,
    },
    /// An equals sign at a key's end.
    #[error("option {option}: no value for key {key}")]
    NoKeyValue {
        /// The option's name.
        option: String,
        /// The key's.
        key: String,
    },
}

/// What an option says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'t> {
    /// Nothing.
    None,
    /// A value for the option's default key.
    Value(&'t [u8]),
    /// Keys, where `-` has become `_`, and the values of those that have one.
    Keys(Vec<(Vec<u8>, Option<&'t [u8]>)>),
}

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opt<'t> {
    /// Its name.
    pub name: &'t [u8],
    /// What it says.
    pub body: Body<'t>,
}

/// The options of a text, which is empty or begins with an `@`.
///
/// # Errors
///
/// See [`OptionError`].
pub fn options(text: &[u8]) -> Result<Vec<Opt<'_>>, OptionError> {
    let Some((first, rest)) = text.split_first() else {
        return Ok(Vec::new());
    };
    if *first != b'@' {
        return Err(OptionError::NoAt(shown(text)));
    }
    rest.split(|octet| *octet == b'@').map(option).collect()
}

fn option(text: &[u8]) -> Result<Opt<'_>, OptionError> {
    let end = text.iter().position(|octet| matches!(octet, b':' | b'='));
    let (name, body) = text.split_at(end.unwrap_or(text.len()));
    if name.is_empty() {
        return Err(OptionError::Empty);
    }
    let body = match body.split_first() {
        None => Body::None,
        Some((b'=', [])) => return Err(OptionError::NoValue(shown(name))),
        Some((b'=', value)) => Body::Value(value),
        Some((_, keys)) => {
            let keys = keys
                .split(|octet| *octet == b',')
                .map(|text| key(name, text));
            Body::Keys(keys.collect::<Result<_, _>>()?)
        }
    };
    Ok(Opt { name, body })
}

fn key<'t>(option: &[u8], text: &'t [u8]) -> Result<(Vec<u8>, Option<&'t [u8]>), OptionError> {
    let mut parts = text.splitn(2, |octet| *octet == b'=');
    let name = parts.next().unwrap_or_default();
    let value = parts.next();
    if name.is_empty() {
        return Err(OptionError::NoKey {
            option: shown(option),
        });
    }
    if value.is_some_and(<[u8]>::is_empty) {
        return Err(OptionError::NoKeyValue {
            option: shown(option),
            key: shown(name),
        });
    }
    let dash_is_underscore = |octet: &u8| match octet {
        b'-' => b'_',
        other => *other,
    };
    Ok((name.iter().map(dash_is_underscore).collect(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Result<Vec<Opt<'_>>, OptionError> {
        options(text.as_bytes())
    }

    fn one(text: &str) -> Body<'_> {
        let mut found = of(text).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, b"opt");
        found.remove(0).body
    }

    #[test]
    fn bodies() {
        assert_eq!(of(""), Ok(vec![]));
        assert_eq!(one("@opt"), Body::None);
        assert_eq!(one("@opt=a=b:c,d"), Body::Value(b"a=b:c,d"));
        let keys = vec![
            (b"tx_rings".to_vec(), Some(&b"1"[..])),
            (b"file".to_vec(), Some(&b"/a-b=c"[..])),
            (b"alone".to_vec(), None),
        ];
        assert_eq!(one("@opt:tx-rings=1,file=/a-b=c,alone"), Body::Keys(keys));
    }

    #[test]
    fn several() {
        let names: Vec<_> = of("@conf:rings=1@share=netmap:x@y").unwrap();
        let names: Vec<_> = names.iter().map(|option| shown(option.name)).collect();
        assert_eq!(names, ["conf", "share", "y"]);
    }

    #[test]
    fn what_makes_no_sense() {
        assert_eq!(of("conf"), Err(OptionError::NoAt("conf".into())));
        for text in ["@", "@@conf=1", "@conf=1@", "@=1", "@:a=1"] {
            assert_eq!(of(text), Err(OptionError::Empty), "{text}");
        }
        assert_eq!(of("@opt="), Err(OptionError::NoValue("opt".into())));
        let option = || "opt".to_owned();
        for text in ["@opt:", "@opt:=1", "@opt:a=1,", "@opt:,a=1"] {
            assert_eq!(
                of(text),
                Err(OptionError::NoKey { option: option() }),
                "{text}"
            );
        }
        let key = "a-b".to_owned();
        let no_value = OptionError::NoKeyValue {
            option: option(),
            key,
        };
        assert_eq!(of("@opt:a-b=,c=1"), Err(no_value));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text: Vec<u8>) {
            let _ = options(&text);
        }
    }
}
