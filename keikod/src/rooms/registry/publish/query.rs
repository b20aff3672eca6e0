//! Parameters of a query, parts of a path, and times as JSON has them.

use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Parameters of one query: more are nobody's.
const PARAMETERS_MAX: usize = 16;

/// The parameters of a query. What a document does not know is ignored, as the standards want it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=b&c=d`; a name that comes twice is refused.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if parameters.len() == PARAMETERS_MAX {
                let text = format!("more than {PARAMETERS_MAX} parameters");
                return Err(Refusal::new(Code::LimitExceeded, text));
            }
            if parameters.insert(name.to_string(), value.into_owned()).is_some() {
                let text = format!("the parameter {name:?} is there twice");
                return Err(Refusal::new(Code::InvalidArgument, text));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter that may be missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number between 1 and `max`; `default` if it is missing.
    pub(super) fn limit(&self, default: u32, max: u32) -> Result<u32> {
        let Some(text) = self.get("limit") else { return Ok(default) };
        match text.parse() {
            Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
            Ok(_) | Err(_) => {
                let text = format!("the limit can't be {text:?}");
                Err(Refusal::new(Code::InvalidArgument, text).hint(format!("1 to {max}")))
            }
        }
    }

    /// A moment as RFC 3339, in Unix milliseconds.
    pub(super) fn moment(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match OffsetDateTime::parse(text, &Rfc3339) {
            // What lies before 1970 is before everything.
            Ok(moment) => {
                Ok(Some(u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)))
            }
            Err(error) => {
                let text = format!("{name} can't be {text:?}");
                Err(Refusal::new(Code::InvalidArgument, text)
                    .cause(error)
                    .hint("RFC 3339, as in 2026-01-31T12:00:00Z; write a plus as %2B"))
            }
        }
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    let nanos = i128::from(unix_ms) * 1_000_000;
    let moment =
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&Rfc3339).unwrap_or_default()
}

/// Percent-encodes one part of a path.
pub(super) fn encode(part: &str) -> String {
    part.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            // Writing to a text never fails.
            other => drop(write!(text, "%{other:02X}")),
        }
        text
    })
}
