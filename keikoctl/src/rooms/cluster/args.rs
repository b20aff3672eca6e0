//! What `cluster` and `node` can do.

use crate::rooms::registry::flags::Look;
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

#[derive(Subcommand)]
pub(crate) enum NodeVerb {
    /// Every member, with how far it is.
    #[command(before_help = "Examples:\n  keikoctl node list\n  keikoctl node list -o wide")]
    List(Look),
    /// One member.
    #[command(before_help = "Examples:\n  keikoctl node describe n1")]
    Describe {
        /// Its name, or node/NAME.
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
    },
}

fn name(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.strip_prefix("node/").unwrap_or(text).to_owned())
}
