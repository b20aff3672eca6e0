//! Where the tests of one process keep everything: one folder, removed however the process ends.
//!
//! The folder is removed by a small shell that waits for the end of its standard input: that comes
//! when this process is gone, even if it was killed.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Daemons first get the time to end in order; a folder in use can't be removed.
const SWEEP: &str = r#"while read -r _; do :; done
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
  sleep 2
  rm -rf "$1" 2>/dev/null && exit 0
done"#;

struct Root {
    path: PathBuf,
    /// Closed by the end of this process.
    _alive: ChildStdin,
}

static ROOT: OnceLock<Root> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

fn root() -> &'static Path {
    &ROOT.get_or_init(open).path
}

#[allow(clippy::zombie_processes, reason = "it ends after this process")]
fn open() -> Root {
    // Short: the path of a unix socket has 107 bytes at most.
    let path = std::env::temp_dir().join(format!("kt{}", std::process::id()));
    fs::create_dir_all(&path).expect("a folder below the temporary one");
    let mut sweeper = Command::new("sh")
        .args(["-c", SWEEP, "sweep"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh starts");
    let alive = sweeper.stdin.take().expect("its input is a pipe");
    Root { path, _alive: alive }
}

/// A folder of its own, removed when dropped.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// Makes one.
    pub fn new() -> Self {
        let path = root().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir_all(&path).expect("a folder below the root");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is still in use is removed with the root.
        let _ = fs::remove_dir_all(&self.0);
    }
}
