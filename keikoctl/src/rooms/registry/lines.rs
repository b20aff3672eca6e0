//! Lines of a name and a value, for pages that people read.

use crate::print::table::{Grid, Heading};
use crate::print::{Cell, Printer, Role};

/// Names at the left, values at the right.
#[derive(Default)]
pub(super) struct Lines(Grid);

impl Lines {
    /// A value of words.
    pub(super) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.cell(name, Cell::text(value));
    }

    /// What is empty is not worth a line.
    pub(super) fn cell(&mut self, name: &str, cell: Cell) {
        if self.0.headings.is_empty() {
            self.0.headings = vec![Heading::default(), Heading::default()];
        }
        if !cell.text.is_empty() {
            self.0.rows.push(vec![Cell::role(Role::Muted, name), cell]);
        }
    }

    /// True if there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.0.rows.is_empty()
    }

    /// The text; whatever others wrote is escaped.
    pub(super) fn lay_out(&self, printer: &Printer) -> String {
        self.0.lay_out(&printer.style, None, false)
    }
}
