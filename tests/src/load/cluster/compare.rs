//! The same work on both clusters in turn, with the connections at the same places.

use super::super::node::compare::{Measured, ROUNDS, in_turns};
use super::super::node::drive::{Run, Work, drive};
use super::members::{Members, To};
use super::{Bench, Line, Said};
use anyhow::{Context as _, Result};

/// Times what etcd answers with everything acknowledged before.
const READ_GOAL: f64 = 2.0;

/// Which cluster, and how it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    /// A call for each.
    Calls,
    /// Streams that the callers share.
    Stream,
    Etcd,
}

impl Bench<'_> {
    /// Call by call and by stream: connected to all of them, and to the leader only.
    pub(super) async fn writes(&self, clients: usize) -> Result<Vec<Said>> {
        let mut lines = Vec::new();
        for (to, names) in [
            (To::All, ("write", "write-stream")),
            (To::Leader, ("write-at-leader", "stream-at-leader")),
        ] {
            // One caller is with the leader in any case.
            if to == To::Leader && clients == 1 {
                continue;
            }
            let vias = [Via::Etcd, Via::Calls, Via::Stream];
            let mut measured = self.alternate(&vias, Work::Write, to, clients).await?;
            let (peer, goal) = (measured.take(Via::Etcd).ok(), Some(write_goal(clients)));
            for (work, via) in [(names.0, Via::Calls), (names.1, Via::Stream)] {
                let keiko = measured.take(via)?;
                let line = Line { work, peer_name: "etcd", clients, keiko, peer, goal };
                lines.push(Said::Line(line));
            }
        }
        Ok(lines)
    }

    /// With everything that was acknowledged before: from the leader, and from one who follows.
    pub(super) async fn reads(&self, clients: usize) -> Result<Vec<Said>> {
        let mut lines = Vec::new();
        for (to, work) in [(To::Leader, "read-at-leader"), (To::Follower, "read-at-follower")] {
            let vias = [Via::Etcd, Via::Calls];
            let mut measured = self.alternate(&vias, Work::ReadLinearizable, to, clients).await?;
            let (keiko, peer) = (measured.take(Via::Calls)?, measured.take(Via::Etcd).ok());
            let goal = Some(READ_GOAL);
            lines.push(Said::Line(Line { work, peer_name: "etcd", clients, keiko, peer, goal }));
        }
        Ok(lines)
    }

    /// Each of them in turn, round after round; etcd is left out if it is not there.
    async fn alternate(
        &self,
        vias: &[Via],
        work: Work,
        to: To,
        clients: usize,
    ) -> Result<Measured<Via>> {
        let is_there = |via: &Via| *via != Via::Etcd || self.etcd.is_some();
        let there: Vec<Via> = vias.iter().copied().filter(is_there).collect();
        let once = async |via| {
            let run = self.once(via, work, to, clients).await;
            run.with_context(|| format!("{via:?}, {clients} clients of {to:?}"))
        };
        in_turns(there, work, once).await
    }

    /// One turn of one cluster. Who leads is asked each time: that may change.
    async fn once(&self, via: Via, work: Work, to: To, clients: usize) -> Result<Run> {
        let (names, connections) = (self.settings.names, self.settings.connections);
        let (keiko, time) = (&self.keiko, self.settings.time / ROUNDS);
        match via {
            Via::Calls => {
                let to = to.members(keiko.leader().await?);
                let callers = keiko.callers(&to, clients, connections).await?;
                drive(callers, work, names, time, || keiko.spent()).await
            }
            Via::Stream => {
                let to = to.members(keiko.leader().await?);
                let callers = keiko.streamers(&to, clients, connections).await?;
                drive(callers, work, names, time, || keiko.spent()).await
            }
            Via::Etcd => {
                let etcd = self.etcd.as_ref().context("there is no etcd")?;
                let to = to.members(etcd.leader().await?);
                let callers = etcd.callers(&to, clients, connections).await?;
                drive(callers, work, names, time, || etcd.spent()).await
            }
        }
    }
}

/// Times what three members of etcd write; a goal is of its number of callers and more.
fn write_goal(clients: usize) -> f64 {
    match clients {
        0..16 => 1.5,
        16..64 => 2.0,
        _ => 2.5,
    }
}
