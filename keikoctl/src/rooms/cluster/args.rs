//! What `cluster` can do.

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum ClusterVerb {
    /// Founds a cluster on an empty node, over its socket.
    #[command(before_help = "Examples:\n  keikoctl --endpoint unix:D/keiko.sock cluster init")]
    Init,
    /// What the cluster looks like.
    #[command(
        before_help = "Examples:\n  keikoctl cluster status\n  keikoctl cluster status -o json"
    )]
    Status,
}
