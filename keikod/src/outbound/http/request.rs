//! What may be asked for: an http(s) URL without secrets in it, and headers that stay secret.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keiko_core::limits::URL_CHARS_MAX;
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use url::{Origin, Url};

/// One request, before any redirect.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST or DELETE.
    pub method: Method,
    /// From [`parse_url`].
    pub url: Url,
    /// Headers of the protocol; they follow every redirect.
    pub headers: HeaderMap,
    /// Headers that only the first origin may see.
    pub credentials: HeaderMap,
    /// Empty for GET.
    pub body: Bytes,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            credentials: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds the headers that only this origin may see.
    #[must_use]
    pub fn credentials(mut self, credentials: &HeaderMap) -> Self {
        self.credentials.extend(credentials.clone());
        self
    }

    /// Adds a header of the protocol.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn json(mut self, body: Vec<u8>) -> Self {
        self.headers
            .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = body.into();
        self
    }
}

/// Reads a URL that a person or a card gave.
pub fn parse_url(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Refusal::new(Code::InvalidArgument, "the URL can't be used")
            .cause(why)
            .hint("write http://HOST[:PORT][/PATH] or https://…")
    };
    if text.len() > URL_CHARS_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("the URL is longer than {URL_CHARS_MAX} characters"),
        );
    }
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(&format!("{:?} is neither http nor https", url.scheme())));
    }
    if url.host().is_none() {
        return Err(wrong("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user name or password")
            .hint("name a credential instead: --header Authorization=@NAME"));
    }
    url.set_fragment(None);
    Ok(url)
}

/// Headers that the transport sets itself; a credential may not replace them.
const RESERVED: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "accept",
    "user-agent",
    "last-event-id",
    "if-none-match",
    "a2a-version",
];

/// Turns named values into headers that are never shown, not even by `Debug`.
pub fn secret_headers<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let bad = |why: &str| {
            Refusal::new(Code::InvalidArgument, format!("the header {name:?} can't be sent"))
                .cause(why)
        };
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("it is no header name"))?;
        if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-") {
            return Err(bad("the protocol sets it"));
        }
        let mut value = HeaderValue::from_bytes(value.trim_ascii())
            .map_err(|_| bad("its value has bytes that no header may have"))?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// True if both URLs mean the same listener: scheme, host and port, where every name of this
/// machine's loopback is the same host.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    fn normal(url: &Url) -> Origin {
        match url.origin() {
            Origin::Tuple(scheme, host, port) if is_loopback(&host) => {
                Origin::Tuple(scheme, url::Host::Domain("localhost".to_owned()), port)
            }
            other => other,
        }
    }
    normal(a) == normal(b)
}

fn is_loopback(host: &url::Host<String>) -> bool {
    match host {
        url::Host::Domain(name) => name == "localhost" || name == "localhost.",
        url::Host::Ipv4(four) => four.is_loopback(),
        url::Host::Ipv6(six) => six.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, expect) in [
            ("http://a", Ok("http://a/")),
            ("https://a:1/b?c#d", Ok("https://a:1/b?c")),
            ("http://0xA9FEA9FE/", Ok("http://169.254.169.254/")),
            ("http://0251.0376.0251.0376/", Ok("http://169.254.169.254/")),
            ("http://2852039166/", Ok("http://169.254.169.254/")),
            ("http://169.254.169.254./", Ok("http://169.254.169.254/")),
            ("ftp://a", Err(Code::InvalidArgument)),
            ("a:1", Err(Code::InvalidArgument)),
            ("localhost", Err(Code::InvalidArgument)),
            ("http://u:p@a", Err(Code::InvalidArgument)),
            ("http://u@a", Err(Code::InvalidArgument)),
            ("", Err(Code::InvalidArgument)),
        ] {
            let got = parse_url(text);
            assert_eq!(got.as_ref().map(Url::as_str).map_err(|r| r.code), expect, "{text}");
        }
    }

    #[test]
    fn secret_values_are_not_shown() {
        let headers = secret_headers([("X-Key", b"hunter2\n".as_slice())]).unwrap();
        assert_eq!(headers["x-key"], "hunter2");
        assert!(!format!("{headers:?}").contains("hunter2"));
        for name in ["Host", "Mcp-Session-Id", "a b", "content-type"] {
            assert!(secret_headers([(name, b"x".as_slice())]).is_err(), "{name}");
        }
        assert!(secret_headers([("x", b"a\nb".as_slice())]).is_err());
    }

    #[test]
    fn origins() {
        for (a, b, same) in [
            ("http://a/x", "http://a:80/y", true),
            ("http://a", "https://a", false),
            ("http://a:1", "http://a:2", false),
            ("http://localhost:5", "http://127.0.0.1:5", true),
            ("http://[::1]:5", "http://127.0.0.1:5", true),
            ("http://localhost:5", "http://10.0.0.1:5", false),
        ] {
            assert_eq!(
                same_origin(&parse_url(a).unwrap(), &parse_url(b).unwrap()),
                same,
                "{a} {b}"
            );
        }
    }
}
