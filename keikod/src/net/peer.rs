//! Node to node: mutual TLS, in which both sides prove which node they are.
//!
//! Invariants: a certificate counts if the cluster's CA signed it, it holds now, and it names a
//! node; a dialler refuses another node than the one it meant; every call says which cluster and
//! which node it means, so that a port that somebody else took over is noticed.

use super::authority::hash_of;
use super::certificate::Certificates;
use super::tls;
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::server::Connected;
use x509_parser::extensions::GeneralName;

/// Until a handshake must be complete.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way: members are 64 at most, and each opens one connection.
const HANDSHAKES_MAX: usize = 128;
/// Accepted connections that wait to be served.
const ACCEPTED_AHEAD: usize = 16;
/// After an error of accept there is nothing to do but wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const CLUSTER: &str = "keiko-cluster";
const FROM: &str = "keiko-from";
const TO: &str = "keiko-to";

/// Both sides of the peers' TLS.
#[derive(Clone)]
pub struct PeerTls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    cluster_id: Arc<str>,
}

/// Opens connections to peers.
#[derive(Clone)]
pub struct Dialer(PeerTls);

impl PeerTls {
    /// Of the cluster whose CA this is; `certificates` is what this node shows.
    pub fn new(ca_pem: &str, cluster_id: &str, certificates: &Arc<Certificates>) -> Result<Self> {
        let unusable = |why: &dyn std::fmt::Display| {
            Refusal::new(Code::KeyMaterial, "the cluster's CA can't be used").cause(why)
        };
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes());
        let ca = ca.map_err(|error| unusable(&error))?.into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(ca).map_err(|error| unusable(&error))?;
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), tls::provider())
            .build()
            .map_err(|error| unusable(&error))?;
        let versions = |error: rustls::Error| unusable(&error);
        let mut server = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(versions)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(certificates.clone());
        // The one place that names it: it checks the node's name instead of a host's.
        let mut client = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ByCluster { roots }))
            .with_client_cert_resolver(certificates.clone());
        for alpn in [&mut server.alpn_protocols, &mut client.alpn_protocols] {
            *alpn = vec![b"h2".to_vec()];
        }
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Self { client, server, cluster_id: cluster_id.into() })
    }

    /// The way out.
    pub fn dialer(&self) -> Dialer {
        Dialer(self.clone())
    }

    /// Accepts peers until shutdown. What is not proven within its time is closed.
    pub fn accept(&self, listener: TcpListener, shutdown: CancellationToken) -> Incoming {
        let (sender, accepted) = mpsc::channel(ACCEPTED_AHEAD);
        let (acceptor, cluster_id) =
            (TlsAcceptor::from(self.server.clone()), self.cluster_id.clone());
        let slots = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        tokio::spawn(async move {
            loop {
                let slot = slots.clone().acquire_owned().await;
                let accepted = tokio::select! {
                    () = shutdown.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let stream = match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "can't accept a peer");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let (acceptor, cluster_id) = (acceptor.clone(), cluster_id.clone());
                let sender = sender.clone();
                tokio::spawn(async move {
                    let proven = prove(stream, acceptor, &cluster_id);
                    match tokio::time::timeout(HANDSHAKE, proven).await {
                        Ok(Ok(peer)) => drop(sender.send(Ok(peer)).await),
                        Ok(Err(refusal)) => {
                            super::metrics::refused(refusal.code, "");
                            tracing::warn!(code = %refusal.code, causes = ?refusal.causes, "{refusal}");
                        }
                        Err(_) => tracing::debug!("a peer's handshake took too long"),
                    }
                    drop(slot);
                });
            }
        });
        ReceiverStream::new(accepted)
    }
}

async fn prove(stream: TcpStream, acceptor: TlsAcceptor, cluster_id: &str) -> Result<Accepted> {
    let peer = stream.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    let refused = |why: &dyn std::fmt::Display| {
        Refusal::new(Code::CertificateInvalid, format!("a peer at {peer} was refused")).cause(why)
    };
    stream.set_nodelay(true).map_err(|error| refused(&error))?;
    let stream = acceptor.accept(stream).await.map_err(|error| refused(&error))?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let leaf = leaf.ok_or_else(|| refused(&"it showed no certificate"))?;
    let name = node_of(leaf, cluster_id)?;
    Ok(Accepted { stream: Box::new(stream.into()), from: From { name } })
}

/// Connections of peers that proved who they are.
pub type Incoming = ReceiverStream<io::Result<Accepted>>;

/// Which node is at the other end.
#[derive(Clone, Debug)]
pub struct From {
    /// Its name.
    pub name: String,
}

/// A proven connection.
pub struct Accepted {
    stream: Box<tokio_rustls::TlsStream<TcpStream>>,
    from: From,
}

impl Connected for Accepted {
    type ConnectInfo = From;

    fn connect_info(&self) -> From {
        self.from.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }
}

impl Dialer {
    /// A connection to the node of this name.
    pub async fn dial(
        &self,
        address: &str,
        name: &str,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let away = |why: &dyn std::fmt::Display| {
            Refusal::new(Code::PeerUnreachable, format!("no connection to node {name}"))
                .cause(format!("{address}: {why}"))
        };
        let stream = TcpStream::connect(address).await.map_err(|error| away(&error))?;
        stream.set_nodelay(true).map_err(|error| away(&error))?;
        let connector = TlsConnector::from(self.0.client.clone());
        // Whose name it is says the certificate's SPIFFE id, below.
        let host = ServerName::try_from("localhost").map_err(|error| away(&error))?;
        let stream = connector.connect(host, stream).await.map_err(|error| {
            let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match of_tls {
                Some(rustls::Error::InvalidCertificate(_)) => Refusal::new(
                    Code::WrongCluster,
                    format!("what answers at {address} is not of this cluster"),
                )
                .cause(&error),
                _ => away(&error),
            }
        })?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let leaf = leaf.ok_or_else(|| away(&"it showed no certificate"))?;
        let found = node_of(leaf, &self.0.cluster_id)?;
        if found != name {
            return Err(Refusal::new(
                Code::WrongNode,
                format!("node {found} answers at {address}, where node {name} was"),
            ));
        }
        Ok(stream)
    }
}

/// The node that a certificate names, in this cluster.
fn node_of(certificate: &CertificateDer<'_>, cluster_id: &str) -> Result<String> {
    let refused = |why: String| {
        Refusal::new(Code::CertificateInvalid, "a certificate is of no node of this cluster")
            .cause(why)
    };
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| refused(error.to_string()))?;
    let names = parsed.subject_alternative_name().map_err(|error| refused(error.to_string()))?;
    let uri =
        names.into_iter().flat_map(|names| names.value.general_names.iter()).find_map(|name| {
            match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            }
        });
    let uri = uri.ok_or_else(|| refused("it has no SPIFFE id".to_owned()))?;
    let name = uri.strip_prefix(&format!("spiffe://{cluster_id}/node/"));
    name.map(str::to_owned).ok_or_else(|| refused(format!("its SPIFFE id is {uri}")))
}

/// Accepts what the cluster's CA signed for a server; who it is, is asked afterwards.
#[derive(Debug)]
struct ByCluster {
    roots: Arc<RootCertStore>,
}

impl ServerCertVerifier for ByCluster {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            tls::provider().signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What every call to a peer says: the cluster, who calls, who is meant.
#[derive(Clone, Debug)]
pub struct Marks {
    cluster: MetadataValue<tonic::metadata::Ascii>,
    from: MetadataValue<tonic::metadata::Ascii>,
    to: MetadataValue<tonic::metadata::Ascii>,
}

impl Marks {
    /// Of calls from this node to that one.
    pub fn new(cluster_id: &str, own_id: u64, to: u64) -> Result<Self> {
        let cluster = cluster_id.parse().map_err(|_| {
            Refusal::new(Code::Internal, "the cluster's id is not text that can be sent")
        })?;
        Ok(Self { cluster, from: MetadataValue::from(own_id), to: MetadataValue::from(to) })
    }

    /// Refuses a call that means another cluster or another node.
    pub fn check(marks: &MetadataMap, cluster_id: &str, own_id: u64) -> Result<()> {
        let text = |name| marks.get(name).and_then(|value| value.to_str().ok());
        if text(CLUSTER) != Some(cluster_id) {
            return Err(Refusal::new(Code::WrongCluster, "this node is of another cluster")
                .cause(format!("the call means cluster {}", text(CLUSTER).unwrap_or("none"))));
        }
        if text(TO).and_then(|to| to.parse().ok()) != Some(own_id) {
            return Err(Refusal::new(Code::WrongNode, format!("this is node {own_id}"))
                .cause(format!("the call means node {}", text(TO).unwrap_or("none"))));
        }
        Ok(())
    }
}

#[allow(clippy::result_large_err, reason = "the trait says so")]
impl Interceptor for Marks {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> std::result::Result<tonic::Request<()>, tonic::Status> {
        let metadata = request.metadata_mut();
        metadata.insert(CLUSTER, self.cluster.clone());
        metadata.insert(FROM, self.from.clone());
        metadata.insert(TO, self.to.clone());
        Ok(request)
    }
}

/// A connection to the API of any member, by the hash of its CA: for a node that knows no more.
pub async fn dial_api(
    address: &str,
    ca_hash: &str,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let away = |why: &dyn std::fmt::Display| {
        Refusal::new(Code::Unreachable, format!("no member answers at {address}"))
            .cause(why)
            .hint("--join takes the host and port of any member's API, as in n1.example:7340")
    };
    let verifier = ByHash { hash: ca_hash.to_owned() };
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| away(&error))?
        // Stricter than the default, not laxer: one CA counts, by its hash.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await.map_err(|error| away(&error))?;
    stream.set_nodelay(true).map_err(|error| away(&error))?;
    let host = ServerName::try_from("localhost").map_err(|error| away(&error))?;
    TlsConnector::from(Arc::new(config)).connect(host, stream).await.map_err(|error| {
        let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match of_tls {
            Some(rustls::Error::InvalidCertificate(why)) if is_of_time(why) => Refusal::new(
                Code::ClockOff,
                format!("the certificate of what answers at {address} does not hold now"),
            )
            .cause(&error)
            .hint("compare this machine's clock with that of the member"),
            Some(rustls::Error::InvalidCertificate(_)) => Refusal::new(
                Code::WrongCluster,
                format!("what answers at {address} is not of the cluster that the token is of"),
            )
            .cause(&error)
            .hint("make the token on a member of the cluster that --join names"),
            _ => away(&error),
        }
    })
}

/// True if the certificate is right but for the clock.
fn is_of_time(why: &rustls::CertificateError) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(why, Expired | NotValidYet | ExpiredContext { .. } | NotValidYetContext { .. })
}

/// Accepts what the CA with this hash signed.
#[derive(Debug)]
struct ByHash {
    hash: String,
}

impl ServerCertVerifier for ByHash {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let of_token = |certificate: &&CertificateDer<'_>| hash_of(certificate) == self.hash;
        let unknown = rustls::CertificateError::UnknownIssuer;
        let ca = intermediates.iter().find(of_token);
        let ca = ca.ok_or(rustls::Error::InvalidCertificate(unknown))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let by_cluster = ByCluster { roots: Arc::new(roots) };
        by_cluster.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
