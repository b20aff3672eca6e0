//! How fast a node without anything gets the state of a cluster that no longer has its first log.
//!
//! Two nodes of their own: one with a short log and a large state that can't be compressed, and one
//! that joins it. The bytes are those of the snapshot's files; the time ends when the new node has
//! carried out what the first one has, so the install is in it.

use super::super::figures::Point;
use super::super::node::callers::NAMESPACE;
use super::super::until;
use super::Settings;
use super::member::Member;
use anyhow::{Context as _, Result, bail, ensure};
use keiko_client::Applies;
use keiko_proto::v1 as wire;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Entries between two snapshots: as few as can be set.
const SNAPSHOT_ENTRIES: usize = 1000;
/// Objects that are declared before it is looked whether the snapshot is large enough.
const STEP: usize = 100;
/// Declarations under way at once.
const UNDER_WAY: usize = 8;
/// Objects, at most: sixteen snapshots' worth.
const OBJECTS_MAX: usize = 16_000;
/// What the first snapshot may take after it is due.
const BUILD_MAX: Duration = Duration::from_secs(60);
/// What transfer and install may take.
const INSTALL_MAX: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
const MIB: f64 = 1_048_576.0;

/// Makes the state, lets the other node join, and measures.
pub(super) async fn run(settings: &Settings) -> Result<Vec<Point>> {
    let config = settings.folder.join("snapshot.toml");
    fs::write(&config, format!("[consensus]\nsnapshot_entries = {SNAPSHOT_ENTRIES}\n"))?;
    let config = config.display().to_string();
    let more = ["--config", config.as_str()];
    let mut full = Member::new(settings, "s1")?;
    full.start(&[&more[..], &["--init"]].concat())?;
    fill(&full, settings).await.context("making a large state")?;

    let (bytes, target) = (snapshot_bytes(&full)?, full.revision()?);
    let mut fresh = Member::new(settings, "s2")?;
    let mut arriving = JoinSet::new();
    arriving.spawn(first_bytes(fresh.folder().join("snapshots")));
    let begun = Instant::now();
    // It answers long before it is ready.
    fresh.join(&full, &more, |_| true).await.context("joining")?;
    let end = begun + INSTALL_MAX;
    while fresh.revision().unwrap_or_default() < target {
        if Instant::now() >= end {
            bail!("revision {target} is not there after {INSTALL_MAX:?}");
        }
        sleep(LOOK).await;
    }
    let installed = Instant::now();
    let mib = bytes as f64 / MIB;
    // A snapshot that nobody saw arrive took all of the time.
    let first = arriving.try_join_next().transpose()?.unwrap_or(begun);
    let (all, transfer) = (installed - begun, installed - first);
    let point = |what: &str, value, unit: &str| Point::new("snapshot", what, value, unit);
    Ok(vec![
        point("snapshot that a fresh node gets", mib, "MiB"),
        point("fresh node: start to all of it", all.as_secs_f64() * 1000.0, "ms"),
        point("first bytes to installed", mib / transfer.as_secs_f64(), "MiB/s"),
        point("start to installed", mib / all.as_secs_f64(), "MiB/s"),
    ])
}

/// Declares large agents until the snapshot is as large as is asked for, and then some more, so
/// that the log before it is gone.
async fn fill(member: &Member, settings: &Settings) -> Result<()> {
    let client = member.connect().await?;
    let pumps: Vec<Applies> = (0..UNDER_WAY).map(|_| client.applies()).collect();
    let mut next = 0;
    while next < OBJECTS_MAX {
        declare(&pumps, next..next + STEP, settings.object_bytes).await?;
        next += STEP;
        // The first one is due; those after it are built beside the writes.
        if next.is_multiple_of(SNAPSHOT_ENTRIES) {
            until(BUILD_MAX, || async { complete(member) }).await?;
        }
        if snapshot_bytes(member)? >= settings.snapshot_bytes {
            return declare(&pumps, next..next + STEP, 0).await;
        }
    }
    bail!("{} bytes of snapshot after {OBJECTS_MAX} objects", snapshot_bytes(member)?)
}

fn complete(member: &Member) -> Result<()> {
    ensure!(snapshot_bytes(member)? > 0, "no snapshot after {SNAPSHOT_ENTRIES} entries");
    Ok(())
}

async fn declare(pumps: &[Applies], numbers: std::ops::Range<usize>, bytes: usize) -> Result<()> {
    let mut running = JoinSet::new();
    for (first, pump) in pumps.iter().enumerate() {
        let (pump, numbers) = (pump.clone(), numbers.clone());
        running.spawn(async move {
            for number in numbers.skip(first).step_by(UNDER_WAY) {
                pump.apply(None, declaration(number, bytes)).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a caller")??;
    }
    Ok(())
}

fn declaration(number: usize, bytes: usize) -> wire::ApplyRequest {
    let metadata = wire::Metadata {
        name: format!("large-{number:05}"),
        namespace: NAMESPACE.to_owned(),
        annotations: [("noise".to_owned(), noise(number, bytes))].into(),
        ..Default::default()
    };
    wire::ApplyRequest { brief: true, ..crate::declaration::apply(metadata) }
}

/// A text that LZ4 finds nothing in: six random bits in each character.
fn noise(number: usize, bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = vec![0; bytes];
    let seed = number.to_le_bytes();
    blake3::Hasher::new().update(&seed).finalize_xof().fill(&mut random);
    random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect()
}

/// When the first bytes are there; ends when its task is.
async fn first_bytes(folder: PathBuf) -> Instant {
    while !size(&folder).is_ok_and(|bytes| bytes > 0) {
        sleep(LOOK).await;
    }
    Instant::now()
}

/// Bytes of the newest complete snapshot; zero if there is none.
fn snapshot_bytes(member: &Member) -> Result<u64> {
    let mut newest = None;
    for entry in fs::read_dir(member.folder().join("snapshots"))? {
        let path = entry?.path();
        // Named by what they hold, so that the newest is the last; half a one ends in `.new`.
        if path.is_dir() && path.extension().is_none() {
            newest = newest.max(Some(path));
        }
    }
    // One that is swept meanwhile has a newer one behind it.
    Ok(newest.and_then(|path| size(&path).ok()).unwrap_or_default())
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_differs_and_has_its_length() {
        let (one, two) = (noise(1, 1000), noise(2, 1000));
        assert_eq!((one.len(), two.len()), (1000, 1000));
        assert_ne!(one, two);
        assert_eq!(noise(1, 10), one[..10]);
    }
}
