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
    /// Only if it is still at this revision.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<u64>,
    #[command(flatten)]
    pub request: RequestId,
}
