//! What `lock` can do.

use crate::print::time;
use crate::rooms::registry::flags::{Freshness, Look, Namespace, Patience, RequestId, Scope};
use clap::{ArgGroup, Args, Subcommand};
use std::convert::Infallible;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum LockVerb {
    /// Takes a lock, in turn; prints its fencing token and the session that holds it.
    #[command(
        before_help = "Examples:\n  keikoctl lock acquire deploy --ttl 1m\n  keikoctl lock acquire deploy --no-wait -o jsonpath=.fence\n  keikoctl lock acquire gpu --limit 4 --session 0199a3c2-7b1e-7000-8000-000000000001"
    )]
    Acquire(AcquireArgs),
    /// Gives a lock back: the next in line has it at once.
    #[command(
        before_help = "Examples:\n  keikoctl lock release deploy --token 41\n  keikoctl lock release deploy --session 0199a3c2-7b1e-7000-8000-000000000001"
    )]
    Release(ReleaseArgs),
    /// Lets a session live for one ttl more; what it holds stays held.
    #[command(before_help = "Examples:\n  keikoctl lock keep 0199a3c2-7b1e-7000-8000-000000000001")]
    Keep(KeepArgs),
    /// Whether a token still holds, for what the cluster does not keep itself.
    #[command(
        before_help = "Examples:\n  keikoctl lock check deploy --token 41\n  keikoctl lock check deploy --token 41 && rsync -a site/ web:/srv"
    )]
    Check(CheckArgs),
    /// Locks that somebody holds.
    #[command(before_help = "Examples:\n  keikoctl lock list\n  keikoctl lock list -A -o wide")]
    List(ListArgs),
    /// Who holds a lock, and who waits, in turn.
    #[command(
        before_help = "Examples:\n  keikoctl lock get deploy\n  keikoctl lock get deploy -o jsonpath=.holders[0].value"
    )]
    Get(GetArgs),
    /// Runs a command while it holds a lock, and ends it if the lock is lost.
    #[command(
        before_help = "Examples:\n  keikoctl lock run deploy -- ./deploy.sh\n  keikoctl lock run deploy --no-wait -- keikoctl apply -f fleet/\n  keikoctl lock run gpu --limit 4 --ttl 30s -- ./train.sh"
    )]
    Run(RunArgs),
    /// Runs a command while it leads an election: a lock whose value tells everybody who leads.
    #[command(
        before_help = "Examples:\n  keikoctl lock elect scheduler --value 10.0.0.7:8080 -- ./schedule.sh\n  keikoctl lock get scheduler -o jsonpath=.holders[0].value"
    )]
    Elect(ElectArgs),
    /// Times in which something is expected to be down.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl lock window create upgrade --scope node/n1 --for 2h\n  keikoctl lock window list"
    )]
    Window(WindowVerb),
    /// Where several wait until all of them are there.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl lock barrier arrive start --parties 3\n  keikoctl lock barrier list"
    )]
    Barrier(BarrierVerb),
}

impl LockVerb {
    /// True if it runs a command, to which signals are passed on.
    pub(crate) fn runs(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Elect(_))
    }
}

/// What is asked for.
#[derive(Args, Clone)]
pub(crate) struct Asked {
    /// The lock: NAME, or lock/NAME.
    #[arg(value_name = "NAME", value_parser = lock)]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// How many may hold it at a time; all who ask must say the same.
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub limit: u32,
    /// What everybody may read of the holder.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub value: String,
}

#[derive(Args)]
pub(crate) struct AcquireArgs {
    #[command(flatten)]
    pub asked: Asked,
    /// How long its session lives unless it is kept; 10s if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = ttl, conflicts_with = "session")]
    pub ttl: Option<Duration>,
    /// A session that is there already; without it one is opened.
    #[arg(long, value_name = "ID", value_parser = session)]
    pub session: Option<String>,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
#[command(group = ArgGroup::new("holder").args(["session", "token"]).required(true).multiple(true))]
pub(crate) struct ReleaseArgs {
    /// The lock: NAME, or lock/NAME.
    #[arg(value_name = "NAME", value_parser = lock)]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// The session that holds it.
    #[arg(long, value_name = "ID", value_parser = session)]
    pub session: Option<String>,
    /// The token that it is held with.
    #[arg(long, value_name = "TOKEN", value_parser = clap::value_parser!(u64).range(1..))]
    pub token: Option<u64>,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct KeepArgs {
    /// The session: its id, or session/ID.
    #[arg(value_name = "SESSION", value_parser = session)]
    pub session: String,
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The lock: NAME, or lock/NAME.
    #[arg(value_name = "NAME", value_parser = lock)]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// The token of the grant.
    #[arg(long, value_name = "TOKEN", value_parser = clap::value_parser!(u64).range(1..))]
    pub token: u64,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub scope: Scope,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// The lock: NAME, or lock/NAME.
    #[arg(value_name = "NAME", value_parser = lock)]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub asked: Asked,
    /// How long the lock stays taken if nothing is heard of this command; 10s if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub ttl: Option<Duration>,
    #[command(flatten)]
    pub patience: Patience,
    /// What is run, with its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ElectArgs {
    /// The election: NAME, or lock/NAME.
    #[arg(value_name = "NAME", value_parser = lock)]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// What everybody may read of who leads, as in its address.
    #[arg(long, value_name = "TEXT")]
    pub value: String,
    /// How long it leads if nothing is heard of this command; 10s if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub ttl: Option<Duration>,
    #[command(flatten)]
    pub patience: Patience,
    /// What is run, with its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Subcommand)]
pub(crate) enum WindowVerb {
    /// Sets a maintenance window, in place of one with the same name.
    #[command(
        before_help = "Examples:\n  keikoctl lock window create upgrade --scope node/n1 --for 2h --reason 'new disks'\n  keikoctl lock window create night --from 2026-12-24T22:00:00Z --for 6h"
    )]
    Create(CreateWindowArgs),
    /// Windows that are planned, active, or over.
    #[command(
        before_help = "Examples:\n  keikoctl lock window list\n  keikoctl lock window list --active -o json"
    )]
    List(ListWindowsArgs),
    /// Takes a window back.
    #[command(before_help = "Examples:\n  keikoctl lock window delete upgrade")]
    Delete(DeleteWindowArgs),
}

#[derive(Args)]
pub(crate) struct CreateWindowArgs {
    /// What it is called: NAME, or window/NAME.
    #[arg(value_name = "NAME", value_parser = window)]
    pub name: String,
    /// *, node/NAME, or agent or mcp with a namespace, as in agent/default/hello.
    #[arg(long, value_name = "SCOPE", default_value = "*")]
    pub scope: String,
    /// When it begins: a time, or how long from now; now if nothing is said.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// How long it lasts.
    #[arg(long = "for", id = "lasts", value_name = "DURATION", value_parser = time::duration)]
    pub lasts: Duration,
    /// Why, for whoever meets it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct ListWindowsArgs {
    /// Only those that are active now.
    #[arg(long)]
    pub active: bool,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Args)]
pub(crate) struct DeleteWindowArgs {
    /// Which: NAME, or window/NAME.
    #[arg(value_name = "NAME", value_parser = window)]
    pub name: String,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Subcommand)]
pub(crate) enum BarrierVerb {
    /// Counts this command in, and waits until as many came as are asked for.
    #[command(
        before_help = "Examples:\n  keikoctl lock barrier arrive start --parties 3\n  keikoctl lock barrier arrive start --parties 3 --timeout 5m"
    )]
    Arrive(ArriveArgs),
    /// Barriers, with who is there.
    #[command(before_help = "Examples:\n  keikoctl lock barrier list -A")]
    List(ListArgs),
}

#[derive(Args)]
pub(crate) struct ArriveArgs {
    /// The barrier: NAME, or barrier/NAME.
    #[arg(value_name = "NAME", value_parser = barrier)]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// How many must arrive; all who come must say the same.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub parties: u32,
    /// How long it counts if nothing is heard of this command; 10s if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub ttl: Option<Duration>,
}

fn bare(kind: &str, text: &str) -> String {
    let rest = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
    rest.unwrap_or(text).to_owned()
}

fn lock(text: &str) -> Result<String, Infallible> {
    Ok(bare("lock", text))
}

fn session(text: &str) -> Result<String, Infallible> {
    Ok(bare("session", text))
}

fn window(text: &str) -> Result<String, Infallible> {
    Ok(bare("window", text))
}

fn barrier(text: &str) -> Result<String, Infallible> {
    Ok(bare("barrier", text))
}

/// Zero would be read as the default.
fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = time::duration(text)?;
    if ttl.is_zero() { Err("what lives for no time holds nothing".to_owned()) } else { Ok(ttl) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_are_printed() {
        for (text, expect) in [
            ("deploy", "deploy"),
            ("lock/deploy", "deploy"),
            ("lock", "lock"),
            ("locker", "locker"),
        ] {
            assert_eq!(lock(text).as_deref(), Ok(expect), "{text}");
        }
        assert_eq!(window("window/night").as_deref(), Ok("night"));
        assert_eq!(barrier("barrier/start").as_deref(), Ok("start"));
        assert_eq!(session("session/1").as_deref(), Ok("1"));
    }

    #[test]
    fn a_ttl_is_a_time() {
        assert_eq!(ttl("1m"), Ok(Duration::from_secs(60)));
        assert!(ttl("0s").is_err() && ttl("soon").is_err());
    }
}
