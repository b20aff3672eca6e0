//! The security room: `agent token`.

mod args;
mod run;
mod table;

pub use args::TokenArgs;
pub use run::run;
