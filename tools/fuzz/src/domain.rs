// SPDX-License-Identifier: BSD-2-Clause
//! What an argument of an operation can be: how it is drawn, changed, written and read.

use fastrand::Rng;

/// A line of a table: what it is called in a program's text, and what it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Row<T> {
    /// Letters, digits and `_`.
    pub name: &'static str,
    /// What it stands for.
    pub value: T,
}

/// Shorthand for the tables.
pub const fn row<T>(name: &'static str, value: T) -> Row<T> {
    Row { name, value }
}

/// The names of a table, whatever its lines stand for.
pub trait Names: Sync {
    /// The number of lines.
    fn count(&self) -> u64;
    /// The name of a line.
    fn name(&self, index: u64) -> Option<&'static str>;
}

impl<T: Sync, const N: usize> Names for [Row<T>; N] {
    fn count(&self) -> u64 {
        N as u64
    }

    fn name(&self, index: u64) -> Option<&'static str> {
        self.get(usize::try_from(index).ok()?).map(|row| row.name)
    }
}

/// The line of a table for an argument of [`Domain::Row`]; the arguments of a program are always within it.
pub fn line<T, const N: usize>(table: &'static [Row<T>; N], value: u64) -> &'static T {
    &table[usize::try_from(value).unwrap_or(0) % N].value
}

/// Entries of a [`Domain::List`] at most, 4 bits each.
const LIST: u32 = 8;

/// The values an argument can have. 0 is in all of them, and is what an argument has that a program leaves out.
pub enum Domain {
    /// A number below this one.
    Below(u64),
    /// A line of a table, of which the first is the usual one.
    Row(&'static dyn Names),
    /// One of these values, or seldom any number of so many bits.
    Value(&'static [Row<u64>], u32),
    /// Some of these bits, or seldom any number of so many bits.
    Bits(&'static [Row<u64>], u32),
    /// Some lines of a table of at most 15, in any order.
    List(&'static dyn Names),
    /// A number of so many bits, mostly near one of these.
    Number(&'static [u64], u32),
}

fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits.clamp(1, 64))
}

/// Any number of so many bits, small ones as likely as large ones.
fn any(rng: &mut Rng, bits: u32) -> u64 {
    rng.u64(..) & mask(rng.u32(1..=bits.max(1)))
}

impl Domain {
    /// A value, drawn.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        match *self {
            Domain::Below(limit) => rng.u64(..limit),
            Domain::Row(_) if rng.bool() => 0,
            Domain::Row(table) => rng.u64(..table.count()),
            Domain::Value(rows, bits) => match rng.choice(rows) {
                Some(row) if rng.u8(..16) != 0 => row.value,
                _ => any(rng, bits),
            },
            Domain::Bits(rows, bits) => {
                if rng.u8(..32) == 0 {
                    return any(rng, bits);
                }
                let mut value = 0;
                for _ in 0..rng.u32(..3) {
                    value |= rng.choice(rows).map_or(0, |row| row.value);
                }
                value
            }
            Domain::List(table) => {
                let mut value = 0;
                for _ in 0..rng.u32(..4) {
                    value = (value << 4) | (1 + rng.u64(..table.count()));
                }
                value
            }
            Domain::Number(near, bits) => match rng.choice(near) {
                Some(value) if rng.u8(..8) != 0 => {
                    let step = [0, 0, 0, 1, u64::MAX][rng.usize(..5)];
                    value.wrapping_add(step) & mask(bits)
                }
                _ => any(rng, bits),
            },
        }
    }

    /// Another value, not far from this one where there is a distance.
    pub fn change(&self, rng: &mut Rng, value: u64) -> u64 {
        match *self {
            Domain::Bits(rows, _) if rng.bool() => {
                value ^ rng.choice(rows).map_or(0, |row| row.value)
            }
            Domain::Number(_, bits) if rng.bool() => {
                let step = 1 << rng.u32(..bits.min(16));
                let changed = if rng.bool() {
                    value.wrapping_add(step)
                } else {
                    value.wrapping_sub(step)
                };
                changed & mask(bits)
            }
            _ => self.draw(rng),
        }
    }

    /// The value in a program's text.
    pub fn print(&self, value: u64) -> String {
        let named = |rows: &[Row<u64>]| {
            rows.iter()
                .find(|row| row.value == value)
                .map(|row| row.name)
        };
        match *self {
            Domain::Below(_) | Domain::Number(..) => number(value),
            Domain::Row(table) => table
                .name(value)
                .map_or_else(|| number(value), str::to_owned),
            Domain::Value(rows, _) => named(rows).map_or_else(|| number(value), str::to_owned),
            Domain::Bits(rows, _) => {
                let mut rest = value;
                let mut parts = Vec::new();
                for row in rows {
                    if row.value & value == row.value && rest & row.value != 0 {
                        parts.push(row.name.to_owned());
                        rest &= !row.value;
                    }
                }
                if rest != 0 || parts.is_empty() {
                    parts.push(number(rest));
                }
                parts.join("|")
            }
            Domain::List(table) => {
                let entries = (0..LIST).rev().map(|i| (value >> (4 * i)) & 15);
                let names: Vec<_> = entries
                    .filter(|&entry| entry != 0)
                    .filter_map(|entry| table.name(entry - 1))
                    .collect();
                names.join(",")
            }
        }
    }

    /// Reads what [`Self::print`] wrote.
    pub fn parse(&self, text: &str) -> Option<u64> {
        match *self {
            Domain::Below(limit) => parse_number(text).filter(|&value| value < limit),
            Domain::Row(table) => (0..table.count()).find(|&i| table.name(i) == Some(text)),
            Domain::Value(rows, bits) => value_of(rows, text).filter(|&value| value <= mask(bits)),
            Domain::Bits(rows, bits) => {
                let mut value = 0;
                for part in text.split('|') {
                    value |= value_of(rows, part)?;
                }
                Some(value).filter(|&value| value <= mask(bits))
            }
            Domain::List(table) => {
                let mut value = 0u64;
                for (i, part) in text.split(',').enumerate() {
                    let line = (0..table.count()).find(|&i| table.name(i) == Some(part))?;
                    if i >= LIST as usize {
                        return None;
                    }
                    value = (value << 4) | (line + 1);
                }
                Some(value)
            }
            Domain::Number(_, bits) => parse_number(text).filter(|&value| value <= mask(bits)),
        }
    }
}

/// The lines of a [`Domain::List`], as indices of its table.
pub fn entries(value: u64) -> impl Iterator<Item = u64> {
    (0..LIST)
        .rev()
        .map(move |i| (value >> (4 * i)) & 15)
        .filter(|&entry| entry != 0)
        .map(|entry| entry - 1)
}

fn value_of(rows: &[Row<u64>], text: &str) -> Option<u64> {
    rows.iter()
        .find(|row| row.name == text)
        .map(|row| row.value)
        .or_else(|| parse_number(text))
}

fn number(value: u64) -> String {
    if value < 100_000 {
        value.to_string()
    } else {
        format!("{value:#x}")
    }
}

fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
