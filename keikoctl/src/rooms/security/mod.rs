//! The security room: `agent token` and `cluster token`.

mod args;
mod run;
mod table;
mod tokens;

pub(crate) use args::{TokenArgs, TokenVerb, WHOM};
pub(crate) use run::run;
pub(crate) use tokens::run as token;
