//! `eval "$(./x env)"`: puts keikod, keikoctl and the peers on PATH.
//!
//! stdout is for the shell alone; what is missing is built first, and that talks on stderr.

use crate::{Outcome, checkout::Checkout, peers, process};
use std::process::ExitCode;

pub(crate) fn run(checkout: &Checkout, _arguments: &[String]) -> Outcome {
    let programs = checkout.programs();
    if ["keikod", "keikoctl"].iter().any(|name| !programs.join(name).exists()) {
        eprintln!("x env: building keikod and keikoctl first");
        process::build(checkout)?;
    }
    if let Err(error) = peers::ensure(checkout) {
        eprintln!("x env: the peers are not there: {error:#}");
    }
    let folders = [programs, checkout.peers().join("bin")];
    let folders = folders.map(|folder| process::quoted(&folder.to_string_lossy())).join(":");
    println!("export PATH={folders}:\"$PATH\"");
    Ok(ExitCode::SUCCESS)
}
