use super::*;

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    Policy::new(&texts(allow), &texts(deny), vec![7340]).unwrap()
}

fn verdict(policy: &Policy, address: &str, port: u16) -> bool {
    policy.admit(None, address.parse().unwrap(), port).is_ok()
}

#[test]
fn the_neighbourhood_is_closed_by_default() {
    let policy = policy(&[], &[]);
    for (address, open) in [
        ("169.254.169.254", false),
        ("169.254.0.1", false),
        ("::ffff:169.254.169.254", false),
        ("::ffff:a9fe:a9fe", false),
        ("::169.254.169.254", false),
        ("64:ff9b::169.254.169.254", false),
        ("64:ff9b:1::a9fe:a9fe", false),
        ("2002:a9fe:a9fe::1", false),
        ("fe80::1", false),
        ("febf::1", false),
        ("fd00:ec2::254", false),
        ("100.100.100.200", false),
        ("168.63.129.16", false),
        ("192.0.0.192", false),
        ("0.0.0.0", false),
        ("0.1.2.3", false),
        ("::", false),
        ("::ffff:0.0.0.0", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("ff02::1", false),
        ("127.0.0.1", true),
        ("::1", true),
        ("10.1.2.3", true),
        ("fd00::1", true),
        ("93.184.216.34", true),
        ("2606:4700::1", true),
        ("64:ff9b::8.8.8.8", true),
    ] {
        assert_eq!(verdict(&policy, address, 80), open, "{address}");
    }
}

#[test]
fn own_ports_are_closed_on_this_machine_only() {
    let policy = policy(&[], &[]);
    for (address, port, open) in [
        ("127.0.0.1", 7340, false),
        ("127.8.8.8", 7340, false),
        ("::1", 7340, false),
        ("::ffff:127.0.0.1", 7340, false),
        ("127.0.0.1", 7341, true),
        ("93.184.216.34", 7340, true),
    ] {
        assert_eq!(verdict(&policy, address, port), open, "{address}:{port}");
    }
}

#[test]
fn deny_beats_allow_beats_default() {
    let policy = policy(
        &["169.254.1.0/24", "127.0.0.1:7340", "metadata.google.internal:80", "fe80::/10"],
        &["10.0.0.0/8", "169.254.1.9", "127.0.0.1:22", "evil.example"],
    );
    for (address, port, open) in [
        ("169.254.1.7", 80, true),
        ("::ffff:169.254.1.7", 80, true),
        ("169.254.1.9", 80, false),
        ("169.254.2.1", 80, false),
        ("127.0.0.1", 7340, true),
        ("127.0.0.2", 7340, false),
        ("127.0.0.1", 22, false),
        ("10.9.9.9", 443, false),
        ("::ffff:10.9.9.9", 443, false),
        ("fe80::7", 443, true),
    ] {
        assert_eq!(verdict(&policy, address, port), open, "{address}:{port}");
    }
    for (host, port, open) in [
        ("metadata.google.internal", 80, true),
        ("metadata.google.internal", 443, false),
        ("METADATA.google.internal.", 443, false),
        ("metadata", 80, false),
        ("evil.example", 1, false),
        ("Evil.Example.", 1, false),
        ("example.com", 443, true),
    ] {
        assert_eq!(policy.admit_name(host, port).is_ok(), open, "{host}:{port}");
    }
}

#[test]
fn a_rule_on_mapped_addresses_is_one_on_ipv4() {
    let policy = policy(&["::ffff:169.254.1.7"], &["::ffff:10.0.0.0/104", "[::ffff:127.0.0.1]:22"]);
    for (address, port, open) in [
        ("169.254.1.7", 80, true),
        ("169.254.1.8", 80, false),
        ("10.9.9.9", 80, false),
        ("::ffff:10.9.9.9", 80, false),
        ("11.0.0.1", 80, true),
        ("127.0.0.1", 22, false),
        ("127.0.0.1", 23, true),
    ] {
        assert_eq!(verdict(&policy, address, port), open, "{address}:{port}");
    }
}

#[test]
fn an_allowed_name_carries_its_addresses() {
    let policy = policy(&["meta.internal:80"], &[]);
    let address: IpAddr = "169.254.169.254".parse().unwrap();
    assert!(policy.admit(Some("meta.internal"), address, 80).is_ok());
    assert!(policy.admit(Some("meta.internal"), address, 81).is_err());
    assert!(policy.admit(Some("other"), address, 80).is_err());
}

#[test]
fn a_wrong_rule_is_a_configuration_error() {
    for text in ["", "10.0.0.0/33", "::/129", "1.2.3.4.5", "host:99999", "[::1", "a b", "10.0.0/8"]
        .into_iter()
        .chain(["::ffff:10.0.0.0/95", "::ffff:0:0/0"])
    {
        let refused = Policy::new(&[text.to_owned()], &[], vec![]).unwrap_err();
        assert_eq!(refused.code, Code::ConfigInvalid, "{text}");
    }
    for text in [
        "0.0.0.0/0",
        "::/0",
        "::ffff:0:0/96",
        "[::1]",
        "[::1]:80",
        "::1",
        "a-b.c_d",
        "h:1",
        "1.2.3.4:5",
    ] {
        assert!(Policy::new(&[text.to_owned()], &[], vec![]).is_ok(), "{text}");
    }
}

#[test]
fn the_refusal_names_the_way_out() {
    let refused = policy(&[], &[]).admit(Some("a.b"), "fe80::1".parse().unwrap(), 80).unwrap_err();
    assert_eq!(refused.code, Code::EgressDenied);
    assert_eq!(refused.message, "keikod may not connect to a.b:80");
    assert_eq!(refused.hints, ["if it is meant, in keiko.toml: [egress] allow = [\"a.b:80\"]"]);
}
