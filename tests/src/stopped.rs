//! Processes that are stopped where they stand (SIGSTOP), as a long pause or a full machine does.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

/// Kills what is stopped when this process is gone: stopped, it hears nothing by itself.
const GUARD: &str = r#"read -r word; [ "$word" = done ] || kill -9 -- "$1""#;

/// It stands still until this is dropped.
#[derive(Debug)]
pub struct Stopped {
    target: Pid,
    guard: Child,
}

impl Stopped {
    /// Stops a process of ours.
    #[track_caller]
    pub fn process(pid: u32) -> Self {
        Self::stop(i32::try_from(pid).expect("a pid fits"))
    }

    /// Stops a process group of ours, by its first process.
    #[track_caller]
    pub fn group(pid: u32) -> Self {
        Self::stop(-i32::try_from(pid).expect("a pid fits"))
    }

    #[track_caller]
    fn stop(target: i32) -> Self {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard", &target.to_string()]).stdin(Stdio::piped());
        let guard = guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
        let target = Pid::from_raw(target);
        let stopped = Self { target, guard };
        kill(target, Signal::SIGSTOP).expect("it runs");
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = kill(self.target, Signal::SIGCONT);
        if let Some(stdin) = &mut self.guard.stdin {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.guard.wait();
    }
}
