//! Real processes: how they live, what they see, how they end.

mod isolation;
mod leftovers;
mod life;

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// For whatever a loaded machine may delay.
const DEADLINE: Duration = Duration::from_secs(60);

/// Children on a data folder of their own, with homes beside it that every user may enter.
struct Place {
    folder: TempDir,
    children: Children,
}

fn settings(folder: &Path) -> Settings {
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    Settings { homes: Some(folder.join("homes")), ..Settings::new(data) }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let children = Children::start(settings(folder.path())).unwrap();
        Self { folder, children }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn spawn(&self, argv: &[&str]) -> Child {
        self.children.spawn(command("a", argv)).await.unwrap()
    }
}

/// As whom a test runs it, as root or not.
fn run_as() -> RunAs {
    if is_root() { RunAs::ConfinedRoot } else { RunAs::Daemon }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn command(id: &str, argv: &[&str]) -> Command {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    Command { id: id.into(), argv, env: Vec::new(), run_as: run_as() }
}

fn shell(script: &str) -> [&str; 3] {
    ["/bin/sh", "-c", script]
}

/// All that it writes until it ends.
async fn output(mut child: Child) -> String {
    let mut text = String::new();
    timeout(DEADLINE, child.stdout.read_to_string(&mut text)).await.unwrap().unwrap();
    timeout(DEADLINE, child.process.wait()).await.unwrap();
    text
}

/// The next whole line that it writes.
async fn line(child: &mut Child) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(timeout(DEADLINE, child.stdout.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// Whether the process is there and has not ended.
fn lives(pid: i32) -> bool {
    proc::stat(pid).is_some_and(|stat| stat.state != b'Z')
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
