//! Questions before something is lost: on a terminal only, never in a script.

use crate::fault::{Outcome, usage};
use std::io::{BufRead, IsTerminal, Write};

/// What a destructive verb was told.
#[derive(Clone, Copy, Debug)]
pub struct Consent {
    /// `--yes`.
    pub yes: bool,
    /// `--no-input`.
    pub no_input: bool,
}

/// True if it may go on. Elsewhere than on a terminal it needs `--yes`.
pub fn confirm(consent: Consent, question: &str) -> Outcome<bool> {
    if consent.yes {
        return Ok(true);
    }
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if consent.no_input || !can_ask {
        return Err(usage("this needs --yes: there is nobody to ask")
            .cause(question.trim_end_matches('?'))
            .hint("add --yes if that is what you want")
            .into());
    }
    let mut stderr = std::io::stderr().lock();
    // A terminal that went away answers no.
    let _ = write!(stderr, "{} [y/N] ", super::escape::line(question)).and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let answer = answer.trim().to_ascii_lowercase();
    Ok(read.is_ok() && (answer == "y" || answer == "yes"))
}
