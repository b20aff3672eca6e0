//! openraft's own suites: the runtime, the log and the machine are what it takes them for.

use super::disk::Disk;
use super::log::Log;
use super::machine::Machine;
use super::runtime::{Simulated, run};
use super::seen::Seen;
use super::types::Types;
use openraft::StorageError;
use openraft::rt::testing::Suite as RuntimeSuite;
use openraft::testing::log::{StoreBuilder, Suite};

/// The node whose store it is.
const NODE: u64 = 1;

struct Fresh;

impl StoreBuilder<Types, Log, Machine> for Fresh {
    async fn build(&self) -> Result<((), Log, Machine), StorageError<Types>> {
        let (disk, seen) = (Disk::new(None), Seen::new(&[]));
        disk.start_flusher();
        let log = Log::new(NODE, disk.clone(), seen.clone());
        Ok(((), log, Machine::open(NODE, disk, seen)))
    }
}

/// Panics where one of them is not.
pub fn conform() {
    RuntimeSuite::<Simulated>::test_all();
    let (passed, _) = run(1, Suite::test_all(Fresh));
    passed.expect("log and machine pass the suite");
}
