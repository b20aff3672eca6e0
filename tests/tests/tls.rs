//! `[security] tls`: who has no post-quantum key exchange is let in, or is not; and that changes while
//! the daemon lives.

use keiko_tests::wait::expect;
use keiko_tests::{Ctl, DEADLINE, Node, Plan, eventually};
use nix::sys::signal::Signal;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Shakes hands with nothing but X25519, which is what every client had until lately.
fn classical(node: &Node, address: SocketAddr) -> io::Result<()> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(&node.ca_pem()).expect("a certificate");
    roots.add(ca).expect("the cluster's");
    let kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
    let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3 is there")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let host = ServerName::try_from("localhost").expect("a name");
    let shake = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(host, stream).await.map(drop)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bounded = async { tokio::time::timeout(DEADLINE, shake).await };
    runtime.expect("a runtime").block_on(bounded).expect("an answer or an end")
}

#[test]
fn hybrid_only_is_switched_without_a_restart() {
    let node = Node::start(Plan::config("[security]\ntls = 'prefer'\n"));
    let token = node.ctl.ok("cluster token create --for viewer --bearer -q").stdout;
    let mut ours = Ctl::new(Some(format!("https://{}", node.api())));
    ours.env = [("KEIKO_TOKEN".to_owned(), token.trim().to_owned())].into();
    let ports = [node.api(), node.peer()];
    for port in ports {
        classical(&node, port).expect("whoever has no other is let in");
    }
    let live = ours.stream("event tail --from 0 -o jsonl");
    live.find_json("the past", |_| true);
    for (word, is_let_in) in
        [("require-hybrid", false), ("prefer", true), ("require-hybrid", false)]
    {
        node.configure(&format!("[security]\ntls = '{word}'\n"));
        node.signal(Signal::SIGHUP);
        for port in ports {
            eventually("it is taken over", || {
                let shaken = classical(&node, port);
                expect(shaken.is_ok() == is_let_in, || format!("{word} {port}: {shaken:?}"))
            });
        }
        ours.ok("agent list");
    }
    let log = node.log();
    assert!(log.contains("KEIKO-0014") && log.contains("security.tls"), "{log}");
    // What was open stays open.
    node.ctl.ok("cluster token create --for viewer --bearer -q");
    live.find_json("what came since", |event| event["type"] == "keiko.security.token.created");
    eventually("who was turned away is told of", || {
        let told = node.ctl.ok("event tail --from 0 -o jsonl").stdout;
        let refused = told
            .lines()
            .any(|line| line.contains("keiko.security.refused") && line.contains("\"code\":14"));
        expect(refused, || told)
    });
}

#[test]
fn a_word_that_is_not_known_changes_nothing() {
    let node = Node::start(Plan::config("[security]\ntls = 'require-hybrid'\n"));
    node.configure("[security]\ntls = 'classical'\n");
    node.signal(Signal::SIGHUP);
    eventually("it is refused", || {
        let log = node.log();
        expect(log.contains("KEIKO-0063"), || log)
    });
    classical(&node, node.api()).expect_err("it stays as it was");
}
