//! The hands: the daemon that runs on every node.
//!
//! Consensus, storage, sockets, probes and drivers. Nothing here decides what the law
//! (`keiko-core`) decides; [`node`] is the one place where everything is put together.

pub mod backup;
pub mod cli;
pub mod consensus;
pub mod exec;
#[cfg(test)]
mod fuzz;
pub mod lifecycle;
mod moment;
pub mod net;
pub mod node;
pub mod observe;
pub mod outbound;
mod recover;
mod repair;
pub mod rooms;
pub mod settings;
pub mod store;
mod verify;

use cli::{Command, Output, VerifyArgs};
use keiko_core::refusal::Result;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    match cli::parse() {
        Ok(Command::Run(flags)) => match node::run(flags) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => cli::report(&refusal, Output::Text),
        },
        Ok(Command::Check(flags)) => cli::check(&flags),
        Ok(Command::Verify(args)) => ended(verify(&args), args.output),
        Ok(Command::Restore(args)) => ended(backup::restore::run(&args), args.output),
        Ok(Command::Recover(args)) => ended(recover::run(&args), args.output),
        Ok(Command::Repair(args, flags)) => ended(repair::run(&args, &flags), args.output),
        Err(code) => code,
    }
}

/// Of a backup if one is named, else of a data folder; the grammar asks for one of them.
fn verify(args: &VerifyArgs) -> Result<()> {
    match (&args.file, &args.data_dir) {
        (Some(file), _) => backup::verify::run(file, args),
        (None, Some(data_dir)) => verify::run(data_dir, args.output),
        (None, None) => Ok(()),
    }
}

fn ended(result: Result<()>, output: Output) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => cli::report(&refusal, output),
    }
}
