//! The face: one command for people, scripts and CI.
//!
//! `cli` is the grammar, `rooms/<room>` the verbs, `print` what is seen, `fault` and `exit` how it
//! ends. Invariants: stdout is data and stays empty when something is refused; the exit code tells
//! the class of the refusal; text of others never reaches a terminal unescaped.
//! It never talks to RocksDB or openraft: whatever it knows, a daemon told it.

mod cli;
mod complete;
mod context;
mod dev;
mod doctor;
mod exit;
mod explain;
mod fault;
#[cfg(test)]
mod fuzz;
mod generate;
mod help;
mod manifest;
mod print;
mod rooms;
mod schema;
mod session;
mod settings;
mod usage;
mod version;

use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Verb};
use context::{ContextVerb, Surroundings};
use exit::Exit;
use fault::{Outcome, Stop};
use keiko_core::refusal::{Code, Refusal};
use print::Printer;
use session::{Interrupt, Session};
use settings::{Files, Given};
use std::io::Write;
use std::process::ExitCode;

/// The whole command.
pub fn main() -> ExitCode {
    run().into()
}

fn run() -> Exit {
    let words: Vec<_> = std::env::args_os().collect();
    if complete::answer(&words) {
        return Exit::Done;
    }
    let files = Files::read(&Surroundings::of_process());
    let command = help::dress(Cli::command());
    let command = match &files {
        Ok(files) => files.dress(command, &words),
        Err(_) => command,
    };
    let parsed = command
        .try_get_matches_from(&words)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, Given::of(&matches))));
    let (Cli { mut globals, verb, .. }, given) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage::show(&error, &words),
    };
    globals.given = given;
    let unread = match files {
        Ok(files) => {
            files.fill(&mut globals);
            None
        }
        Err(refusal) => Some(refusal),
    };
    let as_json = globals.output.as_ref().is_some_and(print::Format::is_json);
    let style = print::Style::of(globals.color, &std::io::stderr());
    let ended = match unread {
        Some(refusal) if verb.needs_files() => Err(refusal.into()),
        _ => dispatch(verb, globals.printer(), globals),
    };
    match ended {
        Ok(exit) => exit,
        Err(Stop::PipeClosed) => Exit::Done,
        Err(Stop::Interrupted) => Exit::Interrupted,
        Err(Stop::Refused(fault)) => {
            let text = if as_json { fault.json() } else { fault.human(&style) };
            // The exit code says it too, if stderr is gone.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            Exit::of(&fault.refusal)
        }
    }
}

/// What needs no daemon runs at once; everything else on a runtime of one thread.
fn dispatch(verb: Verb, printer: Printer, globals: cli::Globals) -> Outcome {
    match verb {
        Verb::Version => version::run(&printer),
        Verb::Explain(args) => explain::run(&args, &printer),
        Verb::Completion(args) => generate::completion(args.shell, &printer),
        Verb::Help(args) => help::run(&args, &printer),
        Verb::Generate(args) => generate::everything(&args.folder),
        Verb::Context(verb) if !matches!(verb, ContextVerb::Test(_)) => {
            context::run(verb, &globals, &printer)
        }
        other => {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
                    |error| Refusal::new(Code::Internal, "the runtime does not start").cause(error),
                )?;
            let session = Session::new(globals, printer);
            runtime.block_on(online(other, &session))
        }
    }
}

async fn online(verb: Verb, session: &Session) -> Outcome {
    // `dev` ends by Ctrl-C as it should end, so it listens itself.
    let verb = match verb {
        Verb::Dev => return Box::pin(dev::run(session)).await,
        // What it hears is for the command that it runs.
        Verb::Lock(verb) if verb.runs() => {
            return Box::pin(rooms::coordination::run(verb, session)).await;
        }
        other => other,
    };
    let mut work = Box::pin(async {
        match verb {
            Verb::Doctor => doctor::run(session).await,
            Verb::Context(ContextVerb::Test(args)) => context::test(args, session).await,
            other => rooms::run(other, session).await,
        }
    });
    let mut again = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut work => return ended,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|error| {
                Refusal::new(Code::Internal, "signals can't be caught").cause(error)
            })?,
        }
        match session.interrupted() {
            Interrupt::Warns(words) if !again => session.printer.note(&words),
            Interrupt::Detaches(words) => {
                session.printer.note(&words);
                return Err(Stop::Interrupted);
            }
            Interrupt::Ends | Interrupt::Warns(_) => return Err(Stop::Interrupted),
        }
        again = true;
    }
}
