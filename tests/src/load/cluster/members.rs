//! What both clusters can do, and to whom of a cluster callers go.

use super::super::node::cost::Spent;
use super::super::node::drive::Caller;
use super::SIZE;
use anyhow::{Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A cluster of [`SIZE`], each known by its number.
pub(super) trait Members {
    /// One who asks it.
    type Caller: Caller;

    /// What all that run cost, since each of them began.
    fn spent(&self) -> Result<Spent>;

    /// Who leads, of those that run.
    async fn leader(&self) -> Result<usize>;

    /// How much of what was written this one has carried out.
    fn applied(&self, member: usize) -> Result<u64>;

    /// Ends one as a crash does.
    fn kill(&mut self, member: usize) -> Result<()>;

    /// Starts one again; gives how long that took until it was ready.
    fn start(&mut self, member: usize) -> Result<Duration>;

    /// Callers that share so many connections, which go to `to` in turn.
    async fn callers(
        &self,
        to: &[usize],
        count: usize,
        connections: usize,
    ) -> Result<Vec<Self::Caller>>;
}

/// Whom callers are connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Leader,
    /// One that does not lead.
    Follower,
    /// Each of them in turn, the leader first.
    All,
}

impl To {
    /// Their numbers, with this leader.
    pub(super) fn members(self, leader: usize) -> Vec<usize> {
        match self {
            Self::Leader => vec![leader],
            Self::Follower => vec![(leader + 1) % SIZE],
            Self::All => (0..SIZE).map(|behind| (leader + behind) % SIZE).collect(),
        }
    }
}

/// All but this one.
pub(super) fn others(member: usize) -> Vec<usize> {
    (0..SIZE).filter(|other| *other != member).collect()
}

/// Waits until somebody leads and everybody has what the leader has; gives the leader.
pub(super) async fn level<M: Members>(members: &M, bound: Duration) -> Result<usize> {
    let end = Instant::now() + bound;
    loop {
        if let Ok(leader) = members.leader().await
            && let Ok(ahead) = members.applied(leader)
        {
            let is_there = |member| members.applied(member).is_ok_and(|own| own >= ahead);
            if (0..SIZE).all(is_there) {
                return Ok(leader);
            }
        }
        if Instant::now() >= end {
            bail!("not all of them are as far as the leader after {bound:?}");
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_number() {
        let check = |to: To, leader, expect: &[usize]| assert_eq!(to.members(leader), expect);
        check(To::Leader, 2, &[2]);
        check(To::Follower, 2, &[0]);
        check(To::All, 0, &[0, 1, 2]);
        check(To::All, 2, &[2, 0, 1]);
        assert_eq!(others(1), [0, 2]);
    }
}
