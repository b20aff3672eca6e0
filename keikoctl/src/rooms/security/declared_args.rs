//! What `role`, `binding`, `person`, `security`, `audit` and `can-i` take.

use crate::print::time;
use crate::rooms::registry::flags::{DryRun, Freshness, Look, Namespace, RequestId};
use clap::{Args, Subcommand};
use keiko_client::proto::v1::Rule;
use std::convert::Infallible;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum RoleVerb {
    /// Declares a role, or changes it: what it allows, and on what.
    #[command(
        before_help = "Examples:\n  keikoctl role create deployer --allow 'registry.write,registry.read:agent/team-a/*'\n  keikoctl role create caller --allow tool.call --allow agent.call:agent/team-a/planner\n  keikoctl role create reader --allow registry.read --dry-run"
    )]
    Create(RoleCreateArgs),
    /// Lists roles, the built-in ones first.
    #[command(before_help = "Examples:\n  keikoctl role list\n  keikoctl role list -o wide")]
    List(ListArgs),
    /// One role.
    #[command(before_help = "Examples:\n  keikoctl role get deployer -o yaml")]
    Get(GetArgs),
    /// One role: what it allows, and who has it.
    #[command(before_help = "Examples:\n  keikoctl role describe deployer")]
    Describe(DescribeArgs),
    /// Deletes a role that no binding names.
    #[command(before_help = "Examples:\n  keikoctl role delete deployer")]
    Delete(DeleteArgs),
}

#[derive(Args)]
pub(crate) struct RoleCreateArgs {
    /// Its name.
    #[arg(value_name = "NAME", value_parser = role_name)]
    pub name: String,
    /// What it allows, and on what: as in registry.*:agent/team-a/*; without resources on everything.
    #[arg(
        long = "allow",
        value_name = "PERMISSION,…[:RESOURCE,…]",
        required = true,
        value_parser = rule
    )]
    pub rules: Vec<Rule>,
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub description: String,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Subcommand)]
pub(crate) enum BindingVerb {
    /// Hands a role to somebody, or changes to whom.
    #[command(
        before_help = "Examples:\n  keikoctl binding create ann-deploys --role deployer --to person/ann\n  keikoctl binding create night --role operator --to person/ann --for 8h\n  keikoctl binding create team-a-reads --role viewer --to person/ann,person/bob --in team-a"
    )]
    Create(BindingCreateArgs),
    /// Lists bindings.
    #[command(
        before_help = "Examples:\n  keikoctl binding list\n  keikoctl binding list --of person/ann"
    )]
    List(BindingListArgs),
    /// One binding.
    #[command(before_help = "Examples:\n  keikoctl binding get ann-deploys -o yaml")]
    Get(GetArgs),
    /// One binding: who has what, where, until when.
    #[command(before_help = "Examples:\n  keikoctl binding describe ann-deploys")]
    Describe(DescribeArgs),
    /// Takes a role back at once; live streams that need it end within five seconds.
    #[command(before_help = "Examples:\n  keikoctl binding delete ann-deploys")]
    Delete(DeleteArgs),
}

#[derive(Args)]
pub(crate) struct BindingCreateArgs {
    /// Its name.
    #[arg(value_name = "NAME", value_parser = binding_name)]
    pub name: String,
    /// What is handed out: a declared role, or admin, operator, viewer.
    #[arg(long, value_name = "ROLE", value_parser = role_name)]
    pub role: String,
    /// To whom: person/NAME, agent/NAMESPACE/NAME, token/ID.
    #[arg(long = "to", value_name = "WHO,…", required = true, value_delimiter = ',')]
    pub subjects: Vec<String>,
    /// Only what lies in this namespace.
    #[arg(long = "in", value_name = "NAMESPACE", default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// How long it holds, as in 8h; for good if nothing is said.
    #[arg(long = "for", value_name = "DURATION", value_parser = time::duration)]
    pub ttl: Option<Duration>,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct BindingListArgs {
    /// Only of this one: person/NAME, agent/NAMESPACE/NAME, token/ID.
    #[arg(long = "of", value_name = "WHO", default_value = "", hide_default_value = true)]
    pub subject: String,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Subcommand)]
pub(crate) enum PersonVerb {
    /// Lists people and agents that have a certificate.
    #[command(
        before_help = "Examples:\n  keikoctl person list\n  keikoctl person list -o jsonpath=.items[*].name"
    )]
    List(ListArgs),
    /// Takes somebody out: no call counts any more, and live streams end within five seconds.
    #[command(
        before_help = "Examples:\n  keikoctl person remove ann\n  keikoctl person remove ann --yes"
    )]
    Remove(PersonRemoveArgs),
}

#[derive(Args)]
pub(crate) struct PersonRemoveArgs {
    /// Who: NAME or person/NAME; an agent is agent.NAMESPACE.NAME.
    #[arg(value_name = "NAME", value_parser = person_name)]
    pub name: String,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Subcommand)]
pub(crate) enum SecurityVerb {
    /// Grants that nobody used for a while, and those with wildcards.
    #[command(
        before_help = "Examples:\n  keikoctl security unused\n  keikoctl security unused --days 30 -o wide"
    )]
    Unused(UnusedArgs),
}

#[derive(Args)]
pub(crate) struct UnusedArgs {
    /// Not used for so many days.
    #[arg(long, value_name = "N", default_value_t = 90)]
    pub days: u32,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Subcommand)]
pub(crate) enum AuditVerb {
    /// Who did what, when, from where, allowed or refused.
    #[command(
        before_help = "Examples:\n  keikoctl audit list --since 1h\n  keikoctl audit list --who person/ann\n  keikoctl audit list --refused --since 7d -o csv"
    )]
    List(AuditListArgs),
}

#[derive(Args)]
pub(crate) struct AuditListArgs {
    /// Only of this one: person/NAME, token/ID, node/NAME, socket, or nobody.
    #[arg(long, value_name = "WHO")]
    pub who: Option<String>,
    /// From this point on: 1h (ago), 2026-11-20T10:00:00Z, or a revision; all that is kept if
    /// nothing is said.
    #[arg(long, value_name = "POINT")]
    pub since: Option<String>,
    /// Only what was refused.
    #[arg(long)]
    pub refused: bool,
    /// Also what daemons did on their own account.
    #[arg(long)]
    pub nodes: bool,
    /// At most this many, the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub look: Look,
}

#[derive(Args)]
pub(crate) struct CanIArgs {
    /// VERB NOUN [NAME] as one would type it, or PERMISSION [RESOURCE].
    #[arg(value_name = "WORD", required = true, num_args = 1..=3)]
    pub words: Vec<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// In every namespace.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Whether somebody else may: person/NAME, agent/NAMESPACE/NAME, token/ID.
    #[arg(long = "as", value_name = "WHO", default_value = "", hide_default_value = true)]
    pub subject: String,
}

/// What `list` takes here.
#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: String,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Args)]
pub(crate) struct DescribeArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: String,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Args)]
pub(crate) struct DeleteArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: String,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

fn role_name(text: &str) -> Result<String, Infallible> {
    Ok(text.strip_prefix("role/").unwrap_or(text).to_owned())
}

fn binding_name(text: &str) -> Result<String, Infallible> {
    Ok(text.strip_prefix("binding/").unwrap_or(text).to_owned())
}

fn person_name(text: &str) -> Result<String, Infallible> {
    Ok(text.strip_prefix("person/").unwrap_or(text).to_owned())
}

/// Of a role or a binding: the verb's noun says which.
fn bare(text: &str) -> Result<String, Infallible> {
    let name = text.strip_prefix("role/").or_else(|| text.strip_prefix("binding/"));
    Ok(name.unwrap_or(text).to_owned())
}

/// As in `registry.write,registry.read:agent/team-a/*,mcp/team-a/*`.
fn rule(text: &str) -> Result<Rule, String> {
    let (permissions, resources) = match text.split_once(':') {
        Some((permissions, resources)) => (permissions, Some(resources)),
        None => (text, None),
    };
    let words = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    let rule = Rule {
        permissions: words(permissions),
        resources: resources.map(words).unwrap_or_default(),
    };
    if rule.permissions.iter().chain(&rule.resources).any(String::is_empty) {
        return Err("write it as registry.write,registry.read:agent/team-a/*".into());
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_they_are_typed() {
        for (text, expect) in [
            ("tool.call", Some((1, 0))),
            ("registry.write,registry.read:agent/team-a/*", Some((2, 1))),
            ("tool.call:tool/default/time.get/x:y,tool/default/b", Some((1, 2))),
            ("*:*", Some((1, 1))),
            ("tool.call:", None),
            (":agent/*", None),
            ("tool.call,,agent.call", None),
            ("", None),
        ] {
            let read = rule(text).ok().map(|rule| (rule.permissions.len(), rule.resources.len()));
            assert_eq!(read, expect, "{text:?}");
        }
    }
}
