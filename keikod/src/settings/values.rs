//! Parsers of single values, shared by the flags and the file so that both say the same.
//!
//! Each error says what was expected; the caller adds where the value stood.

use crate::net::KeyExchange;
use keiko_core::id::{Name, slug};
use std::net::SocketAddr;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

type Parsed<T> = std::result::Result<T, String>;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The word in `keiko.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

/// A listener's address; port 0 lets the first start choose.
pub fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| "expected IP:PORT, such as 127.0.0.1:7340 or [::]:7340".to_owned())
}

/// A host name or an address, without a port.
pub fn host(text: &str) -> Result<String, String> {
    let text = text.trim();
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let fits = plain.parse::<std::net::IpAddr>().map_or_else(
        |_| rustls_pki_types::DnsName::try_from(plain).is_ok(),
        |address| !address.is_unspecified(),
    );
    match fits {
        true => Ok(plain.to_owned()),
        false => Err("expected a host name or an address, without a port".to_owned()),
    }
}

/// The further names of a node.
pub(super) fn hosts(names: Vec<String>) -> Parsed<Vec<String>> {
    const MAX: usize = crate::net::NAMES_GIVEN_MAX;
    if names.len() > MAX {
        return Err(format!("expected at most {MAX} names"));
    }
    names.iter().map(|name| host(name)).collect()
}

/// Where others reach a node that listens there. Who listens on any address is reached at the
/// machine's first one that is not its own alone.
pub(super) fn advertise_default(listens: std::net::IpAddr) -> String {
    if !listens.is_unspecified() {
        return listens.to_string();
    }
    let addresses = crate::net::machine_addresses(listens);
    let outward = addresses.iter().find(|address| !address.is_loopback());
    outward.map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string)
}

/// The same for the listener without TLS, which must stay on this machine.
pub fn loopback(text: &str) -> Parsed<SocketAddr> {
    let address = address(text)?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err("expected a loopback address: this listener speaks no TLS; /metrics is on the API's \
         listener too, for those who may read it"
        .to_owned())
}

/// A node's name: it is part of its certificate.
pub fn node_name(text: &str) -> Parsed<String> {
    Name::parse("node", text).map(|name| name.as_str().to_owned()).map_err(|refusal| {
        let hint = refusal.hints.first().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}{hint}", refusal.causes.join("; "))
    })
}

/// The name of a node whose owner gave none: the machine's.
pub fn node_name_default() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy();
    slug(host.split('.').next().unwrap_or_default()).unwrap_or_else(|| "node".to_owned())
}

/// A filter of log lines, such as `info,keikod::consensus=debug`.
pub fn log_filter(text: &str) -> Parsed<String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
        Ok(_) => Err("expected a level such as info, or target=level".to_owned()),
        Err(error) => {
            Err(format!("expected a filter such as info,keikod::consensus=debug: {error}"))
        }
    }
}

/// How log lines look.
pub fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected auto, human or json".to_owned()),
    }
}

/// Which key exchange the daemon's own ports take.
pub fn key_exchange(text: &str) -> Parsed<KeyExchange> {
    match text {
        "prefer" => Ok(KeyExchange::Prefer),
        "require-hybrid" => Ok(KeyExchange::RequireHybrid),
        _ => Err("expected prefer or require-hybrid".to_owned()),
    }
}

/// A path that means the same wherever the daemon was started.
pub fn absolute(text: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".to_owned()) }
}

/// User ids of this machine.
pub fn uids(numbers: Vec<u64>) -> Parsed<Vec<u32>> {
    let fit = numbers.into_iter().map(|number| u32::try_from(number).ok());
    fit.collect::<Option<_>>().ok_or_else(|| "expected user ids of 32 bits".to_owned())
}

/// A number within its bounds.
pub fn within(number: u64, least: u64, most: u64) -> Parsed<u64> {
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("expected {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, any: bool, local: bool| {
            assert_eq!(address(text).is_ok(), any, "{text}");
            assert_eq!(loopback(text).is_ok(), local, "{text}");
        };
        check("127.0.0.1:0", true, true);
        check("[::1]:7342", true, true);
        check("0.0.0.0:7342", true, false);
        check("localhost:7340", false, false);
        check("127.0.0.1", false, false);
    }

    #[test]
    fn names_and_filters() {
        assert!(node_name("n1").is_ok());
        assert!(node_name("Node One").is_err_and(|expected| expected.contains("node-one")));
        assert!(node_name(&node_name_default()).is_ok());
        assert!(log_filter("info,keikod=debug").is_ok());
        assert!(log_filter("keikod=loud").is_err());
        assert!(log_filter(" ").is_err());
    }
}
