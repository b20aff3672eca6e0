//! `./x cargo ARGS…`: cargo with the build folder that all verbs share, so nothing compiles twice.

use crate::{Outcome, checkout::Checkout, process};
use anyhow::Context;
use std::os::unix::process::CommandExt;

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    let here = std::env::current_dir().context("the current folder is gone")?;
    let mut command = process::cargo(checkout);
    if here.starts_with(&checkout.root) {
        command.current_dir(here);
    }
    let error = command.args(arguments).exec();
    Err(error).context("can't start cargo")
}
