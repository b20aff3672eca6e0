//! Names that can't be wrong: parsed once at the border, trusted everywhere behind it.

use crate::limits::{NAME_CHARS_MAX, PART_NAME_CHARS_MAX};
use crate::refusal::{Code, Refusal, Result};
use std::fmt;

/// A consensus group. Every key starts with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

impl GroupId {
    /// The group that keeps everything but streams and workflow instances.
    pub const CONTROL: Self = Self(0);

    /// The first bytes of every key of the group.
    pub const fn prefix(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// First key, and first key that is no longer the group's, in every space.
    pub fn range(self) -> (Vec<u8>, Vec<u8>) {
        let start = self.prefix().to_vec();
        let end = match self.0.checked_add(1) {
            Some(next) => next.to_be_bytes().to_vec(),
            None => vec![0xFF; 3],
        };
        (start, end)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an agent, a server or a namespace: a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The namespace of those who name none.
    pub const DEFAULT_NAMESPACE: &str = "default";

    /// Lower-case letters, digits and inner hyphens, 1 to 63 of them.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let bytes = text.as_bytes();
        let edges_fit = bytes.first() != Some(&b'-') && bytes.last() != Some(&b'-');
        if bytes.is_empty()
            || bytes.len() > NAME_CHARS_MAX
            || !edges_fit
            || !bytes.iter().copied().all(inner)
        {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("{what} {text:?} is not a valid name"),
            )
            .cause(format!(
                "a name has 1 to {NAME_CHARS_MAX} lower-case letters, digits and inner hyphens"
            ))
            .hint(match slug(text) {
                Some(slug) => format!("try {slug:?}"),
                None => "choose a name such as \"time\"".to_owned(),
            }));
        }
        Ok(Self(text.to_owned()))
    }

    /// The same, with an empty text meaning the default namespace.
    pub fn parse_namespace(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self(Self::DEFAULT_NAMESPACE.to_owned())),
            text => Self::parse("namespace", text),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// True if a tool's or skill's own name can be part of an object's name: printable ASCII without
/// space, quote or escape, so that it is safe in a shell, a URL and on a screen.
pub fn is_part_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
    (1..=PART_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// The name that a foreign title becomes: lower case, everything else one hyphen.
pub fn slug(title: &str) -> Option<String> {
    let mut slug = String::new();
    for character in title.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == NAME_CHARS_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(64);
        for (text, expect) in [
            ("time", true),
            ("a-17", true),
            ("7", true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("a.b", false),
            ("a b", false),
            ("tіme", false), // a Cyrillic letter
            (long.as_str(), false),
        ] {
            assert_eq!(Name::parse("name", text).is_ok(), expect, "{text:?}");
        }
    }

    #[test]
    fn slugs() {
        for (title, expect) in [
            ("Hello World Agent", Some("hello-world-agent")),
            ("mcp-time", Some("mcp-time")),
            ("  Ünïcode!! ", Some("n-code")),
            ("…", None),
        ] {
            assert_eq!(slug(title).as_deref(), expect, "{title:?}");
        }
    }

    #[test]
    fn group_range_covers_its_keys_only() {
        for group in [0, 1, 255, 256, u16::MAX] {
            let (start, end) = GroupId(group).range();
            let mut last = GroupId(group).prefix().to_vec();
            last.extend([0xFF; 8]);
            assert!(start <= last && last[..2] < end[..], "group {group}");
        }
    }
}
