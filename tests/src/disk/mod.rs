//! A disk that lies: a file system in the memory of the tests, for a real daemon to run on.
//!
//! What was not synced is kept apart from what was, for every file and for the names in every
//! folder, and a [`Disk::power_cut`] forgets it, all of it or a part that a seed chooses. On
//! command it refuses, fails, waits, reads short and turns bits over ([`Rule`]), has no room left,
//! or can't be written any more.
//!
//! It lies in memory and not over a folder: what is durable is then exactly what this says, a
//! whole disk can be copied and put back ([`Image`]) in no time, and what a cut takes is gone for
//! the kernel too, because the disk is mounted anew.
//!
//! Never: outlives the tests. It is unmounted when it is dropped and when the process ends.

pub mod content;
pub mod faults;
pub mod file;
mod kernel;
mod mounting;
mod server;
mod state;
pub mod volume;

pub use faults::{Ask, Fault, Rule};
pub use file::Survival;
pub use fuser::Errno;

use crate::report::Dice;
use faults::Faults;
use mounting::Mounting;
use nix::unistd::{getgid, getuid};
use server::Server;
use state::{State, lock};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use volume::Volume;

/// As large as a disk of a small node; only what is written takes memory.
const SIZE_BYTES: u64 = 16 << 30;

/// A mounted disk.
pub struct Disk {
    // Dropped first: nobody is served any more.
    mounting: Option<Mounting>,
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

/// Everything that was on a disk.
#[derive(Clone, Debug)]
pub struct Image(Volume);

impl Image {
    /// What is left after a power cut now.
    pub fn cut(&self, survival: Survival, seed: u64) -> Self {
        let mut volume = self.0.clone();
        volume.cut(survival, &mut Dice(seed));
        Self(volume)
    }

    /// The path and the length of every file.
    pub fn files(&mut self) -> Vec<(PathBuf, u64)> {
        let files = self.0.files();
        let length = |(path, number)| {
            let length = self.0.node(number).and_then(volume::Node::file).map(|f| f.now().length());
            (path, length.unwrap_or(0))
        };
        files.into_iter().map(length).collect()
    }
}

impl Disk {
    /// Why there can be no such disk here, if so.
    pub fn lacks() -> Option<String> {
        if !getuid().is_root() {
            return Some("to mount a file system takes root".to_owned());
        }
        let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
        device.err().map(|error| format!("/dev/fuse: {error}"))
    }

    /// Mounts an empty one on a folder, which is made.
    pub fn mount(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("a folder to mount it on");
        let volume = Volume::empty((getuid().as_raw(), getgid().as_raw()));
        let faults = Faults::default();
        let state = State { volume, faults, size: SIZE_BYTES, taken: 0, mount: 0 };
        let state = Arc::new(Mutex::new(state));
        let mut disk = Self { mounting: None, state, path: path.to_owned() };
        disk.remount();
        disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The power goes and comes back. Whoever still has a file of it open gets errors from it.
    pub fn power_cut(&mut self, survival: Survival, seed: u64) {
        self.state().volume.cut(survival, &mut Dice(seed));
        self.remount();
    }

    /// All that is on it.
    pub fn image(&self) -> Image {
        Image(self.state().volume.clone())
    }

    /// Puts an image in the place of all that is on it, as after a power cut that lost nothing;
    /// faults end.
    pub fn restore(&mut self, image: &Image) {
        let Image(volume) = image.cut(Survival::Everything, 0);
        let mut state = self.state();
        (state.volume, state.taken) = (volume, 0);
        state.faults.clear();
        drop(state);
        self.remount();
    }

    /// Does something wrong from now on.
    pub fn fail(&self, rule: Rule) {
        self.state().faults.add(rule);
    }

    /// Does nothing wrong any more, and has room again.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.taken = 0;
    }

    /// Says that it synced, and did not.
    pub fn lie_about_syncs(&self) {
        self.fail(Rule::new(Ask::Sync, "*", Fault::Lie));
    }

    /// Can't be changed from now on, as a file system that found an error in itself.
    pub fn make_read_only(&self) {
        self.state().faults.read_only = true;
    }

    /// Somebody else takes so much that this many bytes are left.
    pub fn leave_free(&self, bytes: u64) {
        let mut state = self.state();
        state.taken = 0;
        state.taken = state.free().saturating_sub(bytes);
    }

    /// Free room in bytes.
    pub fn free(&self) -> u64 {
        self.state().free()
    }

    /// How often a [`Rule`] did something wrong.
    pub fn faults_given(&self) -> u64 {
        self.state().faults.given()
    }

    /// How often this was asked for files of this name, in which `*` stands for anything.
    pub fn asked(&self, ask: Ask, files: &str) -> u64 {
        self.state().faults.asked(ask, files)
    }

    /// The same since something was done wrong last.
    pub fn asked_since_fault(&self, ask: Ask, files: &str) -> u64 {
        self.state().faults.asked_since_fault(ask, files)
    }

    /// Changes that a power cut would lose.
    pub fn pending(&self) -> usize {
        self.state().volume.pending()
    }

    /// Makes the bytes of files of this name durable though nobody synced them, as a kernel does
    /// when it likes.
    pub fn write_back(&self, files: &str) {
        let mut state = self.state();
        for (path, number) in state.volume.files() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if faults::fits(files, &name) {
                let file = state.volume.node(number).and_then(volume::Node::file);
                file.expect("it was listed").sync();
            }
        }
    }

    /// Turns one bit of a file over for good. The daemon must not run.
    pub fn flip(&self, file: &Path, offset: u64, bit: u32) {
        let mut state = self.state();
        let number = state.volume.find(file).expect("the file is there");
        let node = state.volume.node(number).expect("it was found");
        node.file().expect("it is a file").flip(offset, bit);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn remount(&mut self) {
        self.state().mount += 1;
        drop(self.mounting.take());
        let server = Server::new(Arc::clone(&self.state));
        self.mounting = Some(Mounting::new(server, &self.path).expect("it is mounted"));
    }
}
