//! The two streams. Data goes to stdout and nothing else does; a closed pipe ends the command in
//! silence.

use super::columns::{Column, Shown, Wanted};
use super::time::Clock;
use super::{ColorChoice, Format, FormatKind, Progress, Style, escape};
use crate::fault::{Outcome, Stop, usage};
use indicatif::WeakProgressBar;
use keiko_core::refusal::{Code, Refusal};
use serde_json::Value;
use std::cell::RefCell;
use std::io::{ErrorKind, IsTerminal, Write};

/// How this command prints.
pub(crate) struct Printer {
    /// `-o`.
    pub format: Format,
    /// Times and ages.
    pub clock: Clock,
    /// For stdout.
    pub style: Style,
    /// True if people look at stdout.
    pub is_terminal: bool,
    quiet: bool,
    verbose: bool,
    /// The sign of life that began last: what is noted stands above it, never in its line.
    moving: RefCell<WeakProgressBar>,
}

impl Printer {
    /// For the streams of this process.
    pub(crate) fn new(
        format: Format,
        color: ColorChoice,
        utc: bool,
        quiet: bool,
        verbose: bool,
    ) -> Self {
        let stdout = std::io::stdout();
        Self {
            format,
            clock: Clock::now(utc),
            style: Style::of(color, &stdout),
            is_terminal: stdout.is_terminal(),
            quiet,
            verbose,
            moving: RefCell::default(),
        }
    }

    /// The terminal's width, if stdout is one.
    pub(crate) fn width(&self) -> Option<usize> {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        self.is_terminal.then_some(size?.0.0.into())
    }

    /// The terminal's height, if stdout is one.
    pub(crate) fn height(&self) -> Option<usize> {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        self.is_terminal.then_some(size?.1.0.into())
    }

    /// Text of others: without control characters if people look at it.
    pub(crate) fn safe(&self, text: &str) -> String {
        if self.is_terminal { escape::text(text) } else { text.to_owned() }
    }

    /// Data, as it is.
    pub(crate) fn data(&self, text: &str) -> Outcome<()> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error
            .kind()
        {
            ErrorKind::BrokenPipe => Stop::PipeClosed,
            _ => Refusal::new(Code::Internal, "stdout can't be written").cause(error).into(),
        })
    }

    /// One document of JSON on a line of its own.
    pub(crate) fn json_line(&self, value: impl std::fmt::Display) -> Outcome<()> {
        self.data(&escape::json(&format!("{value}\n")))
    }

    /// Data of others, as lines.
    pub(crate) fn foreign(&self, text: &str) -> Outcome<()> {
        let mut text = self.safe(text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.data(&text)
    }

    /// One word for people: what was done, what is worth knowing. Not with `-q`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.err(text);
        }
    }

    /// Only with `-v`.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.err(text);
        }
    }

    fn err(&self, text: &str) {
        let write = || {
            // Nobody is told if stderr is gone: there is no other way to tell.
            let _ = writeln!(std::io::stderr().lock(), "{}", escape::line(text));
        };
        let moving = self.moving.borrow().upgrade();
        match moving {
            Some(line) => line.suspend(write),
            None => write(),
        }
    }

    /// A sign of life until it is dropped.
    pub(crate) fn progress(&self, words: impl Into<String>) -> Progress {
        let progress = Progress::begin(!self.quiet && !self.verbose, words.into());
        self.moving.replace(progress.line());
        progress
    }

    /// For verbs whose answer is no list: said before anything is asked of anybody.
    pub(crate) fn refuse_csv(&self) -> Result<(), Refusal> {
        match self.format {
            Format::Plain(FormatKind::Csv) => Err(usage("-o csv is for lists, and this is none")
                .hint("-o json, -o yaml, or no -o at all")),
            _ => Ok(()),
        }
    }

    /// One document: an object, or what a verb answers. `human` is for tables.
    pub(crate) fn document(
        &self,
        value: &Value,
        human: impl FnOnce(&Self) -> String,
    ) -> Outcome<()> {
        match &self.format {
            Format::Plain(FormatKind::Json) => self.data(&pretty(value)),
            Format::Plain(FormatKind::Jsonl) => self.json_line(value),
            Format::Plain(FormatKind::Yaml) => self.data(&self.safe(&yaml(value)?)),
            Format::Path(path) => self.path(&path.render(value)),
            Format::Plain(
                FormatKind::Table | FormatKind::Wide | FormatKind::Name | FormatKind::Csv,
            ) => self.data(&human(self)),
        }
    }

    /// Rows: a table, or a list document that the caller already made.
    pub(crate) fn rows<T: Shown>(
        &self,
        columns: &[Column<T>],
        wanted: &Wanted,
        items: &[T],
        with_headings: bool,
        list: Listing<'_, T>,
    ) -> Outcome<()> {
        match &self.format {
            Format::Plain(kind @ (FormatKind::Table | FormatKind::Wide)) => {
                let grid = wanted.grid(columns, items, *kind, &self.clock)?;
                self.data(&grid.lay_out(&self.style, self.width(), with_headings))
            }
            Format::Plain(FormatKind::Csv) => {
                self.data(&self.safe(&wanted.csv(columns, items, &self.clock, with_headings)?))
            }
            Format::Plain(FormatKind::Name) => {
                let names = items.iter().map(|item| format!("{}\n", (list.name)(item)));
                self.data(&names.collect::<String>())
            }
            Format::Plain(FormatKind::Jsonl) => {
                let lines = items.iter().map(|item| format!("{}\n", item.json()));
                self.data(&escape::json(&lines.collect::<String>()))
            }
            Format::Plain(FormatKind::Json) => self.data(&pretty(&list.document(items))),
            Format::Plain(FormatKind::Yaml) => self.data(&self.safe(&yaml(&list.document(items))?)),
            Format::Path(path) => self.path(&path.render(&list.document(items))),
        }
    }

    fn path(&self, text: &str) -> Outcome<()> {
        if self.is_terminal || !text.ends_with('\n') { self.foreign(text) } else { self.data(text) }
    }
}

/// What a list says besides its items.
pub(crate) struct Listing<'l, T> {
    /// The revision of the read.
    pub revision: u64,
    /// `kind/name` of an item.
    pub name: &'l dyn Fn(&T) -> String,
}

impl<T: Shown> Listing<'_, T> {
    fn document(&self, items: &[T]) -> Value {
        let items: Vec<Value> = items.iter().map(Shown::json).collect();
        serde_json::json!({"items": items, "revision": self.revision})
    }
}

fn pretty(value: &Value) -> String {
    escape::json(&format!("{value:#}\n"))
}

fn yaml(value: &Value) -> Outcome<String> {
    let text = serde_saphyr::to_string(value)
        .map_err(|error| Refusal::new(Code::Internal, "this has no YAML").cause(error))?;
    Ok(if text.ends_with('\n') { text } else { format!("{text}\n") })
}
