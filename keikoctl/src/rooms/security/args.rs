//! What `agent token` and `cluster token` take.

use crate::print::time;
use crate::rooms::registry::flags::{Freshness, Look, Namespace, RequestId};
use clap::{Args, Subcommand};
use std::convert::Infallible;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// Whose entry it may touch: NAME or agent/NAME.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How long it lives, at most 90d.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = time::duration)]
    pub ttl: Duration,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Subcommand)]
pub(crate) enum TokenVerb {
    /// Makes a token that is traded once for a certificate, or a bearer token.
    #[command(
        before_help = "Examples:\n  T=$(keikoctl cluster token create --for node -q)\n  keikoctl cluster token create --for operator --name anna\n  keikoctl cluster token create --for agent/hello --ttl 10m\n  keikoctl cluster token create --for viewer --bearer --ttl 30d > viewer.token"
    )]
    Create(CreateArgs),
    /// Lists tokens: what they are good for, and whether they were traded.
    #[command(
        before_help = "Examples:\n  keikoctl cluster token list\n  keikoctl cluster token list -o wide"
    )]
    List(ListArgs),
    /// Ends a token at once. A certificate that it was traded for stays.
    #[command(before_help = "Examples:\n  keikoctl cluster token revoke 9x1hm2zq")]
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    /// node, admin, operator, viewer, guest, or agent/NAME.
    #[arg(long = "for", id = "whom", value_name = "WHOM", value_parser = whom)]
    pub whom: Whom,
    /// Who will be known by the certificate.
    #[arg(long, value_name = "WHO")]
    pub name: Option<String>,
    /// How long it lives, at most 90d; 1h if nothing is said, of a bearer token 24h.
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    pub ttl: Option<Duration>,
    /// Not traded but shown at each call; for viewer, guest and agent only.
    #[arg(long)]
    pub bearer: bool,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Args)]
pub(crate) struct RevokeArgs {
    /// Its id, the second part of its text; or token/ID.
    #[arg(value_name = "ID", value_parser = id)]
    pub token: String,
    #[command(flatten)]
    pub request: RequestId,
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Node,
    /// Somebody with this role.
    Person(&'static str),
    /// NAME, or NAMESPACE/NAME.
    Agent(String),
}

impl Whom {
    /// As the call wants it.
    pub(super) fn wire(&self, namespace: &str) -> String {
        match self {
            Self::Node => "node".to_owned(),
            Self::Person(role) => (*role).to_owned(),
            Self::Agent(name) if name.contains('/') => format!("agent/{name}"),
            Self::Agent(name) => format!("agent/{namespace}/{name}"),
        }
    }

    /// True if a token for it may be shown again and again.
    pub(super) fn may_bear(&self) -> bool {
        matches!(self, Self::Person("viewer" | "guest") | Self::Agent(_))
    }
}

/// What completion offers for `--for`.
pub(crate) const WHOM: &[&str] = &["node", "admin", "operator", "viewer", "guest", "agent/"];

fn whom(text: &str) -> Result<Whom, String> {
    let agent = text.strip_prefix("agent/").map(|name| name.split('/').collect::<Vec<_>>());
    match (text, agent.as_deref()) {
        ("node", _) => Ok(Whom::Node),
        ("admin", _) => Ok(Whom::Person("admin")),
        ("operator", _) => Ok(Whom::Person("operator")),
        ("viewer", _) => Ok(Whom::Person("viewer")),
        ("guest", _) => Ok(Whom::Person("guest")),
        (_, Some(parts @ ([_] | [_, _]))) if parts.iter().all(|part| !part.is_empty()) => {
            Ok(Whom::Agent(parts.join("/")))
        }
        _ => {
            Err("it is node, admin, operator, viewer, guest, agent/NAME or agent/NAMESPACE/NAME"
                .into())
        }
    }
}

fn id(text: &str) -> Result<String, Infallible> {
    Ok(text.strip_prefix("token/").unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_token_is_for() {
        for (text, expect) in [
            ("node", Some("node")),
            ("viewer", Some("viewer")),
            ("agent/hello", Some("agent/team-a/hello")),
            ("agent/blue/hello", Some("agent/blue/hello")),
            ("agent/", None),
            ("agent//hello", None),
            ("agent/a/b/c", None),
            ("agent", None),
            ("king", None),
            ("", None),
        ] {
            let read = whom(text).ok().map(|whom| whom.wire("team-a"));
            assert_eq!(read.as_deref(), expect, "{text:?}");
        }
        for (text, expect) in
            [("viewer", true), ("agent/hello", true), ("operator", false), ("node", false)]
        {
            assert_eq!(whom(text).unwrap().may_bear(), expect, "{text}");
        }
    }
}
