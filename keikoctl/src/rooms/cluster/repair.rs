//! `node repair`: the token with which a member that lost what it held comes back. The rest is done on
//! that machine, by `keikod repair`: only there it is known what can be kept.

use super::args::RepairArgs;
use super::node;
use crate::fault::{Outcome, usage};
use crate::rooms::security;
use crate::session::{QUICK, Session};
use keiko_client::proto::v1::CreateTokenRequest;

/// A member that nobody hears.
const DOWN: &str = "down";

/// Runs `node repair`.
pub(super) async fn run(args: RepairArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let RepairArgs { name, ttl, request } = args;
    if ttl.is_some_and(|ttl| ttl.as_millis() == 0) {
        return Err(usage("a token that lives for no time is of no use")
            .hint("as in: --ttl 1h")
            .into());
    }
    let client = session.client(QUICK).await?;
    let member = node::fetch(&client, &name).await?.node;
    let message = CreateTokenRequest {
        r#for: format!("node/{}", member.name),
        ttl_ms: ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
        ..CreateTokenRequest::default()
    };
    let exit = security::make_token(&client, request.id, message, session).await?;
    if member.state != DOWN {
        session.printer.note(&format!("node/{name} is {} now: stop it first", member.state));
    }
    Ok(exit)
}
