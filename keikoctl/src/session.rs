//! What a verb has at hand: the flags, the printer, and a connection when it needs one.

use crate::cli::Globals;
use crate::context::{self, Surroundings};
use crate::fault::Outcome;
use crate::print::Printer;
use crate::print::prompt::Consent;
use keiko_client::Client;
use std::time::Duration;

/// Reads and writes of the cluster itself.
pub(crate) const QUICK: Duration = Duration::from_secs(10);
/// What waits for a far side: a cold agent takes ten seconds to its first answer.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// One run of the command.
pub(crate) struct Session {
    pub globals: Globals,
    pub printer: Printer,
}

impl Session {
    pub(crate) fn new(globals: Globals, printer: Printer) -> Self {
        Self { globals, printer }
    }

    /// The deadline: the caller's, or that of the verb.
    pub(crate) fn timeout(&self, usual: Duration) -> Duration {
        self.globals.timeout.unwrap_or(usual)
    }

    /// Connects to the daemon that is meant.
    pub(crate) async fn client(&self, usual: Duration) -> Outcome<Client> {
        let around = Surroundings::of_process();
        let way = context::way(&self.globals, &around)?;
        self.printer.detail(&format!("endpoint {} from {}", way.endpoint, way.origin));
        let settings = context::settings(way, &self.globals, &around, self.timeout(usual))?;
        let client = Client::with(settings).await?;
        self.printer.detail(&format!("trace {}", client.trace_id()));
        Ok(client)
    }

    /// Consent to something destructive.
    pub(crate) fn consent(&self, yes: bool) -> Consent {
        Consent { yes, no_input: self.globals.no_input }
    }
}
