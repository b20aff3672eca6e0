//! An id is one node's for ever, and a token that is traded lets one in: nobody comes in without one.

use super::{Check, ensure, objects};
use crate::sim::layout::{NODES, place};
use crate::sim::oracle::Step;
use keiko_core::store::Space;
use keiko_proto::v1::event::Body;
use keiko_proto::v1::{cluster_event, security_event};
use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct Admission {
    /// The highest id that a node ever had.
    highest: u64,
    /// Of nodes that are gone.
    gone: BTreeSet<u64>,
    /// The tokens that were traded, each until another one has its id.
    traded: BTreeSet<String>,
}

impl Admission {
    pub(super) fn step(&mut self, step: &Step<'_>) -> Check {
        self.let_in(step)?;
        let rows = step.changes.iter();
        for row in rows.filter(|row| row.space == Space::State && place(&row.key) == NODES) {
            let id = row.key[4..12].try_into().expect("invariant: a key of a node is its id");
            let id = u64::from_be_bytes(id);
            match (&row.old, &row.new) {
                (None, Some(_)) => {
                    ensure(!self.gone.contains(&id), || format!("id {id} is used again"))?;
                    self.highest = self.highest.max(id);
                }
                (Some(_), None) => drop(self.gone.insert(id)),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        Ok(())
    }

    fn let_in(&mut self, step: &Step<'_>) -> Check {
        let (mut traded, mut came) = (0, 0);
        for event in objects::events(step) {
            match event.body {
                Some(Body::Security(body)) => match body.event {
                    Some(security_event::Event::TokenCreated(token)) => {
                        self.traded.remove(&token.id);
                    }
                    Some(security_event::Event::TokenUsed(token)) => {
                        traded += 1;
                        ensure(self.traded.insert(token.id.clone()), || {
                            format!("token {} is traded twice", token.id)
                        })?;
                    }
                    Some(security_event::Event::PersonEnrolled(_)) => came += 1,
                    _ => {}
                },
                Some(Body::Cluster(body)) => {
                    if let Some(cluster_event::Event::NodeAdmitted(changed)) = body.event {
                        let id = changed.node.unwrap_or_default().id;
                        ensure(id > self.highest, || format!("id {id} is not a new one"))?;
                        came += 1;
                    }
                }
                _ => {}
            }
        }
        ensure(came <= traded && traded <= 1, || {
            format!("{came} came in with {traded} tokens at a time")
        })
    }
}
