//! The rehearsal: the newest backup becomes a node's data folder, by the same command that an
//! operator would type, and its store is checked record by record.
//!
//! In processes of their own, so that neither their memory nor their end is this daemon's; in a folder
//! that every start sweeps; within a time, and only where the disk has room for it.

use super::{Keeper, blocking, reason};
use crate::backup::place::Place;
use crate::backup::placed::Placed;
use keiko_core::backup::restored_path;
use keiko_core::cluster::{MADE, RESTORED, UNRESTORABLE, backup_note};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{BackupGroup, BackupNote};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Ends as what a start sweeps.
const SCRATCH: &str = "rehearsal.new";
/// For both steps together: 100 GB at 30 MB/s.
const DEADLINE: Duration = Duration::from_secs(3600);
/// The rows of the pieces, the files that are made of them, and what RocksDB makes of these.
const ROOM_FACTOR: u64 = 3;

/// What is known of the backup before it is restored.
struct Subject {
    name: String,
    bytes: u64,
    group: BackupGroup,
}

impl Keeper {
    /// Restores the newest now. That it can't be restored is an answer, too.
    pub(super) async fn rehearse(&self) -> Result<BackupNote> {
        let _busy = self.take_turn()?;
        let place = self.place()?;
        let made = |view: &crate::store::View<'_>| backup_note(view, GroupId::CONTROL, MADE);
        let made = self.inner.control.read_local(made).await?;
        let begun = Instant::now();
        let found = place.clone();
        let subject = blocking(move || Subject::find(&found)).await;
        let (subject, proven) = match subject {
            Ok(subject) => {
                let room = subject.bytes.saturating_mul(ROOM_FACTOR);
                if !self.inner.control.consensus().fits(room) {
                    return Err(Refusal::new(
                        Code::DiskFull,
                        "the disk has no room to rehearse a restore",
                    )
                    .cause(format!("about {room} bytes are written and removed again"))
                    .hint("free some space on the file system of the data folder"));
                }
                let proven = self.restore(&place, &subject, made.as_ref()).await;
                (subject, proven)
            }
            // Whether it is damaged or can't be reached are two things.
            Err(refusal) if refusal.code != Code::BackupInvalid => return Err(refusal),
            Err(refusal) => {
                let name = made.map(|note| note.name).unwrap_or_default();
                (Subject { name, bytes: 0, group: BackupGroup::default() }, Err(refusal))
            }
        };
        let (outcome, reason) = match proven {
            Ok(()) => (RESTORED, String::new()),
            Err(refusal) => (UNRESTORABLE, reason(&refusal)),
        };
        let note = BackupNote {
            outcome: outcome.to_owned(),
            name: subject.name,
            revision: subject.group.revision,
            state_unix_ms: subject.group.unix_ms,
            state_hash: subject.group.state_hash,
            bytes: subject.bytes,
            reason,
            ..self.note(place, begun)
        };
        let note = self.tell(note).await?;
        if outcome == RESTORED {
            tracing::info!(name = %note.name, took_ms = note.took_ms, "a backup was restored");
        } else {
            tracing::error!(name = %note.name, "a backup can't be restored: {}", note.reason);
        }
        self.mark(note.clone()).await;
        Ok(note)
    }

    /// Restores it, and compares what came of it with what was written when it was made.
    async fn restore(
        &self,
        place: &str,
        subject: &Subject,
        made: Option<&BackupNote>,
    ) -> Result<()> {
        let Subject { name, group, .. } = subject;
        if let Some(made) = made.filter(|made| made.name == *name)
            && made.state_hash != group.state_hash
        {
            return Err(Refusal::new(
                Code::BackupInvalid,
                "it holds another state than was written",
            )
            .cause(format!("{} in place of {}", group.state_hash, made.state_hash)));
        }
        let folder = Folder::make(self.data_dir().join("snapshots").join(SCRATCH))?;
        let data = folder.0.join("node").display().to_string();
        let steps = async {
            let restore = ["restore", "--from", place, "--backup", name, "--data-dir", &data];
            run(&[&restore[..], &["--node-name", "rehearsal", "--output", "json"]].concat())
                .await?;
            run(&["verify", "--data-dir", &data, "--output", "json"]).await
        };
        let report = tokio::time::timeout(DEADLINE, steps).await.map_err(|_| {
            Refusal::new(Code::DeadlineExceeded, "the restore took longer than an hour")
        })??;
        let found = &report["groups"][0];
        let is_same =
            found["state_hash"] == group.state_hash.as_str() && found["revision"] == group.revision;
        match is_same {
            true => Ok(()),
            false => Err(Refusal::new(Code::BackupInvalid, "the restored state is another one")
                .cause(format!(
                    "{} at revision {}, the backup says {} at {}",
                    found["state_hash"], found["revision"], group.state_hash, group.revision
                ))),
        }
    }

    /// Leaves word beside the backup, for clusters that know nothing of this one.
    async fn mark(&self, note: BackupNote) {
        let word = json!({
            "outcome": note.outcome,
            "unix_ms": note.unix_ms,
            "took_ms": note.took_ms,
            "node": note.node,
            "reason": note.reason,
        });
        let marked = blocking(move || {
            Place::open(&note.place)?.put(&restored_path(&note.name), word.to_string().into_bytes())
        });
        if let Err(refusal) = marked.await {
            let causes = &refusal.causes;
            tracing::warn!(
                ?causes,
                "nothing of the rehearsal is said beside the backup: {refusal}"
            );
        }
    }
}

impl Subject {
    fn find(place: &str) -> Result<Self> {
        let placed = Placed::find(place, None)?;
        let (name, bytes) = (placed.name.to_string(), placed.bytes());
        let group = placed.header.groups.into_iter().next().unwrap_or_default();
        Ok(Self { name, bytes, group })
    }
}

/// One command of this very program to its end, and what it says.
async fn run(words: &[&str]) -> Result<Value> {
    let failed = |error: std::io::Error| {
        Refusal::new(Code::Internal, format!("keikod {} can't be run", words[0])).cause(error)
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
    // Open until it ends: who reads it learns that this daemon is gone.
    let _stdin = child.stdin.take();
    let output = child.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        return Err(refusal_in(&output.stderr, words[0]));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        Refusal::new(Code::Internal, format!("keikod {} said nothing readable", words[0]))
            .cause(error)
    })
}

/// With `--output json` a refusal is one object, on the last line.
fn refusal_in(stderr: &[u8], verb: &str) -> Refusal {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let said = last.unwrap_or_default();
    let message = said["message"].as_str().unwrap_or("it ended without a word");
    let refusal = Refusal::new(Code::BackupInvalid, format!("keikod {verb}: {message}"));
    match said["causes"][0].as_str() {
        Some(cause) => refusal.cause(cause),
        None => refusal,
    }
}

/// Removed with all that is in it when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make(path: PathBuf) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let unwritable = |error: std::io::Error| {
            Refusal::new(Code::DataFolderUnwritable, format!("can't make {}", path.display()))
                .cause(error)
        };
        remove(&path);
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(unwritable)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the folder of a rehearsal stays until the next start");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_among_other_words() {
        let said =
            b"something else\n{\"code\":\"KEIKO-0090\",\"message\":\"m\",\"causes\":[\"c\"]}\n";
        let refusal = refusal_in(said, "restore");
        assert_eq!(refusal.message, "keikod restore: m");
        assert_eq!(refusal.causes, ["c"]);
        assert!(refusal_in(b"", "verify").message.contains("without a word"));
    }
}
