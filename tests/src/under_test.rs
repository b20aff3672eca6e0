//! What the programs under test do before they are the programs.
//!
//! It must not outlive the tests, and it must not show itself to the machine: as root it would
//! leave a link in `/run`, where every keikoctl finds it.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use std::io::Read as _;
use std::time::Duration;

/// Without it the program is a plain keikod. [`HIDDEN`]: it does not show itself to the machine.
/// [`HELD`]: it also ends with its standard input.
pub const MARK: &str = "KEIKO_UNDER_TEST";
/// See [`MARK`].
pub const HIDDEN: &str = "hidden";
/// See [`MARK`].
pub const HELD: &str = "held";

/// How long a daemon whose tests are gone may take to end its children in order.
const GRACE: Duration = Duration::from_secs(15);

/// Call it before anything else.
pub fn prepare() {
    let Ok(mark) = std::env::var(MARK) else { return };
    // Where this is not permitted, the link is left like any daemon's, and removed with it.
    let _ = hide_run();
    if mark == HELD {
        // No thread is there yet, and this one does nothing but wait.
        std::thread::spawn(end_with_the_tests);
    }
}

/// A `/run` of our own, in a mount namespace of our own.
fn hide_run() -> nix::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), flags, Some("mode=0755"))
}

/// The tests hold the other end of our standard input.
fn end_with_the_tests() {
    let mut byte = [0];
    while std::io::stdin().read(&mut byte).is_ok_and(|count| count > 0) {}
    let _ = kill(Pid::this(), Signal::SIGTERM);
    std::thread::sleep(GRACE);
    let _ = kill(Pid::this(), Signal::SIGKILL);
}
