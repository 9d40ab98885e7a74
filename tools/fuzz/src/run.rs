// SPDX-License-Identifier: BSD-2-Clause
//! Runs a program in a process of its own, and looks at what it leaves.

use crate::kcov::{Kcov, Map};
use crate::machine::{be_second, Machine};
use crate::operations::OPERATIONS;
use crate::oracle::{self, KernelLog, Record};
use crate::program::Program;
use crate::world::World;
use libc::c_int;
use std::fs;
use std::time::{Duration, Instant};

/// Runs programs.
pub struct Runner {
    world: World,
    coverage: Option<Coverage>,
    record: &'static Record,
    log: KernelLog,
    parameter: Option<usize>,
}

/// What is needed to see which code runs.
struct Coverage {
    /// Of the two threads.
    threads: [Kcov; 2],
    map: Map,
}

impl Coverage {
    fn new() -> std::io::Result<Self> {
        let base = fs::read_to_string("/sys/module/netmap/sections/.text")?;
        let base = base.trim().trim_start_matches("0x");
        let base = u64::from_str_radix(base, 16).map_err(std::io::Error::other)?;
        Ok(Coverage {
            threads: [Kcov::new()?, Kcov::new()?],
            map: Map::new(base)?,
        })
    }

    /// Notes the code that the kernel runs for this thread meanwhile; what is run gets a function that makes room.
    fn of(this: Option<&Self>, thread: usize, run: impl FnOnce(&dyn Fn())) {
        let Some(coverage) = this else {
            return run(&|| {});
        };
        let kcov = &coverage.threads[thread];
        kcov.enable();
        run(&|| kcov.drain(&coverage.map));
        kcov.disable();
        kcov.drain(&coverage.map);
    }
}

/// A process that does not end within this time hangs: thousands of times what a program takes.
const PATIENCE: Duration = Duration::from_secs(240);

impl Runner {
    /// One for pairs of interfaces, with coverage or without.
    pub fn new(nics: &[String], coverage: bool) -> std::io::Result<Self> {
        // What a program's children leave behind is ours to wait for.
        // SAFETY: The arguments are numbers.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: The structure is there.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
        Ok(Runner {
            world: World::new(nics)?,
            coverage: if coverage {
                Some(Coverage::new()?)
            } else {
                None
            },
            record: Record::new()?,
            log: KernelLog::new()?,
            parameter: OPERATIONS.iter().position(|it| it.name == "parameter"),
        })
    }

    /// What was counted so far.
    pub fn record(&self) -> &Record {
        self.record
    }

    /// The addresses of the module's code that the last program was the first to run.
    pub fn new_code(&mut self) -> Vec<u64> {
        let coverage = self.coverage.as_mut();
        coverage
            .map(|coverage| coverage.map.news())
            .unwrap_or_default()
    }

    /// Whether the host's frames pass.
    pub fn host_traffic(&self) -> Result<(), String> {
        oracle::host_traffic(&self.world)
    }

    /// Runs it; the finding, if there is one.
    pub fn run(&mut self, program: &Program) -> Result<(), String> {
        // SAFETY: This process has a single thread, so that the child may do anything.
        let child = unsafe { libc::fork() };
        match child {
            0 => self.be_program(program),
            ..0 => return Err(format!("fork: {}", std::io::Error::last_os_error())),
            _ => {}
        }
        let status = wait_for(child, PATIENCE)?;
        // The rest of it: children that linger.
        // SAFETY: The group is that of the program, which is dead and not known by another number.
        unsafe { libc::kill(-child, libc::SIGKILL) };
        wait_for(-1, PATIENCE)?;
        let complaint = self.log.complaint();
        if let Some(text) = complaint {
            return Err(format!("the kernel says: {text}"));
        }
        if let Some(text) = self.record.finding() {
            return Err(text);
        }
        if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT {
            return Err("nm-fuzz itself gave up, see what it said".to_owned());
        }
        oracle::nothing_left()?;
        let has_parameter = |step: &crate::program::Step| Some(step.operation) == self.parameter;
        if program.steps.iter().any(has_parameter) {
            self.world
                .restore()
                .map_err(|error| format!("parameters: {error}"))?;
        }
        Ok(())
    }

    /// The program's own process.
    fn be_program(&self, program: &Program) -> ! {
        // SAFETY: The arguments are numbers.
        unsafe {
            libc::setpgid(0, 0);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        let coverage = self.coverage.as_ref();
        let code = match Machine::new(&self.world) {
            Ok(machine) => {
                let steps = |second| program.steps.iter().filter(move |it| it.second == second);
                std::thread::scope(|scope| {
                    if steps(true).next().is_some() {
                        scope.spawn(|| {
                            be_second();
                            Coverage::of(coverage, 1, |room| {
                                machine.run(steps(true), self.record, room);
                            });
                        });
                    }
                    Coverage::of(coverage, 0, |room| {
                        machine.run(steps(false), self.record, room);
                    });
                });
                // Most programs tidy up, so that it is seen where that leads.
                Coverage::of(coverage, 0, |_| machine.close_all());
                0
            }
            Err(error) => {
                self.record.report(&format!("no machine: {error}"));
                1
            }
        };
        // SAFETY: This process ends here, and none of its parent's destructors is to run.
        unsafe { libc::_exit(code) }
    }
}

/// Waits for a process, or for all there are; the status of the last, or a finding if one does not end.
fn wait_for(child: c_int, patience: Duration) -> Result<c_int, String> {
    let end = Instant::now() + patience;
    let mut status = 0;
    loop {
        // SAFETY: The status is there.
        let found = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
        if found == child || (found < 0 && child < 0) {
            return Ok(status);
        }
        if found < 0 {
            return Err(format!("waitpid: {}", std::io::Error::last_os_error()));
        }
        if found == 0 {
            if Instant::now() >= end {
                return Err(format!("it hangs: {}", where_tasks_are()));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// The kernel's stacks of our children's threads.
fn where_tasks_are() -> String {
    let mut text = String::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let path = process.path();
        let is_ours =
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.contains("nm-fuzz"));
        if !is_ours {
            continue;
        }
        let tasks = fs::read_dir(path.join("task"))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let stack = fs::read_to_string(task.path().join("stack")).unwrap_or_default();
            let frames: Vec<_> = stack
                .lines()
                .filter_map(|line| line.split_whitespace().nth(1))
                .take(12)
                .collect();
            text += &format!("[{}] ", frames.join(" "));
        }
    }
    text
}
