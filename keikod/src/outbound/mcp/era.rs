//! The two eras of MCP: with a session that `initialize` opens, and without.

use rmcp::model::ProtocolVersion;
use std::fmt;
use std::str::FromStr;

/// How a server wants to be greeted. Found once per server, stored, and passed next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Revision 2026-07-28 and later: `server/discover`, every request stands for itself.
    Stateless,
    /// Up to revision 2025-11-25: `initialize` opens a session.
    Handshake,
}

impl Era {
    /// The newest revision of the era, which is also its stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stateless => "2026-07-28",
            Self::Handshake => "2025-11-25",
        }
    }

    pub(super) fn of(version: &ProtocolVersion) -> Self {
        if version.has_initialize() { Self::Handshake } else { Self::Stateless }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a revision of MCP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a revision of MCP")]
pub struct UnknownEra(String);

impl FromStr for Era {
    type Err = UnknownEra;

    /// Reads any revision, so that what a server negotiated can be stored as it is.
    fn from_str(text: &str) -> Result<Self, UnknownEra> {
        let dashes = |at: usize| matches!(at, 4 | 7);
        let is_date = text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, b)| if dashes(at) { b == b'-' } else { b.is_ascii_digit() });
        match is_date {
            true if text < Self::Stateless.as_str() => Ok(Self::Handshake),
            true => Ok(Self::Stateless),
            false => Err(UnknownEra(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_fall_into_eras() {
        for (text, era) in [
            ("2026-07-28", Some(Era::Stateless)),
            ("2027-01-01", Some(Era::Stateless)),
            ("2025-11-25", Some(Era::Handshake)),
            ("2024-11-05", Some(Era::Handshake)),
            ("", None),
            ("2025-1-25x", None),
            ("latest", None),
        ] {
            assert_eq!(text.parse::<Era>().ok(), era, "{text}");
        }
        for era in [Era::Stateless, Era::Handshake] {
            assert_eq!(era.to_string().parse(), Ok(era));
        }
    }
}
