//! Those who write and read, at any node, and ask again when they hear nothing.

use super::cluster::Cluster;
use super::node::{Host, Policy, Written, clock_ms};
use super::runtime::{now, roll, sleep, timeout};
use super::seen::Event;
use keiko_proto::v1::{self as wire, actor::Who, entry::Room, registry_op::Op};
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// After that long a client gives up.
const PATIENCE: Duration = Duration::from_secs(4);
/// After that long it asks another node.
const ANSWER_MAX: Duration = Duration::from_millis(1500);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(25);
/// Between two requests, at most.
const THINK_MS_MAX: u64 = 80;
/// Few names, so that they meet.
const NAMES: u64 = 6;

/// Writes at this node, or at any, until told to stop.
pub(super) async fn writer(cluster: Arc<Cluster>, at: Option<u64>, stop: Arc<AtomicBool>) {
    let mut made = at.unwrap_or(0) << 32;
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(roll(THINK_MS_MAX))).await;
        made += 1;
        let _gave_up = write(&cluster, request(made), at).await;
    }
}

/// Reads at this node, or at any, until told to stop.
pub(super) async fn reader(cluster: Arc<Cluster>, at: Option<u64>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(roll(THINK_MS_MAX))).await;
        read(&cluster, at).await;
    }
}

/// A request with a new id, mostly.
pub(super) fn request(number: u64) -> wire::Entry {
    let request_id = match roll(8) {
        0 => Vec::new(),
        _ => {
            let mut id = clock_ms().to_be_bytes()[2..].to_vec();
            id.extend([0x70, 0]);
            id.extend((number | 1 << 63).to_be_bytes());
            id
        }
    };
    let name = format!("a{}", roll(NAMES));
    let op = match roll(8) {
        0 => {
            let kind = wire::Kind::Agent.into();
            let object = wire::ObjectRef { kind, name, ..Default::default() };
            Op::Delete(wire::DeleteObject { object: Some(object), ..Default::default() })
        }
        _ => {
            let (url, title) = (format!("http://{name}/"), number.to_string());
            let spec = wire::AgentSpec { url, title, ..Default::default() };
            let metadata = Some(wire::Metadata { name, ..Default::default() });
            let agent = wire::Agent { metadata, spec: Some(spec), ..Default::default() };
            let mode = wire::PutMode::Register.into();
            Op::PutAgent(wire::PutAgent { mode, agent: Some(agent), ..Default::default() })
        }
    };
    let peer = wire::SocketPeer { node: "one".to_owned(), uid: Some(0) };
    wire::Entry {
        request_id,
        request_hash: number.to_be_bytes().to_vec(),
        actor: Some(wire::Actor { who: Some(Who::Socket(peer)) }),
        room: Some(Room::Registry(wire::RegistryOp { op: Some(op) })),
        ..Default::default()
    }
}

/// Writes at some node, or at this one, until it is answered or there is no patience left. True if
/// it was.
pub(super) async fn write(cluster: &Cluster, entry: wire::Entry, at: Option<u64>) -> bool {
    let (seen, begun) = (&cluster.seen, now());
    let floor = seen.known();
    let repeatable = !entry.request_id.is_empty();
    while now() - begun < PATIENCE {
        if let Some(host) = some_host(cluster, at) {
            let (life, net) = (host.life.clone(), cluster.net.clone());
            let asked = life.spawn(host.write(net, entry.clone()));
            match timeout(ANSWER_MAX, asked).await {
                Ok(Ok(Some(written))) => {
                    acknowledged(cluster, &written, floor);
                    return true;
                }
                // It may have been carried out, and would be again.
                _ if !repeatable => break,
                _ => {}
            }
        }
        sleep(PAUSE).await;
    }
    seen.count("writes given up");
    false
}

fn acknowledged(cluster: &Cluster, written: &Written, floor: u64) {
    let seen = &cluster.seen;
    let reply = wire::Reply::decode(written.reply.as_slice()).expect("a reply is readable");
    let accepted = !matches!(reply.result, Some(wire::reply::Result::Refusal(_)));
    seen.count(if accepted { "writes" } else { "writes refused" });
    let (index, digest) = (written.id.index, blake3::hash(&written.entry));
    let revision = reply.revision;
    seen.tell(Event::Acknowledged { index, digest, accepted, revision, floor });
    seen.know(revision);
}

async fn read(cluster: &Cluster, at: Option<u64>) {
    let seen = &cluster.seen;
    let floor = seen.known();
    let Some(host) = some_host(cluster, at) else { return };
    let (node, life, net) = (host.id, host.life.clone(), cluster.net.clone());
    let (policy, name, counted) = match roll(4) {
        0 => (Policy::Quorum, "quorum", "reads by quorum"),
        _ => (Policy::Lease, "lease", "reads by lease"),
    };
    let asked = life.spawn(host.read(net, policy));
    if let Ok(Ok(Some(revision))) = timeout(ANSWER_MAX, asked).await {
        seen.count(counted);
        seen.tell(Event::Read { node, policy: name, revision, floor });
        seen.know(revision);
    }
}

fn some_host(cluster: &Cluster, at: Option<u64>) -> Option<Host> {
    match at {
        Some(id) => cluster.net.host(id),
        None => {
            let mut hosts = cluster.net.hosts();
            let some = (!hosts.is_empty()).then(|| roll(hosts.len() as u64))?;
            Some(hosts.swap_remove(some as usize))
        }
    }
}
