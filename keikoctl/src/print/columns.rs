//! Columns of a kind: declared once, for the table, for wide, for csv and for `--sort-by`.

use super::table::{Grid, Heading};
use super::{FormatKind, Role, csv, jsonpath::JsonPath, time::Clock};
use crate::fault::usage;
use keiko_core::refusal::Refusal;
use serde_json::Value;
use std::cmp::Ordering;

/// What can be shown as a row.
pub(crate) trait Shown {
    /// Its JSON, for paths in `--columns`, `--sort-by` and `--field`.
    fn json(&self) -> Value;
}

/// When a column is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// In every table.
    Always,
    /// Only with `-o wide` and in csv.
    Wide,
    /// Only with `-A`.
    AllNamespaces,
}

/// One column of a kind.
#[derive(Clone, Copy)]
pub(crate) struct Column<T> {
    /// Upper case, one word.
    pub title: &'static str,
    /// When it is there.
    pub when: When,
    /// Gives way on a narrow terminal.
    pub flexible: bool,
    /// Not there on a terminal that is narrower still.
    pub spare: bool,
    /// What stands in it.
    pub cell: fn(&T, &Clock) -> Cell,
}

impl<T> Column<T> {
    /// A column of every table.
    pub(crate) const fn new(title: &'static str, cell: fn(&T, &Clock) -> Cell) -> Self {
        Self { title, when: When::Always, flexible: false, spare: false, cell }
    }

    /// The same, only at that time.
    #[must_use]
    pub(crate) const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// The same, giving way on a narrow terminal.
    #[must_use]
    pub(crate) const fn flexible(self) -> Self {
        Self { flexible: true, ..self }
    }

    /// The same, not there where the others would not fit.
    #[must_use]
    pub(crate) const fn spare(self) -> Self {
        Self { spare: true, ..self }
    }
}

/// What stands in one row of a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    /// As shown.
    pub text: String,
    /// What it means.
    pub role: Role,
    /// What it is sorted by, if not by its text.
    pub key: Option<u64>,
}

impl Cell {
    /// Words.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Words that mean something.
    pub(crate) fn role(role: Role, text: impl Into<String>) -> Self {
        Self { text: text.into(), role, key: None }
    }

    /// A number.
    pub(crate) fn number(number: u64) -> Self {
        Self { text: number.to_string(), role: Role::Plain, key: Some(number) }
    }

    /// How long ago.
    pub(crate) fn age(clock: &Clock, unix_ms: u64) -> Self {
        let key = Some(clock.now_ms.saturating_sub(unix_ms));
        Self { text: clock.age(unix_ms), role: Role::Plain, key }
    }

    /// When it ends.
    pub(crate) fn until(clock: &Clock, unix_ms: u64) -> Self {
        Self { text: clock.until(unix_ms), role: Role::Plain, key: Some(unix_ms) }
    }
}

/// What the caller wants of a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// `--columns`; empty: the format decides.
    pub columns: Vec<String>,
    /// `--sort-by`.
    pub sort_by: Option<String>,
    /// `-A`.
    pub all_namespaces: bool,
}

enum Source<T> {
    Declared(Column<T>),
    Path(JsonPath),
}

impl Wanted {
    /// Rows of the columns that are wanted.
    pub(crate) fn grid<T: Shown>(
        &self,
        declared: &[Column<T>],
        items: &[T],
        format: FormatKind,
        clock: &Clock,
    ) -> Result<Grid, Refusal> {
        let mut headings = Vec::new();
        let mut sources = Vec::new();
        for (title, source) in self.sources(declared, format)? {
            let (right, flexible, spare) = match &source {
                Source::Declared(column) => {
                    // What is asked for by its name stays.
                    let spare = column.spare && self.columns.is_empty();
                    (is_numeric(column, items, clock), column.flexible, spare)
                }
                Source::Path(_) => (false, false, false),
            };
            headings.push(Heading { title, right, flexible, spare });
            sources.push(source);
        }
        let rows = items
            .iter()
            .map(|item| sources.iter().map(|source| source.cell(item, clock)).collect())
            .collect();
        Ok(Grid { headings, rows, floors: Vec::new() })
    }

    /// Sorts as `--sort-by` says; equal ones stay as the server sent them.
    pub(crate) fn sort<T: Shown>(
        &self,
        declared: &[Column<T>],
        items: Vec<T>,
        clock: &Clock,
    ) -> Result<Vec<T>, Refusal> {
        let Some(word) = &self.sort_by else { return Ok(items) };
        let source = find(declared, word)?.1;
        let mut keyed: Vec<(Cell, T)> =
            items.into_iter().map(|item| (source.cell(&item, clock), item)).collect();
        keyed.sort_by(|(one, _), (other, _)| match (one.key, other.key) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => one.text.cmp(&other.text),
        });
        Ok(keyed.into_iter().map(|(_, item)| item).collect())
    }

    /// Lines of csv: the columns of `wide`.
    pub(crate) fn csv<T: Shown>(
        &self,
        declared: &[Column<T>],
        items: &[T],
        clock: &Clock,
        with_headings: bool,
    ) -> Result<String, Refusal> {
        Ok(csv::lines(&self.grid(declared, items, FormatKind::Csv, clock)?, with_headings))
    }

    fn sources<T>(
        &self,
        declared: &[Column<T>],
        format: FormatKind,
    ) -> Result<Vec<(String, Source<T>)>, Refusal> {
        if !self.columns.is_empty() {
            return self.columns.iter().map(|word| find(declared, word)).collect();
        }
        let is_wide = matches!(format, FormatKind::Wide | FormatKind::Csv);
        let there = declared.iter().filter(|column| match column.when {
            When::Always => true,
            When::Wide => is_wide,
            When::AllNamespaces => self.all_namespaces || format == FormatKind::Csv,
        });
        Ok(there.map(|column| (column.title.to_owned(), Source::declared(column))).collect())
    }
}

impl<T> Source<T> {
    fn declared(column: &Column<T>) -> Self {
        let Column { title, when, flexible, spare, cell } = *column;
        Self::Declared(Column { title, when, flexible, spare, cell })
    }
}

impl<T: Shown> Source<T> {
    fn cell(&self, item: &T, clock: &Clock) -> Cell {
        match self {
            Self::Declared(column) => (column.cell)(item, clock),
            Self::Path(path) => {
                let json = item.json();
                let found = path.find(&json);
                let key = match found[..] {
                    [Value::Number(number)] => number.as_u64(),
                    _ => None,
                };
                Cell { text: path.render(&json), role: Role::Plain, key }
            }
        }
    }
}

fn is_numeric<T>(column: &Column<T>, items: &[T], clock: &Clock) -> bool {
    items.first().is_some_and(|item| {
        let cell = (column.cell)(item, clock);
        cell.key.is_some_and(|key| key.to_string() == cell.text)
    })
}

fn find<T>(declared: &[Column<T>], word: &str) -> Result<(String, Source<T>), Refusal> {
    if word.starts_with(['.', '{', '$']) {
        return Ok((word.to_owned(), Source::Path(JsonPath::parse(word)?)));
    }
    let column = declared.iter().find(|column| column.title.eq_ignore_ascii_case(word));
    match column {
        Some(column) => Ok((column.title.to_owned(), Source::declared(column))),
        None => {
            let titles: Vec<_> = declared.iter().map(|column| column.title).collect();
            Err(usage(format!("there is no column {word:?}"))
                .cause(format!("the columns are {}", titles.join(", ")))
                .hint("a path into the object works too, as in .spec.url"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Item(&'static str, u64);
    impl Shown for Item {
        fn json(&self) -> Value {
            json!({"name": self.0, "size": self.1})
        }
    }

    const COLUMNS: &[Column<Item>] = &[
        Column::new("NAME", |item: &Item, _| Cell::text(item.0)),
        Column::new("SIZE", |item: &Item, _| Cell::number(item.1)).when(When::Wide),
    ];
    const CLOCK: Clock = Clock { now_ms: 0, utc: false };

    #[test]
    fn columns_are_chosen_and_sorted_by() {
        let items = || vec![Item("b", 9), Item("a", 10)];
        for (columns, sort_by, format, expect) in [
            (vec![], None, FormatKind::Table, "NAME\nb\na\n"),
            (vec![], None, FormatKind::Wide, "NAME,SIZE\nb,9\na,10\n"),
            (vec![], Some("name"), FormatKind::Table, "NAME\na\nb\n"),
            (vec!["size"], Some("SIZE"), FormatKind::Table, "SIZE\n9\n10\n"),
            (vec![".size", "NAME"], Some(".size"), FormatKind::Table, ".size,NAME\n9,b\n10,a\n"),
        ] {
            let wanted = Wanted {
                columns: columns.iter().map(|word| (*word).to_owned()).collect(),
                sort_by: sort_by.map(str::to_owned),
                all_namespaces: false,
            };
            let items = wanted.sort(COLUMNS, items(), &CLOCK).unwrap();
            let grid = wanted.grid(COLUMNS, &items, format, &CLOCK).unwrap();
            assert_eq!(csv::lines(&grid, true), expect, "{wanted:?}");
        }
        let unknown = Wanted { columns: vec!["x".into()], ..Wanted::default() };
        assert!(unknown.grid(COLUMNS, &items(), FormatKind::Table, &CLOCK).is_err());
    }
}
