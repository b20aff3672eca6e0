//! Times and durations as people write and read them.

use crate::fault::usage;
use jiff::Timestamp;
use keiko_core::refusal::Refusal;
use std::time::Duration;

/// Longer than anybody waits, and far from where a clock overflows: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Now, and how times are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Now.
    pub now_ms: u64,
    /// RFC 3339 in place of ages.
    pub utc: bool,
}

impl Clock {
    /// The wall clock of this machine.
    pub(crate) fn now(utc: bool) -> Self {
        let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        Self { now_ms, utc }
    }

    /// How long ago that was, as in `3m`; empty for zero.
    pub(crate) fn age(&self, unix_ms: u64) -> String {
        match unix_ms {
            0 => String::new(),
            _ if self.utc => rfc3339(unix_ms),
            _ => short(self.now_ms.saturating_sub(unix_ms)),
        }
    }

    /// How long until then, as in `in 3m`; `over` if that was; empty for zero.
    pub(crate) fn until(&self, unix_ms: u64) -> String {
        match unix_ms {
            0 => String::new(),
            _ if self.utc => rfc3339(unix_ms),
            _ if unix_ms <= self.now_ms => "over".to_owned(),
            _ => format!("in {}", short(unix_ms - self.now_ms)),
        }
    }
}

/// A duration in its one or two largest units: `42s`, `3m`, `5h12m`, `9d`.
pub(crate) fn short(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..600 if !seconds.is_multiple_of(60) => format!("{minutes}m{}s", seconds % 60),
        60..3600 => format!("{minutes}m"),
        3600..36_000 if !minutes.is_multiple_of(60) => format!("{hours}h{}m", minutes % 60),
        3600..86_400 => format!("{hours}h"),
        86_400..864_000 if !hours.is_multiple_of(24) => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    match Timestamp::from_millisecond(ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{unix_ms} ms"),
    }
}

/// Reads `30s`, `5m`, `1h30m`, `7d`, `500ms`, or seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("{text:?} is not a duration: write 30s, 5m, 1h30m or 7d");
    let bounded = |duration: Duration| match duration <= LONGEST {
        true => Ok(duration),
        false => Err(format!("{text:?} is longer than ten years")),
    };
    if let Ok(seconds) = text.parse::<u64>() {
        return bounded(Duration::from_secs(seconds));
    }
    let (mut rest, mut total_ms) = (text, 0u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
        let number: u64 = rest[..digits].parse().map_err(|_| malformed())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(malformed()),
        };
        rest = &rest[unit_end..];
        total_ms = number
            .checked_mul(unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(malformed)?;
    }
    if text.is_empty() { Err(malformed()) } else { bounded(Duration::from_millis(total_ms)) }
}

/// A point in the past: a revision, a time in RFC 3339, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A revision.
    Revision(u64),
    /// A time.
    UnixMs(u64),
}

/// Reads `42`, `2026-11-20T10:00:00Z` or `10m` (ago).
pub(crate) fn point(text: &str, now_ms: u64) -> Result<Point, Refusal> {
    if let Ok(revision) = text.parse() {
        return Ok(Point::Revision(revision));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Point::UnixMs(u64::try_from(time.as_millisecond()).unwrap_or_default()));
    }
    if let Ok(ago) = duration(text) {
        let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(Point::UnixMs(now_ms.saturating_sub(ago_ms)));
    }
    Err(usage(format!("{text:?} is neither a revision nor a time"))
        .hint("as in: --at 42, --at 2026-11-20T10:00:00Z, --at 10m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (ms, expect) in [
            (0, "0s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (200_000, "3m20s"),
            (700_000, "11m"),
            (3_600_000, "1h"),
            (5 * 3_600_000 + 12 * 60_000, "5h12m"),
            (11 * 3_600_000 + 60_000, "11h"),
            (30 * 3_600_000, "1d6h"),
            (40 * 86_400_000, "40d"),
        ] {
            assert_eq!(short(ms), expect, "{ms}");
        }
        assert_eq!(Clock { now_ms: 5_000, utc: false }.age(0), "");
        assert_eq!(Clock { now_ms: 5_000, utc: false }.age(9_000), "0s");
        assert_eq!(Clock { now_ms: 0, utc: true }.age(1_500), "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn durations_are_read() {
        for (text, expect) in [
            ("30", Some(30_000)),
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("1h30m", Some(5_400_000)),
            ("7d", Some(604_800_000)),
            ("", None),
            ("m", None),
            ("3x", None),
            ("1h30", None),
            ("-1s", None),
            ("99999999999999999d", None),
            ("3660d", Some(316_224_000_000)),
            ("316224000", Some(316_224_000_000)),
            ("316224001", None),
            ("3661d", None),
            ("18446744073709551615", None),
            ("18446744073709551615ms", None),
        ] {
            let read = duration(text).ok().map(|duration| duration.as_millis());
            assert_eq!(read, expect, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_called_so() {
        let why = duration("99999999999").unwrap_err();
        assert_eq!(why, "\"99999999999\" is longer than ten years");
    }

    #[test]
    fn points_are_read() {
        for (text, expect) in [
            ("42", Some(Point::Revision(42))),
            ("1970-01-01T00:00:02Z", Some(Point::UnixMs(2_000))),
            ("10s", Some(Point::UnixMs(90_000))),
            ("yesterday", None),
        ] {
            assert_eq!(point(text, 100_000).ok(), expect, "{text:?}");
        }
    }
}
