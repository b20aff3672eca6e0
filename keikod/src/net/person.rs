//! Somebody with a client certificate, as the cluster knows them now.
//!
//! The certificate names the person and proves the key; what they may do is the cluster's state,
//! looked up at each call. Invariants: the CA that signed it counts now; the key is the one that the person enrolled with last, so who
//! enrols anew makes every certificate before that worthless.

use super::admission::Denied;
use super::front::{Parts, now_ms};
use super::identity::Identity;
use super::spiffe::{Claim, Subject};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;

/// Who shows this certificate; none if it is a node's: nodes call each other by another way.
pub(super) async fn identify(
    parts: &Parts,
    claim: &Result<Claim>,
) -> std::result::Result<Option<Identity>, Denied> {
    let claim = claim.as_ref().map_err(Clone::clone)?;
    let Subject::Person(name) = &claim.subject else { return Ok(None) };
    let known = async {
        let trust = parts.certificates.trust();
        let Some(trust) = trust.filter(|trust| trust.cluster_id == claim.cluster_id) else {
            return Err(invalid("it is of another cluster")
                .hint("choose the context whose cluster made the certificate"));
        };
        // The connection may be older than the end of an overlap.
        if !trust.signed(claim) {
            return Err(of_former());
        }
        let (now_ms, end_ms) = (now_ms(), claim.expires_ms);
        if now_ms >= end_ms {
            return Err(invalid(format!("it expired: it ended at {end_ms} ms, it is {now_ms} ms")));
        }
        let Some((entry, bound)) = parts.tokens.person(name, &claim.key_hash).await else {
            return Err(invalid(format!("nobody is known as {name}, or no longer")));
        };
        if entry.key_hash != claim.key_hash {
            return Err(invalid(format!("{name} enrolled anew since, with another key"))
                .hint("use the context of that enrolment, or enroll this one anew, too"));
        }
        Ok((entry, bound))
    };
    let (wire::PersonEntry { name, role, scope, .. }, bound) =
        known.await.map_err(|refusal| Denied { refusal, actor: Some(actor(name)) })?;
    Ok(Some(Identity::Person { name, role, scope, expires_ms: claim.expires_ms, bound }))
}

fn actor(name: &str) -> wire::Actor {
    let person = wire::Person { name: name.to_owned() };
    wire::Actor { who: Some(wire::actor::Who::Person(person)) }
}

/// The end of a stream whose caller may see other things now.
pub(super) fn changed(code: Code) -> Refusal {
    Refusal::new(code, "this caller may less than when the stream began")
        .hint("begin the stream again")
}

fn of_former() -> Refusal {
    Refusal::new(Code::AuthorityChanged, "this client certificate is of a CA that counts no more")
        .cause("the cluster's CA was changed since, and the overlap is over")
        .hint("an admin makes a token: keikoctl cluster token create --for ROLE --name WHO")
        .hint("trade it: keikoctl context add NAME --replace --endpoint E --token T")
}

fn invalid(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::CertificateInvalid, "this client certificate does not count")
        .cause(why)
        .hint("an admin makes a token: keikoctl cluster token create --for ROLE --name WHO")
        .hint("trade it: keikoctl context add NAME --replace --endpoint E --token T")
}
