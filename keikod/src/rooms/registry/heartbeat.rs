//! Heartbeats: agents say that they are here and how they are, and learn what they are to do.
//!
//! A beat costs a look at the directory and a row of soft state. It makes no entry unless it says
//! something that the declared state does not know yet. An agent may beat at any node: the others
//! hear of it within a second, and the leader judges.

use super::feed::Feed;
use super::leases::is_news;
use super::live::Readiness;
use super::read::require_on;
use crate::net::{Identity, Permission, status::to_status};
use keiko_core::limits::{BEATS_MAX, REASON_CHARS_MAX};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::directory::{Owner, Standing};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_proto::v1::{Beat, BeatAnswer, HeartbeatRequest, HeartbeatResponse, Instruction};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// A stream on which nothing comes for so long is ended: six of the default heartbeats.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Answers that wait for one stream: who does not read them is not read from.
const QUEUE: usize = 4;

/// Takes in some beats.
pub(super) async fn heartbeat(
    feed: &Feed,
    caller: &Identity,
    asked: HeartbeatRequest,
) -> Result<HeartbeatResponse> {
    if asked.beats.len() > BEATS_MAX {
        return Err(Refusal::new(
            Code::LimitExceeded,
            format!("{} beats, at most {BEATS_MAX} in one call", asked.beats.len()),
        ));
    }
    feed.caught_up().await;
    let answers = asked.beats.into_iter().map(|beat| answer(feed, caller, beat)).collect();
    Ok(HeartbeatResponse { answers, server_unix_ms: feed.now_ms() })
}

/// The same for as long as they come.
pub(super) fn stream(
    feed: Feed,
    caller: Identity,
    mut asked: Streaming<HeartbeatRequest>,
    closing: CancellationToken,
) -> mpsc::Receiver<Result<HeartbeatResponse, Status>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(IDLE_MAX, asked.message()) => next,
                () = closing.cancelled() => return,
                () = sender.closed() => return,
            };
            let response = match next {
                Ok(Ok(Some(request))) => heartbeat(&feed, &caller, request).await,
                // It ended, broke off, or fell silent.
                Ok(Ok(None) | Err(_)) | Err(_) => return,
            };
            let response = response.map_err(|refusal| to_status(&refusal));
            let refused = response.is_err();
            if sender.send(response).await.is_err() || refused {
                return;
            }
        }
    });
    receiver
}

fn answer(feed: &Feed, caller: &Identity, beat: Beat) -> BeatAnswer {
    let (namespace, name) = (beat.namespace.clone(), beat.name.clone());
    let answer = take(feed, caller, beat).unwrap_or_else(|refusal| BeatAnswer {
        refusal: Some(refusal.to_wire()),
        ..Default::default()
    });
    BeatAnswer { namespace, name, ..answer }
}

fn take(feed: &Feed, caller: &Identity, beat: Beat) -> Result<BeatAnswer> {
    let key = ObjectKey::parse(Kind::Agent, &beat.namespace, &beat.name)?;
    require_on(caller, Permission::RegistryWrite, &key)?;
    let readiness = Readiness::parse(&beat.readiness)?;
    let directory = feed.directory();
    let owner = directory
        .owner(Kind::Agent, key.namespace.as_str(), &key.name)
        .filter(|owner| beat.uid.is_empty() || *owner.uid == *beat.uid)
        .ok_or_else(|| unknown(&key))?;
    let reason: String = beat.reason.chars().take(REASON_CHARS_MAX).collect();
    let lease_ms = feed.soft().beat(&key, readiness, &reason, beat.load);
    let answer = BeatAnswer {
        lease_ms,
        instruction: instruction(owner, beat.generation).into(),
        generation: owner.generation,
        ..Default::default()
    };
    if is_news(owner, readiness) {
        feed.soft().mark(key);
    }
    Ok(answer)
}

fn instruction(owner: &Owner, generation: u64) -> Instruction {
    match owner.standing {
        Standing::Suspended => Instruction::Stop,
        Standing::Draining => Instruction::Drain,
        _ if generation != 0 && generation < owner.generation => Instruction::Reload,
        _ => Instruction::Unspecified,
    }
}

fn unknown(key: &ObjectKey) -> Refusal {
    let (name, namespace) = (&key.name, &key.namespace);
    Refusal::new(Code::NotFound, format!("no such agent {name:?} in namespace {namespace}"))
        .cause("it was never registered, was deleted, or was registered anew")
        .hint("register again")
}
