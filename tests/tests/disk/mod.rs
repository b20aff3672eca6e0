//! The real daemon on a disk that lies (see [`keiko_tests::disk`]).
//!
//! ```text
//! itself   the disk does what it says, or nothing below means anything
//! power    power cuts under load: no acknowledged write is missing, no term is led twice
//! bits     one bit flipped in every kind of file
//! tail     the log's end torn, cut or missing
//! errors   EIO, a disk that turns read-only, slow, short
//! room     a full disk, also with the ballast given up
//! install  the start with half an installed snapshot
//! clock    a wall clock that is a year back, or was a year ahead
//! ```

mod bits;
mod clock;
mod errors;
mod install;
mod itself;
mod load;
mod power;
mod room;
mod tail;

use keiko_tests::disk::{Disk, Image, Survival};
use keiko_tests::{Node, Plan, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// What a daemon that is to end by itself may take.
const END: Duration = Duration::from_secs(40);

/// A daemon whose data folder is such a disk.
pub(crate) struct Rig {
    // Dropped first: it ends before its disk goes.
    pub(crate) node: Node,
    pub(crate) disk: Disk,
}

/// How a start came out.
#[derive(Debug)]
pub(crate) enum Started {
    /// It serves.
    Ready,
    /// It ended by itself, and said this.
    Refused { said: String },
}

impl Rig {
    /// A daemon that is not started on an empty disk; `None` where there can be no such disk.
    pub(crate) fn prepare(plan: Plan) -> Option<Self> {
        if let Some(reason) = Disk::lacks() {
            skip("disk", &reason);
            return None;
        }
        let node = Node::prepare(plan);
        let disk = Disk::mount(&node.data());
        Some(Self { node, disk })
    }

    /// A daemon that is ready.
    pub(crate) fn start() -> Option<Self> {
        let mut rig = Self::prepare(Plan::default())?;
        rig.node.launch();
        rig.node.wait_ready();
        Some(rig)
    }

    /// A plug is pulled: the daemon and what was not synced are gone.
    pub(crate) fn power_cut(&mut self, survival: Survival, seed: u64) {
        self.node.kill_9();
        self.disk.power_cut(survival, seed);
    }

    /// Starts the daemon on an image and waits until it is ready or has ended.
    pub(crate) fn start_on(&mut self, image: &Image) -> Started {
        self.disk.restore(image);
        self.start_again()
    }

    /// Starts the daemon and waits until it is ready or has ended.
    pub(crate) fn start_again(&mut self) -> Started {
        let before = self.node.log().len();
        self.node.launch();
        let pid = Pid::from_raw(i32::try_from(self.node.pid()).expect("a pid fits"));
        let end = Instant::now() + END;
        let mut said = String::new();
        while Instant::now() < end {
            let ready = keiko_tests::http::get(&self.node.socket(), "/readyz");
            if ready.is_ok_and(|answer| answer.status == 200) {
                return Started::Ready;
            }
            said = self.node.log().get(before..).unwrap_or_default().to_owned();
            // A process that ended and that nobody waited for takes no signal that counts.
            if !keiko_tests::processes::is_alive(pid.as_raw()) {
                self.node.wait_end();
                said = self.node.log().get(before..).unwrap_or_default().to_owned();
                return Started::Refused { said };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = kill(pid, Signal::SIGKILL);
        panic!("neither ready nor refused within {END:?}:\n{said}");
    }

    /// The daemon has ended or ends now; what it said since `from` bytes of its log.
    pub(crate) fn end_by_itself(&mut self, from: usize) -> String {
        self.node.wait_end();
        self.node.log().get(from..).unwrap_or_default().to_owned()
    }

    /// The offline scan finds everything in order.
    pub(crate) fn verify(&self) {
        let data = self.node.data().display().to_string();
        self.node.run(&["verify", "--data-dir", &data].map(str::to_owned)).ok();
    }
}

impl Started {
    /// It serves.
    #[track_caller]
    pub(crate) fn ready(self) {
        match self {
            Self::Ready => {}
            Self::Refused { said } => panic!("it did not start:\n{said}"),
        }
    }

    /// It refused, with this code and these words.
    #[track_caller]
    pub(crate) fn refused(self, code: &str, words: &[&str]) {
        match self {
            Self::Ready => panic!("it started, and {code} was expected"),
            Self::Refused { said } => says(&said, code, words),
        }
    }
}

/// What was said has the code and the words.
#[track_caller]
pub(crate) fn says(said: &str, code: &str, words: &[&str]) {
    assert!(said.contains(code), "no {code}:\n{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing:\n{said}");
    }
}
