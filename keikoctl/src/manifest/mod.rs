//! Manifests: objects as files have them, applied, compared and deleted together.
//!
//! `source` finds the texts, `node` reads them with their places, `check` and `read` make manifests
//! of them, `order` says what goes first; `apply`, `diff` and `delete` are the verbs.
//!
//! Invariants: everything is read and checked before anything is sent; a fault has a file, a line
//! and a field; what probes find is accepted and has no effect, so that what `get -o yaml` prints
//! can be applied unchanged. What a manifest does is the law's to decide.

mod apply;
mod args;
mod check;
mod delete;
mod diff;
mod node;
mod order;
mod problem;
mod prune;
mod read;
mod ready;
mod removal;
mod send;
mod source;
mod unified;

#[cfg(test)]
mod tests;

pub(crate) use apply::run as apply;
pub(crate) use args::{ApplyArgs, DeleteFilesArgs, DiffArgs};
pub(crate) use delete::run as delete;
pub(crate) use diff::run as diff;

use args::Files;
use keiko_core::refusal::Result;
use read::Manifest;

/// What `-f` names, read and checked.
fn load(files: &Files) -> Result<Vec<Manifest>> {
    let sources = source::read(&files.names, files.recursive, &mut std::io::stdin().lock())?;
    read::manifests(&sources, &files.namespace())
}

#[cfg(test)]
mod fuzz;
