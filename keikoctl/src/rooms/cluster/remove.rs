//! `node remove`: says what it does to the quorum, and asks. Whether it may be is the server's to
//! say, before anybody is asked.

use super::args::RemoveArgs;
use super::{node, table};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind, escape, prompt};
use crate::rooms::registry::flags::DryRunBy;
use crate::session::{PATIENT, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{NodeInfo, RemoveNodeRequest, RemoveNodeResponse};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};
use uuid::Uuid;

/// Runs `node remove`.
pub(super) async fn run(args: &RemoveArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    let reference = format!("node/{}", args.name);
    let consent = session.consent(args.yes);
    if args.dry_run.by().is_none() && !prompt::can_ask(consent) {
        let what = format!("{reference} would leave the cluster for good");
        return Err(prompt::needs_yes(&what).into());
    }
    let client = session.client(PATIENT).await?;
    if let Some(by) = args.dry_run.by() {
        let removal = match by {
            DryRunBy::Server => ask(&client, args, true, None).await?,
            DryRunBy::Client => foresee(node::all(&client).await?.items, &args.name)?,
        };
        return preview(&removal, by, session);
    }
    if !consent.yes {
        let removal = ask(&client, args, true, None).await?;
        for line in table::radius(&removal) {
            printer.note(&line);
        }
        if args.revoke {
            printer.note("everybody's certificate counts no more: people enrol anew");
        }
        if !prompt::confirm(format!("remove {reference} for good?")).await {
            printer.note("nothing was removed");
            return Ok(Exit::Refused(1));
        }
    }
    let progress = session.progress(format!("removing {reference}"));
    let removed = ask(&client, args, false, args.request.id).await?;
    drop(progress);
    let revision = removed.write.unwrap_or_default().revision;
    let mut document = document(&removed);
    document["revision"] = json!(revision);
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{reference}\n"),
        _ => format!("{reference} removed at revision {revision}\n"),
    })?;
    if !removed.rotation.is_empty() {
        let words = escape::line(&removed.rotation);
        printer.note(&format!("the CA and the cluster key are changed in the background: {words}"));
        printer.note("to see how far it is: keikoctl cluster ca list");
    }
    printer.note(
        "its machine joins again only with an empty data folder and a new token: keikoctl cluster token create --for node",
    );
    Ok(Exit::Done)
}

async fn ask(
    client: &Client,
    args: &RemoveArgs,
    dry_run: bool,
    id: Option<Uuid>,
) -> Outcome<RemoveNodeResponse> {
    let (name, revoke) = (args.name.clone(), args.revoke);
    let request = RemoveNodeRequest { name, request_id: Vec::new(), dry_run, revoke };
    client
        .write(
            id,
            request,
            |client, request| async move { client.cluster().remove_node(request).await },
        )
        .await
        .map_err(node::unknown)
}

/// What it would be, from what can be read.
fn foresee(nodes: Vec<NodeInfo>, name: &str) -> Result<RemoveNodeResponse, Refusal> {
    let voters = nodes.iter().filter(|node| node.role == "voter").count();
    let voters = u32::try_from(voters).unwrap_or(u32::MAX);
    let node = nodes.into_iter().find(|node| node.name == name).ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("no node {name:?} in this cluster"))
            .hint("keikoctl node list")
    })?;
    let votes = u32::from(node.role == "voter");
    Ok(RemoveNodeResponse {
        node: Some(node),
        voters_before: voters,
        voters_after: voters.saturating_sub(votes),
        ..RemoveNodeResponse::default()
    })
}

fn preview(removal: &RemoveNodeResponse, by: DryRunBy, session: &Session) -> Outcome {
    let mut document = document(removal);
    document["dryRun"] = json!(match by {
        DryRunBy::Client => "client",
        DryRunBy::Server => "server",
    });
    let name = removal.node.as_ref().map_or("", |node| &node.name);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("node/{name}\n"),
        _ => {
            let lines = table::radius(removal).into_iter();
            let lines = lines.map(|line| format!("  {}\n", escape::line(&line)));
            let first = format!("node/{name} would be removed; nothing was changed\n");
            std::iter::once(first).chain(lines).collect()
        }
    })?;
    Ok(Exit::Done)
}

/// The JSON, with what scripts ask for always there.
fn document(removal: &RemoveNodeResponse) -> Value {
    let mut document = to_json("keiko.v1.RemoveNodeResponse", removal);
    document["votersBefore"] = json!(removal.voters_before);
    document["votersAfter"] = json!(removal.voters_after);
    document["hosted"] = json!(removal.hosted);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, role: &str) -> NodeInfo {
        NodeInfo { name: name.into(), role: role.into(), ..NodeInfo::default() }
    }

    #[test]
    fn what_is_foreseen_counts_votes() {
        let nodes = || vec![node("n1", "voter"), node("n2", "voter"), node("n3", "learner")];
        for (name, expect) in [("n1", Some((2, 1))), ("n3", Some((2, 2))), ("n9", None)] {
            let foreseen = foresee(nodes(), name).ok();
            let voters = foreseen.map(|removal| (removal.voters_before, removal.voters_after));
            assert_eq!(voters, expect, "{name}");
        }
        let document = document(&foresee(nodes(), "n3").unwrap());
        assert_eq!(document["hosted"], json!([]));
        assert_eq!(document["votersAfter"], 2);
    }
}
