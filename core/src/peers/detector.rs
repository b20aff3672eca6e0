//! Who is down, as this node hears them.
//!
//! Invariants:
//! - **if I hear nobody, I am the sick one**: nobody is declared down but on the word of another
//!   peer, who was heard after the silence had become suspicious. Who hears nobody is isolated.
//! - **who could not listen does not judge**: the time in which this process stood still, or heard
//!   nothing from anybody, is no silence of theirs.
//! - **slowly up**: who was down is up again after two beats without such a silence between them.
//!
//! How long a dead node goes unnoticed, with a beat each 250 ms and a look each 100 to 250 ms:
//!
//! ```text
//! suspicious   250 + 5.612 × 100 ms = 811 ms after its last beat, on a quiet network (at a phi of
//!              8, with a deviation below the floor of 100 ms); 1.4 s where beats deviate by 200 ms
//! noticed      at the next look                                    100 to 250 ms
//! confirmed    by the next beat of another peer, at most           250 ms
//! declared     at the look after it                                100 to 250 ms
//! together     1.3 to 1.6 s, on a quiet network
//! ```
//!
//! Whatever the rhythm was, two seconds of silence are suspicious: 2 + 0.75 s stay below the three
//! seconds after which nobody may route to the dead.
//!
//! Never: tells anybody, or looks at who is a voter. With a single other peer it declares nobody
//! down, and is isolated instead: of two, neither can say which of them is cut off. Nothing waits
//! for that verdict either: of two voters, the one that is left can't write.

use crate::limits::NODES_MAX;
use crate::phi::Window;
use std::collections::{BTreeMap, BTreeSet};

/// How often a node beats to each other one.
pub const BEAT_MS: u64 = 250;

/// The phi from which on a silence is suspicious: one beat of 10^8, which at four a second is one
/// in nine months.
const PHI_SUSPICIOUS: f64 = 8.0;
/// What is suspicious in any rhythm.
const SILENCE_MS_MAX: u64 = 2000;
/// How long a peer that became known may take until its first beat.
const GRACE_MS: u64 = 3000;
/// Beats that lead back.
const BEATS_UP: u32 = 2;

/// An interval counts as at most this: a minute of silence says nothing about the rhythm after it.
const INTERVAL_MS_MAX: u64 = 4 * BEAT_MS;
/// What comes faster waited in a queue and says nothing either.
const INTERVAL_MS_MIN: u64 = BEAT_MS / 5;
/// How many intervals the first beat counts for, so that one odd interval after it does not set
/// the rhythm.
const INTERVALS_ASSUMED: usize = 8;

/// Who was not asked for so long stood still: stopped, or asleep with its machine.
const PAUSE_MS: u64 = 1000;
/// Who heard nobody for so long was deaf. Shorter than this, the beats that are missing can't have
/// made anybody suspicious: that takes 811 ms, of which 250 ms are before the last beat of all.
const DEAF_MS: u64 = 2 * BEAT_MS;

/// What a node thinks of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Who is declared down.
    pub down: BTreeSet<u64>,
    /// Whose silence is suspicious now, declared or not.
    pub suspected: BTreeSet<u64>,
    /// This node hears nobody: `down` is what it was before.
    pub isolated: bool,
}

/// Follows the beats of the other nodes.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    peers: BTreeMap<u64, Peer>,
    /// When it was last fed or asked.
    awake_ms: Option<u64>,
    /// The latest beat of anybody.
    heard_ms: Option<u64>,
    isolated: bool,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    window: Window,
    is_heard: bool,
    /// Its last beat, or when it became known; later by what is excused.
    since_ms: u64,
    /// When its silence was noticed.
    suspected_ms: Option<u64>,
    /// Its silence was excused already.
    is_excused: bool,
    is_down: bool,
    /// Beats without a suspicious silence between them.
    beats: u32,
}

/// Why this node could not hear the others.
#[derive(Clone, Copy)]
enum Excuse {
    /// For so long nobody's beat came: it is no silence of theirs.
    Deaf { quiet_ms: u64 },
    /// For so long that their connections may need a while: they have the time of somebody new.
    Isolated,
}

impl Peer {
    fn is_suspected(&self, now_ms: u64) -> bool {
        let silence_ms = now_ms.saturating_sub(self.since_ms);
        if !self.is_heard {
            return silence_ms >= GRACE_MS;
        }
        silence_ms >= SILENCE_MS_MAX || self.window.phi(silence_ms as f64) >= PHI_SUSPICIOUS
    }

    fn beat(&mut self, now_ms: u64) {
        self.beats = if self.is_suspected(now_ms) { 1 } else { self.beats.saturating_add(1) };
        let interval_ms = now_ms.saturating_sub(self.since_ms);
        if !self.is_heard {
            (0..INTERVALS_ASSUMED).for_each(|_| self.window.push(BEAT_MS as f64));
        } else if interval_ms >= INTERVAL_MS_MIN {
            self.window.push(interval_ms.min(INTERVAL_MS_MAX) as f64);
        }
        self.is_heard = true;
        self.since_ms = self.since_ms.max(now_ms);
        self.suspected_ms = None;
        self.is_excused = false;
        if self.beats >= BEATS_UP {
            self.is_down = false;
        }
    }

    /// Forgives what this node could not hear, once until the next beat: else one that comes and
    /// goes would cover for the dead.
    fn excuse(&mut self, excuse: Excuse, now_ms: u64) {
        if self.is_excused || self.is_down {
            return;
        }
        self.is_excused = true;
        self.suspected_ms = None;
        match excuse {
            Excuse::Deaf { quiet_ms } => self.since_ms = shift(self.since_ms, quiet_ms, now_ms),
            Excuse::Isolated => {
                self.is_heard = false;
                self.since_ms = now_ms;
            }
        }
    }
}

impl Detector {
    /// Says who the other nodes are: new ones are followed from now on, those that are missing are
    /// forgotten. Of more than [`NODES_MAX`] the first ones are followed.
    pub fn know(&mut self, others: &BTreeSet<u64>, now_ms: u64) {
        self.notice_pause(now_ms);
        self.peers.retain(|id, _| others.contains(id));
        for id in others {
            if self.peers.len() < NODES_MAX {
                let new = || Peer { since_ms: now_ms, ..Peer::default() };
                self.peers.entry(*id).or_insert_with(new);
            }
        }
    }

    /// A beat came. Of somebody who is not known it is nothing.
    pub fn heard(&mut self, id: u64, now_ms: u64) {
        self.notice_pause(now_ms);
        if !self.peers.contains_key(&id) {
            return;
        }
        let quiet_ms = self.heard_ms.map_or(0, |at| now_ms.saturating_sub(at));
        let excuse = match std::mem::take(&mut self.isolated) {
            true => Some(Excuse::Isolated),
            false => (quiet_ms > DEAF_MS).then_some(Excuse::Deaf { quiet_ms }),
        };
        self.heard_ms = self.heard_ms.max(Some(now_ms));
        for (other, peer) in &mut self.peers {
            if *other == id {
                peer.beat(now_ms);
            } else if let Some(excuse) = excuse {
                peer.excuse(excuse, now_ms);
            }
        }
    }

    /// How unlikely its silence is, for people; none of who was never heard.
    pub fn phi(&self, id: u64, now_ms: u64) -> Option<f64> {
        let peer = self.peers.get(&id).filter(|peer| peer.is_heard)?;
        Some(peer.window.phi(now_ms.saturating_sub(peer.since_ms) as f64))
    }

    /// What to think of the others now. To be asked several times a second.
    pub fn view(&mut self, now_ms: u64) -> View {
        self.notice_pause(now_ms);
        let suspects = |(id, peer): (&u64, &Peer)| peer.is_suspected(now_ms).then_some(*id);
        let suspected: BTreeSet<u64> = self.peers.iter().filter_map(suspects).collect();
        let hears = |(id, peer): (&u64, &Peer)| peer.is_heard && !suspected.contains(id);
        // Somebody new who may still come is nobody heard, and does not end an isolation.
        self.isolated = !self.peers.is_empty()
            && !self.peers.iter().any(hears)
            && (self.isolated || suspected.len() == self.peers.len());
        for id in &suspected {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            let noticed_ms = *peer.suspected_ms.get_or_insert(now_ms);
            if !peer.is_down && self.heard_ms.is_some_and(|at| at > noticed_ms) {
                peer.is_down = true;
                peer.beats = 0;
            }
        }
        let is_down = |(id, peer): (&u64, &Peer)| peer.is_down.then_some(*id);
        let down = self.peers.iter().filter_map(is_down).collect();
        View { down, suspected, isolated: self.isolated }
    }

    /// Moves all that was before a pause of this process to its end.
    fn notice_pause(&mut self, now_ms: u64) {
        let gap_ms = self.awake_ms.map_or(0, |at| now_ms.saturating_sub(at));
        self.awake_ms = self.awake_ms.max(Some(now_ms));
        if gap_ms <= PAUSE_MS {
            return;
        }
        self.heard_ms = self.heard_ms.map(|at| shift(at, gap_ms, now_ms));
        for peer in self.peers.values_mut() {
            peer.since_ms = shift(peer.since_ms, gap_ms, now_ms);
            peer.suspected_ms = peer.suspected_ms.map(|at| shift(at, gap_ms, now_ms));
        }
    }
}

fn shift(at_ms: u64, by_ms: u64, now_ms: u64) -> u64 {
    at_ms.saturating_add(by_ms).min(now_ms)
}
