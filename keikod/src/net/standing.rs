//! Whether the caller of a live stream still may: asked again and again for as long as it lives.
//!
//! Invariant: a stream ends within one recheck after its token expired, was revoked or given
//! another role, or after the uid was taken off the socket, and says so in its trailers; one that
//! nobody reads gives nothing, and ends when it is read. Never: asks for a call that has an answer
//! and an end.

use super::front::Parts;
use super::identity::Identity;
use super::listener::Peer;
use super::{front, metrics, status, token};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use keiko_core::refusal::{Refusal, Result};
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
    /// What the front asked when the stream began, but for the secret: that was proven.
    async fn check(&self) -> Result<()> {
        front::admit_uid(&self.parts, self.peer)?;
        let Identity::Token { id, role, scope } = &self.identity else { return Ok(()) };
        match self.parts.tokens.find(id).await {
            Some(token)
                if front::now_ms() < token.expires_ms
                    && token.role == *role
                    && token.scope == *scope =>
            {
                Ok(())
            }
            _ => Err(token::invalid()),
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
type Part = std::result::Result<Frame<Bytes>, Status>;

async fn next(watched: Option<Watched>) -> Option<(Part, Option<Watched>)> {
    let (standing, mut body, mut due) = watched?;
    loop {
        tokio::select! {
            // In this order: nothing is sent that came after the check was due.
            biased;
            _ = due.tick() => {
                let Err(refusal) = standing.check().await else { continue };
                metrics::refused(refusal.code, "");
                tracing::debug!(actor = %standing.identity, %refusal, "a stream was ended");
                return Some((trailers(&refusal), None));
            }
            frame = body.frame() => return Some((frame?, Some((standing, body, due)))),
        }
    }
}

fn trailers(refusal: &Refusal) -> Part {
    let status = status::to_status(refusal);
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).map(|()| Frame::trailers(headers))
}
