//! The coordination room: `lock`.
//!
//! `run` has the verbs of locks, `exec` the one that runs a command under a lock, `life` the session
//! behind each of them, `window` and `barrier` a noun each. Invariants: a session that was opened
//! here and is told to nobody is closed here; a command that runs under a lock ends with it. Never:
//! says that a lock is held because a clock of this machine says so.

mod args;
mod barrier;
mod exec;
mod life;
mod run;
mod table;
mod window;

pub(crate) use args::LockVerb;
pub(crate) use run::run;
