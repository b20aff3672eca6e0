//! Makes a token. Its text goes to stdout, once; the daemon keeps its hash only.

use super::args::TokenArgs;
use super::table;
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::rooms::registry::object::KindWord;
use crate::session::{QUICK, Session};
use keiko_client::proto::v1::{CreateAgentTokenRequest, Kind};

/// Runs `agent token`.
pub(crate) async fn run(args: TokenArgs, session: &Session) -> Outcome {
    let ttl_ms = u64::try_from(args.ttl.as_millis()).unwrap_or(u64::MAX);
    if ttl_ms == 0 {
        return Err(usage("a token that lives for no time is of no use")
            .hint("as in: --ttl 24h")
            .into());
    }
    let message = CreateAgentTokenRequest {
        namespace: args.namespace.one(),
        name: KindWord::of(Kind::Agent).name(&args.name)?,
        ttl_ms,
        request_id: Vec::new(),
    };
    let client = session.client(QUICK).await?;
    let made = client
        .write(args.request.id, message, |client, request| async move {
            client.security().create_agent_token(request).await
        })
        .await?;
    let printer = &session.printer;
    printer.document(&table::document(&made), |_| format!("{}\n", made.token))?;
    printer.note(&table::note(&made));
    Ok(Exit::Done)
}
