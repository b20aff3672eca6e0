//! What `event` can do.

use crate::rooms::registry::flags::Look;
use clap::{Args, Subcommand};
use std::num::ParseIntError;

#[derive(Subcommand)]
pub(crate) enum EventVerb {
    /// Events in order: the last 20 revisions, or from one on.
    #[command(
        before_help = "Examples:\n  keikoctl event tail --follow\n  keikoctl event tail --from 0 --limit 50 -o jsonl\n  keikoctl event tail --type keiko.registry.agent"
    )]
    Tail(TailArgs),
    /// The events of one revision.
    #[command(before_help = "Examples:\n  keikoctl event get 42 -o yaml")]
    Get(GetArgs),
}

#[derive(Args)]
pub(crate) struct TailArgs {
    /// From this revision on; 0: everything that is kept.
    #[arg(long, value_name = "REVISION")]
    pub from: Option<u64>,
    /// At most this many events: the newest, or with --from the first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Stay and show what happens.
    #[arg(short, long)]
    pub follow: bool,
    /// Only types that begin so; may be repeated.
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only this subject, or what lies below it, as in agent/default/hello.
    #[arg(long, value_name = "SUBJECT", default_value = "", hide_default_value = true)]
    pub subject: String,
    #[command(flatten)]
    pub look: Look,
}

fn revision(text: &str) -> Result<u64, ParseIntError> {
    text.strip_prefix("event/").unwrap_or(text).parse()
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// The revision, or event/REVISION as -o name prints it.
    #[arg(value_name = "REVISION", value_parser = revision)]
    pub revision: u64,
    #[command(flatten)]
    pub look: Look,
}
