//! The journal room: `event tail`, `event get`.

mod args;
mod run;
mod table;

pub use args::EventVerb;
pub use run::run;
