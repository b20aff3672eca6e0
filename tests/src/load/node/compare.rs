//! The same work on several servers in turn: what the machine does meanwhile meets all of them.

use super::Bench;
use super::drive::{Run, Work, drive};
use super::line::Side;
use anyhow::{Context as _, Result};
use std::fmt::Debug;
use std::time::Duration;

/// How often each server has its turn.
pub(in crate::load) const ROUNDS: u32 = 2;

/// Which server, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// The node's unix socket.
    Socket,
    /// The same, by streams that the callers share.
    Stream,
    /// The node's TLS port, with tokens.
    Tokens,
    /// etcd's TLS port.
    EtcdTls,
    /// Another etcd, without TLS.
    EtcdPlain,
}

/// What each of them reached.
pub(in crate::load) struct Measured<V>(Vec<(V, Run)>);

impl<V: Copy + Debug + PartialEq> Measured<V> {
    /// An error for a server that is not there.
    pub(in crate::load) fn take(&mut self, via: V) -> Result<Side> {
        let found = self.0.iter_mut().find(|(known, _)| *known == via);
        let (_, run) = found.with_context(|| format!("{via:?} was not measured"))?;
        Ok(Side::of(run))
    }
}

/// Each of them in turn, round after round.
pub(in crate::load) async fn in_turns<V: Copy>(
    vias: Vec<V>,
    work: Work,
    once: impl AsyncFn(V) -> Result<Run>,
) -> Result<Measured<V>> {
    let mut runs: Vec<(V, Run)> = vias.into_iter().map(|via| (via, Run::of(work))).collect();
    for _ in 0..ROUNDS {
        for (via, sum) in &mut runs {
            sum.add(once(*via).await?);
        }
    }
    Ok(Measured(runs))
}

impl Bench<'_> {
    /// Each of the servers in turn, round after round; those that are not there are left out.
    pub(super) async fn alternate(
        &self,
        vias: &[Via],
        work: Work,
        clients: usize,
    ) -> Result<Measured<Via>> {
        let there: Vec<Via> = vias.iter().copied().filter(|via| self.has(*via)).collect();
        let once = async |via| {
            let run = self.once(via, work, clients, self.settings.time / ROUNDS).await;
            run.with_context(|| format!("{via:?}, {clients} clients"))
        };
        in_turns(there, work, once).await
    }

    fn has(&self, via: Via) -> bool {
        match via {
            Via::Socket | Via::Stream | Via::Tokens => true,
            Via::EtcdTls => self.etcd.is_some(),
            Via::EtcdPlain => self.plain.is_some(),
        }
    }

    /// One turn of one server.
    async fn once(&self, via: Via, work: Work, clients: usize, time: Duration) -> Result<Run> {
        let (names, connections) = (self.settings.names, self.settings.connections);
        let etcd = match via {
            Via::Socket => {
                let callers = self.keiko.callers(clients, connections).await?;
                return drive(callers, work, names, time, || self.keiko.spent()).await;
            }
            Via::Stream => {
                let callers = self.keiko.streamers(clients, connections).await?;
                return drive(callers, work, names, time, || self.keiko.spent()).await;
            }
            Via::Tokens => {
                let tokens = &self.tokens;
                let callers = self.keiko.token_callers(clients, connections, tokens).await?;
                return drive(callers, work, tokens.len(), time, || self.keiko.spent()).await;
            }
            Via::EtcdTls => &self.etcd,
            Via::EtcdPlain => &self.plain,
        };
        let etcd = etcd.as_ref().context("there is no etcd")?;
        let callers = etcd.callers(clients, connections).await?;
        drive(callers, work, names, time, || etcd.spent()).await
    }
}
