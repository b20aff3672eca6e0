//! Who calls: by the socket's uid, a token or a client certificate, and whether they get past the
//! gate.
//!
//! Invariant: whoever is refused here is counted and noted; whoever is not has an [`Identity`], but
//! for the health check.

use super::front::{Parts, now_ms};
use super::gate;
use super::identity::{Identity, unauthenticated};
use super::listener::{Peer, Proof};
use super::spiffe::{Claim, Subject};
use super::token::{self, Presented};
use super::{metrics, person, refusals};
use http::{HeaderMap, HeaderValue, header};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{self as wire, actor::Who};

/// The calls that trade a one-use token, and the only ones that it is good for.
const TRADES: &[&str] = &["/keiko.v1.Security/AdmitNode", "/keiko.v1.Security/Enroll"];

/// A caller who was refused, and who they proved to be.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) refusal: Refusal,
    pub(super) actor: Option<wire::Actor>,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, actor: None }
    }
}

/// Who calls, if they may get past the gate. None only for the health check.
pub(super) async fn admit(
    parts: &Parts,
    peer: &Peer,
    path: &str,
    (headers, proof): (&HeaderMap, Option<&Proof>),
) -> Result<Option<Identity>> {
    match identify(parts, peer, path, headers).await {
        Ok(identity) => {
            if let (Some(_), Some(proof)) = (&identity, proof) {
                proof.set();
            }
            Ok(identity)
        }
        Err(Denied { refusal, actor }) => {
            metrics::refused(refusal.code, "");
            // Not the path: whoever tries a thousand of them would fill the journal.
            refusals::note(refusal.code, actor, "", "");
            tracing::debug!(?peer, path, %refusal, "refused");
            Err(refusal)
        }
    }
}

async fn identify(
    parts: &Parts,
    peer: &Peer,
    path: &str,
    headers: &HeaderMap,
) -> std::result::Result<Option<Identity>, Denied> {
    let shown = headers.get(header::AUTHORIZATION);
    let claim = claim(peer);
    let on_socket = matches!(peer, Peer::Socket { .. });
    admit_uid(parts, peer)?;
    gate::check(path, on_socket, shown.is_some() || claim.is_some(), parts.state.as_ref())?;
    match (shown, peer, claim) {
        // Who shows a token wants to be its bearer, wherever they call from.
        (Some(shown), _, _) => bearer(parts, shown, path).await.map(Some),
        (None, Peer::Socket { uid }, _) => {
            Ok(Some(Identity::Socket { node: parts.node.clone(), uid: *uid }))
        }
        (None, Peer::Network { .. }, Some(claim)) => person::identify(parts, claim).await,
        (None, Peer::Network { .. }, None) => Ok(None),
    }
}

/// What a client certificate says, unless it is a node's, which says nothing here.
fn claim(peer: &Peer) -> Option<&Result<Claim>> {
    let Peer::Network { certificate: Some(claim), .. } = peer else { return None };
    let claim: &Result<Claim> = claim;
    match claim {
        Ok(Claim { subject: Subject::Node(_), .. }) => None,
        claim => Some(claim),
    }
}

async fn bearer(
    parts: &Parts,
    header: &HeaderValue,
    path: &str,
) -> std::result::Result<Identity, Denied> {
    let text = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, text)| text.trim())
        .ok_or_else(|| {
            Refusal::new(Code::TokenInvalid, "the header authorization holds no bearer token")
                .hint("send it as: authorization: Bearer keiko.ID.SECRET.HASH")
        })?;
    let presented = Presented::parse(text)?;
    if let Some(ours) = parts.certificates.trust()
        && !ours.counts(presented.ca_hash())
    {
        if parts.tokens.is_former(presented.ca_hash()).await {
            return Err(token::of_former(presented.id).into());
        }
        presented.of_cluster(ours.hashes.first().map(String::as_str).unwrap_or_default())?;
    }
    let stored = parts.tokens.find(presented.id).await;
    let (stored, bound) = stored.unzip();
    let proven = presented.prove(stored.as_ref())?;
    token::check(proven, now_ms(), TRADES.contains(&path)).map_err(|refusal| {
        let who = Who::Token(wire::TokenBearer { id: proven.id.clone() });
        Denied { refusal, actor: Some(wire::Actor { who: Some(who) }) }
    })?;
    let wire::Token { id, role, scope, expires_ms, one_use, .. } = proven.clone();
    let bound = bound.unwrap_or_default();
    Ok(Identity::Token { id, role, scope, expires_ms, one_use, bound })
}

/// Refuses a peer on the socket whose uid is not, or no longer, admitted.
pub(super) fn admit_uid(parts: &Parts, peer: &Peer) -> Result<()> {
    match peer {
        Peer::Socket { uid } if !(parts.uids)(*uid) => {
            Err(Refusal::new(Code::Unauthenticated, format!("uid {uid} may not use this socket"))
                .hint("name it in keiko.toml: [socket] uids = [UID], then reload keikod"))
        }
        _ => Ok(()),
    }
}

/// Who calls, where nobody is not enough.
pub(super) fn known(identity: Option<Identity>) -> Result<Identity> {
    identity.ok_or_else(unauthenticated)
}
