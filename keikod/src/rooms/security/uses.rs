//! Tells the cluster which grants this node saw used: at most once a day each.

use super::super::Control;
use crate::net::UsedGrants;
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::security;
use keiko_core::store::Store;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{NoteUses, SecurityOp, Uses, security_op};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long uses are gathered: most of a day's come within the first minutes of it.
const EVERY: Duration = Duration::from_secs(30);

/// The loop.
pub(super) struct Teller {
    pub(super) control: Control,
    pub(super) used: UsedGrants,
}

impl Teller {
    /// Runs until shutdown.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let told = tokio::select! {
                () = shutdown.cancelled() => return,
                told = self.tell() => told,
            };
            if let Err(refusal) = told {
                tracing::debug!(code = %refusal.code, "uses of grants are not told: {refusal}");
            }
        }
    }

    async fn tell(&self) -> Result<()> {
        let Some(note) = self.used.take() else { return Ok(()) };
        let told = self.propose(note.clone()).await;
        // Who comes once a day would be taken for somebody who does not come.
        told.inspect_err(|_| self.used.give_back(&note))
    }

    async fn propose(&self, note: NoteUses) -> Result<()> {
        let news = self.control.read_local(move |view: &View<'_>| news(view, note)).await?;
        if news.items.is_empty() {
            return Ok(());
        }
        let room = Room::Security(SecurityOp { op: Some(security_op::Op::NoteUses(news)) });
        self.control.write(self.control.as_node(), room).await.map(drop)
    }
}

/// What no node told of this day.
fn news(view: &dyn Store, note: NoteUses) -> NoteUses {
    let day = note.day;
    let fresh = |uses: Uses| {
        let kept = security::used(view, GroupId::CONTROL, &uses.subject);
        let told = |permission: &String| {
            kept.iter().any(|used| used.permission == *permission && used.day >= day)
        };
        let permissions: Vec<String> =
            uses.permissions.into_iter().filter(|permission| !told(permission)).collect();
        (!permissions.is_empty()).then_some(Uses { permissions, ..uses })
    };
    NoteUses { items: note.items.into_iter().filter_map(fresh).collect(), day }
}
