//! Every group of a running node as files, for a backup: written beside the running machine, and
//! gone when nobody reads them any more.
//!
//! Invariants: one export at a time; each group is as it was at one applied entry; the files have no
//! part in the snapshots of this node. The folder's name ends as what a start sweeps.

use super::{Consensus, Context, Group, stopped};
use crate::store::View;
use crate::store::folder::fault;
use crate::store::record::LogId;
use crate::store::snapshot::Part;
use keiko_core::house::Head;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FOLDER: &str = "backup.new";

/// The files of all groups; removed when this is dropped.
#[derive(Debug)]
pub struct Export {
    folder: PathBuf,
    /// By id.
    pub groups: Vec<Exported>,
    _turn: Turn,
}

/// One group.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Which.
    pub group: GroupId,
    /// How far it is applied.
    pub last: LogId,
    /// What the state says of itself.
    pub head: Head,
    /// Its files.
    pub files: Vec<Part>,
}

impl Export {
    /// Where a group's files lie.
    pub fn folder_of(&self, group: GroupId) -> PathBuf {
        self.folder.join(format!("{:05}", group.0))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Err(refusal) = remove(&self.folder) {
            tracing::warn!(causes = ?refusal.causes, "the files of a backup stay behind: {refusal}");
        }
    }
}

/// Held by the one export that is under way.
#[derive(Debug)]
struct Turn(Arc<AtomicBool>);

impl Turn {
    fn take(taken: &Arc<AtomicBool>) -> Result<Self> {
        match taken.swap(true, Ordering::SeqCst) {
            false => Ok(Self(Arc::clone(taken))),
            true => Err(Refusal::new(Code::LimitExceeded, "a backup is being made at this node")
                .hint("wait for it, or ask another member")),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Consensus {
    /// Writes every group into files, and asks the control group the same view. Takes as long as
    /// the disk needs for all of it; the groups go on meanwhile.
    pub async fn export<R: Send + 'static>(
        &self,
        query: impl FnOnce(&View<'_>) -> R + Send + 'static,
    ) -> Result<(Export, R)> {
        self.check_open()?;
        let turn = Turn::take(&self.exporting)?;
        let (context, groups) = (self.context.clone(), self.groups.all());
        let written = move || write(&context, &groups, turn, query);
        tokio::task::spawn_blocking(written).await.map_err(|_| stopped())?
    }
}

/// One group of a walk, beside its rows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Which.
    pub group: GroupId,
    /// How far it is applied.
    pub last: LogId,
    /// What the state says of itself.
    pub head: Head,
}

impl Consensus {
    /// Shows every group that has applied anything, one after the other, each as it is at one entry.
    /// Takes as long as `visit` does; the groups go on meanwhile. One walk or export at a time.
    pub async fn walk<S: Send + 'static>(
        &self,
        mut seen: S,
        visit: impl Fn(&mut S, &View<'_>, Shown) -> Result<()> + Send + 'static,
    ) -> Result<S> {
        self.check_open()?;
        let turn = Turn::take(&self.exporting)?;
        let groups = self.groups.all();
        let walked = move || -> Result<S> {
            let _turn = turn;
            for group in &groups {
                let shared = &group.inner.shared;
                let view = shared.view()?;
                let Some(applied) = view.applied(shared.group) else { continue };
                let (group, last) = (shared.group, applied.last);
                let head = Head::read(&view, group);
                visit(&mut seen, &view, Shown { group, last, head })?;
            }
            Ok(seen)
        };
        tokio::task::spawn_blocking(walked).await.map_err(|_| stopped())?
    }

    /// Whether `bytes` more can be written without making the disk nearly full.
    pub fn fits(&self, bytes: u64) -> bool {
        self.context.disk.fits(bytes)
    }
}

fn write<R>(
    context: &Context,
    groups: &[Group],
    turn: Turn,
    query: impl FnOnce(&View<'_>) -> R,
) -> Result<(Export, R)> {
    let database = &context.database;
    let bytes: u64 =
        groups.iter().map(|group| database.group_bytes(group.inner.shared.group)).sum();
    if !context.disk.fits(bytes) {
        return Err(Refusal::new(Code::DiskFull, "the disk has no room for the files of a backup")
            .cause(format!("about {bytes} bytes are written beside the store, and removed again"))
            .hint("free some space on its file system, or ask another member"));
    }
    let folder = database.folder().snapshots().join(FOLDER);
    remove(&folder)?;
    let mut export = Export { folder, groups: Vec::new(), _turn: turn };
    let (mut query, mut found) = (Some(query), None);
    for group in groups {
        let shared = &group.inner.shared;
        let id = shared.group;
        let view = shared.view()?;
        if id == GroupId::CONTROL {
            found = query.take().map(|query| query(&view));
        }
        // A group that has applied nothing yet has nothing to keep.
        let Some(applied) = view.applied(id) else { continue };
        let head = Head::read(&view, id);
        let files = database.write_group(&view, id, &export.folder_of(id))?.files;
        export.groups.push(Exported { group: id, last: applied.last, head, files });
    }
    let found = found.ok_or_else(|| {
        Refusal::new(Code::NotFounded, "this node holds no cluster yet")
            .hint("keikoctl cluster init, or start keikod with --init")
    })?;
    Ok((export, found))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(fault(folder, "remove", error)),
        _ => Ok(()),
    }
}
