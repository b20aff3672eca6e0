//! A group's state on its way to a node that is too far behind for the log.
//!
//! The receiver says which bytes it has already, so that a transfer that was cut goes on where it
//! stopped, even from another leader that has the same snapshot; every file is verified before
//! anything is touched. Paced, so that live entries are not held up.

use super::super::types::Vote;
use super::{Link, convert, faults, number};
use crate::store::snapshot::{Snapshot, manifest_of};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer::{FileNeed, SnapshotOffer, SnapshotPart};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

/// One part: small enough that a heartbeat is not held up behind it.
const PART_BYTES: usize = 256 << 10;
/// Parts that are read ahead: 2 MiB.
const PARTS_AHEAD: usize = 8;
/// What one transfer may take of the disk and the network.
const BYTES_PER_SECOND_MAX: u64 = 256 << 20;
const OFFER_DEADLINE: Duration = Duration::from_secs(10);
/// The whole transfer; openraft's own deadline is the same.
const SEND_DEADLINE: Duration = Duration::from_secs(180);

/// Sends what the peer lacks of a snapshot, and returns its vote once it is installed there.
pub(super) async fn send(
    link: &Link,
    group: GroupId,
    vote: &Vote,
    snapshot: &Snapshot,
) -> Result<Vote> {
    let manifest = manifest_of(&snapshot.folder)?;
    let hash = *blake3::hash(&manifest).as_bytes();
    let vote = convert::vote_to(vote);
    let offer = SnapshotOffer { group: number(group), vote: Some(vote), manifest: manifest.into() };
    let need =
        link.ask(OFFER_DEADLINE, |mut client| async move { client.offer_snapshot(offer).await });
    let need = need.await?;
    let head = SnapshotPart {
        group: number(group),
        vote: Some(vote),
        manifest_hash: hash.to_vec().into(),
        ..Default::default()
    };
    let (sender, parts) = mpsc::channel(PARTS_AHEAD);
    let folder = snapshot.folder.clone();
    let read = tokio::spawn(async move { read_parts(&folder, need.files, head, sender).await });
    let sent = link.ask(SEND_DEADLINE, |mut client| async move {
        client.send_snapshot(ReceiverStream::new(parts)).await
    });
    let sent = sent.await;
    match read.await {
        // What the peer says of a stream that ended early is only the consequence.
        Ok(Err(refusal)) => Err(refusal),
        Ok(Ok(())) | Err(_) => convert::vote_from(sent?.vote),
    }
}

async fn read_parts(
    folder: &Path,
    files: Vec<FileNeed>,
    head: SnapshotPart,
    sender: mpsc::Sender<SnapshotPart>,
) -> Result<()> {
    if files.iter().any(|file| file.name.contains(['/', '\\'])) {
        return Err(convert::malformed("a file of a snapshot has a path"));
    }
    let (begun, mut bytes) = (Instant::now(), 0_u64);
    let all =
        files.iter().map(|file| length(&folder.join(&file.name)).saturating_sub(file.offset)).sum();
    // The first part has no bytes: it says which snapshot this is, even if nothing is lacking.
    if sender.send(head.clone()).await.is_err() {
        return Ok(());
    }
    for FileNeed { name, mut offset } in files {
        let path: PathBuf = folder.join(&name);
        let failed = |error: std::io::Error| {
            Refusal::new(Code::DiskFault, format!("can't read {}", path.display())).cause(error)
        };
        let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(failed)?;
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            let read = (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await;
            let length = read.map_err(failed)? as u64;
            if length == 0 {
                break;
            }
            if faults::cuts_snapshot(bytes + length, all) {
                return Err(Refusal::new(Code::PeerUnreachable, "cut by a test"));
            }
            let (name, part) = (name.clone(), part.into());
            let part = SnapshotPart { name, offset, bytes: part, ..head.clone() };
            if sender.send(part).await.is_err() {
                return Ok(());
            }
            offset += length;
            bytes += length;
            tokio::time::sleep_until(begun + pace(bytes)).await;
        }
    }
    Ok(())
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// When so many bytes may have been sent.
fn pace(bytes: u64) -> Duration {
    Duration::from_micros(bytes * 1_000_000 / BYTES_PER_SECOND_MAX)
}
