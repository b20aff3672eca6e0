//! One writer at the leader and many watchers, spread over all members: how long after a write was
//! sent the last of them has seen it. What is counted, and when the next write is sent, is as with
//! one node.

use super::super::node::callers::{NAMESPACE, name};
use super::super::node::watch::{WATCHED, fan_out, follow_etcd};
use super::super::watchers::{OF_CONNECTION, QUEUE, follow};
use super::members::{Members, To};
use super::{Bench, Line, Said, Side};
use anyhow::{Context as _, Result};
use keiko_proto::v1 as wire;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Both clusters, one after the other.
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
    let keiko = &bench.keiko;
    let leader = keiko.leader().await?;
    let mut writer = keiko.callers(&[leader], 1, 1).await?.pop().context("a caller")?;
    let first = writer.write(WATCHED).await?;
    let (sender, seen) = mpsc::channel(QUEUE);
    let (mut watches, mut left) = (JoinSet::new(), count);
    let connections = count.div_ceil(OF_CONNECTION);
    for client in keiko.connections(&To::All.members(leader), connections).await? {
        for _ in 0..left.min(OF_CONNECTION) {
            let request = wire::WatchRequest {
                kind: wire::Kind::Agent.into(),
                namespace: NAMESPACE.to_owned(),
                name: name(WATCHED),
                after_revision: first,
                ..Default::default()
            };
            watches.spawn(follow(client.clone(), request, sender.clone()));
        }
        left = left.saturating_sub(OF_CONNECTION);
    }
    drop(sender);
    let write = async || writer.write(WATCHED).await;
    fan_out(write, seen, count, bench.settings.time, || keiko.spent()).await
}

async fn on_etcd(bench: &Bench<'_>, count: usize) -> Result<Side> {
    let etcd = bench.etcd.as_ref().context("there is no etcd")?;
    let leader = etcd.leader().await?;
    let mut writer = etcd.callers(&[leader], 1, 1).await?.pop().context("a caller")?;
    let (sender, seen) = mpsc::channel(QUEUE);
    let (mut watches, everywhere) = (JoinSet::new(), To::All.members(leader));
    for (begin, number) in (0..count).step_by(OF_CONNECTION).zip(everywhere.into_iter().cycle()) {
        let rpc = etcd.connect(number).await?;
        for _ in begin..count.min(begin + OF_CONNECTION) {
            watches.spawn(follow_etcd(rpc.clone(), sender.clone()));
        }
    }
    drop(sender);
    let write = async || writer.write(WATCHED).await;
    fan_out(write, seen, count, bench.settings.time, || etcd.spent()).await
}
