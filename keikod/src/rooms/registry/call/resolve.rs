//! Whom a call goes to: who offers the tool, agrees on its schema, may be called and is linked, here
//! or at the node that runs it.

use super::super::driver::Fleet;
use super::super::feed::Feed;
use super::super::find::{nobody, owner_key, why_not};
use super::super::home::Home;
use super::super::link::Link;
use super::super::supervise::Supervised;
use super::{LINK_WAIT_MAX, not_now};
use crate::rooms::clock::{jitter, unix_ms};
use keiko_core::id::Name;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::capability::Capability;
use keiko_core::registry::directory::{self, Candidate, Directory, Owner, Query, Standing};
use keiko_core::registry::health::FailureClass;
use keiko_core::registry::{Kind, ObjectKey};
use keiko_core::selector::Selector;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at what nobody tells of: nodes that come back, supervisors that begin.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long a call that another node passed on waits for its server to be here: either node may be
/// a moment behind.
const PASSED_ON_WAIT_MAX: Duration = Duration::from_secs(1);

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
    /// Another node passed the call on: it goes no further.
    pub(super) passed_on: bool,
}

/// Over what a call goes.
pub(super) enum Route {
    /// The link of this node.
    Here(Box<Supervised>, Arc<Link>),
    /// The node that runs the server, or holds the credentials that are bound to it.
    There(Arc<str>),
}

impl Route {
    fn is_over(&self, nodes: &[Arc<str>]) -> bool {
        match self {
            Self::Here(..) => false,
            Self::There(node) => nodes.contains(node),
        }
    }
}

/// How far the way to a tool is open.
enum Way {
    Open(Offer, Route),
    /// It is just being made, and is waited for so long.
    Soon(Refusal, Option<Box<Supervised>>, Duration),
}

impl Wanted<'_> {
    /// Any of those who offer it: they agree on the schema.
    pub(super) fn any(&self) -> Result<Offer> {
        let directory = self.feed.directory();
        let found = self.agreeing(&directory)?;
        found.first().and_then(offer).ok_or_else(super::super::super::control::unexpected)
    }

    /// The one to call, and over what; waits a little for a link that is just being made. A node of
    /// `failed` is the last resort.
    pub(super) async fn find(
        &self,
        deadline: Instant,
        failed: &[Arc<str>],
    ) -> Result<(Offer, Route)> {
        let begun = Instant::now();
        let mut changes = self.feed.changes();
        loop {
            changes.borrow_and_update();
            let (refusal, supervised, wait) = match self.way(failed)? {
                Way::Open(offer, route) => return Ok((offer, route)),
                Way::Soon(refusal, supervised, wait) => (refusal, supervised, wait),
            };
            let until = deadline.min(begun + wait);
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
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = tokio::time::sleep_until(until) => return Err(refusal),
            }
        }
    }

    fn way(&self, failed: &[Arc<str>]) -> Result<Way> {
        let directory = self.feed.directory();
        let found = self.agreeing(&directory)?;
        let soft = self.feed.soft();
        let routable: Vec<_> =
            found.iter().copied().filter(|one| why_not(soft, one).is_none()).collect();
        let mut served: Vec<_> = routable.iter().filter_map(|one| self.served(one)).collect();
        if served.iter().any(|(_, route)| !route.is_over(failed)) {
            served.retain(|(_, route)| !route.is_over(failed));
        }
        let candidates: Vec<_> = served.iter().map(|(one, _)| *one).collect();
        let cost = |one: &Candidate<'_>| owner_key(one).map_or(u64::MAX, |key| soft.cost(&key));
        if let Some(at) = directory::choose(&candidates, jitter(), cost) {
            let (one, route) = served.swap_remove(at);
            if let Some(offer) = offer(&one) {
                return Ok(Way::Open(offer, route));
            }
        }
        let refusal = self.not_now(&found);
        if let Some(one) = routable.first() {
            let is_here = |key: &ObjectKey| {
                soft.home(key).hosted_elsewhere(self.fleet.control.node()).is_none()
            };
            // A link that is still ending here is not waited for.
            let key = owner_key(one).filter(is_here);
            let supervised = key.and_then(|key| self.fleet.server(&key));
            let wait = match (&supervised, self.passed_on) {
                (None, true) => PASSED_ON_WAIT_MAX,
                (Some(_), _) | (None, false) => LINK_WAIT_MAX,
            };
            return Ok(Way::Soon(refusal, supervised.map(Box::new), wait));
        }
        // Whoever misses its node only, and its node is back, is about to be well.
        let is_back = |one: &Candidate<'_>| {
            let missed = one.owner.failure == Some(FailureClass::NodeDown);
            missed && owner_key(one).is_some_and(|key| soft.block(&key).is_none())
        };
        match found.iter().any(|one| is_soon(one.owner) || is_back(one)) {
            true => Ok(Way::Soon(refusal, None, LINK_WAIT_MAX)),
            false => Err(refusal),
        }
    }

    /// The same and over what it is called, if that can be done now.
    fn served<'d>(&self, one: &Candidate<'d>) -> Option<(Candidate<'d>, Route)> {
        let key = owner_key(one)?;
        let home = self.feed.soft().home(&key);
        let there = || self.there(&home).map(Route::There);
        let route = match home.hosted_elsewhere(self.fleet.control.node()) {
            // What ran here before may not have ended yet.
            Some(_) => there(),
            None => self.here(&key).or_else(there),
        };
        Some((*one, route?))
    }

    /// The link of this node, if there is one.
    fn here(&self, key: &ObjectKey) -> Option<Route> {
        let supervised = self.fleet.server(key)?;
        let link = supervised.link.borrow().clone()?;
        Some(Route::Here(Box::new(supervised), link))
    }

    /// The other node that it is at home at, if that may be asked.
    fn there(&self, home: &Home) -> Option<Arc<str>> {
        let node = home.elsewhere(self.fleet.control.node())?;
        let asked = !self.passed_on && !self.fleet.peers().is_down(node);
        asked.then(|| Arc::clone(node))
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
            let block = self.feed.soft().block(&key);
            let is_callable = one.owner.standing.is_callable() && block.is_none();
            let refusal = not_now(&key, one.owner, block);
            let home = self.feed.soft().home(&key);
            match home.hosted_elsewhere(self.fleet.control.node()) {
                Some(node) if is_callable => refusal.cause(format!("node {node} runs it")),
                Some(_) | None => refusal,
            }
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
