//! What is still missing before this node is of use, by name and with the way out.
//!
//! Invariants: a node is ready if and only if no task is open; a task that is dropped without
//! [`Task::done`] stays open, so that what failed on the way never counts as done. Never: decides
//! what must be there; whoever needs something opens a task for it.

use crate::net::Missing;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::sync::watch;

/// The set of open tasks; a cheap clone.
#[derive(Clone, Debug)]
pub struct Readiness {
    open: watch::Sender<Open>,
}

#[derive(Clone, Debug, Default)]
struct Open {
    next: u64,
    tasks: BTreeMap<u64, Missing>,
}

/// An open task.
#[derive(Debug)]
#[must_use = "a task that is dropped stays open for ever"]
pub struct Task {
    id: u64,
    open: watch::Sender<Open>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { open: watch::Sender::new(Open::default()) }
    }
}

impl Readiness {
    /// Names something without which the node is not ready, and the way out in words.
    pub fn task(&self, what: &str, remedy: impl Into<String>) -> Task {
        let missing = Missing { what: what.to_owned(), remedy: remedy.into() };
        let mut id = 0;
        self.open.send_modify(|open| {
            id = open.next;
            open.next += 1;
            open.tasks.insert(id, missing);
        });
        Task { id, open: self.open.clone() }
    }

    /// The task of a data folder without a cluster.
    pub fn cluster_task(&self, socket: &Path) -> Task {
        let socket = socket.display();
        self.task(
            "cluster",
            format!(
                "no cluster here yet: run keikoctl --endpoint unix:{socket} cluster init, or start with --init"
            ),
        )
    }

    /// True if nothing is missing.
    pub fn is_ready(&self) -> bool {
        self.open.borrow().tasks.is_empty()
    }

    /// What is missing, oldest first.
    pub fn missing(&self) -> Vec<Missing> {
        self.open.borrow().tasks.values().cloned().collect()
    }

    /// One line, for systemd's status.
    pub fn text(&self) -> String {
        let missing = self.missing();
        if missing.is_empty() {
            return "ready".to_owned();
        }
        let parts = missing.iter().map(|missing| format!("{}: {}", missing.what, missing.remedy));
        format!("missing {}", parts.collect::<Vec<_>>().join("; "))
    }

    /// Waits until nothing is missing.
    pub async fn ready(&self) {
        // The sender lives as long as this value, so the wait can't fail.
        let _ = self.open.subscribe().wait_for(|open| open.tasks.is_empty()).await;
    }

    /// Wakes whenever something was opened or done.
    pub fn changes(&self) -> Changes {
        Changes { receiver: self.open.subscribe() }
    }
}

/// The wakeups of [`Readiness::changes`].
#[derive(Debug)]
pub struct Changes {
    receiver: watch::Receiver<Open>,
}

impl Changes {
    /// The next one; never comes once nobody can open or end a task any more.
    pub async fn next(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Task {
    /// It is there now.
    pub fn done(self) {
        self.open.send_modify(|open| {
            open.tasks.remove(&self.id);
        });
    }

    /// It is still missing, and more is known of why.
    pub fn because(&self, remedy: impl Into<String>) {
        self.open.send_modify(|open| {
            if let Some(missing) = open.tasks.get_mut(&self.id) {
                missing.remedy = remedy.into();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_what_is_missing_and_the_way_out() {
        let readiness = Readiness::default();
        assert_eq!(readiness.text(), "ready");
        let cluster = readiness.cluster_task(Path::new("/d/keiko.sock"));
        let store = readiness.task("store", "it is being opened");
        assert_eq!(
            readiness.text(),
            "missing cluster: no cluster here yet: run keikoctl --endpoint unix:/d/keiko.sock \
             cluster init, or start with --init; store: it is being opened"
        );
        store.because("it replays its log");
        assert_eq!(readiness.missing()[1].remedy, "it replays its log");
        assert!(!readiness.is_ready());
        let mut changes = readiness.changes();
        store.done();
        changes.next().await;
        cluster.done();
        readiness.ready().await;
        assert!(readiness.is_ready() && readiness.missing().is_empty());
    }

    #[test]
    fn what_failed_on_the_way_is_not_done() {
        let readiness = Readiness::default();
        drop(readiness.task("keys", "they can't be read"));
        assert!(!readiness.is_ready());
    }
}
