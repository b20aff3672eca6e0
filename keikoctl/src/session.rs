//! What a verb has at hand: the flags, the printer, and a connection when it needs one.

use crate::cli::Globals;
use crate::context::{self, Surroundings, Way};
use crate::fault::Outcome;
use crate::print::prompt::Consent;
use crate::print::{Printer, Progress};
use keiko_client::{Client, Identity};
use std::cell::RefCell;
use std::time::Duration;

/// Reads and writes of the cluster itself.
pub(crate) const QUICK: Duration = Duration::from_secs(10);
/// What waits for a far side: a cold agent takes ten seconds to its first answer.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// What the first Ctrl-C does. The second one always ends the command at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Ends the command.
    #[default]
    Ends,
    /// Ends the command, which only looked on, and says this.
    Detaches(String),
    /// Says this, and the command goes on until the second one.
    Warns(String),
}

/// One run of the command.
pub(crate) struct Session {
    pub globals: Globals,
    pub printer: Printer,
    interrupt: RefCell<Interrupt>,
}

impl Session {
    pub(crate) fn new(globals: Globals, printer: Printer) -> Self {
        Self { globals, printer, interrupt: RefCell::default() }
    }

    /// The deadline: the caller's, or that of the verb.
    pub(crate) fn timeout(&self, usual: Duration) -> Duration {
        self.globals.timeout.unwrap_or(usual)
    }

    /// Connects to the daemon that is meant.
    pub(crate) async fn client(&self, usual: Duration) -> Outcome<Client> {
        let around = Surroundings::of_process();
        let way = context::way(&self.globals, &around)?;
        let (client, _) = self.client_by(way, &around, usual).await?;
        Ok(client)
    }

    /// Connects by a way, and tells as whom.
    pub(crate) async fn client_by(
        &self,
        way: Way,
        around: &Surroundings,
        usual: Duration,
    ) -> Outcome<(Client, Identity)> {
        self.printer.detail(&format!("endpoint {} from {}", way.endpoint, way.origin));
        let renewal = context::Renewal::of(&way);
        let settings = context::settings(way, &self.globals, around, self.timeout(usual))?;
        let identity = settings.identity.clone();
        let client = Client::with(settings).await?;
        self.printer.detail(&format!("trace {}", client.trace_id()));
        let turns = client.sees_another_authority();
        if let Some(renewal) = renewal.filter(|renewal| renewal.is_due || turns) {
            // It is no part of what the caller may do only while it holds a lock.
            renewal.run(&client.fenced(None)?, &identity, &self.printer).await;
        }
        Ok((client, identity))
    }

    /// Consent to something destructive.
    pub(crate) fn consent(&self, yes: bool) -> Consent {
        Consent { yes, no_input: self.globals.no_input }
    }

    /// A sign of life on stderr until it is dropped: on a terminal only, and not with `-q`.
    pub(crate) fn progress(&self, words: impl Into<String>) -> Progress {
        self.printer.progress(words)
    }

    /// What the first Ctrl-C does from now on.
    pub(crate) fn on_interrupt(&self, what: Interrupt) {
        self.interrupt.replace(what);
    }

    /// What this command looks at goes on without it: Ctrl-C says how to look again.
    pub(crate) fn detaches(&self) {
        self.on_interrupt(Interrupt::Detaches(format!("detached; to look again: {}", typed())));
    }

    /// A sign of life while a call runs. It ends with the connection, so the first Ctrl-C only warns.
    pub(crate) fn calling(&self, name: &str) -> Progress {
        self.on_interrupt(Interrupt::Warns(format!(
            "the call of {name} goes on; Ctrl-C again cancels it, and what it did so far stays done"
        )));
        self.progress(format!("calling {name}"))
    }

    pub(crate) fn interrupted(&self) -> Interrupt {
        self.interrupt.borrow().clone()
    }
}

/// The command line as it could be typed again.
fn typed() -> String {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("keikoctl".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_can_be_typed_again() {
        for (word, expect) in [
            ("list", "list"),
            ("--for=condition=Ready", "--for=condition=Ready"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expect);
        }
    }
}
