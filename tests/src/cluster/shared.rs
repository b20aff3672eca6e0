//! The three nodes that most cases about clusters share, one case at a time.
//!
//! A case may kill, pause and cut as it likes: the next one finds a cluster that is whole again, or
//! a new one. What it declared stays there, under names of its own.

use super::Cluster;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What coming together again may take before a new cluster is made.
const MEND: Duration = Duration::from_secs(40);

static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);

/// The shared cluster, for as long as this lives.
pub struct Turn(MutexGuard<'static, Option<Cluster>>);

/// Waits for its turn; then the cluster has three voters, a leader, and nothing wrong.
#[track_caller]
pub fn shared_cluster() -> Turn {
    let mut cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    let is_whole = cluster.as_mut().is_some_and(|cluster| {
        cluster.undo();
        cluster.whole_within(MEND).is_ok()
    });
    if !is_whole {
        // The old one ends first: its processes would only be in the way.
        drop(cluster.take());
        *cluster = Some(Cluster::start(3));
    }
    Turn(cluster)
}

impl Deref for Turn {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("it was started")
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut Cluster {
        self.0.as_mut().expect("it was started")
    }
}
