//! Clients over every way in, with everything that they can show.

use super::harness::World;
use crate::net::{Authority, NodeKey, Renewal, tls};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl World {
    /// A TLS stream to the API, trusting the cluster's CA.
    pub(super) async fn tls(
        &self,
        alpn: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        self.tls_as(None, alpn, versions).await
    }

    /// The same, showing a certificate.
    pub(super) async fn tls_as(
        &self,
        badge: Option<&Badge>,
        alpn: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let pem = self.authority.ca_pem();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match badge {
            None => builder.with_no_client_auth(),
            Some(badge) => {
                builder.with_client_auth_cert(badge.chain(), badge.key.private()).unwrap()
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.handle.api_addr).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    pub(super) async fn unix(&self) -> UnixStream {
        UnixStream::connect(&self.handle.socket_path).await.unwrap()
    }

    /// One HTTP/1.1 call over TLS.
    pub(super) async fn network(&self, request: Request<String>) -> Answer {
        let stream = self.tls(b"http/1.1", &[&rustls::version::TLS13]).await.unwrap();
        ask(stream, request).await
    }

    /// One HTTP/1.1 call over TLS by whoever has this certificate.
    pub(super) async fn network_as(&self, badge: &Badge, request: Request<String>) -> Answer {
        let version = &[&rustls::version::TLS13];
        let stream = self.tls_as(Some(badge), b"http/1.1", version).await.unwrap();
        ask(stream, request).await
    }

    /// One HTTP/1.1 call over the socket.
    pub(super) async fn local(&self, request: Request<String>) -> Answer {
        ask(self.unix().await, request).await
    }

    /// A gRPC channel over TLS.
    pub(super) async fn channel(&self) -> Channel {
        let stream = self.tls(b"h2", &[&rustls::version::TLS13]).await.unwrap();
        channel(stream).await
    }

    /// The same by whoever has this certificate.
    pub(super) async fn channel_as(&self, badge: &Badge) -> Channel {
        let version = &[&rustls::version::TLS13];
        channel(self.tls_as(Some(badge), b"h2", version).await.unwrap()).await
    }

    /// A gRPC channel over the socket.
    pub(super) async fn local_channel(&self) -> Channel {
        channel(self.unix().await).await
    }
}

/// A client certificate with its key.
pub(super) struct Badge {
    pub(super) key: Arc<NodeKey>,
    pem: String,
}

impl Badge {
    /// Made then, by this CA.
    pub(super) fn of(authority: &Authority, name: &str, then: SystemTime) -> Self {
        let key = Arc::new(NodeKey::generate().unwrap());
        let signed = authority.sign_person_at(&key.csr().unwrap(), name, then).unwrap();
        Self { key, pem: signed.pem_chain }
    }

    /// One for the node's own key.
    pub(super) fn of_node(renewal: &Renewal, pem: String) -> Self {
        Self { key: Arc::clone(&renewal.key), pem }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.pem.as_bytes()).map(Result::unwrap).collect()
    }
}

pub(super) fn get(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).unwrap()
}

/// Adds a token.
pub(super) fn bearer(mut request: Request<String>, token: &str) -> Request<String> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

pub(super) async fn ask(stream: impl Stream, mut request: Request<String>) -> Answer {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    let request = request.map(|text| Full::new(Bytes::from(text)));
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}

async fn channel(stream: impl Stream) -> Channel {
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| std::io::Error::other("one connection only"));
        async move { stream.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap()
}
