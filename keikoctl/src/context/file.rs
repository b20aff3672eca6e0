//! `$XDG_CONFIG_HOME/keiko/config.toml`: contexts by name, a few settings, and the throw-away node
//! that lives now. `/etc/keiko/config.toml` has the same form.
//!
//! Written in one step and readable by its owner only; what is not changed stays as it was typed,
//! comments too. It names the files of tokens, certificates and keys; it holds none.

use keiko_core::refusal::{Code, Refusal, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use toml_edit::{DocumentMut, Item, Table};

/// A thousand contexts of a kilobyte each.
const BYTES_MAX: u64 = 1 << 20;
/// Whoever else writes it does so within milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The name of the context that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// As `--output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// As `--namespace`, for contexts that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// As `--color`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// As `--timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// By name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, Context>,
    /// Counts before all others while its process lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<Dev>,
}

/// A way to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// As `--endpoint`.
    pub endpoint: String,
    /// As `--token-file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A client certificate, PEM: the leaf, then the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// What its owner might do when it was made; the cluster's word counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// As `--ca`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// As `--namespace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The node of `keikoctl dev`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dev {
    /// Its socket.
    pub endpoint: String,
    /// Of the command that keeps it.
    pub pid: u32,
    /// When that process began, in the kernel's ticks: pids come back.
    pub started: u64,
}

impl Dev {
    /// True if its process is still that process.
    pub(crate) fn lives(&self) -> bool {
        let pid = i32::try_from(self.pid).unwrap_or_default();
        let there = pid > 0
            && !matches!(
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None),
                Err(nix::errno::Errno::ESRCH)
            );
        there && started(self.pid) == self.started
    }
}

/// When a process began, in ticks since the machine's start; zero where nobody tells.
pub(crate) fn started(pid: u32) -> u64 {
    // The name in parentheses may hold blanks; what follows it begins with field 3.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().nth(19).and_then(|field| field.parse().ok()).unwrap_or_default()
}

/// Where the file is.
pub(crate) fn path() -> Option<PathBuf> {
    let config = super::set("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(super::set("HOME")?).join(".config")))?;
    Some(config.join("keiko/config.toml"))
}

impl File {
    /// Reads it; a file that is not there is an empty one.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &text(path)?.unwrap_or_default())
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        toml::from_str(text)
            .map_err(|error| invalid(path, "is malformed").cause(error.to_string().trim()))
    }

    /// Changes the file in one step, for its owner only; gives back what `change` does.
    pub(crate) fn edit<T>(path: &Path, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let unwritable = |error: std::io::Error| invalid(path, "can't be written").cause(error);
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        make_private(folder).map_err(unwritable)?;
        let _lock = lock(folder).map_err(unwritable)?;
        let before = text(path)?.unwrap_or_default();
        let mut file = Self::parse(path, &before)?;
        let value = change(&mut file)?;
        let broken = |error: &dyn std::fmt::Display| {
            Refusal::new(Code::Internal, "contexts can't be written").cause(error)
        };
        let mut document: DocumentMut = before.parse().map_err(|error| broken(&error))?;
        let wanted = toml::to_string(&file).map_err(|error| broken(&error))?;
        let wanted: DocumentMut = wanted.parse().map_err(|error| broken(&error))?;
        merge(document.as_table_mut(), wanted.as_table());
        write(path, document.to_string().as_bytes()).map_err(unwritable)?;
        Ok(value)
    }
}

/// The text of a file of settings; none if it is not there.
pub(crate) fn text(path: &Path) -> Result<Option<String>> {
    let unreadable = |error: std::io::Error| invalid(path, "can't be read").cause(error);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = String::new();
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > BYTES_MAX {
        return Err(invalid(path, "is too large").cause(format!("{BYTES_MAX} bytes at most")));
    }
    Ok(Some(text))
}

/// Puts what is wanted into the table and leaves everything else as it was typed.
fn merge(table: &mut Table, wanted: &Table) {
    let gone: Vec<String> = table
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !wanted.contains_key(key))
        .collect();
    for key in gone {
        table.remove(&key);
    }
    for (key, item) in wanted {
        match (table.get_mut(key), item) {
            (Some(Item::Table(inner)), Item::Table(wanted)) => merge(inner, wanted),
            // `a = {endpoint = "…"}` says the same as `[contexts.a]`.
            (Some(old), _) if plain(old) == plain(item) => {}
            (Some(old), _) => *old = item.clone(),
            (None, _) => {
                table.insert(key, item.clone());
            }
        }
    }
}

/// What an item says, without how it was typed.
fn plain(item: &Item) -> Option<toml::Table> {
    let mut holder = DocumentMut::new();
    holder.insert("value", item.clone());
    toml::from_str(&holder.to_string()).ok()
}

/// Only one command changes the file at a time.
fn lock(folder: &Path) -> std::io::Result<fs::File> {
    let handle = fs::File::open(folder)?;
    let end = Instant::now() + LOCK_PATIENCE;
    loop {
        match handle.try_lock() {
            Ok(()) => return Ok(handle),
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(std::io::Error::new(ErrorKind::WouldBlock, "another command holds it"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Makes a folder that only its owner enters.
pub(crate) fn make_private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Replaces a file as a whole, readable by its owner only. A link stays a link.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let fresh = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&fresh)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let replaced = written.and_then(|()| fs::rename(&fresh, &target));
    if replaced.is_err() {
        // It is of no use; that it stays hurts nobody.
        let _ = fs::remove_file(&fresh);
    }
    replaced
}

pub(crate) fn invalid(path: &Path, what: &str) -> Refusal {
    Refusal::new(Code::ContextInvalid, format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_written_and_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.toml");
        assert_eq!(File::read(&path), Ok(File::default()));
        let context =
            Context { endpoint: "a:1".into(), ca: Some("/ca".into()), ..Context::default() };
        let file = File {
            current: Some("a".into()),
            contexts: BTreeMap::from([("a".into(), context)]),
            dev: Some(Dev { endpoint: "unix:/x".into(), pid: 1, started: 0 }),
            ..File::default()
        };
        let wanted = file.clone();
        File::edit(&path, |now| {
            *now = wanted;
            Ok(())
        })
        .unwrap();
        assert_eq!(File::read(&path), Ok(file));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else");
    }

    #[test]
    fn what_is_not_changed_stays_as_it_was_typed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let typed = "# mine\ncurrent = 'a' # the usual one\n\n[contexts]\nb = {endpoint='b:2'}\n\n\
                     # far away\n[contexts.a]\nendpoint = 'a:1'\n";
        fs::write(&path, typed).unwrap();
        let elsewhere = folder.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &elsewhere).unwrap();
        File::edit(&elsewhere, |file| {
            file.contexts
                .insert("c".into(), Context { endpoint: "c:3".into(), ..Context::default() });
            Ok(())
        })
        .unwrap();
        let now = fs::read_to_string(&path).unwrap();
        assert!(now.starts_with(typed), "{now}");
        assert!(elsewhere.symlink_metadata().unwrap().is_symlink());
        File::edit(&path, |file| {
            file.current = None;
            file.contexts.remove("c");
            file.contexts.remove("b");
            Ok(())
        })
        .unwrap();
        let now = fs::read_to_string(&path).unwrap();
        assert!(now.contains("# far away\n[contexts.a]\nendpoint = 'a:1'\n"), "{now}");
        assert!(!now.contains("b:2") && !now.contains("current"), "{now}");
        let refused = File::edit(&path, |_| Err::<(), _>(Refusal::new(Code::Internal, "no")));
        assert!(refused.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), now);
    }
}

#[cfg(test)]
mod fuzz;
