//! The security room: `agent token`.

mod args;
mod run;
mod table;

pub(crate) use args::TokenArgs;
pub(crate) use run::run;
