//! The named credentials of this node.
//!
//! Keeps: the folder (`[credentials] dir`, by default `credentials` in the data folder) and, from
//! `[credentials.CRED] to`, who may receive which. A credential is a file of that folder with a
//! plain name. It is read at each use, so a rotated secret needs no reload.
//!
//! Invariants: no link is followed and nothing but a regular file of at most 64 KiB is read; a
//! value goes only to a destination that its `to` line names, or that it was bound to when it was
//! registered over the local socket. Never: keeps a value, takes a path for a name, or says
//! anything of a value in an error.

use super::secret::Secret;
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use url::Url;

/// The largest credential: a certificate chain with its key is under 16 KiB.
pub const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;
/// The longest name that Linux file systems take.
const NAME_BYTES_MAX: usize = 255;

/// Who receives a credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// `scheme://host:port`, lower case, with the port always written.
    Origin(String),
    /// The absolute path of a command.
    Command(PathBuf),
}

impl Destination {
    /// The origin of a URL.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for anything but http and https with a host.
    pub fn origin(url: &Url) -> Result<Self> {
        let (scheme, host, port) = (url.scheme(), url.host_str(), url.port_or_known_default());
        match (scheme, host, port) {
            ("http" | "https", Some(host), Some(port)) => {
                Ok(Self::Origin(format!("{scheme}://{}:{port}", host.to_ascii_lowercase())))
            }
            _ => {
                refuse(Code::InvalidArgument, format!("scheme {scheme:?} has no origin over HTTP"))
            }
        }
    }

    /// One word of a `to` line.
    fn parse(text: &str) -> Result<Self> {
        if text.starts_with('/') {
            return Ok(Self::Command(PathBuf::from(text)));
        }
        let bare = Url::parse(text).ok().filter(|url| {
            matches!(url.path(), "" | "/")
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
        match bare.map(|url| Self::origin(&url)) {
            Some(Ok(origin)) => Ok(origin),
            _ => Err(Refusal::new(
                Code::ConfigInvalid,
                format!("{text:?} is neither an origin nor an absolute command"),
            )
            .hint("write \"https://host:port\" or \"/abs/command\"")),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => f.write_str(origin),
            Self::Command(path) => path.display().fmt(f),
        }
    }
}

/// The folder and who may receive what is in it.
#[derive(Clone, Debug)]
pub struct Credentials {
    dir: PathBuf,
    to: BTreeMap<String, Vec<Destination>>,
}

impl Credentials {
    /// The `[credentials]` part of `keiko.toml`; `to` holds the `to` list of each named table.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] for a name that is no plain file name or a destination that is none.
    pub fn new(dir: impl Into<PathBuf>, to: &BTreeMap<String, Vec<String>>) -> Result<Self> {
        let mut parsed = BTreeMap::new();
        for (name, destinations) in to {
            let destinations: Result<Vec<_>> =
                destinations.iter().map(|to| Destination::parse(to)).collect();
            let checked = check_name(name).and(destinations).map_err(|refusal| {
                Refusal::new(Code::ConfigInvalid, format!("[credentials.{name}] is not valid"))
                    .cause(refusal.message)
                    .hint("to = [\"https://host:port\", \"/abs/command\"]")
            })?;
            parsed.insert(name.clone(), checked);
        }
        Ok(Self { dir: dir.into(), to: parsed })
    }

    /// The folder, for messages and for what must be covered from children.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The value of `name` for `destination`. `bound`: the entry that names both was registered
    /// over this node's own socket, so no `to` line is needed. Nothing here remembers which
    /// destination that was: the caller says `bound` only of an entry that still stands as it was
    /// registered.
    ///
    /// # Errors
    /// [`Code::CredentialRefused`] if it may not go there or is no proper file,
    /// [`Code::CredentialMissing`] if this node has none of that name.
    pub fn value_for(&self, name: &str, destination: &Destination, bound: bool) -> Result<Secret> {
        check_name(name)?;
        let named = self.to.get(name).is_some_and(|to| to.contains(destination));
        if !bound && !named {
            return Err(Refusal::new(
                Code::CredentialRefused,
                format!("credential {name:?} may not be sent to {destination}"),
            )
            .cause("it was not bound to it over this node's socket, and no line of keiko.toml names it")
            .hint(format!("add to keiko.toml: [credentials.{name}] to = [\"{destination}\"]")));
        }
        self.read(name)
    }

    fn read(&self, name: &str) -> Result<Secret> {
        let file = self.open(name)?;
        // The buffer never grows, so no copy of the value is left behind by a reallocation.
        let mut bytes = Vec::with_capacity(CREDENTIAL_BYTES_MAX + 1);
        let read = file.take(CREDENTIAL_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        let secret = Secret::new(bytes);
        read.map_err(|error| self.refused(name, "can't be read").cause(error))?;
        match secret.expose().len() {
            0 => Err(self.refused(name, "is empty")),
            len if len > CREDENTIAL_BYTES_MAX => Err(self
                .refused(name, "is too large")
                .cause(format!("the limit is {CREDENTIAL_BYTES_MAX} bytes"))),
            _ => Ok(secret),
        }
    }

    /// Opens without following a link and without waiting for the far end of a named pipe.
    fn open(&self, name: &str) -> Result<File> {
        let missing = |error: nix::Error| {
            Refusal::new(
                Code::CredentialMissing,
                format!("credential {name:?} is not on this node"),
            )
            .cause(format!("{}: {error}", self.dir.display()))
            .hint(format!("put it into {} with mode 0600", self.dir.join(name).display()))
        };
        let none = Mode::empty();
        let dir = open(&self.dir, OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC, none)
            .map_err(missing)?;
        let dir = File::from(dir);
        self.check_folder(&dir, name)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&dir, name, flags, none) {
            Ok(file) => File::from(file),
            Err(nix::Error::ELOOP) => {
                return Err(self.refused(name, "is a link, and links are not followed"));
            }
            Err(nix::Error::ENOENT) => return Err(missing(nix::Error::ENOENT)),
            Err(error) => return Err(self.refused(name, "can't be opened").cause(error)),
        };
        let meta =
            file.metadata().map_err(|error| self.refused(name, "can't be read").cause(error))?;
        if !meta.is_file() {
            return Err(self.refused(name, "is not a regular file"));
        }
        if meta.len() > CREDENTIAL_BYTES_MAX as u64 {
            return Err(self
                .refused(name, "is too large")
                .cause(format!("the limit is {CREDENTIAL_BYTES_MAX} bytes")));
        }
        Ok(file)
    }

    /// Others must not read the folder nor put anything there. The group may read: systemd grants
    /// a service its credentials by an access list, which shows as the group's bits.
    fn check_folder(&self, dir: &File, name: &str) -> Result<()> {
        let meta =
            dir.metadata().map_err(|error| self.refused(name, "can't be read").cause(error))?;
        let owner_ok = meta.uid() == 0 || meta.uid() == nix::unistd::geteuid().as_raw();
        if owner_ok && meta.mode() & 0o027 == 0 {
            return Ok(());
        }
        let shown = self.dir.display();
        Err(self
            .refused(name, "lies in a folder that others may use")
            .cause(format!(
                "{shown} has mode {:04o} and belongs to uid {}",
                meta.mode() & 0o7777,
                meta.uid()
            ))
            .hint(format!("chmod 0700 {shown}")))
    }

    fn refused(&self, name: &str, why: &str) -> Refusal {
        Refusal::new(Code::CredentialRefused, format!("credential {name:?} {why}"))
            .hint(format!("credentials are regular files in {}", self.dir.display()))
    }
}

/// A plain file name: no folder, nothing hidden, nothing unprintable.
fn check_name(name: &str) -> Result<()> {
    let plain = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control());
    if plain {
        return Ok(());
    }
    Err(Refusal::new(
        Code::CredentialRefused,
        format!("credential name {name:?} is not a plain file name"),
    )
    .cause("credentials are named, never pathed")
    .hint("use the name of a file in the node's credentials folder, as in --env TOKEN=@github"))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
