//! As much of etcd's v3 API as is measured: Put, Range and Watch, over the same tonic as Keiko's.
//!
//! Written by hand, because three calls are less than what generating them needs. Fields that
//! nobody here reads are left out; protobuf skips them.

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::load) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(in crate::load) value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct Header {
    #[prost(int64, tag = "3")]
    pub(in crate::load) revision: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct PutResponse {
    #[prost(message, optional, tag = "1")]
    pub(in crate::load) header: Option<Header>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::load) key: Vec<u8>,
    #[prost(bool, tag = "7")]
    pub(in crate::load) serializable: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::load) key: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(in crate::load) mod_revision: i64,
    #[prost(bytes = "vec", tag = "5")]
    pub(in crate::load) value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    pub(in crate::load) kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct WatchRequest {
    /// The first of what is a `oneof` there.
    #[prost(message, optional, tag = "1")]
    pub(in crate::load) create: Option<WatchCreate>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct WatchCreate {
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::load) key: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct Event {
    #[prost(message, optional, tag = "2")]
    pub(in crate::load) kv: Option<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::load) struct WatchResponse {
    #[prost(bool, tag = "3")]
    pub(in crate::load) created: bool,
    #[prost(bool, tag = "4")]
    pub(in crate::load) canceled: bool,
    #[prost(message, repeated, tag = "11")]
    pub(in crate::load) events: Vec<Event>,
}

/// One connection to one member; a cheap clone.
#[derive(Clone)]
pub(in crate::load) struct Rpc(Grpc<Channel>);

impl Rpc {
    /// Over TLS if there is a connector.
    pub(in crate::load) async fn connect(
        address: SocketAddr,
        connector: Option<TlsConnector>,
    ) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let Some(connector) = connector else {
            return Ok(Self(Grpc::new(endpoint.connect().await?)));
        };
        let name = ServerName::from(address.ip());
        let connect = service_fn(move |_| {
            let (connector, name) = (connector.clone(), name.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                connector.connect(name, stream).await.map(TokioIo::new)
            }
        });
        Ok(Self(Grpc::new(endpoint.connect_with_connector(connect).await?)))
    }

    pub(in crate::load) async fn put(&mut self, message: PutRequest) -> Result<PutResponse> {
        self.unary("/etcdserverpb.KV/Put", message).await
    }

    pub(in crate::load) async fn range(&mut self, message: RangeRequest) -> Result<RangeResponse> {
        self.unary("/etcdserverpb.KV/Range", message).await
    }

    async fn unary<M, R>(&mut self, path: &'static str, message: M) -> Result<R>
    where
        M: prost::Message + 'static,
        R: prost::Message + Default + 'static,
    {
        self.0.ready().await?;
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::default());
        Ok(self.0.unary(Request::new(message), path, codec).await?.into_inner())
    }

    /// A stream of its own for one watch, which lasts until it is dropped.
    pub(in crate::load) async fn watch(
        &mut self,
        key: Vec<u8>,
    ) -> Result<Streaming<WatchResponse>> {
        self.0.ready().await?;
        let request = WatchRequest { create: Some(WatchCreate { key }) };
        let requests = tokio_stream::iter([request]).chain(tokio_stream::pending());
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let codec = ProstCodec::default();
        Ok(self.0.streaming(Request::new(requests), path, codec).await?.into_inner())
    }
}

/// Trusts this authority, and shows a certificate with its key if there is one.
pub(in crate::load) fn tls(
    authority: &CertificateDer<'static>,
    shown: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("TLS 1.3")?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match shown {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
