//! Questions before something is lost: on a terminal only, never in a script.

use crate::fault::usage;
use keiko_core::refusal::Refusal;
use std::io::{BufRead, IsTerminal, Write};

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

/// Asks. A terminal that went away answers no.
pub(crate) fn confirm(question: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let asked = write!(stderr, "{} [y/N] ", super::escape::line(question));
    if asked.and_then(|()| stderr.flush()).is_err() {
        return false;
    }
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let answer = answer.trim().to_ascii_lowercase();
    read.is_ok() && (answer == "y" || answer == "yes")
}
