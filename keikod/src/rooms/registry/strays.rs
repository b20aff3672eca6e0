//! Servers whose command does not run here: another node runs it, or none does yet.
//!
//! Kept in memory as they are declared, for who takes them over ([`super::place`]) and who tells
//! that their node is down ([`super::orphans`]).

use super::home::Home;
use keiko_core::registry::health::FailureClass;
use keiko_core::registry::{AdminState, ObjectKey};
use keiko_proto::v1::{McpServer, McpServerSpec};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A server whose command does not run here.
#[derive(Clone, Debug)]
pub(super) struct Stray {
    pub(super) uid: String,
    /// Where it runs, if it does.
    pub(super) host: Option<Arc<str>>,
    pub(super) spec: Arc<McpServerSpec>,
    /// That its node is down is declared already, or is no news: an operator suspended it.
    is_told: bool,
}

/// All of them. A clone shares them.
#[derive(Clone, Default)]
pub(super) struct Strays(Arc<Mutex<BTreeMap<ObjectKey, Stray>>>);

impl Strays {
    /// Takes in a server as it is now.
    pub(super) fn meet(
        &self,
        key: &ObjectKey,
        uid: &str,
        home: &Home,
        server: &McpServer,
        own: &str,
    ) {
        let host = home.hosted_elsewhere(own);
        if host.is_none() && *home != Home::Nowhere {
            self.lock().remove(key);
            return;
        }
        let stray = Stray {
            uid: uid.to_owned(),
            host: host.map(Arc::clone),
            spec: Arc::new(server.spec.clone().unwrap_or_default()),
            is_told: is_told(server),
        };
        self.lock().insert(key.clone(), stray);
    }

    /// It was deleted. True if it was one of these.
    pub(super) fn part(&self, key: &ObjectKey, uid: &str) -> bool {
        let mut strays = self.lock();
        let known = strays.get(key).is_some_and(|stray| stray.uid == uid);
        known && strays.remove(key).is_some()
    }

    /// Forgets who is gone, and says who that was.
    pub(super) fn keep_only(&self, is_gone: impl Fn(&str) -> bool) -> Vec<ObjectKey> {
        let mut strays = self.lock();
        strays.extract_if(.., |_, stray| is_gone(&stray.uid)).map(|(key, _)| key).collect()
    }

    /// Those that no node runs, or one that is down.
    pub(super) fn lost(&self, is_down: impl Fn(&Arc<str>) -> bool) -> Vec<(ObjectKey, Stray)> {
        let strays = self.lock();
        let lost = strays.iter().filter(|(_, stray)| stray.host.as_ref().is_none_or(&is_down));
        lost.map(|(key, stray)| (key.clone(), stray.clone())).collect()
    }

    /// True if it is the same command, where it was.
    pub(super) fn is_still(&self, key: &ObjectKey, stray: &Stray) -> bool {
        let Stray { uid, host, spec, .. } = stray;
        let is_same =
            |known: &Stray| known.uid == *uid && known.host == *host && known.spec == *spec;
        self.lock().get(key).is_some_and(is_same)
    }

    /// The first `limit` behind `after` of which it is to be told that their node is down.
    pub(super) fn orphans(
        &self,
        after: Option<&ObjectKey>,
        limit: usize,
        is_down: impl Fn(&Arc<str>) -> bool,
    ) -> Vec<(ObjectKey, Stray)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let strays = self.lock();
        let behind = strays.range::<ObjectKey, _>((from, Bound::<&ObjectKey>::Unbounded));
        let is_orphan = |stray: &Stray| !stray.is_told && stray.host.as_ref().is_some_and(&is_down);
        let orphans = behind.filter(|(_, stray)| is_orphan(stray)).take(limit);
        orphans.map(|(key, stray)| (key.clone(), stray.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Stray>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_told(server: &McpServer) -> bool {
    let Some(status) = &server.status else { return false };
    let class = status.health.as_ref().map(|health| health.failure_class.as_str());
    class == Some(FailureClass::NodeDown.as_str())
        || AdminState::parse(&status.admin_state) == Ok(AdminState::Suspended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::registry::Kind;
    use keiko_proto::v1::{Health, ObjectStatus};

    fn key(name: &str) -> ObjectKey {
        ObjectKey::parse(Kind::McpServer, "", name).unwrap()
    }

    fn server(class: &str, admin_state: &str) -> McpServer {
        let health = Health { failure_class: class.to_owned(), ..Default::default() };
        let admin_state = admin_state.to_owned();
        let status = ObjectStatus { health: Some(health), admin_state, ..Default::default() };
        McpServer { status: Some(status), ..Default::default() }
    }

    #[test]
    fn strays_are_commands_that_run_elsewhere_or_nowhere() {
        let strays = Strays::default();
        let meet = |name: &str, home: Home| {
            strays.meet(&key(name), name, &home, &McpServer::default(), "n1");
        };
        meet("a", Home::Hosted("n2".into()));
        meet("b", Home::Nowhere);
        meet("c", Home::Hosted("n1".into()));
        meet("d", Home::Bound("n2".into()));
        meet("e", Home::Everywhere);
        let lost = |down: &str| strays.lost(|node| **node == *down);
        let names = || lost("n2").into_iter().map(|(key, _)| key.name).collect::<Vec<_>>();
        assert_eq!(names(), ["a", "b"]);
        assert_eq!(lost("n3").len(), 1, "no node runs it");
        let (_, first) = lost("n2").remove(0);
        assert!(strays.is_still(&key("a"), &first));
        // What is told of its health moves nobody.
        let home = Home::Hosted("n2".into());
        strays.meet(&key("a"), "a", &home, &server("node-down", ""), "n1");
        assert!(strays.is_still(&key("a"), &first));
        meet("a", Home::Hosted("n3".into()));
        assert!(!strays.is_still(&key("a"), &first));
        assert_eq!(names(), ["b"]);
        meet("b", Home::Hosted("n1".into()));
        assert_eq!(names(), [""; 0]);
        assert!(!strays.part(&key("a"), "another life"));
        assert!(strays.part(&key("a"), "a") && !strays.part(&key("a"), "a"));
        meet("a", Home::Nowhere);
        assert_eq!(names(), ["a"]);
        assert_eq!(strays.keep_only(|uid| uid == "a"), [key("a")]);
        assert_eq!(names(), [""; 0]);
    }

    #[test]
    fn who_misses_its_node_is_told_of_once() {
        let strays = Strays::default();
        for (name, node, class, admin_state) in [
            ("a", "n2", "", ""),
            ("b", "n2", "node-down", ""),
            ("c", "n2", "command-ended", "draining"),
            ("d", "n2", "", "suspended"),
            ("e", "n3", "", ""),
            ("f", "n2", "", ""),
        ] {
            let home = Home::Hosted(node.into());
            strays.meet(&key(name), name, &home, &server(class, admin_state), "n1");
        }
        strays.meet(&key("g"), "g", &Home::Nowhere, &server("", ""), "n1");
        let orphans = |after: Option<&str>, limit| {
            let after = after.map(key);
            let found = strays.orphans(after.as_ref(), limit, |node| **node == *"n2");
            found.into_iter().map(|(key, _)| key.name).collect::<Vec<_>>()
        };
        assert_eq!(orphans(None, 9), ["a", "c", "f"]);
        assert_eq!(orphans(None, 2), ["a", "c"]);
        assert_eq!(orphans(Some("c"), 2), ["f"]);
        assert_eq!(orphans(Some("f"), 2), [""; 0]);
    }
}
