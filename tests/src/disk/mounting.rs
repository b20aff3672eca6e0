//! A mount that ends with its owner, however that ends.

use super::server::Server;
use fuser::{BackgroundSession, Config, MountOption};
use nix::mount::{MntFlags, umount2};
use std::io::Result;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Requests that are served at the same time: a slow sync must not hold up a read.
const THREADS: usize = 4;

/// Its standard input ends when the process of the tests does, even if it was killed.
const SWEEP: &str = r#"while read -r _; do :; done; umount -l "$1" 2>/dev/null"#;

/// A mount and the threads that serve it.
pub(super) struct Mounting {
    session: Option<BackgroundSession>,
    sweeper: Child,
    path: PathBuf,
}

impl Mounting {
    pub(super) fn new(server: Server, path: &Path) -> Result<Self> {
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sweep"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let mut mounting = Self { session: None, sweeper, path: path.to_owned() };
        let mut config = Config::default();
        let source = MountOption::FSName("disk-that-lies".to_owned());
        config.mount_options = vec![source, MountOption::DefaultPermissions];
        config.n_threads = Some(THREADS);
        mounting.session = Some(fuser::spawn_mount(server, path, &config)?);
        Ok(mounting)
    }
}

impl Drop for Mounting {
    fn drop(&mut self) {
        // At once, even if a file of it is open; the threads end with the last one.
        if self.session.is_some() {
            let _gone = umount2(&self.path, MntFlags::MNT_DETACH);
        }
        drop(self.sweeper.stdin.take());
        let _ended = self.sweeper.wait();
        drop(self.session.take());
    }
}
