//! What is looked for: a tool, a skill or a tag, and in which version, as in `summarize@^1.2`.
//!
//! A version is that of the server or of the agent's card, and foreign: it is read as a semantic
//! version where it is one or nearly one (`v1`, `1.2`), and compared as text where it is not.

use crate::limits::{NAME_CHARS_MAX, PART_NAME_CHARS_MAX};
use crate::refusal::{Code, Refusal, Result};
use semver::{Version, VersionReq};

/// A version or a range as a caller writes it: more than any real one has.
const VERSION_CHARS_MAX: usize = 128;

/// Every version, also one that is none.
const ANY: &str = "*";

/// An owner's name, a dot, and the name of what it offers. Longer tags are not looked for.
pub(super) const CAPABILITY_CHARS_MAX: usize = NAME_CHARS_MAX + 1 + PART_NAME_CHARS_MAX;

/// Something that somebody may offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    name: String,
    version: Option<Wanted>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    text: String,
    /// `None`: not a range, so only this very text fits.
    range: Option<VersionReq>,
}

impl Capability {
    /// Reads `NAME` or `NAME@VERSION`.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let (name, version) = match text.rsplit_once('@') {
            // A tag may begin with the sign.
            Some((name, version)) if !name.is_empty() => (name, Some(Wanted::parse(version)?)),
            Some(_) | None => (text, None),
        };
        let fits = !name.is_empty()
            && name.chars().count() <= CAPABILITY_CHARS_MAX
            && !name.chars().any(char::is_control);
        if !fits {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("{name:?} names nothing that can be offered"),
            )
            .hint("a tool, a skill or a tag, as in summarize, time.now or summarize@^1.2"));
        }
        Ok(Self { name: name.to_owned(), version })
    }

    /// A tool, a skill or a tag, with or without its owner in front.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version as it was asked for.
    pub fn version(&self) -> Option<&str> {
        self.version.as_ref().map(|wanted| wanted.text.as_str())
    }

    /// True if something of this version will do.
    pub fn accepts(&self, version: &str) -> bool {
        let Some(wanted) = &self.version else { return true };
        let fits = |range: &VersionReq| lenient(version).is_some_and(|found| range.matches(&found));
        let any = wanted.text == ANY;
        any || wanted.text == version || wanted.range.as_ref().is_some_and(fits)
    }
}

impl Wanted {
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let range = VersionReq::parse(text.strip_prefix('v').unwrap_or(text)).ok();
        let operator = text.starts_with(['^', '~', '<', '>', '=', '*']);
        if text.is_empty() || text.len() > VERSION_CHARS_MAX || (operator && range.is_none()) {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("{text:?} is not a version or a range of versions"),
            )
            .hint("as in ^1.2, ~1.2.3, \">=1, <3\" or 2026-07-28"));
        }
        Ok(Self { text: text.to_owned(), range })
    }
}

/// A foreign version, if it is one with what it leaves out taken as zero.
fn lenient(text: &str) -> Option<Version> {
    let text = text.trim();
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => return Version::parse(text).ok(),
    };
    Version::parse(&format!("{numbers}{missing}{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (asked, version, expect) in [
            ("sum", "", true),
            ("sum", "anything", true),
            ("sum@^1.2", "1.2.0", true),
            ("sum@^1.2", "1.9", true),
            ("sum@^1.2", "v1.3.1", true),
            ("sum@^1.2", "1", false),
            ("sum@^1.2", "2.0.0", false),
            ("sum@^1.2", "2026-07-28", false),
            ("sum@^1.2", "", false),
            ("sum@1.2", "1.4.0", true),
            ("sum@=1.2", "1.2.7", true),
            ("sum@=1.2.3", "1.2.4", false),
            ("sum@>=1, <3", "2.5.1", true),
            ("sum@*", "0.0.1", true),
            ("sum@*", "", true),
            ("sum@*", "2026-07-28", true),
            ("sum@*", "1.0.0-rc.1", true),
            ("sum@^1.0.0", "1.1.0-rc.1", false),
            ("sum@2026-07-28", "2026-07-28", true),
            ("sum@2026-07-28", "2026-07-29", false),
            ("sum@nightly", "nightly", true),
            ("@scope/tag", "1", true),
        ] {
            let capability = Capability::parse(asked).unwrap();
            assert_eq!(capability.accepts(version), expect, "{asked} of {version:?}");
        }
        assert_eq!(Capability::parse("a@b@^1").unwrap().name(), "a@b");
    }

    #[test]
    fn refuses() {
        let long = "x".repeat(300);
        for text in ["", " ", "sum@", "sum@^", "sum@^x.y", "sum@=1.2.3.4", "a\u{1b}b", &long] {
            let code = Capability::parse(text).map_err(|refusal| refusal.code);
            assert_eq!(code, Err(Code::InvalidArgument), "{text:?}");
        }
    }
}
