//! Where a daemon is: a unix socket, a host and port, or several members of one cluster.

use crate::error::{Error, Result, code};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of the API if none is given.
const API_PORT: u16 = 7340;
/// Members that one endpoint names: more than a cluster has voters.
const MEMBERS_MAX: usize = 16;

/// Where a daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine: who calls is known from the process.
    Unix(PathBuf),
    /// TLS 1.3 over TCP.
    Tls {
        /// A DNS name or an address.
        host: String,
        /// 7340 unless told.
        port: u16,
    },
    /// Members of one cluster, host and port each: whichever answers.
    Several(Vec<(String, u16)>),
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Reads `unix:PATH`, `https://HOST[:PORT]`, `HOST:PORT`, `HOST`, or several of the last three
    /// with commas between them.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(malformed(text, "the path is missing")),
                path => Ok(socket(path)),
            };
        }
        if text.starts_with('/') || text.starts_with("./") {
            return Ok(socket(text));
        }
        if text.contains(',') {
            let members = text.split(',').map(|part| part.parse::<Self>());
            return Self::any_of(&members.collect::<Result<Vec<_>>>()?);
        }
        if text.starts_with("http://") {
            return Err(malformed(text, "keikod speaks TLS only").hint("write https://"));
        }
        let rest = text.strip_prefix("https://").unwrap_or(text);
        if rest.contains("://") {
            return Err(malformed(text, "the scheme is unknown"));
        }
        let rest = rest.trim_end_matches('/');
        let (host, port) = split_port(rest).ok_or_else(|| malformed(text, "the port is bad"))?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        if host.is_empty() || !host.bytes().all(fits) {
            return Err(malformed(text, "the host is bad"));
        }
        Ok(Self::Tls { host: host.to_owned(), port })
    }
}

/// The slashes that a path begins with are one: two behind `unix:` mean none.
fn socket(path: &str) -> Endpoint {
    let inner = path.trim_start_matches('/');
    let root = if inner.len() < path.len() { "/" } else { "" };
    Endpoint::Unix(format!("{root}{inner}").into())
}

/// The host without brackets, and the port.
fn split_port(rest: &str) -> Option<(&str, u16)> {
    if let Some(inner) = rest.strip_prefix('[') {
        let (host, after) = inner.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None => after.is_empty().then_some((host, API_PORT)),
        };
    }
    match rest.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Some((rest, API_PORT)),
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((rest, API_PORT)),
    }
}

fn malformed(text: &str, why: &str) -> Error {
    Error::new(code::INVALID_ARGUMENT, format!("{text:?} is not an endpoint"))
        .cause(why)
        .hint("unix:PATH, https://HOST:PORT or HOST:PORT; members of one cluster as A:PORT,B:PORT")
}

impl Endpoint {
    /// Members of one cluster as one endpoint: whichever answers.
    pub fn any_of(endpoints: &[Self]) -> Result<Self> {
        if let [one] = endpoints {
            return Ok(one.clone());
        }
        let refused = |why: &str| {
            let shown: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            malformed(&shown.join(","), why)
        };
        if endpoints.iter().any(|endpoint| matches!(endpoint, Self::Unix(_))) {
            return Err(refused("a unix socket stands alone"));
        }
        let members: Vec<_> = endpoints.iter().flat_map(Self::places).collect();
        match members.len() {
            0 => Err(refused("it names no member")),
            1..=MEMBERS_MAX => Ok(Self::Several(members)),
            _ => Err(refused(&format!("it names more than {MEMBERS_MAX} members"))),
        }
    }

    /// The hosts and ports, in the order in which they are tried; none of a unix socket.
    pub(crate) fn places(&self) -> Vec<(String, u16)> {
        match self {
            Self::Unix(_) => Vec::new(),
            Self::Tls { host, port } => vec![(host.clone(), *port)],
            Self::Several(members) => members.clone(),
        }
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    match host.contains(':') {
        true => write!(f, "https://[{host}]:{port}"),
        false => write!(f, "https://{host}:{port}"),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls { host, port } => write_place(f, host, *port),
            Self::Several(members) => {
                for (index, (host, port)) in members.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    write_place(f, host, *port)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, expect) in [
            ("unix:/a/b.sock", Some("unix:/a/b.sock")),
            ("unix:///a/b.sock", Some("unix:/a/b.sock")),
            ("/a/b.sock", Some("unix:/a/b.sock")),
            ("//a/b.sock", Some("unix:/a/b.sock")),
            ("unix:////a/b.sock", Some("unix:/a/b.sock")),
            ("unix:", None),
            ("https://a.example:1", Some("https://a.example:1")),
            ("https://a.example/", Some("https://a.example:7340")),
            ("127.0.0.1:99", Some("https://127.0.0.1:99")),
            ("[::1]:99", Some("https://[::1]:99")),
            ("::1", Some("https://[::1]:7340")),
            ("a,b:1,[::1]", Some("https://a:7340,https://b:1,https://[::1]:7340")),
            ("a,,b", None),
            ("a,b,", None),
            ("a,unix:/b", None),
            ("unix:/a,b", Some("unix:/a,b")),
            (&*["a"; 17].join(","), None),
            ("http://a", None),
            ("ftp://a", None),
            ("a:b", None),
            ("a:99999", None),
            ("", None),
            ("a b", None),
            ("a/b", None),
        ] {
            let read = text.parse::<Endpoint>().ok().map(|endpoint| endpoint.to_string());
            assert_eq!(read.as_deref(), expect, "{text:?}");
        }
    }

    #[test]
    fn several_are_one() {
        let check = |texts: &[&str], expect: Option<&str>| {
            let endpoints: Vec<Endpoint> = texts.iter().map(|text| text.parse().unwrap()).collect();
            let one = Endpoint::any_of(&endpoints).ok().map(|endpoint| endpoint.to_string());
            assert_eq!(one.as_deref(), expect, "{texts:?}");
        };
        check(&["a"], Some("https://a:7340"));
        check(&["unix:/a,b"], Some("unix:/a,b"));
        check(&["a", "b:1"], Some("https://a:7340,https://b:1"));
        check(&["a,b", "c"], Some("https://a:7340,https://b:7340,https://c:7340"));
        check(&["unix:/a", "b"], None);
        check(&["a"; 17], None);
        check(&[], None);
    }
}

#[cfg(test)]
mod fuzz;
