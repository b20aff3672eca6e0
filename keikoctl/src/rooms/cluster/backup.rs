//! `cluster backup`: everything into a file. It grows under another name and gets its own once all of
//! it came, has the hash that the server says, and is on the disk: whatever has the name is whole.

use super::args::BackupArgs;
use crate::exit::Exit;
use crate::fault::Outcome;
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
    let printer = &session.printer;
    printer.refuse_csv()?;
    refuse_existing(args)?;
    let client = session.client(PATIENT).await?;
    let progress = session.progress("making a backup");
    let begun = Instant::now();
    let mut backup = client.backup().await?;
    let mut part = Part::create(&args.file)?;
    while let Some(bytes) = backup.next().await? {
        part.write(&bytes)?;
        progress.say(&format!("backup: {} MiB", backup.bytes() >> 20));
    }
    // Somebody else may have been faster.
    refuse_existing(args)?;
    part.finish(&args.file)?;
    drop(progress);
    let header = backup.header.clone().unwrap_or_default();
    let document = document(args, &backup, &header);
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", args.file.display()),
        _ => human(args, &backup, &header, begun),
    })?;
    printer.note("no key is in it: a restored cluster has an authority of its own");
    printer.note(&format!("to see that it is whole: keikod verify {}", args.file.display()));
    Ok(Exit::Done)
}

fn refuse_existing(args: &BackupArgs) -> Result<()> {
    if args.overwrite || !args.file.exists() {
        return Ok(());
    }
    Err(Refusal::new(Code::TargetNotEmpty, format!("{} is there already", args.file.display()))
        .hint("choose another name, or: --overwrite"))
}

fn human(args: &BackupArgs, backup: &Backup, header: &BackupHeader, begun: Instant) -> String {
    let (revision, unix_ms) =
        header.groups.first().map_or((0, 0), |group| (group.revision, group.unix_ms));
    format!(
        "{}: cluster {} at revision {revision} of {}, {} bytes in {:.1} s\n",
        args.file.display(),
        header.cluster_id,
        rfc3339(unix_ms),
        backup.bytes(),
        begun.elapsed().as_secs_f64(),
    )
}

/// What the header says, with what a script asks for always there.
fn document(args: &BackupArgs, backup: &Backup, header: &BackupHeader) -> Value {
    let mut document = to_json("keiko.v1.BackupHeader", header);
    document["file"] = json!(args.file.display().to_string());
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

fn unwritable(path: &Path, error: &std::io::Error) -> Refusal {
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
        let args = |overwrite| BackupArgs { file: target.clone(), overwrite };
        assert!(refuse_existing(&args(false)).is_err());
        assert!(refuse_existing(&args(true)).is_ok());
    }
}
