//! Find: who offers a capability, the healthy ones first and the one to call in front.

use super::super::clock::jitter;
use super::feed::Feed;
use super::live::Soft;
use crate::net::{Identity, Permission, Resource};
use keiko_core::id::Name;
use keiko_core::limits::PAGE_ITEMS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::capability::Capability;
use keiko_core::registry::directory::{self, Candidate, Directory, Owner, Query};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_core::selector::Selector;
use keiko_proto::v1::{self as wire, FindRequest, FindResponse};

/// Candidates that a refusal names.
const CAUSES_MAX: usize = 5;

/// Answers one question.
pub(super) async fn find(
    feed: &Feed,
    caller: &Identity,
    asked: FindRequest,
) -> Result<FindResponse> {
    let namespace = Name::parse_namespace(&asked.namespace)?;
    let all = Resource::among("registry", Some(namespace.as_str()));
    caller.require(Permission::RegistryRead, &all)?;
    let capability = Capability::parse(&asked.capability)?;
    let selector = Selector::parse(&asked.label_selector)?;
    feed.caught_up().await;
    let revision = feed.changes().borrow().unwrap_or_default();
    let directory = feed.directory();
    let query =
        Query { namespace: namespace.as_str(), capability: &capability, selector: &selector };
    let mut found = directory.find(&query);
    if found.is_empty() {
        return Err(nobody(&directory, &query));
    }
    let total = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let chosen = choose(feed.soft(), &mut found, jitter());
    let limit = match (asked.one, asked.limit) {
        (true, _) if !chosen => return Err(none_callable(feed.soft(), &asked.capability, &found)),
        (true, _) => 1,
        (false, 0) => PAGE_ITEMS_MAX,
        (false, limit) => limit.min(PAGE_ITEMS_MAX),
    };
    let shown = found.iter().take(limit as usize);
    let items = shown.map(|candidate| show(feed.soft(), candidate)).collect();
    Ok(FindResponse { items, revision, total })
}

/// The key of who offers it.
pub(super) fn owner_key(candidate: &Candidate<'_>) -> Option<ObjectKey> {
    ObjectKey::parse(candidate.owner_kind, candidate.namespace, candidate.owner_name).ok()
}

/// Why it gets no calls, in a few words; `None` if it would get one.
pub(super) fn why_not(soft: &Soft, candidate: &Candidate<'_>) -> Option<String> {
    why_not_owner(soft, &owner_key(candidate)?, candidate.owner)
}

/// The same for an agent or a server.
pub(super) fn why_not_owner(soft: &Soft, key: &ObjectKey, owner: &Owner) -> Option<String> {
    let block = soft.block(key).filter(|block| block.explains(owner.standing));
    if block.is_some() || owner.standing.is_callable() {
        return block.map(|block| block.to_string());
    }
    let state = owner.standing.as_str();
    Some(match (&*owner.admin_reason, owner.failure) {
        ("", Some(class)) => format!("it is {state}: {}", class.as_str()),
        ("", None) => format!("it is {state}"),
        (reason, _) => format!("it is {state}: {reason}"),
    })
}

/// Puts first who gets the call, then who may be called, each class by name. True if anybody may.
fn choose(soft: &Soft, found: &mut Vec<Candidate<'_>>, dice: u64) -> bool {
    let cost =
        |candidate: &Candidate<'_>| owner_key(candidate).map_or(u64::MAX, |key| soft.cost(&key));
    let (mut routable, mut rest): (Vec<_>, Vec<_>) =
        std::mem::take(found).into_iter().partition(|candidate| why_not(soft, candidate).is_none());
    let chosen = directory::choose(&routable, dice, cost);
    let first = chosen.map(|at| routable.swap_remove(at));
    for some in [&mut routable, &mut rest] {
        some.sort_by(|one, other| {
            let key = |candidate: &Candidate<'_>| candidate.owner.standing;
            key(one)
                .cmp(&key(other))
                .then_with(|| one.owner_name.cmp(other.owner_name))
                .then_with(|| one.part.name.cmp(&other.part.name))
        });
    }
    found.extend(first.into_iter().chain(routable).chain(rest));
    chosen.is_some()
}

fn show(soft: &Soft, candidate: &Candidate<'_>) -> wire::Candidate {
    let owner = candidate.owner;
    let key = owner_key(candidate);
    let (calls_in_flight, call_latency_us) =
        key.as_ref().map(|key| soft.calls(key)).unwrap_or_default();
    wire::Candidate {
        kind: candidate.kind().noun().to_owned(),
        namespace: candidate.namespace.to_owned(),
        name: candidate.name(),
        owner: key.as_ref().map(ObjectKey::short).unwrap_or_default(),
        version: owner.version.to_string(),
        state: owner.standing.as_str().to_owned(),
        routable: why_not(soft, candidate).is_none(),
        url: match candidate.owner_kind {
            Kind::Agent => owner.url.to_string(),
            _ => String::new(),
        },
        pressure: key.as_ref().map(|key| soft.pressure(key)).unwrap_or_default(),
        calls_in_flight,
        call_latency_us,
    }
}

/// Nobody offers it, or nobody that fits.
pub(super) fn nobody(directory: &Directory, query: &Query<'_>) -> Refusal {
    let (name, namespace) = (query.capability.name(), query.namespace);
    let refusal =
        Refusal::new(Code::NotFound, format!("nobody offers {name:?} in namespace {namespace}"));
    if !directory.is_offered(namespace, name) {
        return refusal.hint("keikoctl tool list -A").hint("keikoctl skill list -A");
    }
    let cause = match query.capability.version() {
        Some(version) => format!("it is offered, but not as {version} or not with these labels"),
        None => "it is offered, but not with these labels".to_owned(),
    };
    refusal.cause(cause).hint(format!("keikoctl find {name} -n {namespace}"))
}

/// They are there, and none can be called.
fn none_callable(soft: &Soft, capability: &str, found: &[Candidate<'_>]) -> Refusal {
    let message = format!("nobody who offers {capability:?} can be called now");
    let refusal = found.iter().take(CAUSES_MAX).fold(
        Refusal::new(Code::NoCandidate, message),
        |refusal, candidate| {
            let why = why_not(soft, candidate).unwrap_or_default();
            refusal.cause(format!("{}: {why}", candidate.name()))
        },
    );
    let refusal = match found.len().saturating_sub(CAUSES_MAX) {
        0 => refusal,
        more => refusal.cause(format!("and {more} more")),
    };
    let namespace = found.first().map_or(Name::DEFAULT_NAMESPACE, |first| first.namespace);
    refusal.hint(format!("keikoctl find {capability} -n {namespace}"))
}
