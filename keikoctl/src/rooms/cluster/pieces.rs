//! `cluster backup FOLDER/`: everything into a folder that may hold earlier backups; what is there
//! already is neither sent nor written again. The manifest is written last: it is the backup.

use super::backup::unwritable;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::time::rfc3339;
use crate::print::{Format, FormatKind};
use crate::session::{PATIENT, Session};
use keiko_client::PieceName;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::BackupHeader;
use keiko_core::backup::{
    KNOWN_PIECES_MAX, PIECES, WRITING, manifest_path, name_of, piece_at, piece_path, seal,
};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs it.
pub(super) async fn run(folder: &Path, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    let client = session.client(PATIENT).await?;
    let progress = session.progress("making a backup");
    let begun = Instant::now();
    let claim = Claim::take(folder)?;
    let found = pieces_of(folder)?;
    let known = found.iter().take(KNOWN_PIECES_MAX).copied().collect();
    let mut backup = client.backup_in_pieces(known).await?;
    let mut new_bytes = 0;
    while let Some((name, bytes)) = backup.next().await? {
        if !found.contains(&name) {
            write(folder, &piece_path(&name), &bytes)?;
            new_bytes += bytes.len() as u64;
        }
        progress.say(&format!("backup: {} MiB new", backup.bytes() >> 20));
    }
    let header = backup.header.clone().unwrap_or_default();
    let name = name_of(header.created_unix_ms, &header.cluster_id).to_string();
    write(folder, &manifest_path(&name), &seal(&header)?)?;
    drop((claim, progress));
    let pieces = header.groups.iter().flat_map(|group| &group.pieces);
    let bytes: u64 = pieces.map(|piece| piece.length).sum();
    let group = header.groups.first().cloned().unwrap_or_default();
    let mut document = to_json("keiko.v1.BackupHeader", &header);
    document["name"] = json!(name);
    document["folder"] = json!(folder.display().to_string());
    document["bytes"] = json!(bytes);
    document["newBytes"] = json!(new_bytes);
    document["revision"] = json!(group.revision);
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{name}\n"),
        _ => human(&name, &header, (bytes, new_bytes), begun),
    })?;
    printer.note("no key is in it: a restored cluster has an authority of its own");
    printer.note(&format!("to see that it is whole: keikod verify {}", folder.display()));
    Ok(Exit::Done)
}

fn human(name: &str, header: &BackupHeader, (all, new): (u64, u64), begun: Instant) -> String {
    let (revision, unix_ms) =
        header.groups.first().map_or((0, 0), |group| (group.revision, group.unix_ms));
    format!(
        "{name}: cluster {} at revision {revision} of {}, {all} bytes, {new} of them new, in {:.1} s\n",
        header.cluster_id,
        rfc3339(unix_ms),
        begun.elapsed().as_secs_f64(),
    )
}

/// Those that are there.
fn pieces_of(folder: &Path) -> Result<BTreeSet<PieceName>> {
    let root = folder.join(PIECES);
    let mut found = BTreeSet::new();
    for below in names_in(&root)? {
        for name in names_in(&root.join(&below))? {
            found.extend(piece_at(&format!("{PIECES}/{below}/{name}")));
        }
    }
    Ok(found)
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |error: std::io::Error| {
        Refusal::new(Code::BackupPlace, format!("can't read {}", folder.display())).cause(error)
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    Ok(names)
}

/// There whole and durably, or not at all.
fn write(folder: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(path);
    let (fresh, parent) = (path.with_extension("part"), path.parent().unwrap_or(folder));
    let written = || {
        make(parent)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(parent)?.sync_all()
    };
    written().map_err(|error| unwritable(&path, &error))
}

fn make(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The right to write there; nobody clears up meanwhile.
struct Claim(PathBuf);

impl Claim {
    fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(WRITING);
        let claimed = make(folder).and_then(|()| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(&path)
        });
        let mut file = claimed.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Refusal::new(Code::BackupUnderWay, "somebody else writes backups there")
                    .cause(format!("{} is there", path.display()))
                    .hint("wait for it; if nobody writes, remove that file")
            }
            _ => unwritable(&path, &error),
        })?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let line = format!("{} keikoctl\n", now.unwrap_or_default().as_millis());
        let claim = Self(path);
        file.write_all(line.as_bytes()).map_err(|error| unwritable(&claim.0, &error))?;
        Ok(claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The next one says that it is there.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::backup::hash_of;

    #[test]
    fn pieces_are_found_again_and_one_writes_at_a_time() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("place");
        assert_eq!(pieces_of(&folder).unwrap(), BTreeSet::new());
        let claim = Claim::take(&folder).unwrap();
        assert_eq!(
            Claim::take(&folder).err().map(|refusal| refusal.code),
            Some(Code::BackupUnderWay)
        );
        drop(claim);
        Claim::take(&folder).unwrap();
        let name = hash_of(b"rows");
        write(&folder, &piece_path(&name), b"rows").unwrap();
        write(&folder, &format!("{PIECES}/other/file"), b"").unwrap();
        assert_eq!(pieces_of(&folder).unwrap(), BTreeSet::from([name]));
    }
}
