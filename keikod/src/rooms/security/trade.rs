//! Trades one-use tokens: for membership, or for a client certificate; and renews the latter.
//!
//! Invariant: the law says first who comes in, and only then a certificate goes out. Told again
//! with the same key, both give the same.

use super::super::control::unexpected;
use super::super::{Caller, clock};
use super::service::Service;
use crate::consensus::peer::faults;
use crate::net::{Identity, Permission, Requested, Resource, SignedCertificate};
use keiko_core::id::{GroupId, Name};
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use keiko_core::{cluster, security};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    AdmitNode, AdmitNodeRequest, AdmitNodeResponse, Consistency, EnrollPerson, EnrollRequest,
    EnrollResponse, Node, PersonEntry, SecurityOp, reply, security_op, security_reply,
};
use std::time::UNIX_EPOCH;
use tonic::Request;
use uuid::Uuid;

/// How far the clock of a node that joins may be away: more would keep it from being believed, and
/// leases and certificates from meaning the same there.
const CLOCK_OFF_MS_MAX: u64 = 60 * 1000;

pub(super) async fn admit(
    service: &Service,
    request: Request<AdmitNodeRequest>,
) -> Result<AdmitNodeResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::ClusterJoin, &Resource::All("node"))?;
    let Identity::Token { id: token_id, .. } = identity.clone() else {
        return Err(Refusal::new(Code::InvalidArgument, "a node joins with a token")
            .hint("keikoctl cluster token create --for node"));
    };
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let AdmitNodeRequest { csr, node, names, request_id } = request.into_inner();
    let node = node.unwrap_or_default();
    check_clock(&request_id, clock::unix_ms())?;
    check_level(&node)?;
    Name::parse("node name", &node.name)?;
    if !identity.scope().is_empty() {
        check_silent(service, &token_id, &node.name).await?;
    }
    let authority = service.signing()?;
    let key_hash = Requested::parse(&csr)?.key_hash;
    // Signed before the token is used up, so that a bad request costs none; given out only after.
    let signed = authority.sign_node(&csr, &node.name, &names)?;
    let node = Node { id: 0, key_hash, ..node };
    let op = security_op::Op::AdmitNode(AdmitNode { token_id, node: Some(node) });
    let room = Room::Security(SecurityOp { op: Some(op) });
    let written = service.control.write(caller, room).await;
    let (result, _) = written.inspect_err(|refusal| identity.note(refusal))?;
    let Some(security_reply::Reply::Node(node)) = reply_of(result)? else {
        return Err(unexpected());
    };
    let query = |view: &crate::store::View<'_>| cluster::nodes(view, GroupId::CONTROL);
    let members = service.control.read(Consistency::Lease.into(), query).await?.value;
    tracing::info!(node = node.name, id = node.id, "admitted");
    Ok(AdmitNodeResponse {
        cluster_id: authority.cluster_id().to_owned(),
        node: Some(node),
        certificate: signed.pem_chain,
        ca: authority.ca_pem().to_owned(),
        members,
    })
}

/// The law asks it, too: here, because what the law refused stays refused under this request id, and
/// a node that was just stopped counts as down a few seconds later.
async fn check_silent(service: &Service, token_id: &str, name: &str) -> Result<()> {
    let (token_id, name) = (token_id.to_owned(), name.to_owned());
    let query = move |view: &crate::store::View<'_>| {
        let token = security::token(view, GroupId::CONTROL, &token_id);
        // Traded already, the member of this name may be the one that asks again.
        token.filter(|token| token.used_for.is_empty())?;
        cluster::member(view, GroupId::CONTROL, &name)
    };
    let lost = service.control.read(Consistency::Lease.into(), query).await?.value;
    lost.as_ref().map_or(Ok(()), cluster::check_silent)
}

pub(super) async fn enroll(
    service: &Service,
    request: Request<EnrollRequest>,
) -> Result<EnrollResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let csr = request.into_inner().csr;
    let key_hash = Requested::parse(&csr)?.key_hash;
    let authority = service.signing()?;
    let known = known(service, &identity, caller, key_hash).await;
    let person = known.inspect_err(|refusal| identity.note(refusal))?;
    let SignedCertificate { pem_chain, expires } = authority.sign_person(&csr, &person.name)?;
    let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
    let PersonEntry { name, role, scope, .. } = person;
    Ok(EnrollResponse {
        certificate: pem_chain,
        ca: authority.ca_pem().to_owned(),
        name,
        role,
        scope,
        expires_ms: u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
        cluster_id: authority.cluster_id().to_owned(),
    })
}

/// Whom a certificate is for, by what they show.
async fn known(
    service: &Service,
    identity: &Identity,
    caller: Caller,
    key_hash: String,
) -> Result<PersonEntry> {
    match identity {
        Identity::Token { id, role, one_use, .. } => {
            // The law asks it, too: here, so that a wrong token makes no entry.
            security::check_enrolls(role, *one_use)?;
            let token_id = id.clone();
            let op = security_op::Op::EnrollPerson(EnrollPerson { token_id, key_hash });
            let room = Room::Security(SecurityOp { op: Some(op) });
            let (result, _) = service.control.write(caller, room).await?;
            match reply_of(result)? {
                Some(security_reply::Reply::Person(person)) => Ok(person),
                _ => Err(unexpected()),
            }
        }
        Identity::Person { name, .. } => renewed(service, name.clone(), &key_hash).await,
        Identity::Socket { .. } | Identity::Remote { .. } => Err(Refusal::new(
            Code::InvalidArgument,
            "a certificate is given for a token, or for one that still holds",
        )
        .hint("make a token: keikoctl cluster token create --for ROLE --name WHO")),
    }
}

/// Who renews keeps the key: with another one, a stolen certificate would never end.
async fn renewed(service: &Service, name: String, key_hash: &str) -> Result<PersonEntry> {
    let query = move |view: &crate::store::View<'_>| {
        security::person(view, GroupId::CONTROL, &name).ok_or(name)
    };
    let known = service.control.read_local(query).await?;
    let person = known.map_err(|name| {
        Refusal::new(Code::CertificateInvalid, format!("nobody is known as {name}, or no longer"))
    })?;
    if person.key_hash == key_hash {
        return Ok(person);
    }
    Err(Refusal::new(Code::CertificateInvalid, "a certificate is renewed for the key that it has")
        .hint("another key needs a token: keikoctl cluster token create --for ROLE --name WHO"))
}

/// The law's levels are of the whole cluster: who does not know them would stop at the next entry.
fn check_level(node: &Node) -> Result<()> {
    let level = faults::level();
    if node.feature_level >= level {
        return Ok(());
    }
    Err(Refusal::new(
        Code::FeatureLevel,
        format!("node {} is of a release that this cluster has left behind", node.name),
    )
    .cause(format!(
        "it understands level {} ({}), the log may be written at level {level}",
        node.feature_level, node.version
    ))
    .hint("install a newer keikod on it"))
}

/// The id of the request is made on the clock of the node that asks.
fn check_clock(request_id: &[u8], now_ms: u64) -> Result<()> {
    let made = Uuid::from_slice(request_id).ok().and_then(|id| id.get_timestamp());
    let Some((seconds, nanos)) = made.map(|made| made.to_unix()) else {
        return refuse(
            Code::InvalidArgument,
            "a node that joins sends a request id, a UUIDv7 on its own clock",
        );
    };
    let there_ms = seconds.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000));
    let off_ms = there_ms.abs_diff(now_ms);
    if off_ms <= CLOCK_OFF_MS_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ClockOff,
        format!("the clock of the node that joins is {} s away", off_ms / 1000),
    )
    .cause(format!("it is {there_ms} ms there and {now_ms} ms here, since 1970"))
    .hint("set it right on that node: timedatectl set-ntp true")
    .hint("or here, if this one is wrong: keikoctl doctor"))
}

fn reply_of(result: reply::Result) -> Result<Option<security_reply::Reply>> {
    match result {
        reply::Result::Security(reply) => Ok(reply.reply),
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::features;
    use uuid::{NoContext, Timestamp};

    #[test]
    fn a_clock_that_is_off() {
        let now_ms = 1_790_000_000_000;
        let id = |unix_ms: u64| {
            let nanos = u32::try_from(unix_ms % 1000).unwrap() * 1_000_000;
            let time = Timestamp::from_unix(NoContext, unix_ms / 1000, nanos);
            Uuid::new_v7(time).as_bytes().to_vec()
        };
        for (id, expect) in [
            (id(now_ms), None),
            (id(now_ms - CLOCK_OFF_MS_MAX), None),
            (id(now_ms + CLOCK_OFF_MS_MAX), None),
            (id(now_ms + CLOCK_OFF_MS_MAX + 1), Some(Code::ClockOff)),
            (id(now_ms - 3_600_000), Some(Code::ClockOff)),
            (Vec::new(), Some(Code::InvalidArgument)),
            (vec![0; 16], Some(Code::InvalidArgument)),
            (vec![7; 3], Some(Code::InvalidArgument)),
        ] {
            let got = check_clock(&id, now_ms).err().map(|refusal| refusal.code);
            assert_eq!(got, expect, "{id:?}");
        }
    }

    #[test]
    fn a_release_that_is_too_old() {
        let check = |feature_level| check_level(&Node { feature_level, ..Node::default() });
        check(features::LEVEL).unwrap();
        check(features::LEVEL + 1).unwrap();
        assert_eq!(check(features::LEVEL - 1).unwrap_err().code, Code::FeatureLevel);
    }
}
