//! `cluster token`: makes, lists and ends tokens.
//!
//! The text of a new one is all that stands on stdout, once; the daemon keeps its hash only. What to
//! do with it stands on stderr.

use super::args::{CreateArgs, ListArgs, RevokeArgs, TokenVerb, Whom};
use super::table::{self, COLUMNS, Row};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::{Format, FormatKind, Listing};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{CreateTokenRequest, ListTokensRequest, RevokeTokenRequest};
use keiko_core::refusal::Refusal;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// The token is made: where it can be shown is only for the hint.
const ADDRESS: Duration = Duration::from_secs(2);

/// Runs a verb of tokens.
pub(crate) async fn run(verb: TokenVerb, session: &Session) -> Outcome {
    match verb {
        TokenVerb::Create(args) => create(args, session).await,
        TokenVerb::List(args) => list(&args, session).await,
        TokenVerb::Revoke(args) => revoke(args, session).await,
    }
}

async fn create(args: CreateArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let id = args.request.id;
    let message = message(args)?;
    let client = session.client(QUICK).await?;
    make(&client, id, message, session).await
}

/// Makes it, and shows it with what to do next.
pub(crate) async fn make(
    client: &Client,
    id: Option<Uuid>,
    message: CreateTokenRequest,
    session: &Session,
) -> Outcome {
    let printer = &session.printer;
    let made = client
        .write(id, message, |client, request| async move {
            client.security().create_token(request).await
        })
        .await?;
    printer.document(&table::created(&made), |_| format!("{}\n", made.token))?;
    let address = address(client).await;
    // Whoever keeps stdout in a variable does not want its text on the screen.
    let shown = if printer.is_terminal { made.token.as_str() } else { "\"$T\"" };
    for line in table::next(&made, &address, shown) {
        printer.note(&line);
    }
    Ok(Exit::Done)
}

/// The request; refused where no daemon needs to be asked.
fn message(args: CreateArgs) -> Result<CreateTokenRequest, Refusal> {
    let CreateArgs { whom, name, ttl, bearer, namespace, request: _ } = args;
    if let (Whom::Person(role), None, false) = (&whom, &name, bearer) {
        return Err(usage(format!("a token for the role {role} needs --name"))
            .cause("it is traded for a certificate, and that says who calls")
            .hint("as in: --name anna"));
    }
    if bearer && !whom.may_bear() {
        return Err(usage("a bearer token is for viewer, guest and agent only")
            .cause("whoever finds it can use it: it may not change the cluster")
            .hint("leave --bearer away: the token is then traded once for a certificate"));
    }
    if ttl.is_some_and(|ttl| ttl.as_millis() == 0) {
        return Err(usage("a token that lives for no time is of no use").hint("as in: --ttl 1h"));
    }
    let ttl_ms = ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    Ok(CreateTokenRequest {
        r#for: whom.wire(&namespace.one()),
        name: name.unwrap_or_default(),
        ttl_ms,
        bearer,
        request_id: Vec::new(),
    })
}

/// Where the answering node's API is, for whoever reads the hint.
async fn address(client: &Client) -> String {
    // The hint is worth no error, and no long wait.
    let status = client.within(ADDRESS).status().await.unwrap_or_default();
    let is_own = |name: &str| name == status.node || status.nodes.len() == 1;
    let own = status.nodes.iter().find(|node| node.answering || is_own(&node.name));
    let address = own.map(|node| node.api_address.clone()).unwrap_or_default();
    if address.is_empty() { "HOST:7340".to_owned() } else { address }
}

async fn list(args: &ListArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let request = ListTokensRequest { consistency: args.freshness.wire() };
    let listed = client
        .read(
            request,
            |client, request| async move { client.security().list_tokens(request).await },
        )
        .await?;
    let printer = &session.printer;
    if listed.items.is_empty() && printer.format.is_table() {
        printer.note("no tokens");
        return Ok(Exit::Done);
    }
    let wanted = args.look.wanted(false);
    let rows: Vec<Row> = listed.items.into_iter().map(Row).collect();
    let rows = wanted.sort(COLUMNS, rows, &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &Row::reference };
    printer.rows(COLUMNS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

async fn revoke(args: RevokeArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let RevokeArgs { token: id, request } = args;
    let message = RevokeTokenRequest { id: id.clone(), request_id: Vec::new() };
    let client = session.client(QUICK).await?;
    let revoked = client
        .write(request.id, message, |client, request| async move {
            client.security().revoke_token(request).await
        })
        .await?;
    let revision = revoked.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.RevokeTokenResponse", &revoked);
    document["id"] = json!(id);
    document["revision"] = json!(revision);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("token/{id}\n"),
        _ => format!("token/{id} revoked at revision {revision}\n"),
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use crate::rooms::cluster::ClusterVerb;
    use clap::Parser;

    fn asked(line: &str) -> Result<CreateTokenRequest, String> {
        let words = "keikoctl cluster token create".split(' ').chain(line.split(' '));
        match Cli::try_parse_from(words).map(|cli| cli.verb) {
            Ok(Verb::Cluster(ClusterVerb::Token(TokenVerb::Create(args)))) => {
                message(args).map_err(|refusal| refusal.message)
            }
            Ok(_) => panic!("{line} is another verb"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_can_be_refused_here_is() {
        let no = |line: &str| asked(line).unwrap_err();
        assert_eq!(no("--for admin"), "a token for the role admin needs --name");
        assert_eq!(no("--for node --bearer"), "a bearer token is for viewer, guest and agent only");
        assert_eq!(
            no("--for admin --name a --bearer"),
            "a bearer token is for viewer, guest and agent only"
        );
        assert_eq!(no("--for node --ttl 0s"), "a token that lives for no time is of no use");
    }

    #[test]
    fn a_request_says_what_was_typed() {
        let made = asked("--for operator --name anna --ttl 2h").unwrap();
        assert_eq!((&*made.r#for, &*made.name, made.ttl_ms), ("operator", "anna", 7_200_000));
        let made = asked("--for agent/hello -n team-a --bearer").unwrap();
        assert_eq!((&*made.r#for, made.bearer, made.ttl_ms), ("agent/team-a/hello", true, 0));
        assert_eq!(asked("--for viewer --bearer").unwrap().name, "");
    }
}
