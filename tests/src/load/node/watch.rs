//! One writer and many watchers: how long after a write was sent the last of them has seen it.
//!
//! The next write is sent when all have seen the last one, so the rate is of a fan-out that never
//! falls behind. Each watcher has a stream of its own on both servers, twenty on a connection.

use super::super::figures::Times;
use super::super::watchers::{OF_CONNECTION, QUEUE, Seen, WATCHING, follow, last_of};
use super::Bench;
use super::callers::{NAMESPACE, name};
use super::drive::{Run, Work};
use super::etcd_rpc::Rpc;
use super::line::{Line, Said, Side};
use super::{cost::Spent, etcd, machine};
use anyhow::{Context as _, Result, ensure};
use keiko_proto::v1 as wire;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The name that is written.
pub(in crate::load) const WATCHED: usize = 0;
/// Writes before it counts.
const WARM_UP: u32 = 5;

/// Both servers, one after the other.
pub(super) async fn run(bench: &Bench<'_>, count: usize) -> Result<Said> {
    let peer = match &bench.etcd {
        Some(_) => Some(on_etcd(bench, count).await.context("etcd")?),
        None => None,
    };
    let keiko = on_keiko(bench, count).await.context("keikod")?;
    let (work, peer_name, goal) = ("watch", "etcd", None);
    Ok(Said::Line(Line { work, peer_name, clients: count, keiko, peer, goal }))
}

async fn on_keiko(bench: &Bench<'_>, count: usize) -> Result<Side> {
    let mut writer = bench.keiko.callers(1, 1).await?.pop().context("a caller")?;
    let first = writer.write(WATCHED).await?;
    let (sender, seen) = mpsc::channel(QUEUE);
    let mut watches = JoinSet::new();
    for begin in (0..count).step_by(OF_CONNECTION) {
        let client = bench.keiko.connect().await?;
        for _ in begin..count.min(begin + OF_CONNECTION) {
            let request = wire::WatchRequest {
                kind: wire::Kind::Agent.into(),
                namespace: NAMESPACE.to_owned(),
                name: name(WATCHED),
                after_revision: first,
                ..Default::default()
            };
            watches.spawn(follow(client.clone(), request, sender.clone()));
        }
    }
    drop(sender);
    let write = async || writer.write(WATCHED).await;
    let spent = || bench.keiko.spent();
    fan_out(write, seen, count, bench.settings.time, spent).await
}

async fn on_etcd(bench: &Bench<'_>, count: usize) -> Result<Side> {
    let etcd = bench.etcd.as_ref().context("there is no etcd")?;
    let mut writer = etcd.callers(1, 1).await?.pop().context("a caller")?;
    let (sender, seen) = mpsc::channel(QUEUE);
    let mut watches = JoinSet::new();
    for begin in (0..count).step_by(OF_CONNECTION) {
        let rpc = etcd.connect().await?;
        for _ in begin..count.min(begin + OF_CONNECTION) {
            watches.spawn(follow_etcd(rpc.clone(), sender.clone()));
        }
    }
    drop(sender);
    let write = async || writer.write(WATCHED).await;
    fan_out(write, seen, count, bench.settings.time, || etcd.spent()).await
}

/// Says when each revision of the watched name came, and first that it watches.
pub(in crate::load) async fn follow_etcd(mut rpc: Rpc, seen: mpsc::Sender<Seen>) -> Result<()> {
    let mut stream = rpc.watch(etcd::key(WATCHED)).await?;
    while let Some(response) = stream.message().await? {
        ensure!(!response.canceled, "etcd cancelled a watch");
        if response.created {
            seen.send((WATCHING, Instant::now())).await?;
        }
        for value in response.events.into_iter().filter_map(|event| event.kv) {
            seen.send((u64::try_from(value.mod_revision)?, Instant::now())).await?;
        }
    }
    Ok(())
}

/// Writes and waits for the last watcher, again and again; the rate is of what watchers received.
pub(in crate::load) async fn fan_out(
    mut write: impl AsyncFnMut() -> Result<u64>,
    mut seen: mpsc::Receiver<Seen>,
    count: usize,
    time: Duration,
    spent: impl Fn() -> Result<Spent>,
) -> Result<Side> {
    last_of(&mut seen, WATCHING, count).await.context("opening the watches")?;
    for _ in 0..WARM_UP {
        let revision = write().await?;
        last_of(&mut seen, revision, count).await?;
    }
    let (before, own) = (spent()?, machine::cpu_time(std::process::id())?);
    let (begun, mut times) = (Instant::now(), Times::default());
    while begun.elapsed() < time {
        let sent = Instant::now();
        let revision = write().await?;
        times.push(last_of(&mut seen, revision, count).await? - sent);
    }
    let took = begun.elapsed();
    let own_cpu = machine::cpu_time(std::process::id())?.saturating_sub(own);
    let spent = spent()?.since(before);
    let mut run = Run { times, time: took, spent, own_cpu, ..Run::of(Work::ReadLease) };
    let side = Side::of(&mut run);
    // Of each watcher's copy, not of each write.
    let count = count as f64;
    Ok(Side {
        per_s: side.per_s * count,
        cpu_us: side.cpu_us / count,
        client_cpu_us: side.client_cpu_us / count,
        ..side
    })
}
