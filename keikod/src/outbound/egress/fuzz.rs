//! Rules of operators and addresses of strangers: who gets out, gets out by a rule.

use super::rule::Rule;
use super::{Policy, address};
use crate::fuzz::{check_refusal, mutate};
use crate::outbound::http::{parse_url, same_origin, shown};
use keiko_core::limits::URL_CHARS_MAX;
use keiko_core::refusal::Code;
use std::net::IpAddr;

const WORDS: &[&str] = &[
    "10.0.0.0/8",
    "::ffff:10.0.0.1",
    "[fd00::1]:443",
    "127.1",
    "0x7f.1",
    "2130706433",
    "/33",
    "/0",
    ":0",
    ":65536",
    "localhost",
    "metadata.google.internal.",
    "a@b",
    "%2e",
    "http://",
    "https:\\\\",
    "#",
    "?",
    "。",
];

#[test]
fn any_rule() {
    let corpus = [
        "10.0.0.0/8",
        "192.168.1.7:8080",
        "[fd00::1]:443",
        "host",
        "host.test:8080",
        "::ffff:10.0.0.0/104",
        "fd00::/128",
        "1.2.3.4/32",
        "1.2.3.4",
        "::1",
    ];
    let policy = |allow: &str, deny: &str| {
        let list = |text: &str| if text.is_empty() { vec![] } else { vec![text.to_owned()] };
        Policy::new(&list(allow), &list(deny), vec![])
    };
    let everybody: Vec<IpAddr> =
        ["10.1.2.3", "169.254.169.254", "1.2.3.4", "::1", "fe80::1", "fd00::1"]
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
    mutate::run("egress rules", &corpus, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let rule = match Rule::parse(&text) {
            Ok(rule) => rule,
            Err(why) => return check_refusal(&why, &[Code::ConfigInvalid]),
        };
        if let Ok(own) = text.trim().parse::<IpAddr>() {
            let face = own.to_canonical();
            assert!(rule.covers(None, face, 1) && !rule.covers(None, other(face), 1), "{text:?}");
        }
        let (allows, denies) = (policy(&text, ""), policy("", &text));
        let (allows, denies) = (allows.expect("it is a rule"), denies.expect("it is a rule"));
        for address in &everybody {
            let covers = rule.covers(Some("host"), *address, 80);
            let denied = denies.admit(Some("host"), *address, 80).is_err();
            let closed = address::denied_by_default(*address).is_some();
            assert_eq!(denied, covers || closed, "{text:?} {address}");
            let allowed = allows.admit(Some("host"), *address, 80).is_ok();
            assert_eq!(allowed, covers || !closed, "{text:?} {address}");
        }
    });
}

/// An address that is not this one.
fn other(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(four) => IpAddr::V4((four.to_bits() ^ 1).into()),
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() ^ 1).into()),
    }
}

/// What is connected to is what was judged: a URL that was read means the same when it is read again.
#[test]
fn any_url() {
    let corpus = [
        "http://a.test",
        "https://a.test:8443/x/y?q=1#f",
        "http://[::1]:80/",
        "http://127.0.0.1/",
        "HTTPS://A.Test./%7e",
        "http://user:secret@a.test/",
        "ftp://a.test",
        "http://bücher.test/é",
    ];
    let policy = Policy::default();
    mutate::run("urls", &corpus, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let url = match parse_url(&text) {
            Ok(url) => url,
            Err(why) => {
                return check_refusal(&why, &[Code::InvalidArgument, Code::LimitExceeded]);
            }
        };
        assert!(text.len() <= URL_CHARS_MAX && matches!(url.scheme(), "http" | "https"), "{url}");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        let host = url.host_str().expect("it names a host");
        let place = shown(&url);
        assert!(place.contains(host) && !place[8..].contains('/'), "{place}");
        if url.as_str().len() <= URL_CHARS_MAX {
            let again = parse_url(url.as_str()).expect("what was written can be read");
            assert_eq!(again, url);
            assert!(same_origin(&again, &url));
        }
        let port = url.port_or_known_default().expect("http and https have one");
        if let Err(why) = policy.admit_name(host, port) {
            check_refusal(&why, &[Code::EgressDenied]);
        }
    });
}
