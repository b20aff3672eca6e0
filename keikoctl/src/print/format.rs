//! `-o FORMAT`.

use super::jsonpath::JsonPath;
use std::str::FromStr;

/// The words of `-o`, as completion offers them.
pub(crate) const WORDS: &[&str] =
    &["table", "wide", "json", "jsonl", "yaml", "name", "jsonpath=EXPR", "csv"];

/// What `-o` asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// One of the plain words.
    Plain(FormatKind),
    /// `jsonpath=EXPR`.
    Path(JsonPath),
}

/// The formats without an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatKind {
    /// Columns for people.
    Table,
    /// More columns.
    Wide,
    /// One document.
    Json,
    /// One object for each line.
    Jsonl,
    /// One document.
    Yaml,
    /// `kind/name`, one for each line.
    Name,
    /// Comma separated.
    Csv,
}

impl Format {
    /// True if people read it.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Self::Plain(FormatKind::Table | FormatKind::Wide))
    }

    /// True if programs read JSON, and so read errors as JSON too.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self, Self::Plain(FormatKind::Json | FormatKind::Jsonl))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(expression) = text.strip_prefix("jsonpath=") {
            return JsonPath::parse(expression)
                .map(Self::Path)
                .map_err(|refusal| [vec![refusal.message], refusal.causes].concat().join(": "));
        }
        Ok(Self::Plain(match text {
            "table" => FormatKind::Table,
            "wide" => FormatKind::Wide,
            "json" => FormatKind::Json,
            "jsonl" => FormatKind::Jsonl,
            "yaml" => FormatKind::Yaml,
            "name" => FormatKind::Name,
            "csv" => FormatKind::Csv,
            _ => return Err(format!("the formats are {}", WORDS.join(", "))),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_word() {
        for word in WORDS {
            let word = word.replace("EXPR", ".a");
            assert!(word.parse::<Format>().is_ok(), "{word}");
        }
        for word in ["", "JSON", "jsonpath=", "jsonpath=[", "xml"] {
            assert!(word.parse::<Format>().is_err(), "{word}");
        }
    }
}
