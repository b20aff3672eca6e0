//! Where a setting's value comes from. A flag wins over the environment, that over the file, that
//! over the default.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// The place that gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
    /// A variable of the environment.
    Env(&'static str),
    /// A line of the configuration file.
    File {
        /// As it was named.
        file: Arc<Path>,
        /// Counted from 1.
        line: usize,
    },
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value that knows who gave it; reads like the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valued<T> {
    /// What holds.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}

impl<T> Valued<T> {
    /// A value that nobody gave.
    pub fn default(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    /// Another form of the same value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Valued<U> {
        Valued { value: change(self.value), origin: self.origin }
    }

    /// The one with the higher rank, or the default.
    pub(super) fn first(
        given: Option<Self>,
        file: Option<Self>,
        default: impl FnOnce() -> T,
    ) -> Self {
        given.or(file).unwrap_or_else(|| Self::default(default()))
    }
}

impl<T> Deref for Valued<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}
