//! What is wrong with manifests: all of it at once, each with its place.

use super::node::Spot;
use keiko_core::refusal::{Code, Refusal};
use std::fmt;

/// More than anybody mends in one go.
pub(super) const SHOWN_MAX: usize = 20;

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: String,
    pub spot: Spot,
    /// Counts from one; none if the file has only one.
    pub document: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.spot.line > 0 {
            write!(f, ":{}:{}", self.spot.line, self.spot.column)?;
        }
        match self.document {
            Some(number) => write!(f, " (document {number})"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// The same document, somewhere else in it.
    pub(super) fn at(&self, spot: Spot) -> Self {
        Self { spot, ..self.clone() }
    }
}

/// What is wrong, as it is found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    lines: Vec<String>,
    hints: Vec<String>,
    more: usize,
}

impl Problems {
    pub(super) fn add(&mut self, place: &Place, why: impl fmt::Display) {
        if self.lines.len() < SHOWN_MAX {
            self.lines.push(format!("{place}: {why}"));
        } else {
            self.more += 1;
        }
    }

    /// What to do about it, once.
    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        let hint = hint.into();
        if !self.hints.contains(&hint) && self.hints.len() < 3 {
            self.hints.push(hint);
        }
    }

    /// No more are wanted.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= SHOWN_MAX
    }

    pub(super) fn into_result(self) -> Result<(), Refusal> {
        let Self { mut lines, hints, more } = self;
        if lines.is_empty() {
            return Ok(());
        }
        let count = lines.len() + more;
        let message = if count == 1 {
            "a manifest can't be used: nothing was sent".to_owned()
        } else {
            format!("manifests have {count} faults: nothing was sent")
        };
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        let refusal = Refusal::new(Code::ManifestInvalid, message);
        let refusal = lines.into_iter().fold(refusal, Refusal::cause);
        Err(hints.into_iter().fold(refusal, Refusal::hint))
    }
}
