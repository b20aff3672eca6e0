//! Opens connections to peers, and to the API of a member whose cluster is known by a token only.

use super::super::tls;
use super::super::verify::{Servers, is_of_time};
use super::{PeerTls, node_of};
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::ClientConfig;
use rustls::version::TLS13;
use rustls_pki_types::ServerName;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Opens connections to peers.
#[derive(Clone)]
pub struct Dialer(PeerTls);

impl PeerTls {
    /// The way out.
    pub fn dialer(&self) -> Dialer {
        Dialer(self.clone())
    }
}

impl Dialer {
    /// A connection to the node of this name.
    pub async fn dial(&self, address: &str, name: &str) -> Result<TlsStream<TcpStream>> {
        let connected = connect(&self.0.sides().client, address).await;
        let stream = connected.map_err(|failed| match failed {
            Failed::Away(error) => {
                Refusal::new(Code::PeerUnreachable, format!("no connection to node {name}"))
                    .cause(format!("{address}: {error}"))
            }
            Failed::OfTime(error) => Refusal::new(
                Code::CertificateInvalid,
                format!("the certificate of node {name} at {address} does not hold now"),
            )
            .cause(error)
            .hint("a node renews it by itself; compare the clocks of both: keikoctl doctor"),
            Failed::Stranger(error) => Refusal::new(
                Code::WrongCluster,
                format!("what answers at {address} is not of this cluster"),
            )
            .cause(error),
        })?;
        let (found, _) = node_of(stream.get_ref().1.peer_certificates(), self.0.cluster_id())?;
        if found == name {
            return Ok(stream);
        }
        Err(Refusal::new(
            Code::WrongNode,
            format!("node {found} answers at {address}, where node {name} was"),
        ))
    }
}

/// A connection to the API of any member, by the hash of its CA: for a node that knows no more.
pub async fn dial_api(address: &str, ca_hash: &str) -> Result<TlsStream<TcpStream>> {
    let away = |why: &dyn Display| {
        Refusal::new(Code::Unreachable, format!("no member answers at {address}"))
            .cause(why)
            .hint("--join takes the host and port of any member's API, as in n1.example:7340")
    };
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| away(&error))?
        // Stricter than the default, not laxer: one CA counts, by its hash.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Servers::Hashed(ca_hash.to_owned())))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    connect(&Arc::new(config), address).await.map_err(|failed| match failed {
        Failed::Away(error) => away(&error),
        Failed::OfTime(error) => Refusal::new(
            Code::ClockOff,
            format!("the certificate of what answers at {address} does not hold now"),
        )
        .cause(error)
        .hint("compare this machine's clock with that of the member"),
        Failed::Stranger(error) => Refusal::new(
            Code::WrongCluster,
            format!("what answers at {address} is not of the cluster that the token is of"),
        )
        .cause(error)
        .hint("make the token on a member of the cluster that --join names")
        .hint(
            "one that was made before its CA was changed counts no more: keikoctl cluster token create --for node",
        ),
    })
}

/// Why there is no connection.
enum Failed {
    /// Nobody answers, or not so.
    Away(io::Error),
    /// The certificate is right but for the clock.
    OfTime(io::Error),
    /// The certificate is of another CA, or of none.
    Stranger(io::Error),
}

async fn connect(
    config: &Arc<ClientConfig>,
    address: &str,
) -> std::result::Result<TlsStream<TcpStream>, Failed> {
    let stream = TcpStream::connect(address).await.map_err(Failed::Away)?;
    stream.set_nodelay(true).map_err(Failed::Away)?;
    // Nobody compares it: who it is says the certificate's SPIFFE id, or the token.
    let host = ServerName::try_from("localhost");
    let host = host.map_err(|error| Failed::Away(io::Error::other(error)))?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(host, stream).await.map_err(|error| {
        let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match of_tls {
            Some(rustls::Error::InvalidCertificate(why)) if is_of_time(why) => {
                Failed::OfTime(error)
            }
            Some(rustls::Error::InvalidCertificate(_)) => Failed::Stranger(error),
            _ => Failed::Away(error),
        }
    })
}
