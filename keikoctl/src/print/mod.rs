//! What a person or a script sees: stdout is data, stderr is everything else.

pub(crate) mod columns;
mod csv;
pub(crate) mod escape;
mod format;
pub(crate) mod jsonpath;
mod printer;
mod progress;
pub(crate) mod prompt;
mod style;
pub(crate) mod table;
pub(crate) mod time;

pub(crate) use columns::{Cell, Column, Shown, When};
pub(crate) use format::{Format, FormatKind, WORDS as FORMATS};
pub(crate) use printer::{Listing, Printer};
pub(crate) use progress::Progress;
pub(crate) use style::{ColorChoice, Role, Style, is_dumb};
