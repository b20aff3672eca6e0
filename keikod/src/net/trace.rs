//! W3C Trace Context: which trace a request belongs to, taken from its caller or begun here.

use super::{random, text};
use http::{HeaderMap, HeaderValue};
use keiko_core::refusal::Result;

/// The header of the standard.
pub const TRACEPARENT: &str = "traceparent";

/// Where a request stands in its trace. The span id is this server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// This request's span, to be the parent of every call that it causes.
    pub span_id: [u8; 8],
    /// True if the caller records the trace.
    pub sampled: bool,
}

impl TraceContext {
    /// Continues the caller's trace, or begins one. A malformed header begins one, as the
    /// standard asks.
    pub fn continue_or_begin(headers: &HeaderMap) -> Result<Self> {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let parent = match (given.next(), given.next()) {
            (Some(one), None) => one.to_str().ok().and_then(Self::parse),
            _ => None,
        };
        match parent {
            Some(parent) => Ok(Self { span_id: random::bytes()?, ..parent }),
            None => Self::begin(),
        }
    }

    /// A trace of our own.
    pub fn begin() -> Result<Self> {
        let random: [u8; 24] = random::bytes()?;
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        trace_id.copy_from_slice(&random[..16]);
        span_id.copy_from_slice(&random[16..]);
        Ok(Self { trace_id, span_id, sampled: false })
    }

    /// Reads a `traceparent`; a later version than 00 is read as far as 00 goes.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let version = text::decode::<1>(parts.next()?)?[0];
        let trace_id = text::decode::<16>(parts.next()?)?;
        let span_id = text::decode::<8>(parts.next()?)?;
        let flags = text::decode::<1>(parts.next()?)?[0];
        let more = parts.next().is_some();
        let valid =
            version != 0xff && !(version == 0 && more) && trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The `traceparent` that names this request's span.
    pub fn to_header(&self) -> String {
        let flags = if self.sampled { "01" } else { "00" };
        ["00", &text::encode(&self.trace_id), &text::encode(&self.span_id), flags].join("-")
    }

    /// The trace id, hex.
    pub fn trace_hex(&self) -> String {
        text::encode(&self.trace_id)
    }

    pub(super) fn echo(&self, headers: &mut HeaderMap) {
        if let Ok(mut value) = HeaderValue::from_str(&self.to_header()) {
            // No two are alike: in the table of known headers it would only displace the others.
            value.set_sensitive(true);
            headers.insert(TRACEPARENT, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_standard() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let span = "b7ad6b7169203331";
        let check = |header: String, expect: Option<bool>| {
            assert_eq!(
                TraceContext::parse(&header).map(|context| context.sampled),
                expect,
                "{header}"
            );
        };
        check(format!("00-{trace}-{span}-01"), Some(true));
        check(format!("00-{trace}-{span}-00"), Some(false));
        check(format!("00-{trace}-{span}-03"), Some(true));
        check(format!("cc-{trace}-{span}-01-what-comes"), Some(true));
        check(format!("00-{trace}-{span}-01-more"), None);
        check(format!("ff-{trace}-{span}-01"), None);
        check(format!("00-{}-{span}-01", "0".repeat(32)), None);
        check(format!("00-{trace}-{}-01", "0".repeat(16)), None);
        check(format!("00-{}-{span}-01", trace.to_uppercase()), None);
        check(format!("00-{trace}-{span}"), None);
        check(String::new(), None);
    }

    #[test]
    fn continues_and_begins() {
        let mut headers = HeaderMap::new();
        let begun = TraceContext::continue_or_begin(&headers).unwrap();
        headers.insert(TRACEPARENT, HeaderValue::from_str(&begun.to_header()).unwrap());
        let next = TraceContext::continue_or_begin(&headers).unwrap();
        assert_eq!(next.trace_id, begun.trace_id);
        assert_ne!(next.span_id, begun.span_id);
        headers.append(TRACEPARENT, HeaderValue::from_static("second"));
        let other = TraceContext::continue_or_begin(&headers).unwrap();
        assert_ne!(other.trace_id, begun.trace_id);
    }
}
