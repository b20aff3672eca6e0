//! The unix socket, and the links by which keikoctl finds it without being told.
//!
//! A socket file is replaced only if nobody listens on it. A link belongs to the first live daemon;
//! at exit a daemon removes what is still its own, and nothing else.

use keiko_core::refusal::{Code, Refusal, Result, refuse};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Group, Uid};
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// What the kernel grants: `sun_path` has 108 bytes, one of them ends the text.
pub const PATH_BYTES_MAX: usize = 107;

/// Where the socket is and who may reach it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As a rule `D/keiko.sock`.
    pub path: PathBuf,
    /// `[socket] group`: its members can connect (mode 0660); whether they may is decided by uid.
    pub group: Option<String>,
    /// Where to leave a link; see [`default_links`].
    pub links: Vec<PathBuf>,
}

/// `/run/keiko/keiko.sock` for root, `$XDG_RUNTIME_DIR/keiko/keiko.sock` for others.
pub fn default_links() -> Vec<PathBuf> {
    let folder = if Uid::effective().is_root() {
        Some(PathBuf::from("/run"))
    } else {
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
    };
    folder.into_iter().map(|folder| folder.join("keiko/keiko.sock")).collect()
}

/// A socket that listens, and what must be removed at exit.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    files: Files,
}

#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    links: Vec<PathBuf>,
}

impl Bound {
    /// Binds the socket and leaves the links that are free.
    pub fn bind(settings: &Settings) -> Result<Self> {
        let path = &settings.path;
        check_length(path)?;
        let group = settings.group.as_deref().map(group_named).transpose()?;
        if group.is_some() {
            check_way(path)?;
        }
        clear_stale(path)?;
        let listener = listen_at(path, group).map_err(|error| fault(path, error))?;
        let links = settings.links.iter().filter(|link| leave_link(path, link)).cloned().collect();
        Ok(Self { listener, files: Files { path: path.clone(), links } })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.files.path
    }

    /// True if a link leads here, so that keikoctl needs no `--endpoint`.
    pub fn is_linked(&self) -> bool {
        !self.files.links.is_empty()
    }

    pub(super) fn into_parts(self) -> (UnixListener, Files) {
        (self.listener, self.files)
    }
}

/// A start that fails leaves nothing either.
impl Drop for Files {
    /// Removes the links that still lead here, and the socket.
    fn drop(&mut self) {
        for link in &self.links {
            if fs::read_link(link).is_ok_and(|target| target == self.path) {
                let _ = fs::remove_file(link);
            }
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn check_length(path: &Path) -> Result<()> {
    let bytes = path.as_os_str().as_bytes().len();
    if bytes <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        Code::SocketPath,
        format!("the socket's path has {bytes} bytes, the system allows {PATH_BYTES_MAX}"),
    )
    .cause(path.display())
    .hint("choose a shorter one: keikod run --socket PATH"))
}

fn clear_stale(path: &Path) -> Result<()> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(path, error)),
    };
    if !about.file_type().is_socket() {
        return Err(Refusal::new(
            Code::SocketPath,
            format!("{} is something else than a socket", path.display()),
        )
        .hint("remove it, or choose another path: keikod run --socket PATH"));
    }
    if is_live(path) {
        return Err(Refusal::new(
            Code::SocketPath,
            format!("another daemon listens on {}", path.display()),
        )
        .hint("stop it, or choose another path: keikod run --socket PATH"));
    }
    fs::remove_file(path).map_err(|error| fault(path, error))
}

/// A full queue or a lack of permission is a listener too: only "refused" and "not there" are dead.
fn is_live(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
    }
}

/// The group with this name, or else this number.
pub fn group_named(text: &str) -> Result<Gid> {
    if let Ok(Some(group)) = Group::from_name(text) {
        return Ok(group.gid);
    }
    match text.parse() {
        // All ones means "leave it" to chown.
        Ok(number) if number != u32::MAX => Ok(Gid::from_raw(number)),
        _ => {
            refuse(Code::ConfigInvalid, format!("[socket] group: there is no group {text:?} here"))
        }
    }
}

/// Refuses a folder that nobody but its owner can enter: a group could never reach the socket.
///
/// Only what is certain is refused: whether a group that may enter is the named one is not asked.
pub fn check_way(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    // What is not there yet is the data folder: it is made for its owner only.
    let mode = fs::metadata(folder).map_or(0o700, |about| about.permissions().mode());
    if mode & 0o011 != 0 {
        return Ok(());
    }
    Err(Refusal::new(
        Code::SocketPath,
        format!("[socket] group: it can't enter {}", folder.display()),
    )
    .cause(format!("the folder of the socket has the mode {:04o}", mode & 0o7777))
    .hint("set [socket] path to a folder that the group can enter, as in /run/keiko/keikod.sock"))
}

fn listen_at(path: &Path, group: Option<Gid>) -> std::io::Result<UnixListener> {
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // On Linux the file takes the mode of the descriptor: it is never open to others, not even
    // between bind and chmod. Where that is not so, the chmod below does it.
    let owner = Mode::S_IRUSR | Mode::S_IWUSR;
    let _ = fchmod(&descriptor, owner);
    bind(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    if let Some(gid) = group {
        lchown(path, None, Some(gid.as_raw()))?;
        fs::set_permissions(path, Permissions::from_mode(0o660))?;
    }
    listen(&descriptor, Backlog::MAXCONN)?;
    Ok(UnixListener::from(descriptor))
}

/// True if the link is ours now. A link is a comfort: without it the daemon still runs.
fn leave_link(path: &Path, link: &Path) -> bool {
    match try_link(path, link) {
        Ok(true) => true,
        Ok(false) => {
            tracing::info!(
                link = %link.display(),
                "another daemon has the link; reach this one by --endpoint unix:{}",
                path.display()
            );
            false
        }
        Err(error) => {
            tracing::info!(
                link = %link.display(), %error,
                "no link; reach this daemon by --endpoint unix:{}", path.display()
            );
            false
        }
    }
}

fn try_link(path: &Path, link: &Path) -> std::io::Result<bool> {
    let folder = link.parent().unwrap_or_else(|| Path::new("/"));
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match fs::symlink_metadata(link) {
        Ok(about) if !about.file_type().is_symlink() => return Ok(false),
        Ok(_) if is_live(link) && fs::read_link(link)? != path => return Ok(false),
        _ => {}
    }
    // Renamed over the dead one, so that no reader finds nothing.
    let beside = link.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&beside);
    std::os::unix::fs::symlink(path, &beside)?;
    fs::rename(&beside, link)?;
    Ok(true)
}

fn fault(path: &Path, error: std::io::Error) -> Refusal {
    if error.kind() == ErrorKind::StorageFull {
        return Refusal::new(Code::DiskFull, format!("no room for the socket {}", path.display()))
            .cause(error)
            .hint("free some space on its file system");
    }
    Refusal::new(Code::SocketPath, format!("can't make the socket {}", path.display()))
        .cause(error)
        .hint("choose another path: keikod run --socket PATH")
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
