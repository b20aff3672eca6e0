//! The members: one row each, or one of them.

use super::args::NodeVerb;
use super::table::{self, NODES};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Listing, Shown};
use crate::rooms::registry::flags::Look;
use crate::session::{QUICK, Session};
use keiko_client::proto::v1::NodeInfo;
use keiko_core::refusal::{Code, Refusal};

/// Runs a verb of the members.
pub(crate) async fn run(verb: NodeVerb, session: &Session) -> Outcome {
    match verb {
        NodeVerb::List(look) => list(&look, session).await,
        NodeVerb::Describe { name } => describe(&name, session).await,
    }
}

async fn list(look: &Look, session: &Session) -> Outcome {
    let status = session.client(QUICK).await?.status().await?;
    let printer = &session.printer;
    let wanted = look.wanted(false);
    let nodes = wanted.sort(NODES, status.nodes, &printer.clock)?;
    let listing = Listing { revision: status.revision, name: &reference };
    printer.rows(NODES, &wanted, &nodes, !look.no_headers, listing)?;
    Ok(Exit::Done)
}

async fn describe(name: &str, session: &Session) -> Outcome {
    let status = session.client(QUICK).await?.status().await?;
    let Some(node) = status.nodes.iter().find(|node| node.name == name) else {
        let refusal = Refusal::new(Code::NotFound, format!("no node {name:?} in this cluster"));
        return Err(refusal.hint("keikoctl node list").into());
    };
    session.printer.document(&node.json(), |printer| {
        table::node(node).lay_out(&printer.style, printer.width(), false)
    })?;
    Ok(Exit::Done)
}

fn reference(node: &NodeInfo) -> String {
    format!("node/{}", node.name)
}
