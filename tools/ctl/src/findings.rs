// SPDX-License-Identifier: BSD-2-Clause
//! What `nmctl doctor` says.

use serde::Serialize;
use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It prevents a bind.
    Error,
    /// It hurts.
    Warning,
    /// It is good to know.
    Note,
    /// Nothing is wrong.
    Ok,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
            Severity::Ok => "ok",
        })
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The port, or the machine if it is nothing of a port's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// What it is.
    pub what: String,
    /// What would do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8}{}: {}",
            self.severity,
            self.port.as_deref().unwrap_or("machine"),
            self.what
        )?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// Findings about one thing.
pub struct Findings {
    port: Option<String>,
    /// What was found.
    pub list: Vec<Finding>,
}

impl Findings {
    /// None yet, about a port or the machine.
    pub fn about(port: Option<&str>) -> Findings {
        Findings {
            port: port.map(str::to_owned),
            list: Vec::new(),
        }
    }

    /// Adds one; without a remedy if that is empty.
    pub fn add(&mut self, severity: Severity, what: impl Into<String>, remedy: impl Into<String>) {
        let remedy: String = remedy.into();
        self.list.push(Finding {
            severity,
            port: self.port.clone(),
            what: what.into(),
            remedy: (!remedy.is_empty()).then_some(remedy),
        });
    }
}

/// Whether a bind is prevented.
pub fn prevents(findings: &[Finding]) -> bool {
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    findings.iter().any(is_error)
}
