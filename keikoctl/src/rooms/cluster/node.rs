//! The members: one row each, one of them, and what an operator decides about one.

use super::args::{DrainArgs, GetArgs, ListArgs, NodeVerb};
use super::table::{self, NODES, Row};
use super::{remove, repair, watch};
use crate::exit::Exit;
use crate::fault::{Outcome, Stop};
use crate::print::{Format, FormatKind, Listing, Role, Shown};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    DrainNodeRequest, DrainNodeResponse, GetNodeRequest, ListNodesRequest, ListNodesResponse,
    NodeInfo,
};
use keiko_core::refusal::{Code, Refusal};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Leadership moves within seconds, or something is wrong.
const DRAIN: Duration = Duration::from_secs(30);
/// A node that starts carries out what it missed; from a snapshot, if it was away for long.
const BACK: Duration = Duration::from_secs(300);
/// Who leads is known live only, so it is asked for.
const LOOK: Duration = Duration::from_millis(200);

/// Runs a verb of the members.
pub(crate) async fn run(verb: NodeVerb, session: &Session) -> Outcome {
    match verb {
        NodeVerb::List(args) => list(&args, session).await,
        NodeVerb::Get(args) => get(&args, session).await,
        NodeVerb::Describe(args) => describe(&args.name, session).await,
        NodeVerb::Drain(args) => drain(args, session).await,
        NodeVerb::Remove(args) => remove::run(&args, session).await,
        NodeVerb::Repair(args) => repair::run(args, session).await,
    }
}

async fn list(args: &ListArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    if args.watch {
        return watch::run(&args.look, &client, session).await;
    }
    let listed = all(&client).await?;
    let printer = &session.printer;
    let wanted = args.look.wanted(false);
    let rows = wanted.sort(NODES, table::rows(listed.items), &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &Row::reference };
    printer.rows(NODES, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

/// Every member.
pub(super) async fn all(client: &Client) -> Outcome<ListNodesResponse> {
    let listed = client
        .read(ListNodesRequest {}, |client, request| async move {
            client.cluster().list_nodes(request).await
        })
        .await?;
    Ok(listed)
}

/// One member.
pub(super) async fn fetch(client: &Client, name: &str) -> Outcome<Row> {
    let request = GetNodeRequest { name: name.to_owned() };
    let node = client
        .read(request, |client, request| async move { client.cluster().get_node(request).await })
        .await
        .map_err(unknown)?;
    Ok(row(node))
}

/// The row of one.
fn row(node: NodeInfo) -> Row {
    let lag = (node.lag > 0 || node.state == "leader").then_some(node.lag);
    Row { node, lag }
}

/// Who is not found may be misspelt.
pub(super) fn unknown(error: keiko_client::Error) -> Stop {
    match Stop::from(error) {
        Stop::Refused(mut fault) if fault.refusal.code == Code::NotFound => {
            if fault.refusal.hints.is_empty() {
                fault.refusal = fault.refusal.hint("keikoctl node list");
            }
            Stop::Refused(fault)
        }
        stop => stop,
    }
}

async fn get(args: &GetArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let row = fetch(&client, &args.name).await?;
    let printer = &session.printer;
    match &printer.format {
        Format::Plain(
            FormatKind::Table | FormatKind::Wide | FormatKind::Csv | FormatKind::Name,
        ) => {
            let listing = Listing { revision: 0, name: &Row::reference };
            let wanted = args.look.wanted(false);
            printer.rows(NODES, &wanted, &[row], !args.look.no_headers, listing)?;
        }
        _ => printer.document(&row.json(), |_| String::new())?,
    }
    Ok(Exit::Done)
}

async fn describe(name: &str, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(QUICK).await?;
    let row = fetch(&client, name).await?;
    let reference = row.reference();
    session.printer.document(&row.json(), |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{reference}\n"),
        _ => {
            let page = table::page(&row, &printer.clock).lay_out(&printer.style, None, false);
            let hint = format!("keikoctl event tail --from 0 --subject {reference}");
            format!(
                "{page}\n{}\n",
                printer.style.paint(Role::Muted, &format!("how it became so: {hint}"))
            )
        }
    })?;
    Ok(Exit::Done)
}

async fn drain(args: DrainArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(QUICK).await?;
    let DrainArgs { name, undo, reason, patience, request } = args;
    let asked = DrainNodeRequest { name: name.clone(), undo, reason, request_id: Vec::new() };
    let mut drained = client
        .write(request.id, asked, |client, request| async move {
            client.cluster().drain_node(request).await
        })
        .await
        .map_err(unknown)?;
    let waits = patience.or(false);
    if waits {
        drained.node = Some(match undo {
            true => back(&client, &name, session).await?,
            false => relieved(&client, &name, session).await?,
        });
    }
    let revision = drained.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.DrainNodeResponse", &drained);
    document["revision"] = json!(revision);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("node/{name}\n"),
        _ => format!("node/{name} {} revision {revision}\n", words(undo, waits)),
    })?;
    if !undo && !waits && leads(&drained) {
        let more =
            format!("it still leads; to wait until it does not: keikoctl node drain {name} --wait");
        session.printer.note(&more);
    }
    Ok(Exit::Done)
}

fn leads(drained: &DrainNodeResponse) -> bool {
    drained.node.as_ref().is_some_and(|node| node.state == "leader")
}

fn words(undo: bool, waited: bool) -> &'static str {
    match (undo, waited) {
        (true, true) => "is back and has caught up, in use again at",
        (true, false) => "in use again at",
        (false, true) => "drained: it leads nothing, at",
        (false, false) => "draining at",
    }
}

/// Waits until it leads nothing; gives back how it is then.
async fn relieved(client: &Client, name: &str, session: &Session) -> Outcome<NodeInfo> {
    let deadline = Instant::now() + session.timeout(DRAIN);
    let _progress = session.progress(format!("node/{name}: waiting until it leads nothing"));
    session.detaches();
    loop {
        let node = fetch(client, name).await?.node;
        if node.state != "leader" && node.admin_state == "draining" {
            return Ok(node);
        }
        if Instant::now() + LOOK > deadline {
            return Err(busy(&node).into());
        }
        sleep(LOOK).await;
    }
}

/// Waits until it carries out what the others do; gives back how it is then. What is asked for was
/// written a moment ago, so a node that is only thought to be there can't have it.
async fn back(client: &Client, name: &str, session: &Session) -> Outcome<NodeInfo> {
    let deadline = Instant::now() + session.timeout(BACK);
    let _progress = session.progress(format!("node/{name}: waiting until it has caught up"));
    session.detaches();
    let mut until = None;
    loop {
        let nodes = all(client).await?.items;
        let here = nodes.iter().find(|node| node.answering).map_or(0, |node| node.applied_index);
        let until = *until.get_or_insert(here);
        let node = nodes.into_iter().find(|node| node.name == name).unwrap_or_default();
        let follows = ["leader", "follower", "learner"].contains(&node.state.as_str());
        if follows && node.admin_state.is_empty() && node.applied_index >= until {
            return Ok(node);
        }
        if Instant::now() + LOOK > deadline {
            return Err(behind(name, &node, until).into());
        }
        sleep(LOOK).await;
    }
}

fn behind(name: &str, node: &NodeInfo, until: u64) -> Refusal {
    let cause = match node.state.as_str() {
        "down" => "nobody hears from it".to_owned(),
        "" => "it is no member".to_owned(),
        state => format!("it is {state}, and has carried out {} of {until}", node.applied_index),
    };
    Refusal::new(Code::WaitTimeout, format!("node/{name} has not caught up yet"))
        .cause(cause)
        .hint("its log says what it does: journalctl -u keikod")
        .hint("keikoctl cluster status")
}

fn busy(node: &NodeInfo) -> Refusal {
    let NodeInfo { name, state, .. } = node;
    let message = match state.as_str() {
        "leader" => format!("node/{name} still leads"),
        _ => format!("node/{name} is not draining yet"),
    };
    Refusal::new(Code::WaitTimeout, message)
        .cause("leadership goes to another voter that is up and has caught up")
        .hint("keikoctl cluster status shows who could lead")
        .hint("keikoctl cluster transfer-leader --to NODE")
        .hint(format!("keikoctl node drain {name} --undo takes it back"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_client::proto::v1::Refusal as Wire;

    #[test]
    fn who_is_not_found_may_be_misspelt() {
        let said = |code: Code, hints: &[&str]| {
            let hints = hints.iter().map(|hint| (*hint).to_owned()).collect();
            let refusal = Wire { code: code as u32, hints, ..Wire::default() };
            match unknown(refusal.into()) {
                Stop::Refused(fault) => fault.refusal.hints,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(said(Code::NotFound, &[]), ["keikoctl node list"]);
        assert_eq!(said(Code::NotFound, &["look here"]), ["look here"]);
        assert!(said(Code::PermissionDenied, &[]).is_empty());
    }

    #[test]
    fn a_node_that_does_not_come_back_says_why() {
        let node = |state: &str| NodeInfo { state: state.into(), ..NodeInfo::default() };
        for (state, expect) in [
            ("down", "nobody hears from it"),
            ("", "it is no member"),
            ("learner", "it is learner, and has carried out 0 of 7"),
        ] {
            assert_eq!(behind("n1", &node(state), 7).causes, [expect]);
        }
    }

    #[test]
    fn a_drain_that_lasts_says_why() {
        let node = |state: &str| NodeInfo {
            name: "n1".into(),
            state: state.into(),
            ..NodeInfo::default()
        };
        assert_eq!(busy(&node("leader")).message, "node/n1 still leads");
        assert_eq!(busy(&node("follower")).message, "node/n1 is not draining yet");
    }
}
