//! What kind of address it is, and which addresses hide inside others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services of clouds that are not link-local.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Names under which the same services are known.
const METADATA_NAMES: [&str; 6] = [
    "metadata.google.internal",
    "metadata.goog",
    "metadata",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
];

/// True for the name of a metadata service; `host` is lower case without a dot at its end.
pub(super) fn is_metadata_name(host: &str) -> bool {
    METADATA_NAMES.contains(&host)
}

/// Every address that a packet to `address` may reach: IPv4 inside IPv6 is a second face
/// (mapped, compatible, NAT64 and 6to4), and each face has to be admitted.
pub(super) fn faces(address: IpAddr) -> (IpAddr, Option<IpAddr>) {
    let IpAddr::V6(six) = address else { return (address, None) };
    if let Some(four) = six.to_ipv4_mapped() {
        return (four.into(), None);
    }
    let s = six.segments();
    let four = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    };
    let inner = match s {
        // ::1 and :: are themselves, not 0.0.0.1 and 0.0.0.0.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, high, low] => four(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => {
            four(high, low)
        }
        [0x2002, high, low, ..] => four(high, low),
        _ => None,
    };
    (address, inner)
}

/// Why the address is denied unless it is allowed by name, or `None`.
pub(super) fn denied_by_default(address: IpAddr) -> Option<&'static str> {
    if METADATA.contains(&address) {
        return Some("a cloud's metadata service");
    }
    match address {
        IpAddr::V4(four) if four.is_link_local() => Some("link-local, where metadata services are"),
        // All of 0.0.0.0/8 reaches this machine on Linux.
        IpAddr::V4(four) if four.octets()[0] == 0 => Some("the unspecified address"),
        IpAddr::V4(four) if four.is_multicast() => Some("multicast"),
        IpAddr::V4(four) if four.is_broadcast() => Some("broadcast"),
        IpAddr::V6(six) if six.is_unicast_link_local() => {
            Some("link-local, where metadata services are")
        }
        IpAddr::V6(six) if six.is_unspecified() => Some("the unspecified address"),
        IpAddr::V6(six) if six.is_multicast() => Some("multicast"),
        _ => None,
    }
}

/// True if a connection to `address` ends on this machine. Asked only for keikod's own ports, so
/// the interfaces are read each time: they come and go.
pub(super) fn is_local(address: IpAddr) -> bool {
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        // Who can't tell must not connect to its own port.
        return true;
    };
    interfaces.filter_map(|interface| interface.address).any(|own| {
        own.as_sockaddr_in().is_some_and(|own| IpAddr::V4(own.ip()) == address)
            || own.as_sockaddr_in6().is_some_and(|own| IpAddr::V6(own.ip()) == address)
    })
}
