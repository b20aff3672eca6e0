//! How an empty node becomes a member: it trades its token for a certificate and an id.
//!
//! Invariants: the first contact is checked by the hash of the CA that the token carries; the token
//! goes out to nobody else. What was given is on disk, the note of it last, so that a node that was
//! cut off asks again with the same key and gets the same.

use crate::lifecycle::Membership;
use crate::net::peer::dial_api;
use crate::net::{NodeCertificate, NodeKey};
use crate::rooms::clock::unix_ms;
use crate::settings::Join;
use hyper_util::rt::TokioIo;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;
use keiko_proto::v1::security_client::SecurityClient;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tower::service_fn;
use uuid::{NoContext, Timestamp, Uuid};

/// All attempts together: longer than an election.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(12);
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What a node needs to join.
pub(crate) struct Joining<'j> {
    pub(crate) join: &'j Join,
    /// Without an id.
    pub(crate) node: wire::Node,
    /// By which names its API is reached.
    pub(crate) names: Vec<String>,
    pub(crate) key: &'j NodeKey,
    pub(crate) data_dir: &'j Path,
}

/// The BLAKE3 hash, hex, of the CA that a token is of.
pub(super) fn ca_hash_of(token: &str) -> Result<&str> {
    let hash = token.rsplit('.').next().filter(|hash| blake3::Hash::from_hex(hash).is_ok());
    hash.filter(|_| token.starts_with("keiko.")).ok_or_else(|| {
        Refusal::new(Code::TokenInvalid, "this is not the text of a token")
            .hint("on a member: keikoctl cluster token create --for node")
    })
}

impl Joining<'_> {
    /// Trades the token. The membership is on disk when this returns.
    pub(super) async fn trade(self) -> Result<Membership> {
        let answer = self.ask().await?;
        self.keep(answer)
    }

    /// What the token was traded for; nothing of it is on disk yet.
    pub(crate) async fn ask(&self) -> Result<wire::AdmitNodeResponse> {
        let answer = self.ask_patiently().await?;
        let certificate = NodeCertificate::from_stored(&answer.certificate, self.key)?;
        let expected = ca_hash_of(&self.join.token)?;
        if !certificate.trusts(expected) {
            let message = "the certificate that was given is not of the cluster of the token";
            return Err(Refusal::new(Code::WrongCluster, message));
        }
        Ok(answer)
    }

    /// Writes it where the next start looks, the note of it last.
    pub(crate) fn keep(&self, answer: wire::AdmitNodeResponse) -> Result<Membership> {
        let write = |name: &str, text: &str| {
            crate::net::write_public(&self.data_dir.join(name), text.as_bytes())
        };
        write("ca.pem", &answer.ca)?;
        write("node.pem", &answer.certificate)?;
        let wire::Node { id, name, .. } = answer.node.unwrap_or_default();
        let membership = Membership::new(answer.cluster_id, id, name);
        membership.write(self.data_dir)?;
        Ok(membership)
    }

    async fn ask_patiently(&self) -> Result<wire::AdmitNodeResponse> {
        let until = Instant::now() + JOIN_DEADLINE;
        let now_ms = unix_ms();
        let nanos = u32::try_from(now_ms % 1000 * 1_000_000).unwrap_or_default();
        // On this node's clock: a member compares it with its own.
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, now_ms / 1000, nanos));
        let request = wire::AdmitNodeRequest {
            csr: self.key.csr()?,
            node: Some(self.node.clone()),
            names: self.names.clone(),
            request_id: id.as_bytes().to_vec(),
        };
        loop {
            let asked = tokio::time::timeout(ATTEMPT_DEADLINE, self.attempt(request.clone())).await;
            let refusal = match asked {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(refusal)) => refusal,
                Err(_) => self.away(&"no answer in time"),
            };
            // Under one request id, and with one key: asked twice it gives the same.
            let passing = refusal.code.retryable() || refusal.code == Code::OutcomeUnknown;
            if !passing || Instant::now() + AGAIN_AFTER >= until {
                return Err(refusal);
            }
            tracing::warn!(code = %refusal.code, causes = ?refusal.causes, "not joined yet: {refusal}");
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn attempt(&self, request: wire::AdmitNodeRequest) -> Result<wire::AdmitNodeResponse> {
        let Join { address, token } = self.join;
        let hash = ca_hash_of(token)?.to_owned();
        let place = address.clone();
        let connector = service_fn(move |_| {
            let (place, hash) = (place.clone(), hash.clone());
            async move { dial_api(&place, &hash).await.map(TokioIo::new) }
        });
        let connected = Endpoint::from_static("http://api").connect_with_connector(connector).await;
        let channel = connected.map_err(|error| {
            let mut next = std::error::Error::source(&error);
            while let Some(inner) = next {
                if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                    return refusal.clone();
                }
                next = inner.source();
            }
            self.away(&error)
        })?;
        let mut request = Request::new(request);
        let mut bearer: MetadataValue<_> = format!("Bearer {token}")
            .parse()
            .map_err(|_| Refusal::new(Code::TokenInvalid, "this is not the text of a token"))?;
        bearer.set_sensitive(true);
        request.metadata_mut().insert("authorization", bearer);
        request.set_timeout(ATTEMPT_DEADLINE);
        let answer = SecurityClient::new(channel).admit_node(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| {
            match status.details().is_empty() {
                true => self.away(&status.message()),
                false => crate::net::status::to_refusal(&status),
            }
        })
    }

    fn away(&self, why: &dyn std::fmt::Display) -> Refusal {
        let address = &self.join.address;
        Refusal::new(Code::Unreachable, format!("no member answers at {address}"))
            .cause(why)
            .hint("--join takes the host and port of any member's API, as in n1.example:7340")
    }
}
