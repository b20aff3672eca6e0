//! Tells the journal of the attempts that this node refused. Every node tells its own, whoever
//! leads.

use super::super::{Caller, Control};
use crate::net::Refusals;
use keiko_core::refusal::Result;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{NoteRefusals, SecurityOp, security_op};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Timestamp, Uuid};

/// How long attempts are gathered: at most one entry a second comes of them.
const EVERY: Duration = Duration::from_secs(1);
/// How often one entry is tried. What came meanwhile is gathered on, and no memory is used for it.
const TRIES_MAX: u32 = 5;

/// The loop.
pub(super) struct Teller {
    pub(super) control: Control,
    pub(super) refusals: Refusals,
}

/// What is to be told, under one id however often it is tried.
struct Untold {
    note: NoteRefusals,
    request_id: Vec<u8>,
    tries: u32,
}

impl Teller {
    /// Runs until shutdown.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut untold = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let told = tokio::select! {
                () = shutdown.cancelled() => return,
                told = self.tell(untold.take()) => told,
            };
            untold = told;
        }
    }

    /// Tells what is left, or what was gathered since; gives back what has to be tried again.
    async fn tell(&self, left: Option<Untold>) -> Option<Untold> {
        let untold = left.or_else(|| {
            let note = self.refusals.take()?;
            Some(Untold { note, request_id: self.request_id(), tries: 0 })
        })?;
        let refusal = match self.propose(&untold).await {
            Ok(()) => return None,
            Err(refusal) => refusal,
        };
        let tries = untold.tries + 1;
        if tries < TRIES_MAX {
            return Some(Untold { tries, ..untold });
        }
        tracing::warn!(code = %refusal.code, "refused attempts are only counted: {refusal}");
        self.refusals.give_up(&untold.note);
        None
    }

    async fn propose(&self, untold: &Untold) -> Result<()> {
        let request_id = untold.request_id.clone();
        let caller = Caller { request_id, ..self.control.as_node() };
        let op = security_op::Op::NoteRefusals(untold.note.clone());
        let room = Room::Security(SecurityOp { op: Some(op) });
        self.control.write(caller, room).await.map(drop)
    }

    fn request_id(&self) -> Vec<u8> {
        let now_ms = self.control.now_ms();
        let nanos = u32::try_from(now_ms % 1000 * 1_000_000).unwrap_or_default();
        let time = Timestamp::from_unix(NoContext, now_ms / 1000, nanos);
        Uuid::new_v7(time).as_bytes().to_vec()
    }
}
