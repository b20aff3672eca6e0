//! What `agent token` takes.

use crate::print::time;
use crate::rooms::registry::flags::{Namespace, RequestId};
use clap::Args;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// Whose entry it may touch: NAME or agent/NAME.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How long it lives, at most 90d.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = time::duration)]
    pub ttl: Duration,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub request: RequestId,
}
