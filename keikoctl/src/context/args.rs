//! What `context` can do.

use clap::{Args, Subcommand};
use std::convert::Infallible;

#[derive(Subcommand)]
pub(crate) enum ContextVerb {
    /// Keeps an endpoint and its identity under a name.
    #[command(
        before_help = "Examples:\n  keikoctl context add prod --endpoint n1.example.com,n2.example.com --token \"$T\" --use\n  keikoctl context add prod --endpoint https://keiko.example.com:7340 --token-file prod.token\n  keikoctl context add prod --endpoint keiko.example.com --token-stdin --use < prod.token\n  keikoctl context add here --endpoint unix:D/keiko.sock --namespace team-a"
    )]
    Add(AddArgs),
    /// Makes a context the one that counts from now on.
    #[command(before_help = "Examples:\n  keikoctl context use prod")]
    Use(NameArgs),
    /// Lists contexts; the current one has a star.
    #[command(before_help = "Examples:\n  keikoctl context list\n  keikoctl context list -o name")]
    List,
    /// Shows a context, or the way that commands take now.
    #[command(
        before_help = "Examples:\n  keikoctl context show\n  keikoctl context show prod -o yaml\n  keikoctl context show --origin"
    )]
    Show(ShowArgs),
    /// Connects: which cluster answers, to whom, and how fast.
    #[command(before_help = "Examples:\n  keikoctl context test\n  keikoctl context test prod")]
    Test(TestArgs),
    /// Forgets a context, and the token or the certificate that was kept with it.
    #[command(before_help = "Examples:\n  keikoctl context delete prod --yes")]
    Delete(DeleteArgs),
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// What it is called.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A token. One that is traded once becomes a certificate; any other is kept in a file.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_stdin")]
    pub token: Option<String>,
    /// The same, where the token stands on standard input.
    #[arg(long)]
    pub token_stdin: bool,
    /// The namespace of commands that name none.
    #[arg(short, long, id = "context_namespace", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Put it in the place of one of the same name.
    #[arg(long)]
    pub replace: bool,
    /// Make it the current one.
    #[arg(long = "use")]
    pub use_it: bool,
}

/// The name in `NAME` or `context/NAME`, as `-o name` prints it.
fn bare(text: &str) -> Result<String, Infallible> {
    Ok(text.strip_prefix("context/").unwrap_or(text).to_owned())
}

#[derive(Args)]
pub(crate) struct NameArgs {
    /// The context.
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: String,
}

#[derive(Args)]
pub(crate) struct ShowArgs {
    /// The context; without one, what counts now.
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: Option<String>,
    /// Every setting with who set it.
    #[arg(long, conflicts_with = "name")]
    pub origin: bool,
}

#[derive(Args)]
pub(crate) struct TestArgs {
    /// The context; without one, what counts now.
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: Option<String>,
}

#[derive(Args)]
pub(crate) struct DeleteArgs {
    /// The context.
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: String,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
}
