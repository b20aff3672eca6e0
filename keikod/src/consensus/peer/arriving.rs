//! A snapshot on its way here: offered, taken part by part, installed.
//!
//! Invariant: one arrives at a time, and what is installed is what was offered.

use super::super::Groups;
use super::super::group::{Group, ended};
use super::super::stopped;
use super::super::types::Types;
use super::convert;
use crate::store::incoming::{Incoming, Lacking};
use bytes::Bytes;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer::{SnapshotInstalled, SnapshotPart};
use openraft::type_config::alias::SnapshotOf;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tonic::Streaming;

/// Between two parts.
const PART_DEADLINE: Duration = Duration::from_secs(10);

/// What arrives, by the hash of its manifest.
type Offered = ([u8; 32], Incoming);

/// The one that arrives, if any.
#[derive(Default)]
pub(super) struct Arrivals(Arc<Mutex<Option<Offered>>>);

impl Arrivals {
    /// Begins with what is offered, or goes on with it, and says what is lacking.
    pub(super) async fn begin(
        &self,
        from: &str,
        group: Group,
        manifest: Bytes,
    ) -> Result<Vec<Lacking>> {
        let mut arriving = Arc::clone(&self.0)
            .try_lock_owned()
            .map_err(|_| Refusal::new(Code::NotReady, "another snapshot arrives just now"))?;
        // Syncs a file and may remove many; who asks may be gone before that is done.
        let begin = move || {
            *arriving = None;
            let shared = &group.inner.shared;
            let incoming = shared.database.begin_incoming(shared.group, &manifest)?;
            let bytes = incoming.bytes();
            if !shared.disk.fits(bytes) {
                let message = format!("the disk has no room for a snapshot of {bytes} bytes");
                return Err(Refusal::new(Code::DiskFull, message));
            }
            let lacking = incoming.lacking()?;
            *arriving = Some((*blake3::hash(&manifest).as_bytes(), incoming));
            Ok((bytes, lacking))
        };
        let (bytes, lacking) = spawn_blocking(begin).await.map_err(|_| stopped())??;
        let there: u64 = lacking.iter().map(|(_, there)| there).sum();
        tracing::info!(from, bytes, files = lacking.len(), there, "a snapshot arrives");
        Ok(lacking)
    }

    /// Takes what was lacking, and installs the whole.
    pub(super) async fn take(
        &self,
        groups: &Groups,
        mut parts: Streaming<SnapshotPart>,
    ) -> Result<SnapshotInstalled> {
        let mut arriving = self.0.lock().await;
        let mut head: Option<SnapshotPart> = None;
        loop {
            let part = match tokio::time::timeout(PART_DEADLINE, parts.message()).await {
                Ok(Ok(Some(part))) => part,
                Ok(Ok(None)) => break,
                Ok(Err(status)) => return Err(broken(&status)),
                Err(_) => return Err(broken(&"no part came in time")),
            };
            let Some((hash, incoming)) = arriving.as_ref() else {
                return Err(broken(&"it was not offered"));
            };
            if hash[..] != part.manifest_hash[..] {
                return Err(broken(&"another one arrives"));
            }
            if !part.bytes.is_empty() {
                // Some hundred KiB into the page cache: about as long as a switch of threads.
                incoming.write(&part.name, part.offset, &part.bytes)?;
            }
            head.get_or_insert(SnapshotPart { bytes: Bytes::new(), ..part });
        }
        let head = head.ok_or_else(|| broken(&"it has no part"))?;
        let Some((_, incoming)) = arriving.take() else {
            return Err(broken(&"it was not offered"));
        };
        let finish = move || match incoming.lacking()?.is_empty() {
            true => incoming.finish(),
            false => Err(broken(&"parts are lacking")),
        };
        let snapshot = spawn_blocking(finish).await.map_err(|error| broken(&error))??;
        let group = groups.numbered(head.group)?;
        let vote = convert::vote_from(head.vote)?;
        let (meta, snapshot) = group.announced(snapshot)?;
        let snapshot = SnapshotOf::<Types, _> { meta, snapshot };
        let installed = group.inner.raft.install_full_snapshot(vote, snapshot).await;
        let installed = installed.map_err(|fatal| ended(&fatal))?;
        Ok(SnapshotInstalled { vote: Some(convert::vote_to(&installed.vote)) })
    }
}

fn broken(why: &dyn Display) -> Refusal {
    Refusal::new(Code::PeerUnreachable, "the snapshot broke off").cause(why)
}
