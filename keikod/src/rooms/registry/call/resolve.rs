//! Whom a call goes to: who offers the tool, agrees on its schema, may be called and is linked.

use super::super::driver::Fleet;
use super::super::feed::Feed;
use super::super::find::{nobody, owner_key, why_not};
use super::super::link::Link;
use super::super::supervise::Supervised;
use super::{LINK_WAIT_MAX, not_now};
use crate::rooms::clock::{jitter, unix_ms};
use keiko_core::id::Name;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::capability::Capability;
use keiko_core::registry::directory::{self, Candidate, Directory, Owner, Query, Standing};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_core::selector::Selector;
use std::sync::Arc;
use tokio::time::Instant;

/// A tool of one server.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// The server.
    pub(super) server: ObjectKey,
    /// The tool.
    pub(super) tool: ObjectKey,
    /// As the server calls it.
    pub(super) own_name: Arc<str>,
    /// The revision that last changed it.
    pub(super) revision: u64,
    /// Calling it twice does no harm.
    pub(super) repeatable: bool,
}

/// What is asked for, and where it is looked up.
pub(super) struct Wanted<'s> {
    pub(super) feed: &'s Feed,
    pub(super) fleet: &'s Fleet,
    pub(super) namespace: Name,
    pub(super) capability: Capability,
}

type Served<'d> = (Candidate<'d>, Box<Supervised>, Arc<Link>);

/// How far the way to a tool is open.
enum Way {
    Open(Offer, Box<Supervised>, Arc<Link>),
    /// It is just being made.
    Soon(Refusal, Option<Box<Supervised>>),
}

impl Wanted<'_> {
    /// Any of those who offer it: they agree on the schema.
    pub(super) fn any(&self) -> Result<Offer> {
        let directory = self.feed.directory();
        let found = self.agreeing(&directory)?;
        found.first().and_then(offer).ok_or_else(super::super::super::control::unexpected)
    }

    /// The one to call, with its link; waits a little for one that is just being made.
    pub(super) async fn find(
        &self,
        deadline: Instant,
    ) -> Result<(Offer, Box<Supervised>, Arc<Link>)> {
        let until = deadline.min(Instant::now() + LINK_WAIT_MAX);
        let mut changes = self.feed.changes();
        loop {
            changes.borrow_and_update();
            let (refusal, supervised) = match self.way()? {
                Way::Open(offer, supervised, link) => return Ok((offer, supervised, link)),
                Way::Soon(refusal, supervised) => (refusal, supervised),
            };
            let linked = async {
                let Some(mut supervised) = supervised else { return std::future::pending().await };
                if supervised.link.wait_for(Option::is_some).await.is_err() {
                    // Its supervisor ended: the directory will say what became of it.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = linked => {}
                changed = changes.changed() => if changed.is_err() { return Err(refusal) },
                () = tokio::time::sleep_until(until) => return Err(refusal),
            }
        }
    }

    fn way(&self) -> Result<Way> {
        let directory = self.feed.directory();
        let found = self.agreeing(&directory)?;
        let soft = self.feed.soft();
        let routable: Vec<_> =
            found.iter().copied().filter(|one| why_not(soft, one).is_none()).collect();
        let mut linked: Vec<_> = routable.iter().filter_map(|one| self.served(one)).collect();
        let candidates: Vec<_> = linked.iter().map(|(one, ..)| *one).collect();
        let cost = |one: &Candidate<'_>| owner_key(one).map_or(u64::MAX, |key| soft.cost(&key));
        if let Some(at) = directory::choose(&candidates, jitter(), cost) {
            let (one, supervised, link) = linked.swap_remove(at);
            if let Some(offer) = offer(&one) {
                return Ok(Way::Open(offer, supervised, link));
            }
        }
        let refusal = self.not_now(&found);
        if let Some(one) = routable.first() {
            let supervised = owner_key(one).and_then(|key| self.fleet.server(&key));
            return Ok(Way::Soon(refusal, supervised.map(Box::new)));
        }
        match found.iter().any(|one| is_soon(one.owner)) {
            true => Ok(Way::Soon(refusal, None)),
            false => Err(refusal),
        }
    }

    /// The same with its link, if there is one on this node.
    fn served<'d>(&self, one: &Candidate<'d>) -> Option<Served<'d>> {
        let supervised = self.fleet.server(&owner_key(one)?)?;
        let link = supervised.link.borrow().clone()?;
        Some((*one, Box::new(supervised), link))
    }

    /// Who offers it, if they agree on the schema.
    fn agreeing<'d>(&self, directory: &'d Directory) -> Result<Vec<Candidate<'d>>> {
        let selector = Selector::default();
        let query = Query {
            namespace: self.namespace.as_str(),
            capability: &self.capability,
            selector: &selector,
        };
        let mut found = directory.find(&query);
        found.retain(|one| one.kind() == Kind::Tool);
        let Some(first) = found.first() else {
            let mut refusal = nobody(directory, &query);
            refusal.message =
                format!("no tool {:?} in namespace {}", self.capability.name(), self.namespace);
            return Err(refusal);
        };
        if found.iter().all(|one| one.part.schema == first.part.schema) {
            return Ok(found);
        }
        let name = self.capability.name();
        let mut names: Vec<_> = found.iter().map(Candidate::name).collect();
        names.sort();
        let message =
            format!("{} servers offer a tool {name:?}, with different schemas", names.len());
        let refusal = names.iter().fold(Refusal::new(Code::Ambiguous, message), |refusal, name| {
            refusal.cause(format!("{name} is one of them"))
        });
        Err(refusal.hint(format!("say which one: keikoctl tool call SERVER.{name}")))
    }

    /// Why none of them is called.
    fn not_now(&self, found: &[Candidate<'_>]) -> Refusal {
        // What an operator said of one does not explain why the others are not called.
        let first = found.iter().min_by_key(|one| one.owner.standing);
        let refusal = first.map(|one| {
            let key = owner_key(one).unwrap_or_else(|| ObjectKey {
                kind: one.owner_kind,
                namespace: self.namespace.clone(),
                name: one.owner_name.to_owned(),
            });
            not_now(&key, one.owner, self.feed.soft().block(&key))
        });
        refusal.unwrap_or_else(super::super::super::control::unexpected)
    }
}

/// It was well a moment ago, or was never asked: it may be well in a moment.
pub(super) fn is_soon(owner: &Owner) -> bool {
    let wait_ms = u64::try_from(LINK_WAIT_MAX.as_millis()).unwrap_or(u64::MAX);
    match owner.standing {
        Standing::Recovering => !owner.flapping,
        Standing::CoolingDown => unix_ms().saturating_sub(owner.since_ms) < wait_ms,
        Standing::Ready | Standing::Degraded => true,
        Standing::Dead | Standing::Draining | Standing::Suspended => false,
    }
}

fn offer(one: &Candidate<'_>) -> Option<Offer> {
    let server = owner_key(one)?;
    let tool =
        ObjectKey { kind: Kind::Tool, namespace: server.namespace.clone(), name: one.name() };
    let own_name = Arc::clone(&one.part.name);
    let (revision, repeatable) = (one.part.revision, one.part.repeatable);
    Some(Offer { server, tool, own_name, revision, repeatable })
}
