use super::super::spiffe::Claim;
use super::*;
use x509_parser::certificate::X509Certificate;

fn founded() -> (tempfile::TempDir, Keys, wire::Authority) {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(&folder.path().join("keys")).unwrap();
    let (stored, pem) = Authority::create("c-1", &keys).unwrap();
    assert_eq!(stored.certificate, pem);
    (folder, keys, stored)
}

fn parse<'d>(certificate: &'d CertificateDer<'_>) -> X509Certificate<'d> {
    x509_parser::parse_x509_certificate(certificate).unwrap().1
}

#[test]
fn the_authority_survives_a_restart() {
    let (folder, keys, stored) = founded();
    let authority = Authority::open(&stored, &keys).unwrap();
    assert_eq!(authority.cluster_id(), "c-1");
    let certificate = CertificateDer::from_pem_slice(stored.certificate.as_bytes()).unwrap();
    assert_eq!(authority.ca_hash(), hash_of(&certificate));
    assert_eq!(authority.ca_hash().len(), 64);
    let path = folder.path().join("ca.pem");
    authority.write_ca(&path).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), stored.certificate);
}

#[test]
fn the_key_is_nowhere_in_clear() {
    let (_folder, keys, stored) = founded();
    let authority = Authority::open(&stored, &keys).unwrap();
    let secret = authority.people.issuer.key().serialize_der();
    let sealed = stored.key.unwrap().ciphertext;
    assert!(!sealed.windows(32).any(|window| secret.windows(32).any(|part| part == window)));
    assert!(!format!("{authority:?}").contains("BEGIN"));
}

#[test]
fn what_was_changed_does_not_open() {
    let (_folder, keys, stored) = founded();
    let (other, _) = Authority::create("c-2", &keys).unwrap();
    let check = |stored: wire::Authority| {
        assert_eq!(Authority::open(&stored, &keys).unwrap_err().code, Code::KeyMaterial);
    };
    let mut flipped = stored.clone();
    flipped.key.as_mut().unwrap().ciphertext[7] ^= 1;
    check(flipped);
    check(wire::Authority { key: None, ..stored.clone() });
    check(wire::Authority { certificate: String::new(), ..stored.clone() });
    // The certificate of one CA with the key of another.
    check(wire::Authority { key: other.key, ..stored });
}

#[test]
fn a_nodes_certificate_says_what_it_is() {
    let (_folder, keys, stored) = founded();
    let authority = Authority::open(&stored, &keys).unwrap();
    let names = Names::new("n1", ["10.1.2.3".parse().unwrap()]);
    let key = NodeKey::generate().unwrap();
    let issued = authority.issue_node(&names, &key).unwrap();
    assert_eq!(issued.ca_hash(), Some(authority.ca_hash()));
    let [leaf, ca] = issued.chain() else { panic!("a leaf and the CA") };
    let claim = Claim::of(leaf).unwrap();
    assert_eq!((claim.subject, claim.cluster_id.as_str()), (Subject::Node("n1".into()), "c-1"));
    assert_eq!(claim.key_hash, key.key_hash());
    assert_eq!(hash_of(ca), authority.ca_hash());

    let (leaf, ca) = (parse(leaf), parse(ca));
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    assert!(!leaf.is_ca());
    assert!(ca.is_ca());
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any);
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    for name in ["spiffe://c-1/node/n1", "DNSName(n1)", "DNSName(localhost)"] {
        assert!(names.iter().any(|text| text.contains(name)), "{name} in {names:?}");
    }
    // Loopback twice and the address that it listens on.
    assert_eq!(names.iter().filter(|text| text.starts_with("IPAddress")).count(), 3);

    let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert_eq!(life, (NODE_LIFE + BACKDATE).as_secs().cast_signed());
    assert!(leaf.validity().is_valid());
    let life = ca.validity().not_after.timestamp() - ca.validity().not_before.timestamp();
    assert_eq!(life, (AUTHORITY_LIFE + BACKDATE).as_secs().cast_signed());
}

#[test]
fn a_member_gets_what_the_cluster_says_and_nothing_that_it_asks_for() {
    let (_folder, keys, stored) = founded();
    let authority = Authority::open(&stored, &keys).unwrap();
    let key = NodeKey::generate().unwrap();
    // A request that asks to be a CA and somebody else.
    let mut greedy = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.subject_alt_names.push(uri("spiffe://c-1/person/root").unwrap());
    let request = greedy.serialize_request(key.pair()).unwrap();
    let names = ["10.0.0.9".to_owned(), "n2.example".to_owned()];
    let signed = authority.sign_node(request.der(), "n2", &names).unwrap();
    let stored = NodeCertificate::from_stored(&signed.pem_chain, &key).unwrap();
    assert_eq!((stored.expires(), stored.ca_hash()), (signed.expires, Some(authority.ca_hash())));
    let leaf = parse(&stored.chain()[0]);
    assert!(!leaf.is_ca());
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().any(|name| name.contains("spiffe://c-1/node/n2")), "{names:?}");

    let other = NodeKey::generate().unwrap();
    let refused = NodeCertificate::from_stored(&signed.pem_chain, &other).unwrap_err();
    assert_eq!(refused.code, Code::KeyMaterial);
    for (names, expect) in [
        (vec!["*.example".to_owned()], Code::InvalidArgument),
        (vec!["a b".to_owned()], Code::InvalidArgument),
        (vec!["n2".to_owned(); NAMES_MAX + 1], Code::LimitExceeded),
    ] {
        let refused = authority.sign_node(&key.csr().unwrap(), "n2", &names).unwrap_err();
        assert_eq!(refused.code, expect, "{names:?}");
    }
    let again = authority.sign_node(&key.csr().unwrap(), "n2", &[]).unwrap();
    let again = NodeCertificate::from_stored(&again.pem_chain, &key).unwrap();
    assert_ne!(parse(&again.chain()[0]).raw_serial(), leaf.raw_serial(), "the same key");
}

#[test]
fn a_persons_certificate_says_who_and_for_how_long() {
    let (_folder, keys, stored) = founded();
    let authority = Authority::open(&stored, &keys).unwrap();
    let key = NodeKey::generate().unwrap();
    let signed = authority.sign_person(&key.csr().unwrap(), "agent.default.hello").unwrap();
    let leaf = CertificateDer::from_pem_slice(signed.pem_chain.as_bytes()).unwrap();
    let claim = Claim::of(&leaf).unwrap();
    assert_eq!(claim.subject, Subject::Person("agent.default.hello".into()));
    assert_eq!(claim.key_hash, key.key_hash());
    let left = signed.expires.duration_since(SystemTime::now()).unwrap();
    assert!(left <= PERSON_LIFE && left > PERSON_LIFE - Duration::from_secs(60), "{left:?}");
    let expires_ms = signed.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    assert!(u128::from(claim.expires_ms).abs_diff(expires_ms) < 1000);
    let leaf = parse(&leaf);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    // Its chain is a node's nowhere: there is no other id in it.
    for bad in ["", "a/b", "ann?", "a\u{e9}", "../node/n1"] {
        assert!(authority.sign_person(&key.csr().unwrap(), bad).is_err(), "{bad:?}");
    }
}

/// The state behind a rotation.
fn behind(before: &wire::Authority, next: wire::Authority) -> wire::Authority {
    let old = wire::RetiringAuthority {
        certificate: before.certificate.clone(),
        cross: before.cross.clone(),
        hash: before.hash.clone(),
        ..Default::default()
    };
    let retiring = std::iter::once(old).chain(before.retiring.clone()).collect();
    wire::Authority { retiring, ..next }
}

fn believes(root: &str, issued: &NodeCertificate) -> bool {
    let [leaf, behind @ ..] = issued.chain() else { panic!("a chain") };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    rustls::client::verify_server_cert_signed_by_trust_anchor(
        &rustls::server::ParsedCertificate::try_from(leaf).unwrap(),
        &roots,
        behind,
        rustls_pki_types::UnixTime::now(),
        super::super::tls::provider().signature_verification_algorithms.all,
    )
    .is_ok()
}

#[test]
fn who_knows_only_one_of_several_finds_its_way_to_the_leaf() {
    let (_folder, keys, first) = founded();
    let (names, key) = (Names::new("n1", []), NodeKey::generate().unwrap());
    let open = |stored: &wire::Authority| Authority::open(stored, &keys).unwrap();
    let second = behind(&first, open(&first).create_next(&keys).unwrap());
    let third = behind(&second, open(&second).create_next(&keys).unwrap());
    let issue = |authority: &Authority| authority.issue_node(&names, &key).unwrap();
    for (signer, root, expect) in [
        (&first, &first, true),
        (&first, &second, false),
        (&second, &first, true),
        (&second, &second, true),
        (&third, &first, true),
        (&third, &second, true),
        (&third, &third, true),
    ] {
        assert_eq!(believes(&root.certificate, &issue(&open(signer))), expect);
    }
    let issued = issue(&open(&third));
    assert_eq!(issued.ca_hash(), Some(third.hash.as_str()));
    assert!([&first, &second, &third].iter().all(|one| issued.trusts(&one.hash)));
    // What retires is dropped.
    let alone = wire::Authority { retiring: Vec::new(), ..third };
    assert!(!believes(&first.certificate, &issue(&open(&alone))));
}

#[test]
fn while_nodes_renew_people_are_signed_for_as_before() {
    let (_folder, keys, stored) = founded();
    let first = Authority::open(&stored, &keys).unwrap();
    let next = first.create_next(&keys).unwrap();
    let rotation = |step: &str| wire::Rotation {
        step: step.to_owned(),
        next: Some(next.clone()),
        ..Default::default()
    };
    let (names, key) = (Names::new("n1", []), NodeKey::generate().unwrap());
    for (step, signs) in [("trust", &stored.hash), ("renew", &next.hash)] {
        let open = Authority::open_within(&stored, Some(&rotation(step)), &keys).unwrap();
        let issued = open.issue_node(&names, &key).unwrap();
        assert_eq!(issued.ca_hash(), Some(signs.as_str()), "{step}");
        assert!(believes(&stored.certificate, &issued) && issued.trusts(&next.hash), "{step}");
        assert_eq!(open.ca_hash(), stored.hash);
        assert_eq!(open.signs_with(), [stored.hash.clone(), next.hash.clone()]);
        let person = open.sign_person(&key.csr().unwrap(), "ann").unwrap().pem_chain;
        assert!(person.ends_with(&stored.certificate));
    }
}
