//! Founding, joining, and who leads.

use super::args::{ClusterVerb, JoinArgs, TransferArgs};
use super::{backup, ca, status, table, upgrade};
use crate::context;
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::{Format, FormatKind};
use crate::rooms::security;
use crate::session::{Interrupt, PATIENT, QUICK, Session};
use keiko_client::Identity;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1 as wire;
use serde_json::json;
use std::io::Read as _;

/// A token has less than 200.
const TOKEN_BYTES_MAX: u64 = 1024;

/// Runs a verb of the cluster.
pub(crate) async fn run(verb: ClusterVerb, session: &Session) -> Outcome {
    match verb {
        ClusterVerb::Init => init(session).await,
        ClusterVerb::Join(args) => join(args, session).await,
        ClusterVerb::Status => status::full(session).await,
        ClusterVerb::TransferLeader(args) => transfer(args, session).await,
        ClusterVerb::Backup(args) => backup::run(&args, session).await,
        ClusterVerb::Upgrade(args) => upgrade::run(&args, session).await,
        ClusterVerb::Ca(verb) => ca::run(verb, session).await,
        ClusterVerb::Token(verb) => security::token(verb, session).await,
    }
}

async fn init(session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let founded = client
        .once(wire::InitRequest {}, |client, request| async move {
            client.cluster().init(request).await
        })
        .await?;
    let document = to_json("keiko.v1.InitResponse", &founded);
    session.printer.document(&document, |_| format!("cluster {} founded\n", founded.cluster_id))?;
    Ok(Exit::Done)
}

async fn join(args: JoinArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let token = token(&args, session)?;
    // The file holds what is traded, and proves nothing to the node that joins.
    let mut globals = session.globals.clone();
    globals.token_file = None;
    let near = Session::new(globals, session.globals.printer());
    let client = near.client(PATIENT).await?;
    session.on_interrupt(Interrupt::Detaches(
        "detached; the node goes on with it: keikoctl cluster status".to_owned(),
    ));
    let progress = session.progress(format!("joining the cluster of {}", args.address));
    let request = wire::JoinRequest { address: args.address, token };
    let joined = client
        .once(request, |client, request| async move { client.cluster().join(request).await })
        .await?;
    drop(progress);
    let document = to_json("keiko.v1.JoinResponse", &joined);
    let wire::JoinResponse { cluster_id, node_id, .. } = &joined;
    session
        .printer
        .document(&document, |_| format!("joined cluster {cluster_id} as node {node_id}\n"))?;
    session.printer.note("it catches up and becomes a voter by itself: keikoctl node list");
    Ok(Exit::Done)
}

/// The token that is traded. What the environment says is the caller's own identity.
fn token(args: &JoinArgs, session: &Session) -> Outcome<String> {
    let globals = &session.globals;
    let file = globals.token_file.as_ref().filter(|_| globals.given.is_flag("token_file"));
    let text = match (&args.token, file) {
        (Some(_), Some(_)) => {
            return Err(usage("--token does not go with --token-file")
                .hint("leave one of them away: both name what is traded")
                .into());
        }
        (Some(text), None) if text == "-" => {
            let mut piped = String::new();
            let read = std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut piped);
            read.map_err(|error| usage("the token can't be read").cause(error))?;
            piped
        }
        (Some(text), None) => text.clone(),
        (None, Some(path)) => String::from_utf8_lossy(&context::read(path)?).into_owned(),
        (None, None) => {
            return Err(usage("a token is missing: --token, or --token-file")
                .hint("a member makes it: keikoctl cluster token create --for node")
                .into());
        }
    };
    let text = text.trim();
    text.parse::<Identity>()?;
    Ok(text.to_owned())
}

async fn transfer(args: TransferArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(PATIENT).await?;
    let progress = session.progress("handing leadership over");
    let request = wire::TransferLeaderRequest { to: args.to.unwrap_or_default() };
    let handed = client
        .once(
            request,
            |client, request| async move { client.cluster().transfer_leader(request).await },
        )
        .await?;
    drop(progress);
    let mut document = to_json("keiko.v1.TransferLeaderResponse", &handed);
    // A field at its default is left out by the mapping, and scripts read all of them.
    document["before"] = json!(handed.before);
    document["tookMs"] = json!(handed.took_ms);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("node/{}\n", handed.leader),
        _ => format!("{}\n", table::handed(&handed)),
    })?;
    Ok(Exit::Done)
}
