//! What a daemon under test does to itself because its environment says so: it does not hear some of
//! its peers, breaks a transfer off, or has a bug on purpose. keikod itself knows none of these
//! variables.

use crate::under_test::MARK;
use keikod::consensus::peer::faults;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names a file with a line `FROM TO` for each way on which nothing gets through.
pub const CUT_FILE: &str = "KEIKO_TEST_CUT_FILE";
/// Names a bug: [`LEADER_RESTORE`] or [`STALE_READ`].
pub const BUG: &str = "KEIKO_TEST_BUG";
/// A leader that comes back goes on in its term without a vote.
pub const LEADER_RESTORE: &str = "leader-restore";
/// A linearizable read asks nobody.
pub const STALE_READ: &str = "stale-read";
/// Of the bytes of the first snapshot that it sends so many percent go out, and then nothing.
pub const SNAPSHOT_CUT: &str = "KEIKO_TEST_SNAPSHOT_CUT";
/// Takes the daemon for one of a release that understands this feature level.
pub const LEVEL: &str = "KEIKO_TEST_LEVEL";

/// How old a daemon's knowledge of the file may be.
pub const LOOK: Duration = Duration::from_millis(50);

/// Call it before the daemon begins.
pub fn prepare() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    if let Some(path) = std::env::var_os(CUT_FILE) {
        let known = Known::new(Path::new(&path));
        faults::cut_by(move |from, to| known.is_cut(from, to));
    }
    match std::env::var(BUG).as_deref() {
        Ok(LEADER_RESTORE) => faults::restore_leaders(),
        Ok(STALE_READ) => faults::read_stale(),
        Ok(other) => panic!("{BUG}: there is no bug {other:?}"),
        Err(_) => {}
    }
    if let Ok(level) = std::env::var(LEVEL) {
        let number = level.parse::<u32>();
        faults::understand(number.unwrap_or_else(|_| panic!("{LEVEL}: {level:?} is no number")));
    }
    if let Ok(percent) = std::env::var(SNAPSHOT_CUT) {
        let number = percent.parse::<u64>();
        let number = number.unwrap_or_else(|_| panic!("{SNAPSHOT_CUT}: {percent:?} is no number"));
        faults::cut_snapshot_at(number);
    }
}

/// The file, as it was a moment ago.
struct Known {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    cut: BTreeSet<(String, String)>,
}

impl Known {
    fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), seen: Mutex::default() }
    }

    /// Asked for each message, so it looks at the file seldom.
    fn is_cut(&self, from: &str, to: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            // A file that is gone cuts nothing: its tests are over.
            let text = fs::read_to_string(&self.path).unwrap_or_default();
            let pairs = text.lines().filter_map(|line| line.split_once(' '));
            seen.cut = pairs.map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
            seen.looked = Some(Instant::now());
        }
        !seen.cut.is_empty() && seen.cut.contains(&(from.to_owned(), to.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cuts;

    #[test]
    fn what_is_written_is_cut() {
        let mut cuts = Cuts::new();
        let known = Known::new(&cuts.path());
        assert!(!known.is_cut("n1", "n2"));
        cuts.one_way(0, 1);
        assert!(known.is_cut("n1", "n2"));
        assert!(!known.is_cut("n2", "n1"));
        cuts.both_ways(0, 1);
        assert!(known.is_cut("n2", "n1"));
        cuts.isolate(2, &[0, 1]);
        assert!(known.is_cut("n3", "n1") && known.is_cut("n2", "n3"));
        cuts.heal();
        assert!(!known.is_cut("n1", "n2"));
    }
}
