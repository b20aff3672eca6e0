//! Label selectors, as in Kubernetes: `team=red,tier!=low,gpu,!beta,zone in (a,b)`.
//!
//! One grammar for the command, the API and the dashboard.

use crate::limits::{LABEL_CHARS_MAX, SELECTOR_TERMS_MAX};
use crate::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;

/// Terms that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Reads a selector; empty text selects everything.
    pub fn parse(text: &str) -> Result<Self> {
        let terms = split_terms(text)
            .into_iter()
            .map(str::trim)
            .filter(|term| !term.is_empty())
            .map(Term::parse)
            .collect::<Result<Vec<_>>>()?;
        if terms.len() > SELECTOR_TERMS_MAX {
            return Err(Refusal::new(
                Code::LimitExceeded,
                format!("the selector has {} terms, at most {SELECTOR_TERMS_MAX}", terms.len()),
            ));
        }
        Ok(Self(terms))
    }

    /// True if the labels fit every term.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_by(|key| labels.get(key).map(String::as_str))
    }

    /// The same for labels that are kept in another way: `label` gives the value of a key.
    pub fn matches_by<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        let is_in = |key: &str, values: &[String]| {
            label(key).is_some_and(|value| values.iter().any(|known| known == value))
        };
        self.0.iter().all(|term| match term {
            Term::In(key, values) => is_in(key, values),
            Term::NotIn(key, values) => !is_in(key, values),
            Term::Exists(key) => label(key).is_some(),
            Term::Absent(key) => label(key).is_none(),
        })
    }
}

impl Term {
    fn parse(term: &str) -> Result<Self> {
        if let Some((key, values)) = term.split_once(" notin ") {
            return Ok(Self::NotIn(label_key(key)?, value_set(values)?));
        }
        if let Some((key, values)) = term.split_once(" in ") {
            return Ok(Self::In(label_key(key)?, value_set(values)?));
        }
        if let Some((key, value)) = term.split_once("!=") {
            return Ok(Self::NotIn(label_key(key)?, vec![label_value(value)?]));
        }
        if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            return Ok(Self::In(label_key(key)?, vec![label_value(value)?]));
        }
        match term.strip_prefix('!') {
            Some(key) => Ok(Self::Absent(label_key(key)?)),
            None => Ok(Self::Exists(label_key(term)?)),
        }
    }
}

/// Splits at commas outside of parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut open) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open = true,
            b')' => open = false,
            b',' if !open => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn value_set(text: &str) -> Result<Vec<String>> {
    let inner = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let Some(inner) = inner else {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("expected values in parentheses, found {:?}", text.trim()),
        )
        .hint("as in: zone in (a,b)"));
    };
    inner.split(',').map(label_value).collect()
}

/// A label's key: letters, digits, and `-_./` inside.
pub fn label_key(text: &str) -> Result<String> {
    match text.trim() {
        "" => Err(malformed("label key", text)),
        key => label_part("label key", key),
    }
}

/// A label's value: the same, or empty.
pub fn label_value(text: &str) -> Result<String> {
    label_part("label value", text.trim())
}

fn label_part(what: &str, text: &str) -> Result<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if text.len() <= LABEL_CHARS_MAX && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(malformed(what, text))
}

fn malformed(what: &str, text: &str) -> Refusal {
    Refusal::new(Code::InvalidArgument, format!("{:?} is not a valid {what}", text.trim())).cause(
        format!("it has at most {LABEL_CHARS_MAX} letters, digits, hyphens, dots, slashes and underscores"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects() {
        let labels = BTreeMap::from([
            ("team".to_owned(), "red".to_owned()),
            ("tier".to_owned(), "gold".to_owned()),
        ]);
        for (text, expect) in [
            ("", true),
            ("team=red", true),
            ("team==red, tier=gold", true),
            ("team!=red", false),
            ("zone!=a", true),
            ("team", true),
            ("!team", false),
            ("!zone", true),
            ("team in (red,blue)", true),
            ("team notin (red,blue),tier", false),
            ("zone in (a)", false),
        ] {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.matches(&labels), expect, "{text:?}");
        }
    }

    #[test]
    fn refuses() {
        for text in ["a=b c", "=x", "a in b", "a\u{1b}[2J=x", "!"] {
            let code = Selector::parse(text).map_err(|refusal| refusal.code);
            assert_eq!(code, Err(Code::InvalidArgument), "{text:?}");
        }
        let many = vec!["a"; 17].join(",");
        let code = Selector::parse(&many).map_err(|refusal| refusal.code);
        assert_eq!(code, Err(Code::LimitExceeded));
    }
}
