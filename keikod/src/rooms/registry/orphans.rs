//! Tells of commands whose node is down: that node would tell of them, and can't.
//!
//! Invariants: one node tells, and only that; it links nothing and starts nothing. Nothing is
//! remembered here: what is declared says what is still to be told, so a new leader goes on where
//! the one before ended. A node that is back reads what was said of its commands, looks at them and
//! tells how they are ([`super::prober`]).

use super::driver::Fleet;
use super::home::Home;
use super::put::set_health;
use super::strays::Stray;
use futures::future::join_all;
use keiko_core::registry::ObjectKey;
use keiko_core::registry::health::{FailureClass, State};
use keiko_proto::v1::Health;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two looks: short, beside the second and a half that it takes to notice a dead node.
const TICK: Duration = Duration::from_millis(500);

/// Proposals that are under way at a time: they share a sync.
const AT_ONCE: usize = 64;

/// The loop.
pub(super) struct Orphans {
    pub(super) fleet: Fleet,
}

impl Orphans {
    /// Runs until shutdown.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.tell() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Tells of all that are not told of yet. Each batch is read anew: a node may be back by then.
    async fn tell(&self) {
        let mut after = None;
        loop {
            let is_ours = |host: &Arc<str>| {
                self.fleet.teller.right(&Home::Hosted(Arc::clone(host))).is_some()
            };
            let some = self.fleet.strays().orphans(after.as_ref(), AT_ONCE, is_ours);
            join_all(some.iter().map(|(key, stray)| self.tell_of(key, stray))).await;
            let Some((last, _)) = some.last() else { return };
            after = Some(last.clone());
        }
    }

    async fn tell_of(&self, key: &ObjectKey, stray: &Stray) {
        let Some(host) = &stray.host else { return };
        let told = set_health(&self.fleet.control, key, &stray.uid, without(host)).await;
        if let Err(refusal) = told {
            let server = key.subject();
            tracing::debug!(%server, %host, code = %refusal.code, "not told of it: {refusal}");
        }
    }
}

/// The health of what a node ran that is down.
fn without(host: &str) -> Health {
    Health {
        state: State::CoolingDown.as_str().to_owned(),
        failure_class: FailureClass::NodeDown.as_str().to_owned(),
        message: format!("node {host} is down"),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::registry::Kind;
    use keiko_core::registry::health::{check, ready_condition};

    #[test]
    fn a_server_without_its_node_is_not_ready() {
        let health = without("n2");
        assert_eq!(check(&health), Ok(State::CoolingDown));
        let ready = ready_condition(Kind::McpServer, &health);
        assert_eq!((&*ready.status, &*ready.reason), ("False", "NodeDown"));
        assert_eq!(ready.message, "node n2 is down");
    }
}
