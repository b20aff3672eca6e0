//! What a person or a script sees: stdout is data, stderr is everything else.

pub mod columns;
mod csv;
pub mod escape;
mod format;
pub mod jsonpath;
mod printer;
mod progress;
pub mod prompt;
mod style;
pub mod table;
pub mod time;

pub use columns::{Cell, Column, Shown, When};
pub use format::{Format, FormatKind};
pub use printer::{Listing, Printer};
pub use progress::Progress;
pub use style::{ColorChoice, Role, Style};
