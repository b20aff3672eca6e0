//! `$XDG_CONFIG_HOME/keiko/config.toml`: contexts by name, and the throw-away node that lives now.
//!
//! Written in one step and readable by its owner only. It names token files; it holds no token.

use keiko_core::refusal::{Code, Refusal, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The name of the context that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
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
    /// As `--ca`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
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
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(invalid(path, "can't be read").cause(error)),
        };
        toml::from_str(&text)
            .map_err(|error| invalid(path, "is malformed").cause(error.to_string().trim()))
    }

    /// The context that counts, with its name.
    pub(crate) fn current(&self) -> Result<Option<(String, Context)>> {
        if let Some(dev) = self.dev.as_ref().filter(|dev| dev.lives()) {
            let context = Context { endpoint: dev.endpoint.clone(), ..Context::default() };
            return Ok(Some(("dev".to_owned(), context)));
        }
        let Some(name) = &self.current else { return Ok(None) };
        match self.contexts.get(name) {
            Some(context) => Ok(Some((name.clone(), context.clone()))),
            None => Err(Refusal::new(
                Code::ConfigInvalid,
                format!("the current context {name:?} is not among the contexts"),
            )
            .hint("correct `current` in config.toml, or pass --endpoint")),
        }
    }

    /// Writes it in one step, for its owner only.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self).map_err(|error| {
            Refusal::new(Code::Internal, "contexts can't be written").cause(error)
        })?;
        let unwritable = |error: std::io::Error| invalid(path, "can't be written").cause(error);
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(unwritable)?;
        let fresh = path.with_extension(format!("toml.{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&fresh).map_err(unwritable)?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(unwritable)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritable)?;
        fs::rename(&fresh, path).map_err(unwritable)
    }
}

fn invalid(path: &Path, what: &str) -> Refusal {
    Refusal::new(Code::ConfigInvalid, format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_written_and_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.toml");
        assert_eq!(File::read(&path), Ok(File::default()));
        let context = Context { endpoint: "a:1".into(), ca: Some("/ca".into()), token_file: None };
        let file = File {
            current: Some("a".into()),
            contexts: BTreeMap::from([("a".into(), context)]),
            dev: Some(Dev { endpoint: "unix:/x".into(), pid: 1, started: 0 }),
        };
        file.write(&path).unwrap();
        assert_eq!(File::read(&path), Ok(file));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
