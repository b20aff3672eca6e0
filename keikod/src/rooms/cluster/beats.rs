//! Signs of life: to every other node, four times a second, over a stream of its own.

use super::neighbours::Neighbours;
use crate::consensus::peer::faults;
use crate::rooms::clock::unix_ms;
use keiko_core::peers::{BEAT_MS, Sample};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Beats that wait to be sent; a peer that takes none for that long gets a new stream.
const QUEUE: usize = 8;
const OPEN_DEADLINE: Duration = Duration::from_secs(1);
/// An answer that comes later than this is of a stream that hangs.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_millis(BEAT_MS);

impl Neighbours {
    /// Beats to one node, wherever it is by then, until it is no member any more, or shutdown.
    pub(super) async fn beat_to(self, id: u64, ended: CancellationToken) {
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                result = self.beat(id) => if let Err(refusal) = result {
                    tracing::debug!(id, code = %refusal.code, "no beats: {refusal}");
                    self.note_refusal(id, &refusal);
                },
            }
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// One stream, until it breaks.
    async fn beat(&self, id: u64) -> Result<()> {
        let Some(node) = self.inner.seen.load().nodes.get(&id).cloned() else { return Ok(()) };
        let link = self.link(&node)?;
        let (sender, beats) = mpsc::channel(QUEUE);
        let mut told = 0;
        // The first one goes out with the call, so that the peer answers at once.
        let _has_room = sender.try_send(self.next_beat(id, 1, &mut told));
        let mut answers = link.beats(beats, OPEN_DEADLINE).await?;
        let mut sent = BTreeMap::from([(1, (Instant::now(), unix_ms()))]);
        let mut number = 1;
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    number += 1;
                    let beat = self.next_beat(id, number, &mut told);
                    sent.insert(number, (Instant::now(), unix_ms()));
                    let hangs = sent.values().next().is_some_and(|(at, _)| at.elapsed() > ANSWER_MAX);
                    if hangs || link.is_cut() || sender.try_send(beat).is_err() {
                        return Err(Refusal::new(Code::PeerUnreachable, "the beats are not answered"));
                    }
                }
                answer = answers.message() => {
                    let answer = answer.map_err(|status| crate::net::status::to_refusal(&status))?;
                    let Some(answer) = answer else { return Ok(()) };
                    if link.is_cut() {
                        return Err(Refusal::new(Code::PeerUnreachable, "cut by a test"));
                    }
                    if let Some((at, sent_ms)) = sent.remove(&answer.number) {
                        self.answered(id, at, sent_ms, answer.unix_ms);
                    }
                }
            }
        }
    }

    fn answered(&self, id: u64, sent_at: Instant, sent_ms: u64, remote_ms: u64) {
        let now_ms = self.inner.now_ms();
        let mut state = self.inner.lock();
        if let Some(sample) = Sample::of(sent_ms, remote_ms, unix_ms()) {
            state.offsets.note(id, sample, now_ms);
        }
        let heard = state.peers.entry(id).or_default();
        heard.refused_at = None;
        heard.round_trip_us = u64::try_from(sent_at.elapsed().as_micros()).unwrap_or(u64::MAX);
    }

    /// What this node says of itself; `told` is up to which entry it told its state hashes.
    fn next_beat(&self, to: u64, number: u64, told: &mut u64) -> peer::PeerBeat {
        let about = &self.inner.about;
        let groups = self.inner.control.group().ok().map(|group| {
            let status = group.status();
            let checkpoints = group.checkpoints(*told);
            *told = checkpoints.last().map_or(*told, |(index, _)| *index);
            let checkpoint = |(index, hash): (u64, keiko_core::hash::Hash)| peer::Checkpoint {
                index,
                hash: hash.to_vec().into(),
            };
            peer::GroupBeat {
                group: 0,
                applied_index: status.applied_index.unwrap_or(0),
                last_log_index: status.last_log_index.unwrap_or(0),
                term: status.term,
                state: status.state.to_owned(),
                checkpoints: checkpoints.into_iter().map(checkpoint).collect(),
            }
        });
        let seen = self.inner.seen.load();
        let (agents, heard) = {
            let mut state = self.inner.lock();
            let batches = std::mem::take(&mut state.peers.entry(to).or_default().batches);
            let agents = batches.iter().flat_map(|batch| batch.iter().cloned()).collect();
            (agents, state.heard_but(to, &seen))
        };
        let own = seen.named(&about.name);
        let signs_with = (about.signs_with)();
        peer::PeerBeat {
            number,
            unix_ms: unix_ms(),
            incarnation: self.inner.incarnation,
            version: about.version.clone(),
            feature_level: faults::level(),
            groups: groups.into_iter().collect(),
            agents,
            draining: own.is_some_and(|own| !own.admin_state.is_empty()),
            settings_hash: about.settings_hash.clone(),
            certificate_expires_ms: to_ms(about.certificates.expires()),
            peer_address: about.peer_address.clone(),
            signs: !signs_with.is_empty(),
            heard,
            ca_hashes: about.certificates.ca_hashes(),
            signs_with,
        }
    }

    /// A peer says that this node is no member. One may be behind; more than half are not.
    fn note_refusal(&self, id: u64, refusal: &Refusal) {
        if refusal.code != Code::NotAMember {
            return;
        }
        let mut state = self.inner.lock();
        state.peers.entry(id).or_default().refused_at = Some(Instant::now());
        let voters = self.inner.control.group().map(|group| group.members()).unwrap_or_default();
        let own = self.inner.own_id();
        let others: Vec<_> =
            voters.iter().filter(|member| member.votes && member.id != own).collect();
        let refuses = |id: u64| {
            let heard = state.peers.get(&id);
            heard.and_then(|heard| heard.refused_at).is_some_and(|at| at.elapsed() < 4 * ANSWER_MAX)
        };
        let refusing = others.iter().filter(|member| refuses(member.id)).count();
        if refusing > others.len() / 2 {
            let name = &self.inner.about.name;
            let gone =
                Refusal::new(Code::NotAMember, format!("node {name} was removed from its cluster"))
                    .cause(format!("{refusing} of {} other voters say so", others.len()))
                    .hint("to join again it needs an empty data folder and a new token");
            self.inner.fatal.send_replace(Some(gone));
        }
    }
}

/// As times are told on the wire.
pub(super) fn to_ms(time: std::time::SystemTime) -> u64 {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
