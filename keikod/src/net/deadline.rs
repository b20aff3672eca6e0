//! Until when a call must be answered: the caller's `grpc-timeout`, at most ten minutes.

use http::HeaderMap;
use keiko_core::refusal::{Code, Refusal, Result};
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// What a call gets that names no deadline, and the most that one can ask for.
pub const CALL_MAX: Duration = Duration::from_secs(600);

/// Until when this call must be answered; in the extensions of every request that is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

impl Deadline {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self> {
        Ok(Self(Instant::now() + asked(headers)?.unwrap_or(CALL_MAX).min(CALL_MAX)))
    }

    /// The answer, or the coded refusal once the time is over. What was begun is dropped.
    pub(super) async fn bound<T>(self, answer: impl Future<Output = T>) -> Result<T> {
        tokio::time::timeout_at(self.0, answer).await.map_err(|_| {
            Refusal::new(Code::DeadlineExceeded, "the deadline of the call passed")
                .cause("what the call began may still take effect")
                .hint("look before you send it again, or send it again with the same request id")
        })
    }
}

/// `grpc-timeout`: at most eight digits and a unit.
fn asked(headers: &HeaderMap) -> Result<Option<Duration>> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    value.to_str().ok().and_then(parse).map(Some).ok_or_else(|| {
        Refusal::new(Code::InvalidArgument, "the header grpc-timeout is malformed")
            .hint("it is at most eight digits and one of H M S m u n, as in 500m")
    })
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_units() {
        for (text, expect) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("500m", Some(Duration::from_millis(500))),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("", None),
            ("S", None),
            ("5", None),
            ("123456789S", None),
            ("+5S", None),
            ("5s", None),
            ("5é", None),
        ] {
            assert_eq!(parse(text), expect, "{text}");
        }
    }

    #[tokio::test]
    async fn a_late_answer_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", http::HeaderValue::from_static("1m"));
        let deadline = Deadline::of(&headers).unwrap();
        let refusal = deadline.bound(std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(refusal.code, Code::DeadlineExceeded);
        assert_eq!(Deadline::of(&HeaderMap::new()).unwrap().bound(async { 1 }).await.unwrap(), 1);
    }
}
