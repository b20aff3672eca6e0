//! Flags that several verbs share.

use crate::print::columns::Wanted;
use clap::{Args, ValueEnum};
use keiko_client::proto::v1 as wire;
use uuid::Uuid;

/// One namespace.
#[derive(Args, Clone)]
pub(crate) struct Namespace {
    /// The namespace.
    #[arg(
        short,
        long,
        env = "KEIKO_NAMESPACE",
        hide_env = true,
        value_name = "NAMESPACE",
        default_value = "default",
        hide_default_value = true
    )]
    namespace: String,
}

impl Namespace {
    pub(crate) fn one(&self) -> String {
        self.namespace.clone()
    }
}

/// One namespace, or all.
#[derive(Args, Clone)]
pub(crate) struct Scope {
    #[command(flatten)]
    pub namespace: Namespace,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

impl Scope {
    /// As the calls want it: empty for all.
    pub(crate) fn wire(&self) -> String {
        if self.all_namespaces { String::new() } else { self.namespace.one() }
    }
}

/// For verbs that change something.
#[derive(Args, Clone)]
pub(crate) struct RequestId {
    /// The same id for every try, so that a retry has its effect once.
    #[arg(long = "request-id", value_name = "UUID")]
    pub id: Option<Uuid>,
}

/// Only look at what would happen.
#[derive(Args, Clone)]
pub(crate) struct DryRun {
    /// Change nothing and show what would: client checks here, server asks the law (the default).
    #[arg(
        long,
        value_name = "client|server",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "server",
        hide_possible_values = true
    )]
    dry_run: Option<DryRunBy>,
}

/// Who says what would happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRunBy {
    /// This command: nothing is sent but reads.
    Client,
    /// The law, on the state as it is.
    Server,
}

impl DryRun {
    /// None: in earnest.
    pub(crate) fn by(&self) -> Option<DryRunBy> {
        self.dry_run
    }

    /// What the call says.
    pub(crate) fn at_server(&self) -> bool {
        self.dry_run == Some(DryRunBy::Server)
    }
}

/// Whether a verb stays until its effect is there.
#[derive(Args, Clone, Default)]
pub(crate) struct Patience {
    /// Stay until it is so.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Come back at once.
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

impl Patience {
    /// What the caller says, or what the verb usually does.
    pub(crate) fn or(&self, usual: bool) -> bool {
        match (self.wait, self.no_wait) {
            (true, _) => true,
            (_, true) => false,
            _ => usual,
        }
    }
}

/// How fresh a read is.
#[derive(Args, Clone)]
pub(crate) struct Freshness {
    /// How fresh: linearizable, lease (the default) or stale.
    #[arg(long, value_name = "LEVEL", hide_possible_values = true)]
    consistency: Option<Consistency>,
    /// Answered by any node, even without a leader.
    #[arg(long, conflicts_with = "consistency")]
    stale: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Consistency {
    Linearizable,
    Lease,
    Stale,
}

impl Freshness {
    pub(crate) fn wire(&self) -> i32 {
        let level = match self.consistency {
            _ if self.stale => wire::Consistency::Stale,
            Some(Consistency::Linearizable) => wire::Consistency::Linearizable,
            Some(Consistency::Lease) => wire::Consistency::Lease,
            Some(Consistency::Stale) => wire::Consistency::Stale,
            None => wire::Consistency::Unspecified,
        };
        level.into()
    }
}

/// How rows look.
#[derive(Args, Clone)]
pub(crate) struct Look {
    /// Sort by a column, or by a path as in .spec.url.
    #[arg(long, value_name = "COLUMN")]
    sort_by: Option<String>,
    /// Only these columns, or paths as in .spec.url.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Only rows.
    #[arg(long)]
    pub no_headers: bool,
}

impl Look {
    pub(crate) fn wanted(&self, all_namespaces: bool) -> Wanted {
        Wanted { columns: self.columns.clone(), sort_by: self.sort_by.clone(), all_namespaces }
    }
}

/// What `list` takes.
#[derive(Args, Clone)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub scope: Scope,
    /// Only with these labels, as in team=red,tier!=low,gpu.
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    pub selector: String,
    /// Only where a field has a value, as in spec.server=time; several must all hold.
    #[arg(long, value_name = "PATH=VALUE")]
    pub field: Vec<String>,
    /// At most this many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Stay and show every change.
    #[arg(short, long, conflicts_with = "limit")]
    pub watch: bool,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

/// What `get` takes.
#[derive(Args, Clone)]
pub(crate) struct GetArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// As it was at a revision or time: 42, 2026-11-20T10:00:00Z, 10m.
    #[arg(long, value_name = "POINT", conflicts_with = "watch")]
    pub at: Option<String>,
    /// Stay and show every change.
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

/// What `describe` takes.
#[derive(Args, Clone)]
pub(crate) struct DescribeArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub freshness: Freshness,
}

/// What `history` takes.
#[derive(Args, Clone)]
pub(crate) struct HistoryArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// At most this many, newest first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub look: Look,
}

/// What `delete` takes.
#[derive(Args, Clone)]
pub(crate) struct DeleteArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Only if nothing was declared since this revision.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<u64>,
    #[command(flatten)]
    pub request: RequestId,
    #[command(flatten)]
    pub dry_run: DryRun,
}

/// What `suspend` and `drain` take.
#[derive(Args, Clone)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Why, for whoever meets it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// What `suspend`, `resume` and `drain` take.
#[derive(Args, Clone)]
pub(crate) struct AdminArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

/// What `probe` takes.
#[derive(Args, Clone)]
pub(crate) struct ProbeArgs {
    /// NAME of one that is registered, or the URL of any.
    #[arg(value_name = "NAME|URL")]
    pub target: String,
    #[command(flatten)]
    pub namespace: Namespace,
}

/// What `impact` takes.
#[derive(Args, Clone)]
pub(crate) struct ImpactArgs {
    /// NAME, or KIND/NAME as -o name prints it.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub look: Look,
}

/// What `wait` takes.
#[derive(Args, Clone)]
pub(crate) struct WaitArgs {
    /// KIND/NAME of each; or KIND and then names.
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// condition=Ready[=False], delete, or jsonpath=EXPR[=VALUE].
    #[arg(
        long = "for",
        value_name = "WHAT",
        default_value = "condition=Ready",
        hide_default_value = true
    )]
    pub what: String,
    #[command(flatten)]
    pub namespace: Namespace,
}

/// What `find` takes.
#[derive(Args, Clone)]
pub(crate) struct FindArgs {
    /// A tool's name, a skill's id or a tag, and a version if it matters: summarize@^1.2.
    #[arg(value_name = "CAPABILITY[@VERSION]")]
    pub capability: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Only of owners with these labels, as in team=red,tier!=low,gpu.
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    pub selector: String,
    /// Only the one to call now; refused if none can be called.
    #[arg(long, conflicts_with = "limit")]
    pub one: bool,
    /// At most this many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub look: Look,
}
