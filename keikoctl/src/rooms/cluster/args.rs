//! What `cluster` and `node` can do.

use crate::print::time;
use crate::rooms::registry::flags::{DryRun, Look, Patience, RequestId};
use crate::rooms::security::TokenVerb;
use clap::{Args, Subcommand, ValueHint};
use keiko_client::Endpoint;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum ClusterVerb {
    /// Founds a cluster on an empty node, over its socket.
    #[command(before_help = "Examples:\n  keikoctl --endpoint unix:D/keiko.sock cluster init")]
    Init,
    /// Makes an empty node a member of a cluster, over its socket.
    #[command(
        before_help = "Examples:\n  keikoctl --endpoint unix:D/keiko.sock cluster join n1.example.com:7340 --token-file node.token\n  keikoctl --endpoint unix:D/keiko.sock cluster join 10.0.0.1:7340 --token \"$T\""
    )]
    Join(JoinArgs),
    /// What the cluster looks like, and how well its members hear each other.
    #[command(
        before_help = "Examples:\n  keikoctl cluster status\n  keikoctl cluster status -o json"
    )]
    Status,
    /// Hands leadership to another voter, and waits until it leads.
    #[command(
        before_help = "Examples:\n  keikoctl cluster transfer-leader\n  keikoctl cluster transfer-leader --to n2"
    )]
    TransferLeader(TransferArgs),
    /// Writes everything into a file or folder from which a new cluster can be made.
    #[command(
        before_help = "Examples:\n  keikoctl cluster backup keiko.backup\n  keikoctl cluster backup backups/\n  keikoctl cluster backup list\n  keikoctl cluster backup \"keiko-$(date +%F).backup\" -o json\n  keikod verify keiko.backup\n  keikod restore --from keiko.backup --data-dir D"
    )]
    Backup(BackupArgs),
    /// Says what an upgrade takes, node by node; without --plan, whether it is done.
    #[command(
        before_help = "Examples:\n  keikoctl cluster upgrade --plan\n  keikoctl cluster upgrade --plan --release 0.2.0 --backup keiko.backup\n  keikoctl cluster upgrade --plan -o json\n  keikoctl cluster upgrade"
    )]
    Upgrade(UpgradeArgs),
    /// The certificate authority: which count, and another one in its place.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl cluster ca list\n  keikoctl cluster ca rotate --wait\n  keikoctl cluster ca rotate --finish"
    )]
    Ca(CaVerb),
    /// Tokens, for nodes that join and for people and agents that come in.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl cluster token create --for node\n  keikoctl cluster token create --for operator --name anna\n  keikoctl cluster token list"
    )]
    Token(TokenVerb),
}

#[derive(Subcommand)]
pub(crate) enum CaVerb {
    /// The authorities that count, which nodes show a certificate of each, and how far a rotation is.
    #[command(
        before_help = "Examples:\n  keikoctl cluster ca list\n  keikoctl cluster ca list -o json"
    )]
    List(CaListArgs),
    /// Puts another authority and another cluster key in the place of those that are.
    #[command(
        before_help = "Examples:\n  keikoctl cluster ca rotate\n  keikoctl cluster ca rotate --overlap 30d --wait\n  keikoctl cluster ca rotate --finish"
    )]
    Rotate(CaRotateArgs),
}

#[derive(Args)]
pub(crate) struct CaListArgs {
    #[command(flatten)]
    pub look: Look,
}

#[derive(Args)]
pub(crate) struct CaRotateArgs {
    /// How long what the one before signed still counts, once every node shows the next one; seven
    /// days if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = time::duration, conflicts_with = "finish")]
    pub overlap: Option<Duration>,
    /// End what is under way: waits for no node that is away, and for the end of no overlap.
    #[arg(long)]
    pub finish: bool,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct JoinArgs {
    /// The API of any member.
    #[arg(value_name = "HOST:PORT", value_parser = address)]
    pub address: String,
    /// The token that the cluster made for a node, - for standard input; or name its file with
    /// --token-file.
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    pub verb: Option<BackupVerb>,
    /// The file; it appears once all of it is there and checked. A folder, with a / behind it, keeps
    /// many backups, and takes of each only what it does not hold yet.
    #[arg(value_name = "FILE|FOLDER/", value_hint = ValueHint::AnyPath)]
    pub file: Option<PathBuf>,
    /// Replace a file of this name.
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Subcommand)]
pub(crate) enum BackupVerb {
    /// The backups by schedule: how old they are, and whether one was ever restored.
    #[command(
        before_help = "Examples:\n  keikoctl cluster backup list\n  keikoctl cluster backup list -o jsonpath=.recoveryPointMs"
    )]
    List(Look),
    /// Makes one now, in the place that the node was told.
    #[command(before_help = "Examples:\n  keikoctl cluster backup now")]
    Now,
    /// Restores the newest into a folder that is removed again, and compares the state.
    #[command(before_help = "Examples:\n  keikoctl cluster backup rehearse")]
    Rehearse,
}

#[derive(Args)]
pub(crate) struct UpgradeArgs {
    /// Say what is to be done, in order, and do nothing.
    #[arg(long)]
    pub plan: bool,
    /// The release that is to be installed; the newest that is seen if nothing is said.
    #[arg(long, value_name = "VERSION")]
    pub release: Option<String>,
    /// The feature level that it understands; the highest that is seen if nothing is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub level: Option<u32>,
    /// A backup: whether it is of this cluster, and how old.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "plan")]
    pub backup: Option<PathBuf>,
    /// Say how far it is, and do not wait until the feature level has risen.
    #[arg(long, conflicts_with = "plan")]
    pub dry_run: bool,
}

#[derive(Args)]
pub(crate) struct TransferArgs {
    /// The voter that shall lead; the one that is furthest if nothing is said.
    #[arg(long, value_name = "NODE", value_parser = name)]
    pub to: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum NodeVerb {
    /// Every member, with how far it is.
    #[command(
        before_help = "Examples:\n  keikoctl node list\n  keikoctl node list -o wide\n  keikoctl node list --watch"
    )]
    List(ListArgs),
    /// Shows one member.
    #[command(
        before_help = "Examples:\n  keikoctl node get n1 -o yaml\n  keikoctl node get n1 -o jsonpath=.appliedIndex"
    )]
    Get(GetArgs),
    /// Everything that the answering node knows of one member, for people.
    #[command(before_help = "Examples:\n  keikoctl node describe n1")]
    Describe(NameArgs),
    /// Lets a node take nothing new and lead nothing, or takes that back.
    #[command(
        before_help = "Examples:\n  keikoctl node drain n1 --reason upgrade --wait\n  keikoctl node drain n1 --undo\n  keikoctl node drain n1 --undo --wait"
    )]
    Drain(DrainArgs),
    /// Takes a node out of the cluster for good.
    #[command(
        before_help = "Examples:\n  keikoctl node remove n3\n  keikoctl node remove n3 --dry-run\n  keikoctl node remove n3 --revoke --yes"
    )]
    Remove(RemoveArgs),
    /// Makes the token with which a node that lost its data, or whose data is damaged, comes back.
    ///
    /// The node gets what it lost from the others, under its name and another id: what it had
    /// promised under the old one it may have forgotten. It must be down.
    #[command(
        before_help = "Examples:\n  keikoctl node repair n3\n  T=$(keikoctl node repair n3 -q)\n  keikod repair --data-dir D --from n1.example.com:7340 --token \"$T\""
    )]
    Repair(RepairArgs),
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// Stay and show every change.
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub look: Look,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// Its name, or node/NAME.
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
    #[command(flatten)]
    pub look: Look,
}

#[derive(Args)]
pub(crate) struct NameArgs {
    /// Its name, or node/NAME.
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
}

#[derive(Args)]
pub(crate) struct DrainArgs {
    /// Its name, or node/NAME.
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
    /// Takes it back: the node is in use again. With --wait it stays until the node is there and has
    /// caught up.
    #[arg(long, conflicts_with = "reason")]
    pub undo: bool,
    /// Why, for whoever meets it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// Its name, or node/NAME.
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
    /// Let what the CA signed that it knew count no more at once: people enrol anew.
    #[arg(long)]
    pub revoke: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct RepairArgs {
    /// Its name, or node/NAME.
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
    /// How long the token lives; 1h if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    pub ttl: Option<Duration>,
    #[command(flatten)]
    pub request: RequestId,
}

/// The name in `NAME` or `node/NAME`, as `-o name` prints it.
fn name(text: &str) -> Result<String, Infallible> {
    Ok(text.strip_prefix("node/").unwrap_or(text).to_owned())
}

/// `host:port` of a member, also where it was written as an endpoint.
fn address(text: &str) -> Result<String, String> {
    match text.parse::<Endpoint>() {
        Ok(endpoint @ Endpoint::Tls { .. }) => {
            let text = endpoint.to_string();
            Ok(text.strip_prefix("https://").unwrap_or(&text).to_owned())
        }
        Ok(Endpoint::Unix(_)) => Err("members are joined over the network".to_owned()),
        Ok(Endpoint::Several(_)) => Err("one member is enough, and one at a time".to_owned()),
        Err(error) => Err(error.refusal.causes.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_in_several_forms() {
        for (text, expect) in [
            ("n1.example.com:7340", Some("n1.example.com:7340")),
            ("n1.example.com", Some("n1.example.com:7340")),
            ("https://10.0.0.1:1/", Some("10.0.0.1:1")),
            ("[::1]:99", Some("[::1]:99")),
            ("unix:D/keiko.sock", None),
            ("a:b", None),
            ("", None),
        ] {
            assert_eq!(address(text).ok().as_deref(), expect, "{text:?}");
        }
        assert_eq!(name("node/n1").as_deref(), Ok("n1"));
        assert_eq!(name("n1").as_deref(), Ok("n1"));
    }
}
