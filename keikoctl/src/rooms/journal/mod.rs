//! The journal room: `event tail`, `event get`.

mod args;
mod run;
mod table;

pub(crate) use args::EventVerb;
pub(crate) use run::run;
pub(crate) use table::actor;
