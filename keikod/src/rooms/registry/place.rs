//! Starting elsewhere: a command whose node is down, or that no node runs yet, is taken over by a
//! node that may run it.
//!
//! Each node looks for itself: its own `[exec]` must allow the command, whoever registered it, and
//! what the command needs must be here. Of those who ask, the law takes the first. A node that comes
//! back finds its servers elsewhere and leaves them there.

use super::super::Control;
use super::super::clock::jitter;
use super::driver::Fleet;
use super::home::Home;
use super::millis;
use super::service::Service;
use super::strays::Stray;
use crate::store::View;
use futures::future::join_all;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, ObjectKey};
use keiko_core::{cluster, house};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    Node, Object, PlaceServer, RegistryOp, object::Object as Inner, registry_op,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const GROUP: GroupId = GroupId::CONTROL;

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);

/// How long a node was declared down before others take over what it ran: a restart is shorter.
const DOWN_MIN: Duration = Duration::from_secs(5);

/// Nodes that may take the same server do not all ask at the same moment.
const SPREAD_MS: u64 = 500;

/// Between two attempts to take the same server.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Servers that are asked for at a time: the proposals share a sync.
const AT_ONCE: usize = 16;

/// Between them, so that one node does not take all before another wakes.
const PAUSE: Duration = Duration::from_millis(100);

/// The loop.
pub struct Placer {
    /// What runs here, and what does not.
    pub fleet: Fleet,
}

/// What the loop remembers.
#[derive(Default)]
struct Memory {
    /// Nodes that are down: since when they were declared so, and when this node first saw that.
    down: BTreeMap<Arc<str>, (u64, Instant)>,
    /// When a server was asked for last.
    asked: BTreeMap<ObjectKey, Instant>,
}

impl Placer {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut memory = Memory::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                looked = self.look(&mut memory) => if let Err(refusal) = looked {
                    tracing::debug!(code = %refusal.code, "nothing is taken over: {refusal}");
                },
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Takes over what may be taken over now.
    async fn look(&self, memory: &mut Memory) -> Result<()> {
        let strays = self.fleet.strays().lost(|host| self.fleet.peers().is_down(host));
        memory.forget_others(&strays);
        if strays.is_empty() || self.fleet.peers().is_isolated() {
            return Ok(());
        }
        let query =
            |view: &View<'_>| (cluster::nodes(view, GROUP), house::last_stamp_ms(view, GROUP));
        let (nodes, stamp_ms) = self.fleet.control.read_local(query).await?;
        let own = nodes.iter().find(|node| node.name == self.fleet.control.node());
        // Who is no member, or is drained, takes nothing new.
        if own.is_none_or(|node| !node.admin_state.is_empty()) {
            return Ok(());
        }
        let now = Instant::now();
        let mut wanted = Vec::new();
        for (key, stray) in strays {
            let reason = memory.reason(stray.host.as_ref(), &nodes, stamp_ms, now);
            let Some(reason) = reason.filter(|_| memory.may_ask(&key, now)) else { continue };
            if self.fleet.reach.can_take(&stray.spec) {
                wanted.push((key, stray, reason));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let dice = jitter();
        tokio::time::sleep(Duration::from_millis(dice % (SPREAD_MS + 1))).await;
        // Each begins somewhere else.
        let begin = usize::try_from(dice >> 32).unwrap_or(0) % wanted.len();
        wanted.rotate_left(begin);
        for some in wanted.chunks(AT_ONCE) {
            memory.asked.extend(some.iter().map(|(key, ..)| (key.clone(), now)));
            join_all(some.iter().map(|(key, stray, reason)| self.take(key, stray, reason))).await;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn take(&self, key: &ObjectKey, stray: &Stray, reason: &str) {
        if !self.fleet.strays().is_still(key, stray) {
            return;
        }
        let from = stray.host.as_deref().unwrap_or_default();
        let server = key.subject();
        match claim(&self.fleet.control, key, &stray.uid, from, reason).await {
            Ok(()) => tracing::info!(%server, "taken over: {reason}"),
            // Another node was first, or the one that ran it is back.
            Err(refusal) => {
                tracing::debug!(%server, code = %refusal.code, "not taken over: {refusal}");
            }
        }
    }
}

impl Memory {
    /// Why what `host` ran may be taken over, if it may. The stamp clock stands still while nothing
    /// is written: then this node's own counts.
    fn reason(
        &mut self,
        host: Option<&Arc<str>>,
        nodes: &[Node],
        stamp_ms: u64,
        now: Instant,
    ) -> Option<String> {
        let Some(host) = host else { return Some("no node ran it".to_owned()) };
        let Some(node) = nodes.iter().find(|node| node.name == **host) else {
            return Some(format!("node {host} is no member any more"));
        };
        if node.down_since_ms == 0 {
            self.down.remove(host);
            return None;
        }
        let since_ms = node.down_since_ms;
        let seen = self.down.entry(Arc::clone(host)).or_insert((since_ms, now));
        if seen.0 != since_ms {
            // It was back meanwhile.
            *seen = (since_ms, now);
        }
        let lasts = stamp_ms.saturating_sub(since_ms) >= millis(DOWN_MIN)
            || now.saturating_duration_since(seen.1) >= DOWN_MIN;
        lasts.then(|| format!("node {host} is down"))
    }

    fn may_ask(&self, key: &ObjectKey, now: Instant) -> bool {
        self.asked.get(key).is_none_or(|at| now.saturating_duration_since(*at) >= AGAIN_AFTER)
    }

    /// Forgets nodes and servers of which nothing is to be taken over.
    fn forget_others(&mut self, strays: &[(ObjectKey, Stray)]) {
        let hosts: BTreeSet<_> =
            strays.iter().filter_map(|(_, stray)| stray.host.as_ref()).collect();
        self.down.retain(|host, _| hosts.contains(host));
        let keys: BTreeSet<_> = strays.iter().map(|(key, _)| key).collect();
        self.asked.retain(|key, _| keys.contains(key));
    }
}

/// Proposes that this node runs the command of a server from now on.
async fn claim(
    control: &Control,
    key: &ObjectKey,
    uid: &str,
    from: &str,
    reason: &str,
) -> Result<()> {
    let place = PlaceServer {
        object: Some(key.to_wire()),
        uid: uid.to_owned(),
        from: from.to_owned(),
        to: control.node().to_owned(),
        reason: reason.to_owned(),
    };
    let op = RegistryOp { op: Some(registry_op::Op::PlaceServer(place)) };
    control.write(control.as_node(), Room::Registry(op)).await.map(drop)
}

/// Takes a server that was just declared at this node, if no node runs its command yet and this one
/// may. True if it did.
pub(super) async fn settle(service: &Service, key: &ObjectKey, object: &Object) -> bool {
    let Some(Inner::McpServer(server)) = &object.object else { return false };
    let (Some(spec), Some(metadata)) = (&server.spec, registry::metadata(object)) else {
        return false;
    };
    if Home::of(object) != Home::Nowhere || !service.reach.can_take(spec) {
        return false;
    }
    let claimed = claim(&service.control, key, &metadata.uid, "", "it was declared there").await;
    if let Err(refusal) = &claimed {
        // Another node was first, or this one is drained: whoever may will take it.
        tracing::debug!(server = %key.subject(), code = %refusal.code, "not taken: {refusal}");
    }
    claimed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::registry::Kind;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::parse(Kind::McpServer, "", name).unwrap()
    }

    fn node(name: &str, down_since_ms: u64) -> Node {
        Node { name: name.to_owned(), down_since_ms, ..Default::default() }
    }

    #[test]
    fn a_node_is_given_a_moment_to_come_back() {
        let (mut memory, begun) = (Memory::default(), Instant::now());
        let host: Arc<str> = "n2".into();
        let mut reason = |nodes: &[Node], stamp_ms: u64, after_s: u64| {
            let now = begun + Duration::from_secs(after_s);
            memory.reason(Some(&host), nodes, stamp_ms, now)
        };
        let (up, down, again) = ([node("n2", 0)], [node("n2", 1_000)], [node("n2", 9_000)]);
        let is_down = Some("node n2 is down".to_owned());
        assert_eq!(reason(&up, 1_000, 0), None);
        assert_eq!(reason(&down, 1_000, 0), None);
        assert_eq!(reason(&down, 5_999, 4), None);
        assert_eq!(reason(&down, 6_000, 4), is_down, "the stamp clock says so");
        assert_eq!(reason(&down, 1_000, 5), is_down, "nothing was written meanwhile");
        assert_eq!(reason(&again, 9_000, 6), None, "it was back");
        assert_eq!(reason(&again, 9_000, 11), is_down);
        assert_eq!(reason(&up, 9_000, 12), None);
        assert_eq!(reason(&again, 9_000, 13), None);
        let removed = Some("node n2 is no member any more".to_owned());
        assert_eq!(reason(&[node("n1", 0)], 9_000, 13), removed);
        assert!(memory.reason(None, &[], 0, begun).is_some());
    }

    #[test]
    fn who_was_asked_for_in_vain_is_left_alone_for_a_while() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.asked.insert(key("a"), now);
        assert!(!memory.may_ask(&key("a"), now + Duration::from_secs(9)));
        assert!(memory.may_ask(&key("a"), now + AGAIN_AFTER) && memory.may_ask(&key("b"), now));
        memory.forget_others(&[]);
        assert!(memory.may_ask(&key("a"), now));
    }
}
