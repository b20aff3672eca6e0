//! Removes tokens that expired, which only the leader proposes, and tells of refused attempts and of
//! grants that were used.

use super::super::Control;
use super::Metrics;
use super::refusals::Teller;
use super::uses;
use crate::net::{Refusals, UsedGrants};
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::{house, security};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{PruneTokens, SecurityOp, security_op};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An expired token is refused at once; removing it is housekeeping.
const EVERY: Duration = Duration::from_secs(60);
/// Who shows a token that expired within the hour hears that it did; after that it is unknown.
const REMEMBERED_MS: u64 = 3600 * 1000;

/// The loops.
pub struct Driver {
    /// Where it reads and proposes.
    pub control: Control,
    /// What it tells.
    pub metrics: Metrics,
}

impl Driver {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let teller = Teller { control: self.control.clone(), refusals: Refusals::of_process() };
        let uses = uses::Teller { control: self.control.clone(), used: UsedGrants::of_process() };
        tokio::join!(
            teller.run(shutdown.clone()),
            uses.run(shutdown.clone()),
            self.keep_house(shutdown)
        );
    }

    async fn keep_house(self, shutdown: CancellationToken) {
        loop {
            if let Err(refusal) = self.prune().await {
                tracing::warn!(code = %refusal.code, "expired tokens stay: {refusal}");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn prune(&self) -> Result<()> {
        let (tokens, is_due) = self
            .control
            .read_local(|view| {
                let now_ms = house::last_stamp_ms(view, GroupId::CONTROL);
                let tokens = security::tokens(view, GroupId::CONTROL);
                let forgotten_ms = now_ms.saturating_sub(REMEMBERED_MS);
                let is_due = tokens.iter().any(|token| token.expires_ms <= forgotten_ms);
                (tokens.len(), is_due)
            })
            .await?;
        self.metrics.tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        if !is_due || !self.control.is_leader() {
            return Ok(());
        }
        let op = security_op::Op::PruneTokens(PruneTokens {});
        let room = Room::Security(SecurityOp { op: Some(op) });
        self.control.write(self.control.as_node(), room).await.map(drop)
    }
}
