//! Who is no member, and shows something else or nothing: no port opens, somebody is told, and the
//! node goes on.

use super::people::person;
use super::{put, value};
use keiko_core::refusal::Code;
use keiko_tests::http::get;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Ctl, DEADLINE, Node, ctl, eventually, shared_cluster, skip};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How HTTP/2 begins: the preface, and settings without a setting.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// X25519MLKEM768, as the probe takes it and as it prints it.
const HYBRID: &str = "11ec";

/// A certificate, or a chain that begins with one, and its key.
pub(crate) struct Shown {
    chain_pem: String,
    key_pem: String,
}

impl Shown {
    pub(crate) fn read(chain: &Path, key: &Path) -> Self {
        let read = |path: &Path| fs::read_to_string(path).expect("it was given");
        Self { chain_pem: read(chain), key_pem: read(key) }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes());
        chain.map(|certificate| certificate.expect("a certificate")).collect()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("a key")
    }
}

/// An authority that no cluster knows.
struct Stranger(Issuer<'static, KeyPair>);

impl Stranger {
    fn of(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(Issuer::new(params, KeyPair::generate().expect("a key")))
    }

    /// A certificate that says what one of the cluster would say; `is_over`: it did so once.
    fn signs(&self, id: &str, is_over: bool) -> Shown {
        let names = vec!["localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("a name");
        params.subject_alt_names.push(SanType::URI(id.try_into().expect("plain text")));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if is_over {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("it is signed");
        Shown { chain_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

/// What nobody signed for this cluster: by another authority, and by one that has its name.
fn strangers(cluster_id: &str) -> [Stranger; 2] {
    let same_name = format!("Keiko CA {cluster_id}");
    ["Keiko CA of others", same_name.as_str()].map(Stranger::of)
}

fn cluster_id(cluster: &Cluster) -> String {
    let status = cluster.node(0).ctl.json("status");
    status["cluster"]["id"].as_str().expect("an id").to_owned()
}

/// A file of the only context of somebody.
fn file_of(ctl: &Ctl, end: &str) -> PathBuf {
    ctl.place().join("config/keiko/certs").join(format!("here.{end}"))
}

/// How often a node refused a certificate.
fn refusals(node: &Node) -> u64 {
    let page = get(&node.socket(), "/metrics").expect("it answers").text;
    let counts = page.lines().filter(|line| {
        line.starts_with("keiko_net_refusals_total{") && line.contains("KEIKO-0029")
    });
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Knocks at the port for other nodes; an error is how it is turned away. In TLS 1.3 a client is
/// done before the server has looked at its certificate, so what counts is the answer.
async fn knock(node: &Node, shown: Option<&Shown>) -> io::Result<u8> {
    enter(node, shown).await.map(|(first, _)| first)
}

/// The same, with the connection.
pub(crate) async fn enter(
    node: &Node,
    shown: Option<&Shown>,
) -> io::Result<(u8, TlsStream<TcpStream>)> {
    let ca = CertificateDer::from_pem_slice(&node.ca_pem()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(ca).expect("the cluster's");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3 is there")
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => builder
            .with_client_auth_cert(shown.chain(), shown.key())
            .expect("a certificate and its key"),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let host = ServerName::try_from("localhost").expect("a name");
    let talk = async {
        let stream = TcpStream::connect(node.peer()).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(host, stream).await?;
        stream.write_all(PREFACE).await?;
        Ok((stream.read_u8().await?, stream))
    };
    tokio::time::timeout(DEADLINE, talk).await.expect("an answer or an end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_for_peers_opens_to_members_only() {
    let mut cluster = shared_cluster();
    let (port, member) = (cluster.node(1), cluster.node(2));
    let own = Shown::read(&member.data().join("node.pem"), &member.data().join("keys/node.key"));
    knock(port, Some(&own)).await.expect("a member is let in");

    let id = cluster_id(&cluster);
    let [other, same_name] = strangers(&id);
    let named = format!("spiffe://{id}/node/n3");
    let operator = person(&cluster, "operator", &unique("olaf"), 1);
    let of_person = Shown::read(&file_of(&operator, "pem"), &file_of(&operator, "key"));
    for (what, shown) in [
        ("nothing", None),
        ("a certificate of another CA", Some(other.signs(&named, false))),
        ("one of a CA of the same name", Some(same_name.signs(&named, false))),
        ("one of another CA that is over", Some(other.signs(&named, true))),
        ("a person's", Some(of_person)),
    ] {
        let (before, from) = (refusals(port), port.log().len());
        let answer = knock(port, shown.as_ref()).await;
        assert!(answer.is_err(), "who shows {what} is let in: {answer:?}");
        eventually("it is counted, and told", || {
            let (count, log) = (refusals(port), port.log());
            let is_told = log.get(from..).is_some_and(|said| said.contains("KEIKO-0029"));
            expect(count > before && is_told, || format!("{what}: {count} after {before}"))
        });
    }
    let key = unique("after-strangers");
    put(&port.ctl, &key, "there", "").ok();
    assert_eq!(value(&member.ctl, &key, "--consistency linearizable"), "there");
    knock(port, Some(&own)).await.expect("a member is let in");
    cluster.wait_whole();
}

#[test]
fn the_api_refuses_who_shows_a_certificate_of_another_ca() {
    let cluster = shared_cluster();
    let (name, id) = (unique("sven"), cluster_id(&cluster));
    let ctl = person(&cluster, "operator", &name, 1);
    ctl.ok("agent list");
    let own = Shown::read(&file_of(&ctl, "pem"), &file_of(&ctl, "key"));
    let show = |shown: &Shown| {
        fs::write(file_of(&ctl, "pem"), &shown.chain_pem).expect("it is written");
        fs::write(file_of(&ctl, "key"), &shown.key_pem).expect("it is written");
    };
    // Behind the leaf the cluster's own CA, by which the server is recognised.
    let ca = fs::read_to_string(file_of(&ctl, "ca.pem")).expect("it was given");
    let named = format!("spiffe://{id}/person/{name}");
    for stranger in strangers(&id) {
        let Shown { chain_pem, key_pem } = stranger.signs(&named, false);
        show(&Shown { chain_pem: format!("{chain_pem}{ca}"), key_pem });
        let before = refusals(cluster.node(1));
        ctl.refused("agent list", 4, Code::CertificateInvalid);
        eventually("it is counted", || {
            let count = refusals(cluster.node(1));
            expect(count > before, || format!("{count} after {before}"))
        });
    }
    show(&own);
    ctl.ok("agent list");
}

/// The probe that the machine has beside the checkout, or a counted skip.
fn probe() -> Option<PathBuf> {
    let shared = std::env::var_os("KEIKO_SHARED").map(PathBuf::from);
    let script = shared.map(|shared| shared.join("vectors/pq_probe.py"));
    let script = script.filter(|script| script.exists());
    let python = Command::new("python3").arg("--version").output();
    let runs = python.is_ok_and(|output| output.status.success());
    if script.is_none() || !runs {
        skip("cluster::strangers", "no pq_probe.py in KEIKO_SHARED, or no python3");
        return None;
    }
    script
}

#[test]
fn both_ports_speak_the_post_quantum_key_exchange() {
    let Some(script) = probe() else { return };
    let cluster = shared_cluster();
    let node = cluster.node(0);
    for (what, address) in [("the API", node.api()), ("the port for peers", node.peer())] {
        let mut command = Command::new("python3");
        command.arg(&script).args([address.ip().to_string(), address.port().to_string()]);
        command.arg(HYBRID);
        let said = ctl::run(command, &format!("pq_probe.py {address} {HYBRID}"), "").ok();
        // A server that knows the group asks for a share of it.
        let line = format!("0x{HYBRID} hrr 0x{HYBRID}");
        assert!(said.stdout.lines().any(|said| said == line), "{what}: {said}");
    }
}
