//! Whether the caller of a live stream still may: asked again and again for as long as it lives.
//!
//! Invariant: a stream ends within one recheck after its token expired, was revoked or given
//! another role, after the certificate expired or its person was taken out or given another role or
//! key, after a binding of either granted less, or after the uid was taken off the socket, and says
//! so in its trailers; one that nobody reads gives
//! nothing, and ends when it is read. Never: asks for a call that has an answer and an end.

use super::admission::admit_uid;
use super::front::Parts;
use super::identity::{Identity, unauthenticated};
use super::listener::Peer;
use super::{front, metrics, person, refusals, status, token};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;
use std::sync::Arc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::Status;
use tonic::body::Body;

/// Who began a stream.
pub(super) struct Standing {
    pub(super) parts: Arc<Parts>,
    pub(super) peer: Peer,
    pub(super) identity: Identity,
}

impl Standing {
    /// What was asked when the stream began, but for the secret: that was proven.
    async fn check(&self) -> Result<()> {
        admit_uid(&self.parts, &self.peer)?;
        match &self.identity {
            Identity::Socket { .. } | Identity::Remote { .. } => Ok(()),
            Identity::Token { id, .. } => self.check_token(id).await,
            Identity::Person { .. } => self.check_person().await,
        }
    }

    async fn check_token(&self, id: &str) -> Result<()> {
        let Some((token, bound)) = self.parts.tokens.find(id).await else {
            return Err(token::invalid());
        };
        token::check(&token, front::now_ms(), false)?;
        let wire::Token { id, role, scope, expires_ms, one_use, .. } = token;
        let found = Identity::Token { id, role, scope, expires_ms, one_use, bound };
        if (found.role(), found.scope()) != (self.identity.role(), self.identity.scope()) {
            return Err(token::invalid());
        }
        match found.is_still(&self.identity) {
            true => Ok(()),
            false => Err(person::changed(Code::PermissionDenied)),
        }
    }

    async fn check_person(&self) -> Result<()> {
        let Peer::Network { certificate: Some(claim), .. } = &self.peer else {
            return Err(unauthenticated());
        };
        let found = person::identify(&self.parts, claim).await;
        match found.map_err(|denied| denied.refusal)? {
            Some(identity) if identity.is_still(&self.identity) => Ok(()),
            _ => Err(person::changed(Code::CertificateInvalid)),
        }
    }

    /// The same gRPC body, which ends early if its caller no longer may.
    pub(super) fn watch(self, body: Body) -> Body {
        // A refusal is in the headers, and nothing follows.
        if http_body::Body::is_end_stream(&body) {
            return body;
        }
        let every = self.parts.recheck;
        let mut due = tokio::time::interval_at(Instant::now() + every, every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Body::new(StreamBody::new(stream::unfold(Some((self, body, due)), next)))
    }
}

type Watched = (Standing, Body, Interval);
pub(super) type Part = std::result::Result<Frame<Bytes>, Status>;

async fn next(watched: Option<Watched>) -> Option<(Part, Option<Watched>)> {
    let (standing, mut body, mut due) = watched?;
    loop {
        tokio::select! {
            // In this order: nothing is sent that came after the check was due.
            biased;
            _ = due.tick() => {
                let Err(refusal) = standing.check().await else { continue };
                metrics::refused(refusal.code, "");
                let (from, actor) = (standing.peer.ip(), standing.identity.actor());
                refusals::note_from(from, refusal.code, Some(actor), "", "");
                tracing::debug!(actor = %standing.identity, %refusal, "a stream was ended");
                return Some((trailers(&refusal), None));
            }
            frame = body.frame() => return Some((frame?, Some((standing, body, due)))),
        }
    }
}

/// The end of a gRPC body, with the reason.
pub(super) fn trailers(refusal: &Refusal) -> Part {
    let status = status::to_status(refusal);
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).map(|()| Frame::trailers(headers))
}
