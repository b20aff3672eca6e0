//! `version`: no daemon is asked.

use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::Printer;
use serde_json::json;

pub(crate) fn run(printer: &Printer) -> Outcome {
    printer.refuse_csv()?;
    let version = env!("CARGO_PKG_VERSION");
    printer.document(&json!({"version": version}), |_| format!("keikoctl {version}\n"))?;
    Ok(Exit::Done)
}
