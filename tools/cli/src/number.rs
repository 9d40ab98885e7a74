// SPDX-License-Identifier: BSD-2-Clause
//! Numbers of command lines.

/// A finite number above 0.
///
/// # Errors
///
/// In words.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        Ok(_) => Err(format!("{text}: a number above 0 is needed")),
        Err(error) => Err(format!("{text}: {error}")),
    }
}

/// The same, behind which k, M or G may stand for a thousand, a million, or a thousand millions, in either case.
///
/// # Errors
///
/// In words.
pub fn with_prefix(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.chars().last() {
        Some('k' | 'K') => (&text[..text.len() - 1], 1e3),
        Some('m' | 'M') => (&text[..text.len() - 1], 1e6),
        Some('g' | 'G') => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    positive(number).map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (text, expected) in [
            ("5000", 5e3),
            ("0.5", 0.5),
            ("10k", 1e4),
            ("10K", 1e4),
            ("1.5M", 1.5e6),
            ("2m", 2e6),
            ("2G", 2e9),
        ] {
            assert_eq!(with_prefix(text), Ok(expected));
        }
        for text in ["", "k", "0", "0k", "-1", "1kk", "inf", "nan", "1t"] {
            assert!(with_prefix(text).is_err(), "{text}");
        }
    }
}
