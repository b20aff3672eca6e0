//! The hands: the daemon that runs on every node.
//!
//! Consensus, storage, sockets, probes and drivers. Nothing here decides what the law
//! (`keiko-core`) decides; [`node`] is the one place where everything is put together.

pub mod cli;
pub mod consensus;
pub mod exec;
#[cfg(test)]
mod fuzz;
pub mod lifecycle;
pub mod net;
pub mod node;
pub mod observe;
pub mod outbound;
pub mod rooms;
pub mod settings;
pub mod store;
mod verify;

use cli::{Command, Output};
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    match cli::parse() {
        Ok(Command::Run(flags)) => match node::run(flags) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => cli::report(&refusal, Output::Text),
        },
        Ok(Command::Check(flags)) => cli::check(&flags),
        Ok(Command::Verify { data_dir, output }) => match verify::run(&data_dir, output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => cli::report(&refusal, output),
        },
        Err(code) => code,
    }
}
