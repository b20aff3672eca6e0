//! Backups by schedule: the leader makes them into the place that its configuration names, removes
//! what the ladder has no rung for, and rehearses the restore of the newest.
//!
//! ```text
//! mod.rs      the loop, and making one        standing.rs   what is due, and what to say of it
//! rehearse.rs the restore, and its proof      list.rs       what there is, and the calls
//! ```
//!
//! Invariants: what came of each is an entry, so whoever leads next goes on with the schedule; one is
//! made or rehearsed at a time on a node; a backup in which a rehearsal found damage is not built upon.
//!
//! Never: makes the cluster wait. A place that can't be reached costs a warning and another try.

mod list;
mod rehearse;
mod standing;

pub(super) use standing::{Standing, finding};

use super::super::{Control, clock};
use super::backup::{About, EXPORT_DEADLINE, header, nothing};
use crate::backup::pieces;
use crate::backup::place::Place;
use crate::backup::writer::{Writer, Written};
use crate::settings::{Backups, Current};
use keiko_core::cluster::{FAILED, MADE, backup_notes};
use keiko_core::id::GroupId;
use keiko_core::limits::REASON_CHARS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    BackupGroup, BackupHeader, BackupNote, ClusterOp, Consistency, NoteBackup, cluster_op,
};
use standing::Due;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After something failed; sooner only if a backup is due more often.
const RETRY_AFTER: Duration = Duration::from_secs(300);

/// Keeps the schedule; a cheap clone.
#[derive(Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    control: Control,
    settings: Arc<Current>,
    busy: Mutex<()>,
}

/// What a walk gives to the writer.
struct Walked {
    writer: Writer,
    about: Option<About>,
}

impl Keeper {
    /// Of this node.
    pub fn new(control: Control, settings: Arc<Current>) -> Self {
        Self { inner: Arc::new(Inner { control, settings, busy: Mutex::default() }) }
    }

    /// Runs until shutdown; does nothing where no place is named.
    pub async fn run(self, shutdown: CancellationToken) {
        if self.settings().place.is_none() {
            return;
        }
        let patience = RETRY_AFTER.min(Duration::from_millis(self.settings().every_ms()));
        let mut quiet_until = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if !self.inner.control.is_leader() || Instant::now() < quiet_until {
                continue;
            }
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                done = Box::pin(self.turn()) => done,
            };
            if let Err(refusal) = done {
                let causes = &refusal.causes;
                tracing::warn!(code = %refusal.code, ?causes, "no backup, or no rehearsal: {refusal}");
                quiet_until = Instant::now() + patience;
            }
        }
    }

    /// Does what is due.
    async fn turn(&self) -> Result<()> {
        let standing = self.standing().await?;
        let settings = self.settings();
        let now_ms = self.inner.control.now_ms();
        match standing.due(now_ms, settings.every_ms(), settings.rehearse_every_ms()) {
            None => Ok(()),
            Some(Due::Backup) => self.back_up().await.map(drop),
            Some(Due::Rehearsal) => self.rehearse().await.map(drop),
        }
    }

    /// Makes one now. That none could be made is noted, too.
    async fn back_up(&self) -> Result<BackupNote> {
        let _busy = self.take_turn()?;
        let place = self.place()?;
        let begun = Instant::now();
        match self.write(&place).await {
            Ok((header, written)) => {
                let group = header.groups.first().cloned().unwrap_or_default();
                let BackupGroup { revision, unix_ms, state_hash, .. } = group;
                let Written { name, bytes, new_bytes } = written;
                tracing::info!(%name, %place, bytes, new_bytes, "a backup was made");
                let note = BackupNote {
                    outcome: MADE.to_owned(),
                    name: name.to_string(),
                    revision,
                    state_unix_ms: unix_ms,
                    state_hash,
                    bytes,
                    new_bytes,
                    ..self.note(place, begun)
                };
                self.tell(note).await
            }
            Err(refusal) => {
                let failed = self.standing().await?.failed_with();
                let reason = reason(&refusal);
                // The same again is no news.
                if failed.as_deref() != Some(reason.as_str()) {
                    let outcome = FAILED.to_owned();
                    self.tell(BackupNote { outcome, reason, ..self.note(place, begun) }).await?;
                }
                Err(refusal)
            }
        }
    }

    async fn write(&self, place: &str) -> Result<(BackupHeader, Written)> {
        let control = &self.inner.control;
        // All that was acknowledged before this is to be in it.
        control.read(Consistency::Linearizable.into(), |_| ()).await?;
        let standing = self.standing().await?;
        let (opened, holder) = (place.to_owned(), control.node().to_owned());
        let trust = standing.is_sound();
        let writer = blocking(move || {
            Writer::begin(Place::open(&opened)?, &holder, clock::unix_ms(), trust)
        })
        .await?;
        let walking =
            control.consensus().walk(Walked { writer, about: None }, |walked, view, shown| {
                if shown.group == GroupId::CONTROL {
                    walked.about = Some(About::read(view));
                }
                let group = pieces::cut(view, &shown, &mut walked.writer)?;
                walked.writer.groups.push(group);
                Ok(())
            });
        let walked = tokio::time::timeout(EXPORT_DEADLINE, walking).await.map_err(|_| {
            Refusal::new(Code::DeadlineExceeded, "the backup took longer than an hour")
        })??;
        let (control, ladder) = (control.clone(), self.settings().ladder());
        blocking(move || {
            let Walked { mut writer, about } = walked;
            let groups = std::mem::take(&mut writer.groups);
            let header = header(groups, about.ok_or_else(nothing)?, &control)?;
            let written = writer.finish(&header)?;
            // The backup is there; what is too many may stay until the next one.
            match writer.prune(&header.cluster_id, ladder, standing.proven()) {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "older backups were removed"),
                Err(refusal) => {
                    let causes = &refusal.causes;
                    tracing::warn!(?causes, "older backups stay: {refusal}");
                }
            }
            Ok((header, written))
        })
        .await
    }

    /// What is common to all notes of now.
    fn note(&self, place: String, begun: Instant) -> BackupNote {
        BackupNote {
            place,
            node: self.inner.control.node().to_owned(),
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Default::default()
        }
    }

    async fn tell(&self, note: BackupNote) -> Result<BackupNote> {
        let control = &self.inner.control;
        let op = cluster_op::Op::NoteBackup(NoteBackup { note: Some(note.clone()) });
        let room = Room::Cluster(ClusterOp { op: Some(op) });
        let (_, info) = control.write(control.as_node(), room).await?;
        Ok(BackupNote { unix_ms: info.unix_ms, ..note })
    }

    async fn standing(&self) -> Result<Standing> {
        let read = |view: &crate::store::View<'_>| backup_notes(view, GroupId::CONTROL);
        self.inner.control.read_local(read).await.map(Standing::of)
    }

    fn settings(&self) -> &Backups {
        &self.inner.settings.settings().backups
    }

    fn place(&self) -> Result<String> {
        self.settings().place.as_ref().map(|place| place.value.clone()).ok_or_else(|| {
            Refusal::new(Code::BackupPlace, "this node was told no place for backups").hint(
                "[backup] place in keiko.toml, on every node; or: keikoctl cluster backup FILE",
            )
        })
    }

    fn data_dir(&self) -> PathBuf {
        self.inner.settings.settings().data_dir.value.clone()
    }

    fn take_turn(&self) -> Result<MutexGuard<'_, ()>> {
        self.inner.busy.try_lock().map_err(|_| {
            Refusal::new(Code::BackupUnderWay, "this node makes or rehearses a backup now")
                .hint("wait for it: keikoctl cluster backup list")
        })
    }
}

/// In a line that the law takes.
fn reason(refusal: &Refusal) -> String {
    let mut text = refusal.message.clone();
    if let Some(cause) = refusal.causes.first() {
        text.push_str(": ");
        text.push_str(cause);
    }
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).take(REASON_CHARS_MAX).collect()
}

/// Where waiting hurts nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Refusal::new(Code::Internal, "the work on a backup broke off").cause(error)
    })?
}
