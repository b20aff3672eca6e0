//! Times as people read and write them, for what runs without a daemon.

use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The wall clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// As in 2026-11-20T08:15:00Z; milliseconds are left out.
pub(crate) fn text(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let text =
        OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{unix_ms} ms"))
}

/// The same back, with or without a part of a second.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (words, unix_ms) in
            [("1970-01-01T00:00:00Z", 0), ("2026-11-20T08:15:00Z", 1_795_162_500_000)]
        {
            assert_eq!((text(unix_ms).as_str(), parse(words)), (words, Some(unix_ms)));
        }
        assert_eq!(parse("2026-11-20T09:15:00.250+01:00"), Some(1_795_162_500_250));
        for words in ["", "17", "yesterday", "2026-11-20", "1969-01-01T00:00:00Z"] {
            assert_eq!(parse(words), None, "{words:?}");
        }
    }
}
