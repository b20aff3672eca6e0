//! How well children are kept apart on this machine.
//!
//! Found out once, by trying each measure in a process that then ends. A measure that is possible
//! is required from then on: a child for which it fails does not run. One that is not possible is
//! left out and says why, for `doctor`.

use super::cgroup::Cgroups;
use super::confine::{Confinement, Cover, attempt};
use crate::exec::account::Account;

/// Whether a measure is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// It is.
    On,
    /// It is not, and why.
    Off(String),
}

impl Measure {
    /// True if it is taken.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On)
    }
}

/// The measures that a machine or a sandbox may lack. What is always there is not listed: a session
/// of its own, no inherited descriptors, limits, the death signal, no capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// What a child forks is found and ended with it.
    pub cgroup: Measure,
    /// Commands run as another user than keikod.
    pub own_user: Measure,
    /// A command that runs as root sees the data folder covered.
    pub mount_namespace: Measure,
}

impl Isolation {
    /// Tries everything. `root`: keikod runs as root; `covers`: what would be covered.
    pub(super) fn find(root: bool, cgroups: &Result<Cgroups, String>, covers: &[Cover]) -> Self {
        let not_root = || {
            Measure::Off(
                "keikod is not root, so commands run as keikod and see what it sees".into(),
            )
        };
        Self {
            cgroup: match cgroups {
                Ok(cgroups) => enter(cgroups),
                Err(why) => Measure::Off(why.clone()),
            },
            own_user: if root {
                tried(Confinement { account: Some(NOBODY), ..Default::default() })
            } else {
                not_root()
            },
            mount_namespace: if root {
                tried(Confinement {
                    covers: covers.to_vec(),
                    powerless: true,
                    ..Default::default()
                })
            } else {
                not_root()
            },
        }
    }
}

/// The number that the kernel itself uses for nobody.
const NOBODY: Account = Account { uid: 65_534, gid: 65_534, groups: Vec::new() };

fn enter(cgroups: &Cgroups) -> Measure {
    let cgroup = match cgroups.create("attempt") {
        Ok(cgroup) => cgroup,
        Err(error) => return Measure::Off(error.to_string()),
    };
    let measure = match cgroup.entrance() {
        Ok(entrance) => tried(Confinement { cgroup: Some(entrance), ..Default::default() }),
        Err(error) => Measure::Off(error.to_string()),
    };
    cgroup.end(std::time::Instant::now() + std::time::Duration::from_secs(1));
    measure
}

fn tried(confinement: Confinement) -> Measure {
    match attempt(confinement) {
        Ok(()) => Measure::On,
        Err(failed) => Measure::Off(format!("can't {}: {}", failed.step, failed.error)),
    }
}
