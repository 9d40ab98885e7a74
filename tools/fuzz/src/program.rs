// SPDX-License-Identifier: BSD-2-Clause
//! Programs: sequences of operations, as text, by chance, and changed.
//!
//! A line of text is an operation: its name and those of its arguments that are not 0. Operations that begin with `&`
//! are done by a second thread, in their order, while the first does the others.

use crate::operations::{Operation, OPERATIONS};
use fastrand::Rng;
use std::fmt;

/// Operations of a program at most.
const LENGTH: usize = 40;

/// An operation of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its index in [`OPERATIONS`].
    pub operation: usize,
    /// Whether the second thread does it.
    pub second: bool,
    /// Its arguments, each within its domain.
    pub args: Vec<u64>,
}

/// What is done to the module between one look at it and the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// The operations.
    pub steps: Vec<Step>,
}

impl Step {
    /// What it does.
    pub fn operation(&self) -> &'static Operation {
        &OPERATIONS[self.operation]
    }

    /// One of an operation, drawn.
    fn of(operation: usize, rng: &mut Rng) -> Self {
        let domains = OPERATIONS[operation].args.iter();
        let mut args: Vec<_> = domains.map(|arg| arg.domain.draw(rng)).collect();
        // What makes a request fail early hides what is behind: most of the arguments are harmless most of the time.
        for (value, arg) in args.iter_mut().zip(OPERATIONS[operation].args) {
            if arg.seldom && rng.u8(..8) != 0 {
                *value = 0;
            }
        }
        Step {
            operation,
            second: false,
            args,
        }
    }

    fn any(rng: &mut Rng) -> Self {
        let total: u32 = OPERATIONS.iter().map(|operation| operation.weight).sum();
        let mut dice = rng.u32(..total);
        let chosen = OPERATIONS.iter().position(|operation| {
            let found = dice < operation.weight;
            dice = dice.saturating_sub(operation.weight);
            found
        });
        Self::of(chosen.unwrap_or(0), rng)
    }

    fn named(name: &str, rng: &mut Rng) -> Self {
        let found = OPERATIONS
            .iter()
            .position(|operation| operation.name == name);
        Self::of(found.unwrap_or(0), rng)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (second, text) = match text.strip_prefix('&') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let operation = OPERATIONS
            .iter()
            .position(|operation| operation.name == name)
            .ok_or_else(|| format!("no operation is called '{name}'"))?;
        let known = OPERATIONS[operation].args;
        let mut args = vec![0; known.len()];
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("'{word}' is no argument"))?;
            let index = known
                .iter()
                .position(|arg| arg.name == key)
                .ok_or_else(|| format!("'{name}' has no argument '{key}'"))?;
            args[index] = known[index]
                .domain
                .parse(value)
                .ok_or_else(|| format!("'{value}' cannot be the {key} of '{name}'"))?;
        }
        Ok(Step {
            operation,
            second,
            args,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation();
        if self.second {
            f.write_str("& ")?;
        }
        f.write_str(operation.name)?;
        for (arg, &value) in operation.args.iter().zip(&self.args) {
            if value != 0 {
                write!(f, " {}={}", arg.name, arg.domain.print(value))?;
            }
        }
        Ok(())
    }
}

impl Program {
    /// Reads operations that are separated by ends of lines or semicolons; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(|line| match line.split_once('#') {
            Some((code, _)) => code,
            None => line,
        });
        let steps = lines
            .flat_map(|line| line.split(';'))
            .map(str::trim)
            .filter(|step| !step.is_empty())
            .map(Step::parse)
            .collect::<Result<_, _>>()?;
        Ok(Program { steps })
    }

    /// A new one. It begins by binding something and mapping it, as little else does much without.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut steps = Vec::new();
        for file in 0..=rng.u64(..2) {
            let mut bind = Step::named(
                if rng.u8(..4) == 0 {
                    "legacy"
                } else {
                    "register"
                },
                rng,
            );
            bind.args[0] = file;
            steps.push(bind);
            if rng.u8(..8) != 0 {
                let mut map = Step::named("mmap", rng);
                map.args[..2].copy_from_slice(&[file, file]);
                steps.push(map);
            }
            if rng.bool() {
                let mut share = Step::named("share", rng);
                share.args[0] = file;
                steps.push(share);
            }
        }
        let second = rng.u8(..3) == 0;
        for _ in 0..rng.u32(2..16) {
            let mut step = Step::any(rng);
            step.second = second && rng.bool();
            steps.push(step);
        }
        Program { steps }
    }

    /// Changes it in one place.
    fn change(&mut self, other: &Program, rng: &mut Rng) {
        let length = self.steps.len();
        match rng.u8(..10) {
            0..=2 => self.steps.insert(rng.usize(..=length), Step::any(rng)),
            3 if length > 1 => {
                self.steps.remove(rng.usize(..length));
            }
            4 if length > 1 => self.steps.swap(rng.usize(..length), rng.usize(..length)),
            5 if length > 0 => {
                let copy = self.steps[rng.usize(..length)].clone();
                self.steps.insert(rng.usize(..=length), copy);
            }
            6 => {
                let begin = rng.usize(..=other.steps.len());
                let end = rng.usize(begin..=other.steps.len());
                let at = rng.usize(..=length);
                self.steps
                    .splice(at..at, other.steps[begin..end].iter().cloned());
            }
            7 if length > 0 => self.steps[rng.usize(..length)].second ^= true,
            _ if length > 0 => {
                let step = &mut self.steps[rng.usize(..length)];
                if !step.args.is_empty() {
                    let index = rng.usize(..step.args.len());
                    let domain = &OPERATIONS[step.operation].args[index].domain;
                    step.args[index] = domain.change(rng, step.args[index]);
                }
            }
            _ => self.steps.push(Step::any(rng)),
        }
        self.steps.truncate(LENGTH);
    }

    /// A changed copy, which may have parts of another one.
    pub fn mutated(&self, other: &Program, rng: &mut Rng) -> Self {
        let mut copy = self.clone();
        for _ in 0..rng.u32(1..6) {
            copy.change(other, rng);
        }
        copy
    }
}

impl fmt::Display for Program {
    /// All in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            step.fmt(f)?;
        }
        Ok(())
    }
}
