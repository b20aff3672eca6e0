//! Small files that must be whole or absent: key material and certificates.

use keiko_core::refusal::{Code, Refusal, Result};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes the folder, readable by its owner only, and refuses one that others can open.
pub(super) fn private_folder(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_folder(path.parent().unwrap_or(path)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let about = fs::symlink_metadata(path).map_err(|error| fault(path, &error))?;
            if about.is_dir() && about.mode() & 0o077 == 0 {
                return Ok(());
            }
            Err(Refusal::new(
                Code::KeyMaterial,
                format!("{} must be a folder of its owner alone", path.display()),
            )
            .cause(format!("its mode is {:04o}", about.mode() & 0o7777))
            .hint(format!("chmod 0700 {}", path.display())))
        }
        Err(error) => Err(fault(path, &error)),
    }
}

/// Writes beside, syncs, renames, syncs the folder: a crash leaves the old file or the new one.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let beside = path.with_extension("new");
    let written = (|| {
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    written.map_err(|error| fault(path, &error))?;
    sync_folder(path.parent().unwrap_or(path))
}

/// Reads a file of at most `bytes_max` that only its owner can read; follows no link.
pub(super) fn read_private(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
        .map_err(|error| fault(path, &error))?;
    let about = file.metadata().map_err(|error| fault(path, &error))?;
    if !about.is_file() || about.mode() & 0o077 != 0 {
        return Err(Refusal::new(
            Code::KeyMaterial,
            format!("{} must be a plain file that only its owner can read", path.display()),
        )
        .cause(format!("its mode is {:04o}", about.mode() & 0o7777))
        .hint(format!("chmod 0600 {}", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| fault(path, &error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Refusal::new(
            Code::KeyMaterial,
            format!("{} is larger than {bytes_max} bytes", path.display()),
        ));
    }
    Ok(bytes)
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| fault(path, &error))
}

fn fault(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new(Code::KeyMaterial, format!("can't use {}", path.display())).cause(error)
}
