//! One line of `[egress] allow` or `deny`: `CIDR`, `address[:port]` or `host[:port]`.

use keiko_core::refusal::{Code, Refusal, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a connection goes, as far as rules look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    target: Target,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// Addresses that share the first `bits` bits.
    Network { address: IpAddr, bits: u8 },
    /// A name, lower case, without a dot at its end.
    Host(String),
}

impl Rule {
    pub(super) fn parse(text: &str) -> Result<Self> {
        Self::read(text.trim()).ok_or_else(|| {
            Refusal::new(Code::ConfigInvalid, format!("{text:?} is not an egress rule"))
                .hint("write 10.0.0.0/8, 192.168.1.7:8080, [fd00::1]:443, host or host:port")
        })
    }

    fn read(text: &str) -> Option<Self> {
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let target = (bits <= most).then(|| network(address, bits)).flatten()?;
            return Some(Self { target, port: None });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self { target: single(address), port: None });
        }
        if let Some(inner) = text.strip_prefix('[') {
            let (address, rest) = inner.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':')?.parse().ok()?),
            };
            return Some(Self { target: single(address.into()), port });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return Some(Self { target: single(address.into()), port });
        }
        let name = normal_host(host);
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        // A name that ends in digits is an address that somebody mistyped.
        let ends_in_number =
            name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        let fits = !name.is_empty() && name.chars().all(letters) && !ends_in_number;
        fits.then_some(Self { target: Target::Host(name), port })
    }

    /// `address` is unmapped already (see [`super::address::faces`]).
    pub(super) fn covers(&self, host: Option<&str>, address: IpAddr, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match &self.target {
            Target::Network { address: net, bits } => shares(*net, address, *bits),
            Target::Host(name) => host.is_some_and(|host| normal_host(host) == *name),
        }
    }

    /// True if the rule names this host, whatever its addresses are.
    pub(super) fn names(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
            && matches!(&self.target, Target::Host(name) if *name == normal_host(host))
    }
}

/// Names compare without case and without the dot of a fully qualified name.
pub(super) fn normal_host(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn single(address: IpAddr) -> Target {
    let address = address.to_canonical();
    Target::Network { address, bits: if address.is_ipv4() { 32 } else { 128 } }
}

/// Addresses are judged unmapped, so a rule on mapped ones is a rule on IPv4: `::ffff:10.0.0.0/104`
/// is `10.0.0.0/8`. One that reaches beyond them would cover no IPv4 address, and so says nothing.
fn network(address: IpAddr, bits: u8) -> Option<Target> {
    let (address, bits) = match address {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
            (address.to_canonical(), bits.checked_sub(96)?)
        }
        _ => (address, bits),
    };
    Some(Target::Network { address, bits })
}

fn shares(net: IpAddr, address: IpAddr, bits: u8) -> bool {
    fn same(a: u128, b: u128, width: u32, bits: u8) -> bool {
        let shift = width - u32::from(bits);
        // A shift by the full width is undefined for the type, and means "everything".
        shift >= width || (a >> shift) == (b >> shift)
    }
    match (net, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32, bits),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128, bits),
        _ => false,
    }
}
