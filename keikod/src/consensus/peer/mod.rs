//! The other nodes: one connection to each, which all groups share.
//!
//! ```text
//! link.rs      the way to one node                     convert.rs   openraft's words on the wire
//! client.rs    what openraft asks of another node      server.rs    what another node asks of us
//! forward.rs   entries for the leader                  rounds.rs    reads that wait for it
//! snapshot.rs  a group's state on its way out          arriving.rs  the same on its way in
//! ```
//!
//! Invariants: every call has a deadline; a connection is of the node that it was made for, in
//! this cluster; an address that a node tells of itself wins over the one that was stored.
//!
//! Never: decides who is a member.

mod arriving;
mod client;
mod convert;
mod forward;
mod link;
mod rounds;
mod server;
mod snapshot;

pub mod faults;

pub(super) use client::Network;
pub use link::{Failed, Link};
pub(super) use server::Server;

use super::types::Member;
use crate::net::peer::Dialer;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::{peer as words, v1};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::runtime::Handle;

/// A batch of entries has 1 MiB, but for one that holds a single larger entry; 64 MiB is what a
/// part of a snapshot could take at most.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// What the rooms do for peers; consensus carries it only.
#[tonic::async_trait]
pub trait Host: Send + Sync + 'static {
    /// A sign of life of the node with this name; refused if it is no member.
    fn beat(&self, from: &str, beat: words::PeerBeat) -> Result<()>;
    /// Carries a call of the API out.
    async fn call(&self, from: &str, call: words::PeerCall) -> Result<Vec<u8>>;
    /// The cluster key, if that node may have it.
    async fn cluster_key(&self, from: &str, key_id: &str) -> Result<Vec<u8>>;
    /// A fresh certificate for that node, PEM.
    async fn renew(&self, from: &str, request: words::RenewRequest) -> Result<String>;
    /// Refuses a node that is no member.
    fn check_member(&self, from: &str) -> Result<()>;
    /// Refuses a node that was a member and is none any more; one that is not known yet may become
    /// one.
    fn check_not_gone(&self, id: u64) -> Result<()>;
}

/// Who this node is to its peers.
pub struct Introduction {
    /// UUID, text.
    pub cluster_id: String,
    /// This node's name.
    pub name: String,
    /// This node's id.
    pub id: u64,
    /// How peers are reached.
    pub dialer: Dialer,
}

/// Every way out; a cheap clone.
#[derive(Clone)]
pub struct Links {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle,
    own: OnceLock<Introduction>,
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
}

impl Links {
    pub(super) fn new(handle: Handle) -> Self {
        let inner = Inner { handle, own: OnceLock::new(), links: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// From now on peers can be reached.
    pub(super) fn introduce(&self, own: Introduction) {
        let _once = self.inner.own.set(own);
    }

    /// True once peers can be reached.
    pub fn is_introduced(&self) -> bool {
        self.inner.own.get().is_some()
    }

    /// The way to a node, which is where the cluster's state says; refused before this node knows
    /// who it is itself.
    pub fn to(&self, id: u64, name: &str, address: &str) -> Result<Arc<Link>> {
        let Some(own) = self.inner.own.get() else {
            return Err(Refusal::new(Code::NotReady, "this node has no way to others yet"));
        };
        let mut links = self.lock();
        if let Some(link) = links.get(&id) {
            link.moved(name, address);
            return Ok(Arc::clone(link));
        }
        let link = Link::new(id, name, address, own, &self.inner.handle)?;
        links.insert(id, Arc::clone(&link));
        Ok(link)
    }

    /// The way to a member of a group. Its address counts only where no other is known: openraft's
    /// members follow the cluster's state, and its tasks keep those that they began with.
    pub(super) fn member(&self, id: u64, member: &Member) -> Result<Arc<Link>> {
        let known = self.lock().get(&id).cloned();
        match known {
            Some(link) => Ok(link),
            None => self.to(id, &member.name, &member.addr),
        }
    }

    /// Where a node says that it is.
    pub fn told(&self, name: &str, address: &str) {
        self.lock().values().for_each(|link| link.told(name, address));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Link>>> {
        self.inner.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The group's number on the wire.
fn number(group: GroupId) -> u32 {
    u32::from(group.0)
}

/// What the leader's refusal means at a follower. One that is shutting down has done nothing and
/// leads no more; the node that asks goes on.
fn of_leader(refusal: v1::Refusal) -> Refusal {
    let refusal = Refusal::from_wire(refusal);
    if refusal.code == Code::Draining {
        return Refusal::new(Code::NoLeader, "the leader is shutting down")
            .hint("try again in a moment");
    }
    refusal
}
