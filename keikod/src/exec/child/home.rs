//! The private folders of the children.
//!
//! Keeps: per child a folder `ID` that belongs to keikod, and in it `home` and `tmp` (0700) that
//! belong to whom the command runs as. Where keikod is root these lie outside of the data folder,
//! which no child may see: below `$RUNTIME_DIRECTORY` (systemd) or `/run/keiko`, in a folder whose
//! name stands for the data folder.
//!
//! Invariants: a child can't replace the folders that it is given, so changing their owner follows
//! no link; a home is never handed from one user to another. Never: follows a link.

use super::super::account::Account;
use super::remove::remove;
use keiko_core::refusal::{Code, Refusal, Result};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of an id that go into a file name as they are; the rest is hashed.
const NAME_BYTES_MAX: usize = 120;
/// How long a start or an end waits for old files to go: other starts wait behind it, and
/// [`SPAWN_DEADLINE`](super::SPAWN_DEADLINE) is 10 s. What is left is gone on with at the next one.
const REMOVAL_MAX: Duration = Duration::from_secs(4);
/// The same for a home that nobody needs any more: 500,000 files at 50 µs each are 25 s.
const FORGET_MAX: Duration = Duration::from_secs(30);

/// Where the homes lie.
#[derive(Debug)]
pub(super) struct Homes {
    root: PathBuf,
}

/// The folders of one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) home: PathBuf,
    pub(super) tmp: PathBuf,
}

impl Homes {
    /// Makes the folder; `tag` stands for the data folder.
    ///
    /// # Errors
    /// [`Code::ChildFailed`] if it can't be made or somebody else could tamper with it.
    pub(super) fn open(
        chosen: Option<PathBuf>,
        data: &Path,
        root: bool,
        tag: &str,
    ) -> Result<Self> {
        let path = chosen.unwrap_or_else(|| {
            if !root {
                return data.join("children");
            }
            // systemd names several folders with colons between them; the first is the main one.
            let runtime = std::env::var("RUNTIME_DIRECTORY").unwrap_or_default();
            let runtime = runtime.split(':').next().filter(|path| path.starts_with('/'));
            Path::new(runtime.unwrap_or("/run/keiko")).join("children").join(tag)
        });
        let refused = |why: String| {
            Refusal::new(
                Code::ChildFailed,
                format!("{} can't hold the homes of children", path.display()),
            )
            .cause(why)
            .hint("make the folder above it writable for keikod")
        };
        make_above(&path, 0o711).map_err(|error| refused(error.to_string()))?;
        let meta = fs::symlink_metadata(&path).map_err(|error| refused(error.to_string()))?;
        let own = meta.uid() == nix::unistd::geteuid().as_raw();
        if !meta.is_dir() || !own || meta.mode() & 0o022 != 0 {
            return Err(refused("it is no folder, or others may write to it".into()));
        }
        let root = fs::canonicalize(&path).map_err(|error| refused(error.to_string()))?;
        Ok(Self { root })
    }

    /// Where they are.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folders of this id, for messages and for `HOME=`.
    pub(super) fn of(&self, id: &str) -> Home {
        let folder = self.root.join(file_name(id));
        Home { home: folder.join("home"), tmp: folder.join("tmp") }
    }

    /// Makes both folders; a home of another user and every old temporary file goes.
    pub(super) fn prepare(&self, id: &str, account: Option<&Account>) -> io::Result<Home> {
        make(&self.root.join(file_name(id)), 0o711)?;
        let home = self.of(id);
        let owner = account.map_or_else(|| nix::unistd::geteuid().as_raw(), |account| account.uid);
        if fs::symlink_metadata(&home.home).is_ok_and(|meta| meta.uid() != owner) {
            remove(&home.home, Instant::now() + REMOVAL_MAX)?;
        }
        remove(&home.tmp, Instant::now() + REMOVAL_MAX)?;
        for folder in [&home.home, &home.tmp] {
            make(folder, 0o700)?;
            if let Some(account) = account {
                chown(folder, Some(account.uid), Some(account.gid))?;
            }
        }
        Ok(home)
    }

    /// Empties the temporary folder of a child that ended.
    pub(super) fn clear(&self, id: &str) {
        let _ = remove(&self.of(id).tmp, Instant::now() + REMOVAL_MAX);
    }

    /// Removes all that a child kept.
    pub(super) fn forget(&self, id: &str) -> io::Result<()> {
        remove(&self.root.join(file_name(id)), Instant::now() + FORGET_MAX)
    }
}

/// The id as a file name: letters, digits, `-`, `_` and inner dots as they are, other bytes as
/// `%XX`; a long one is cut and ends in its hash. Two ids never share a name.
pub(super) fn file_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for (at, byte) in id.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte as char),
            b'.' if at > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > NAME_BYTES_MAX || name.is_empty() {
        name.truncate(NAME_BYTES_MAX);
        name = format!("{name}%{}", blake3::hash(id.as_bytes()).to_hex());
    }
    name
}

/// Makes a folder with exactly this mode, whatever the umask; one that is there stays as it is.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a folder and those above it that are missing; these may be entered by everyone.
fn make_above(path: &Path, mode: u32) -> io::Result<()> {
    if let Some(above) = path.parent().filter(|above| !above.exists()) {
        make_above(above, 0o755)?;
    }
    make(path, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_distinct() {
        let check = |id: &str, expect: &str| assert_eq!(file_name(id), expect);
        check("time", "time");
        check("default/time", "default%2Ftime");
        check("..", "%2E.");
        check("a.b", "a.b");
        check("a%2Fb", "a%252Fb");
        check("é", "%C3%A9");
        let (long, longer) = (file_name(&"x".repeat(300)), file_name(&"x".repeat(301)));
        assert!(long != longer && long.len() < 200 && !file_name("").is_empty());
    }

    #[test]
    fn prepares_private_folders_and_clears_them() {
        let data = tempfile::tempdir().unwrap();
        let homes =
            Homes::open(Some(data.path().join("deep/homes")), data.path(), false, "t").unwrap();
        let home = homes.prepare("default/time", None).unwrap();
        fs::write(home.home.join("kept"), "").unwrap();
        fs::write(home.tmp.join("gone"), "").unwrap();
        for folder in [&home.home, &home.tmp] {
            assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        }
        assert_eq!(homes.prepare("default/time", None).unwrap(), home);
        assert!(home.home.join("kept").exists() && !home.tmp.join("gone").exists());
        homes.clear("default/time");
        assert!(!home.tmp.exists());
        homes.forget("default/time").unwrap();
        assert!(!home.home.exists());
        homes.forget("default/time").unwrap();
    }

    #[test]
    fn refuses_a_folder_that_others_may_write() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("homes");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let refusal = Homes::open(Some(path), data.path(), false, "t").unwrap_err();
        assert_eq!(refusal.code, Code::ChildFailed);
        std::os::unix::fs::symlink("/tmp", data.path().join("link")).unwrap();
        assert!(Homes::open(Some(data.path().join("link")), data.path(), false, "t").is_err());
    }
}
