//! Servers behind TLS, and who signs for them and for those who call.

use crate::script::Script;
use keiko_client::{Client, Endpoint, Identity, Settings, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;

/// A CA.
pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Arc::new(Self { issuer: Issuer::new(params, key), pem, der })
    }

    pub(crate) fn person(&self, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        let id = format!("spiffe://c-1/person/{name}");
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        params
    }

    /// Somebody with a certificate of it.
    pub(crate) fn identity(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = self.person("ann");
        change(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let chain_pem = format!("{}{}", leaf.pem(), self.pem);
        Identity::Certificate { chain_pem, key_pem: key.serialize_pem() }
    }
}

/// A server behind a certificate of this CA for that host, which looks at those of its clients.
pub(crate) async fn behind(
    ca: &Authority,
    script: &Script,
    host: &str,
) -> (u16, tokio::task::JoinHandle<()>) {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &ca.issuer).unwrap();
    let authority = rustls_pki_types::CertificateDer::from(ca.der.clone());
    let chain = vec![certificate.der().clone(), authority.clone()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(chain, key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (give, take) = tokio::sync::mpsc::channel(8);
    let incoming = tokio_stream::wrappers::ReceiverStream::new(take);
    tokio::spawn(script.server().serve_with_incoming(incoming));
    let serving = tokio::spawn(async move {
        use tokio_stream::StreamExt;
        let mut incoming = TcpListenerStream::new(listener);
        // All ends with this task, as with a process.
        let mut open = tokio::task::JoinSet::new();
        while let Some(Ok(stream)) = incoming.next().await {
            let mut stream = match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => stream,
                // A client that turns away, or is turned away, ends its own handshake only. It is
                // heard out, so that it reads why.
                Err((_, mut stream)) => {
                    open.spawn(async move {
                        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
                    });
                    continue;
                }
            };
            let (mut near, far) = tokio::io::duplex(64 << 10);
            open.spawn(async move {
                tokio::io::copy_bidirectional(&mut stream, &mut near).await.map(drop)
            });
            give.send(Ok::<_, std::io::Error>(far)).await.unwrap();
        }
    });
    (port, serving)
}

/// A CA, and a server behind a certificate of it for that host.
pub(crate) async fn over_tls(script: &Script, host: &str) -> (Vec<u8>, u16) {
    let ca = Authority::new("a CA");
    let (port, _) = behind(&ca, script, host).await;
    (ca.der.clone(), port)
}

pub(crate) fn by(endpoint: Endpoint, identity: Identity, trust: Option<Trust>) -> Settings {
    Settings { endpoint, identity, trust, timeout: Duration::from_secs(10), fence: None }
}

pub(crate) async fn asks(settings: Settings) -> Result<(), u32> {
    let asked = async { Client::with(settings).await?.status().await.map(drop) };
    asked.await.map_err(|error| error.refusal.code)
}

pub(crate) fn at(port: u16) -> Endpoint {
    Endpoint::Tls { host: "127.0.0.1".into(), port }
}
