//! Entries: proposed by this node if it leads, sent to the leader if not.
//!
//! Invariants:
//! - Whoever proposes hears a reply, that surely nothing was done, or that nobody can tell.
//! - What may have been carried out is proposed again under its request id only, so that it takes
//!   effect once.
//! - The clock and the level of an entry are put in by the node that leads.
//!
//! Never: waits beyond the deadline.

use super::frees::frees;
use super::group::{Group, ended};
use super::standing::{LEADER_PATIENCE, LEADER_PAUSE};
use super::types::{Command, Outcome, Types};
use bytes::Bytes;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::{features, limits};
use keiko_proto::v1 as words;
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::OneshotReceiverOf;
use prost::Message as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

type Responder = ProgressResponder<Types, ClientWriteResult<Types>>;

/// An entry that was proposed: dropped, it may be committed all the same.
pub struct Proposal(Way);

enum Way {
    Own(Own),
    Forwarded(Forwarded),
}

/// An entry that was proposed at this node.
pub(super) struct Own {
    group: Group,
    answer: OneshotReceiverOf<Types, ClientWriteResult<Types>>,
    begun: Instant,
    deadline: Duration,
}

/// An entry that was sent to the leader.
struct Forwarded {
    group: Group,
    answer: oneshot::Receiver<Result<Bytes>>,
    begun: Instant,
    deadline: Duration,
}

impl Group {
    /// Proposes an entry, here or at the leader, and waits for what the law answers. Refused while
    /// the leader's disk is nearly full, but for what frees space.
    ///
    /// While there is no leader it waits for one a little; what is lost with a leader is proposed
    /// again if it has a request id, under which it takes effect once. [`Code::OutcomeUnknown`] means
    /// what it says: the entry may still be committed. A retry with the same request id gets the
    /// same reply.
    pub async fn propose(
        &self,
        mut entry: words::Entry,
        deadline: Duration,
    ) -> Result<words::Reply> {
        let begun = Instant::now();
        let repeatable = !entry.request_id.is_empty();
        let mut unsure = None;
        loop {
            if let Err(refusal) = self.check_heard() {
                return Err(unsure.unwrap_or(refusal));
            }
            let left = deadline.saturating_sub(begun.elapsed());
            let attempt = async { self.submit(&mut entry, left).await?.reply().await };
            let refusal = match attempt.await {
                Ok(reply) => return Ok(reply),
                Err(refusal) => refusal,
            };
            let again = match refusal.code {
                Code::NoLeader => begun.elapsed() < LEADER_PATIENCE,
                Code::OutcomeUnknown => repeatable,
                _ => false,
            };
            if refusal.code == Code::OutcomeUnknown {
                unsure = Some(refusal.clone());
            }
            let late = begun.elapsed() + LEADER_PAUSE >= deadline;
            if !again || late || self.check_open().is_err() {
                // An attempt that may have been carried out is not undone by a later one.
                return Err(unsure.unwrap_or(refusal));
            }
            tokio::time::sleep(LEADER_PAUSE).await;
        }
    }

    /// Proposes an entry, here or at the leader, behind all that were submitted before, without
    /// waiting for the answer.
    pub async fn submit(&self, entry: &mut words::Entry, deadline: Duration) -> Result<Proposal> {
        let elsewhere = self.leader().filter(|leader| leader != self.inner.raft.node_id());
        let way = match elsewhere {
            Some(leader) => {
                let bytes = entry.encode_to_vec().into();
                Way::Forwarded(self.forward(leader, bytes, deadline).await?)
            }
            // Whether this node really leads is found out here.
            None => Way::Own(self.submit_here(entry, deadline).await?),
        };
        Ok(Proposal(way))
    }

    /// Proposes an entry here, for a peer that takes this node for the leader.
    pub(super) async fn submit_here(
        &self,
        entry: &mut words::Entry,
        deadline: Duration,
    ) -> Result<Own> {
        self.prepare(entry)?;
        self.hand_in(entry.encode_to_vec().into(), deadline).await
    }

    /// Puts in what the leader says.
    fn prepare(&self, entry: &mut words::Entry) -> Result<()> {
        self.check_open()?;
        if !frees(entry.room.as_ref()) {
            self.inner.shared.disk.check()?;
        }
        self.check_agreed()?;
        entry.format = features::FORMAT;
        entry.feature_level = self.inner.level.load(Ordering::Relaxed);
        entry.proposed_ms = self.now_ms()?;
        Ok(())
    }

    async fn hand_in(&self, entry: Bytes, deadline: Duration) -> Result<Own> {
        let begun = Instant::now();
        check_sendable(&entry, deadline)?;
        let (responder, answer) = Responder::complete_only();
        let sent = self.inner.raft.client_write_ff(Command(entry), Some(responder));
        match tokio::time::timeout(deadline, sent).await {
            Ok(Ok(())) => Ok(Own { group: self.clone(), answer, begun, deadline }),
            Ok(Err(fatal)) => Err(ended(&fatal)),
            Err(_) => Err(unknown("the deadline passed")),
        }
    }

    async fn forward(&self, leader: u64, entry: Bytes, deadline: Duration) -> Result<Forwarded> {
        let begun = Instant::now();
        self.check_open()?;
        check_sendable(&entry, deadline)?;
        let link = self.link(leader)?;
        let forward = link.forward(&self.inner.runtime);
        let answer = forward.send(self.inner.shared.group, entry, deadline).await?;
        Ok(Forwarded { group: self.clone(), answer, begun, deadline })
    }

    fn outcome(&self, answer: Option<ClientWriteResult<Types>>) -> Result<Outcome> {
        match answer {
            Some(Ok(response)) => Ok(response.data),
            Some(Err(ClientWriteError::ForwardToLeader(leader))) => {
                Err(self.no_leader(leader.leader_id))
            }
            Some(Err(ClientWriteError::LogEntryDiscarded(_))) => {
                Err(unknown("another leader was elected"))
            }
            Some(Err(error)) => {
                Err(Refusal::new(Code::Internal, "consensus refused an entry").cause(error))
            }
            None => Err(unknown("the node is shutting down")),
        }
    }
}

impl Proposal {
    /// What the law answers. This node's own state holds what it did.
    pub async fn reply(self) -> Result<words::Reply> {
        match self.0 {
            Way::Own(own) => decode(&own.encoded_reply().await?),
            Way::Forwarded(forwarded) => forwarded.reply().await,
        }
    }
}

impl Own {
    /// What the law answers, encoded.
    pub(super) async fn encoded_reply(self) -> Result<Vec<u8>> {
        let Self { group, answer, begun, deadline } = self;
        let end = tokio::time::Instant::from_std(begun) + deadline;
        let outcome = match tokio::time::timeout_at(end, answer).await {
            Ok(answer) => group.outcome(answer.ok())?,
            Err(_) => return Err(unknown("the deadline passed")),
        };
        group.inner.shared.counters.count_proposal(begun.elapsed());
        Ok(outcome.reply)
    }
}

impl Forwarded {
    /// What the leader answers, once it is applied here as well.
    async fn reply(self) -> Result<words::Reply> {
        let Self { group, answer, begun, deadline } = self;
        let end = tokio::time::Instant::from_std(begun) + deadline;
        let reply = match tokio::time::timeout_at(end, answer).await {
            Ok(Ok(answer)) => decode(&answer?)?,
            Ok(Err(_)) => return Err(unknown("the connection to the leader broke")),
            Err(_) => return Err(unknown("the deadline passed")),
        };
        let mut revisions = group.revisions();
        let seen = revisions.wait_for(|revision| *revision >= reply.revision);
        match tokio::time::timeout_at(end, seen).await {
            Ok(Ok(_)) => Ok(reply),
            Ok(Err(_)) | Err(_) => {
                Err(unknown("it was carried out, and this node does not see it yet"))
            }
        }
    }
}

/// Refuses what no log takes, and what no time is left for: surely nothing was done.
fn check_sendable(entry: &Bytes, deadline: Duration) -> Result<()> {
    if entry.len() > limits::ENTRY_BYTES_MAX {
        let most = limits::ENTRY_BYTES_MAX;
        let message = format!("the request takes {} bytes in the log", entry.len());
        return Err(Refusal::new(Code::LimitExceeded, message)
            .cause(format!("an entry may take {most} bytes")));
    }
    if deadline.is_zero() {
        let message = "no time was left to carry the request out";
        return Err(Refusal::new(Code::DeadlineExceeded, message)
            .cause("nothing was done")
            .hint("give it a longer deadline"));
    }
    Ok(())
}

fn decode(reply: &[u8]) -> Result<words::Reply> {
    words::Reply::decode(reply).map_err(|error| {
        Refusal::new(Code::Internal, "the law's reply is not readable").cause(error)
    })
}

pub(super) fn unknown(cause: &str) -> Refusal {
    Refusal::new(Code::OutcomeUnknown, "nobody can tell whether the request was carried out")
        .cause(cause)
        .hint("send it again with the same request id: it takes effect once and answers the same")
}
