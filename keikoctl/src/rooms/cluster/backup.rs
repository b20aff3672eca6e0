//! `cluster backup FILE`: everything into a file. It grows under another name and gets its own once
//! all of it came, has the hash that the server says, and is on the disk: whatever has the name is
//! whole.

use super::args::{BackupArgs, BackupVerb};
use super::{backups, pieces};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::time::rfc3339;
use crate::print::{Format, FormatKind};
use crate::session::{PATIENT, Session};
use keiko_client::Backup;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::BackupHeader;
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs `cluster backup`.
pub(super) async fn run(args: &BackupArgs, session: &Session) -> Outcome {
    match (&args.verb, &args.file) {
        (Some(BackupVerb::List(look)), _) => backups::list(look, session).await,
        (Some(BackupVerb::Now), _) => backups::make(session).await,
        (Some(BackupVerb::Rehearse), _) => backups::rehearse(session).await,
        (None, Some(file)) if is_bucket(file) => {
            Err(usage("nodes write to buckets, keikoctl does not")
                .hint("[backup] place in keiko.toml, then: keikoctl cluster backup now")
                .hint("keikod verify and keikod restore take a bucket, too")
                .into())
        }
        (None, Some(file)) if is_folder(file) => pieces::run(file, session).await,
        (None, Some(file)) => whole(file, args, session).await,
        (None, None) => Err(usage("where to is missing: a file, or a folder with a / behind it")
            .hint("keikoctl cluster backup keiko.backup")
            .hint("into the place that the nodes were told: keikoctl cluster backup now")
            .into()),
    }
}

fn is_bucket(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with("s3://"))
}

fn is_folder(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.ends_with('/')) || path.is_dir()
}

/// Everything into one file.
async fn whole(file: &Path, args: &BackupArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    refuse_existing(file, args.overwrite)?;
    let client = session.client(PATIENT).await?;
    let progress = session.progress("making a backup");
    let begun = Instant::now();
    let mut backup = client.backup().await?;
    let mut part = Part::create(file)?;
    while let Some(bytes) = backup.next().await? {
        part.write(&bytes)?;
        progress.say(&format!("backup: {} MiB", backup.bytes() >> 20));
    }
    // Somebody else may have been faster.
    refuse_existing(file, args.overwrite)?;
    part.finish(file)?;
    drop(progress);
    let header = backup.header.clone().unwrap_or_default();
    let document = document(file, &backup, &header);
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", file.display()),
        _ => human(file, &backup, &header, begun),
    })?;
    printer.note("no key is in it: a restored cluster has an authority of its own");
    printer.note(&format!("to see that it is whole: keikod verify {}", file.display()));
    Ok(Exit::Done)
}

fn refuse_existing(file: &Path, overwrite: bool) -> Result<()> {
    if overwrite || !file.exists() {
        return Ok(());
    }
    Err(Refusal::new(Code::TargetNotEmpty, format!("{} is there already", file.display()))
        .hint("choose another name, or: --overwrite"))
}

fn human(file: &Path, backup: &Backup, header: &BackupHeader, begun: Instant) -> String {
    let (revision, unix_ms) =
        header.groups.first().map_or((0, 0), |group| (group.revision, group.unix_ms));
    format!(
        "{}: cluster {} at revision {revision} of {}, {} bytes in {:.1} s\n",
        file.display(),
        header.cluster_id,
        rfc3339(unix_ms),
        backup.bytes(),
        begun.elapsed().as_secs_f64(),
    )
}

/// What the header says, with what a script asks for always there.
fn document(file: &Path, backup: &Backup, header: &BackupHeader) -> Value {
    let mut document = to_json("keiko.v1.BackupHeader", header);
    document["file"] = json!(file.display().to_string());
    document["bytes"] = json!(backup.bytes());
    document["blake3"] = json!(backup.blake3());
    document["revision"] = json!(header.groups.first().map_or(0, |group| group.revision));
    document
}

/// The file while it grows; removed unless it is finished.
struct Part {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Part {
    /// Readable by its owner only: it holds all that the cluster knows but its keys.
    fn create(target: &Path) -> Result<Self> {
        let mut name = target.file_name().map(OsString::from).unwrap_or_default();
        name.push(".part");
        let path = target.with_file_name(name);
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Refusal::new(Code::TargetNotEmpty, format!("{} is there already", path.display()))
                    .cause("another backup is being written there, or one broke off")
                    .hint("if nobody writes it, remove it")
            }
            _ => unwritable(&path, &error),
        })?;
        Ok(Self { path, file, finished: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| unwritable(&self.path, &error))
    }

    fn finish(mut self, target: &Path) -> Result<()> {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let finished = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, target))
            .and_then(|()| File::open(folder)?.sync_all());
        self.finished = finished.is_ok();
        finished.map_err(|error| unwritable(target, &error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // It is of no use; that it stays hurts nobody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new(Code::Internal, format!("can't write {}", path.display())).cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_only_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.backup");
        let mut part = Part::create(&target).unwrap();
        part.write(b"half").unwrap();
        assert!(!target.exists());
        let second = Part::create(&target).err().map(|refusal| refusal.code);
        assert_eq!(second, Some(Code::TargetNotEmpty));
        drop(part);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut part = Part::create(&target).unwrap();
        part.write(b"whole").unwrap();
        part.finish(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(refuse_existing(&target, false).is_err());
        assert!(refuse_existing(&target, true).is_ok());
        assert!(is_folder(folder.path()) && is_folder(Path::new("not/there/")));
        assert!(!is_folder(&target) && is_bucket(Path::new("s3://bucket/prefix")));
    }
}
