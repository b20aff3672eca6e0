//! A `keiko.toml` with the place of each of its values, so that an error can name the line.
//!
//! Invariants: a document that was opened holds only keys of [`super::keys`]; every value that is
//! taken knows its line. Never: guesses. A key that is not known is an error, because a misspelt
//! limit that is silently ignored is no limit.

use super::keys;
use super::origin::{Origin, Valued};
use keiko_core::refusal::{Code, Refusal, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file: a few hundred lines of `[exec] allow` are under 64 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A parsed file.
pub(super) struct Document<'i> {
    file: Arc<Path>,
    text: &'i str,
    root: DeTable<'i>,
}

/// What a value of the file can be read as.
pub(super) trait FromToml: Sized {
    /// As a person calls it: "a text".
    const SHAPE: &'static str;
    fn from_toml(value: &DeValue<'_>) -> Option<Self>;
}

impl FromToml for String {
    const SHAPE: &'static str = "a text in quotes";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl FromToml for u64 {
    const SHAPE: &'static str = "a whole number that is not negative";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let number = value.as_integer()?;
        Self::from_str_radix(number.as_str(), number.radix()).ok()
    }
}

impl FromToml for Vec<u64> {
    const SHAPE: &'static str = "a list of whole numbers";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        list(value)
    }
}

impl FromToml for Vec<String> {
    const SHAPE: &'static str = "a list of texts in quotes";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        list(value)
    }
}

impl FromToml for Vec<Vec<String>> {
    const SHAPE: &'static str =
        "a list of commands, each a list of texts: [[\"/usr/bin/node\", \"/opt/srv/index.js\"]]";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        list(value)
    }
}

fn list<T: FromToml>(value: &DeValue<'_>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(|item| T::from_toml(item.get_ref())).collect()
}

/// Reads the file as text, bounded.
pub(super) fn read(path: &Path) -> Result<String> {
    let refused = |cause: String| {
        Refusal::new(Code::ConfigInvalid, format!("{} can't be read", path.display()))
            .cause(cause)
            .hint("name a readable file with --config, or leave --config out for the defaults")
    };
    let length = path.metadata().map_err(|error| refused(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(refused(format!("it has {length} bytes, the limit is {FILE_BYTES_MAX}")));
    }
    std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))
}

impl<'i> Document<'i> {
    /// Parses, and refuses keys that are not known.
    pub(super) fn parse(file: &Path, text: &'i str) -> Result<Self> {
        let root = DeTable::parse(text).map_err(|error| {
            let line = line_of(text, error.span().unwrap_or(0..0));
            let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
            Refusal::new(Code::ConfigInvalid, format!("{}:{line}: {message}", file.display()))
                .hint("the format is TOML; man 5 keiko.toml shows an example")
        })?;
        let document = Self { file: file.into(), text, root: root.into_inner() };
        document.check_table(&[], &document.root)?;
        Ok(document)
    }

    fn check_table(&self, above: &[&str], table: &DeTable<'_>) -> Result<()> {
        for (key, value) in table {
            let words = [above, &[key.get_ref().as_ref()]].concat();
            let path = words.join(".");
            match (value.get_ref(), keys::find(&words)) {
                (DeValue::Table(below), keys::Found::Table) => self.check_table(&words, below)?,
                (_, keys::Found::Value) => {}
                (_, keys::Found::Table) => {
                    return Err(self
                        .refused(value.span(), format!("{path} is a table, not a value"))
                        .hint(format!(
                            "write [{path}] with its keys below it, or {path} = {{ … }}"
                        )));
                }
                (found, keys::Found::Nothing) => {
                    let table = matches!(found, DeValue::Table(_));
                    let what = if table { "table" } else { "key" };
                    let refusal = self.refused(key.span(), format!("unknown {what} {path:?}"));
                    return Err(match keys::nearest(&words, table) {
                        Some(known) => refusal.hint(format!("did you mean {known:?}?")),
                        None => refusal.hint("man 5 keiko.toml lists every key"),
                    });
                }
            }
        }
        Ok(())
    }

    /// The value of a key, as it is written.
    pub(super) fn take<T: FromToml>(&self, key: &[&str]) -> Result<Option<Valued<T>>> {
        self.parsed(key, Ok::<T, String>)
    }

    /// The value of a key, parsed further; `parse` says what it expected.
    pub(super) fn parsed<T: FromToml, U>(
        &self,
        key: &[&str],
        parse: impl FnOnce(T) -> std::result::Result<U, String>,
    ) -> Result<Option<Valued<U>>> {
        let Some(found) = self.find(key) else { return Ok(None) };
        let bad = |cause: String| {
            self.refused(found.span(), format!("{} has a bad value", key.join("."))).cause(cause)
        };
        let shown = self.shown(&found.span());
        let value = T::from_toml(found.get_ref())
            .ok_or_else(|| bad(format!("expected {}, found {shown}", T::SHAPE)))?;
        let value = parse(value).map_err(|expected| bad(format!("{shown}: {expected}")))?;
        Ok(Some(Valued { value, origin: self.origin(found.span()) }))
    }

    /// The names of the tables in a table, such as those of `[credentials.NAME]`.
    pub(super) fn tables(&self, key: &[&str]) -> Vec<String> {
        let table = self.find(key).and_then(|found| found.get_ref().as_table());
        let tables = table.into_iter().flatten().filter(|(_, value)| value.get_ref().is_table());
        tables.map(|(key, _)| key.get_ref().to_string()).collect()
    }

    /// A relative path of the file is relative to the file's own folder.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        match self.file.parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    fn find(&self, key: &[&str]) -> Option<&Spanned<DeValue<'i>>> {
        let (first, below) = key.split_first()?;
        let mut found = self.root.get(*first)?;
        for word in below {
            found = found.get_ref().as_table()?.get(*word)?;
        }
        Some(found)
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File { file: Arc::clone(&self.file), line: line_of(self.text, span) }
    }

    fn refused(&self, span: Range<usize>, message: String) -> Refusal {
        let line = line_of(self.text, span);
        Refusal::new(Code::ConfigInvalid, format!("{}:{line}: {message}", self.file.display()))
    }

    /// The value as the file has it, on one line of bounded length.
    fn shown(&self, span: &Range<usize>) -> String {
        const CHARS_MAX: usize = 60;
        let text = self.text.get(span.clone()).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        if line.len() == text.len() && line.chars().count() <= CHARS_MAX {
            return line.to_owned();
        }
        line.chars().take(CHARS_MAX).chain(['…']).collect()
    }
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}
