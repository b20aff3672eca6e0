//! Becomes another program, which the kernel kills when the thread that started it ends.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    keiko_tests::under_test::prepare();
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let Some((program, arguments)) = words.split_first() else { return ExitCode::from(2) };
    if nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).is_err() {
        return ExitCode::from(2);
    }
    let _error = Command::new(program).args(arguments).exec();
    ExitCode::from(127)
}
