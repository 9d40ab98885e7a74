// SPDX-License-Identifier: BSD-2-Clause
//! Which programs are run: those of the corpus, changed ones, and new ones.

use crate::journal::Journal;
use crate::program::Program;
use crate::run::Runner;
use fastrand::Rng;
use std::io;
use std::time::Instant;

/// Programs between two looks at the host's traffic.
const TRAFFIC: u64 = 25;
/// Programs between two reports of what operations returned.
const REPORT: u64 = 200;

/// When to end.
pub struct Limits {
    /// After so many programs.
    pub programs: Option<u64>,
    /// After so many seconds.
    pub seconds: Option<u64>,
}

/// The state of the search.
pub struct Search {
    runner: Runner,
    rng: Rng,
    corpus: Vec<Program>,
    /// How many of the corpus are still to be run as they are.
    fresh: usize,
    number: u64,
    begin: Instant,
}

impl Search {
    /// One that begins with these programs.
    pub fn new(runner: Runner, seed: u64, corpus: Vec<Program>) -> Self {
        Search {
            runner,
            rng: Rng::with_seed(seed),
            fresh: corpus.len(),
            corpus,
            number: 0,
            begin: Instant::now(),
        }
    }

    /// Runs programs; false after a finding.
    pub fn run(&mut self, limits: &Limits, journal: &mut Journal) -> io::Result<bool> {
        let finding = self.until_finding(limits, journal)?;
        self.report(journal)?;
        if let Some(text) = &finding {
            journal.finding(text)?;
        }
        Ok(finding.is_none())
    }

    fn until_finding(
        &mut self,
        limits: &Limits,
        journal: &mut Journal,
    ) -> io::Result<Option<String>> {
        while limits.programs.is_none_or(|limit| self.number < limit)
            && limits
                .seconds
                .is_none_or(|limit| self.begin.elapsed().as_secs() < limit)
        {
            let (program, kept) = self.next();
            self.number += 1;
            journal.start(self.number, &program)?;
            if let Err(finding) = self.runner.run(&program) {
                return Ok(Some(finding));
            }
            let new = self.runner.new_code();
            if !new.is_empty() {
                journal.new_code(self.number, &new)?;
                if !kept {
                    self.corpus.push(program);
                }
            }
            if self.number % TRAFFIC == 0 {
                if let Err(finding) = self.runner.host_traffic() {
                    return Ok(Some(finding));
                }
            }
            if self.number % REPORT == 0 {
                self.report(journal)?;
            }
        }
        Ok(self.runner.host_traffic().err())
    }

    /// The next program, and whether it is in the corpus already.
    fn next(&mut self) -> (Program, bool) {
        if self.fresh > 0 {
            self.fresh -= 1;
            return (self.corpus[self.fresh].clone(), true);
        }
        let rng = &mut self.rng;
        let count = self.corpus.len();
        if count == 0 || rng.u8(..6) == 0 {
            return (Program::draw(rng), false);
        }
        // Half of the time one of the newest, as what leads on is mostly there.
        let newest = if rng.bool() { count.min(16) } else { count };
        let chosen = &self.corpus[count - 1 - rng.usize(..newest)];
        let other = &self.corpus[rng.usize(..count)];
        (chosen.mutated(other, rng), false)
    }

    fn report(&self, journal: &mut Journal) -> io::Result<()> {
        journal.counts(self.runner.record())?;
        let seconds = self.begin.elapsed().as_secs_f64();
        journal.state(self.number, seconds, self.corpus.len())
    }
}
