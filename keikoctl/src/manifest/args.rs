//! What `apply`, `diff` and `delete` take.

use super::read;
use crate::rooms::registry::flags::{DryRun, Namespace, Patience, RequestId};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueHint};

/// Which manifests.
#[derive(Args, Clone)]
pub(crate) struct Files {
    /// A file, a folder, or - for standard input; may be repeated.
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE",
        required = true,
        value_hint = ValueHint::AnyPath
    )]
    pub names: Vec<String>,
    /// Folders with all that is in them.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    #[command(flatten)]
    namespace: Where,
}

impl Files {
    /// That of manifests which name none.
    pub(super) fn namespace(&self) -> read::Namespace {
        let Where { namespace, is_typed } = &self.namespace;
        read::Namespace { name: namespace.one(), is_typed: *is_typed }
    }
}

/// A namespace, and whether it was typed for this command.
#[derive(Clone)]
struct Where {
    namespace: Namespace,
    is_typed: bool,
}

impl Args for Where {
    fn augment_args(command: Command) -> Command {
        Namespace::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Namespace::augment_args_for_update(command)
    }
}

impl FromArgMatches for Where {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_typed = matches.value_source("namespace") == Some(ValueSource::CommandLine);
        Ok(Self { namespace: Namespace::from_arg_matches(matches)?, is_typed })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub files: Files,
    /// Also delete agents and servers with the labels of -l that no manifest names.
    #[arg(long, requires = "selector")]
    pub prune: bool,
    /// What --prune may delete, as in team=red,tier!=low.
    #[arg(short = 'l', long, value_name = "LABELS", requires = "prune")]
    pub selector: Option<String>,
    /// Do not ask before --prune deletes.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub files: Files,
    /// Exit 20 if anything differs.
    #[arg(long)]
    pub exit_code: bool,
}

#[derive(Args)]
pub(crate) struct DeleteFilesArgs {
    #[command(flatten)]
    pub files: Files,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// What is not there is no fault.
    #[arg(long)]
    pub ignore_not_found: bool,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}
