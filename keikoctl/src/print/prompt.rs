//! Questions before something is lost: on a terminal only, never in a script.
//!
//! Who is asked may take their time: Ctrl-C ends the command all the same.

use crate::fault::usage;
use keiko_core::refusal::Refusal;
use std::io::{BufRead, IsTerminal, Write};
use tokio::sync::oneshot;

/// What a destructive verb was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consent {
    /// `--yes`.
    pub yes: bool,
    /// `--no-input`.
    pub no_input: bool,
}

/// True if consent is there, or somebody can be asked for it.
pub(crate) fn can_ask(consent: Consent) -> bool {
    let somebody = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    consent.yes || (somebody && !consent.no_input)
}

/// What to say where nobody can be asked.
pub(crate) fn needs_yes(what: &str) -> Refusal {
    usage("this needs --yes: there is nobody to ask")
        .cause(what)
        .hint("add --yes if that is what you want")
}

/// Asks while the rest of the command goes on, so that it hears Ctrl-C.
pub(crate) async fn confirm(question: String) -> bool {
    let (sender, receiver) = oneshot::channel();
    // A thread of its own and not one of the runtime's: the process ends without an answer too.
    let asking = std::thread::Builder::new().spawn(move || {
        // Nobody hears it if the command ended meanwhile.
        let _ = sender.send(ask(&question));
    });
    asking.is_ok() && receiver.await.unwrap_or(false)
}

/// Asks, and does nothing else meanwhile. A terminal that went away answers no.
pub(crate) fn ask(question: &str) -> bool {
    let question = format!("{} [y/N] ", super::escape::line(question));
    // Not locked while somebody thinks: others have something to say too.
    let mut stderr = std::io::stderr();
    if stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).is_err() {
        return false;
    }
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let answer = answer.trim().to_ascii_lowercase();
    read.is_ok() && (answer == "y" || answer == "yes")
}
