//! Those who ask, lose the answer, and ask again with the same request id.
//!
//! A client makes its ids on the server's clock, as the library does; some have another clock, some
//! make ids that are none, and some send an id with another request.

use crate::report::Dice;
use keiko_core::limits::{DEDUP_WINDOW_MS, REQUEST_ID_AHEAD_MS};
use keiko_proto::v1::{self as wire, actor::Who};
use std::collections::VecDeque;

/// Requests that somebody may still ask again for.
const REMEMBERED_MAX: usize = 24;

/// All clients together.
#[derive(Default)]
pub(super) struct Clients {
    made: u64,
    sent: VecDeque<wire::Entry>,
}

impl Clients {
    /// Puts a name and an id on a new request, and remembers it.
    pub(super) fn send(
        &mut self,
        dice: &mut Dice,
        server_ms: u64,
        entry: wire::Entry,
    ) -> wire::Entry {
        self.made += 1;
        let request_id = self.request_id(dice, server_ms);
        let request_hash = self.made.to_be_bytes().to_vec();
        let actor = Some(actor(dice));
        let tenant = if dice.below(4) == 0 { "default".to_owned() } else { String::new() };
        let trace_id = if dice.below(2) == 0 { vec![7; 16] } else { Vec::new() };
        let entry = wire::Entry { request_id, request_hash, actor, tenant, trace_id, ..entry };
        self.sent.push_back(entry.clone());
        if self.sent.len() > REMEMBERED_MAX {
            self.sent.pop_front();
        }
        entry
    }

    /// Sends something again, as it was or nearly so.
    pub(super) fn send_again(&self, dice: &mut Dice, proposed_ms: u64) -> Option<wire::Entry> {
        let length = self.sent.len() as u64;
        let at = dice.below(length.max(1)) as usize;
        let mut entry = self.sent.get(at)?.clone();
        entry.proposed_ms = proposed_ms;
        match dice.below(8) {
            // The hands asked the world again and found something else: still the same request.
            0 => entry.room = self.sent[dice.below(length) as usize].room.clone(),
            1 => entry.request_hash = vec![0xFF],
            2 => entry.actor = Some(actor(dice)),
            3 => entry.trace_id = vec![9; 16],
            _ => {}
        }
        Some(entry)
    }

    fn request_id(&self, dice: &mut Dice, server_ms: u64) -> Vec<u8> {
        let made_ms = match dice.below(48) {
            0..=3 => return Vec::new(),
            4 => return vec![0; dice.below(20) as usize],
            5 | 6 => server_ms.saturating_sub(DEDUP_WINDOW_MS),
            7 => server_ms.saturating_sub(DEDUP_WINDOW_MS + 1 + dice.below(DEDUP_WINDOW_MS)),
            8 | 9 => server_ms + REQUEST_ID_AHEAD_MS,
            10 => server_ms + REQUEST_ID_AHEAD_MS + 1 + dice.below(5000),
            11..=14 => server_ms + dice.below(REQUEST_ID_AHEAD_MS),
            _ => server_ms.saturating_sub(dice.below(2000)),
        };
        let mut id = made_ms.to_be_bytes()[2..].to_vec();
        id.extend([0x70, dice.below(256) as u8]);
        id.extend((self.made | 1 << 63).to_be_bytes());
        id
    }
}

fn actor(dice: &mut Dice) -> wire::Actor {
    let who = match dice.below(12) {
        0 => Who::Token(wire::TokenBearer { id: "t1".to_owned() }),
        1 => Who::Node("one".to_owned()),
        2 => Who::Socket(wire::SocketPeer { node: "two".to_owned(), uid: Some(1000) }),
        3 => return wire::Actor::default(),
        4 => Who::Person(wire::Person { name: "ada".to_owned() }),
        _ => Who::Socket(wire::SocketPeer { node: "one".to_owned(), uid: Some(0) }),
    };
    wire::Actor { who: Some(who) }
}
