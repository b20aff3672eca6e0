//! How a cluster and its nodes are shown.

use crate::print::table::{Grid, Heading};
use crate::print::{Cell, Column, Role, Shown, When};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{NodeInfo, StatusResponse};
use serde_json::{Value, json};

impl Shown for NodeInfo {
    fn json(&self) -> Value {
        to_json("keiko.v1.NodeInfo", self)
    }
}

/// Members.
pub(crate) const NODES: &[Column<NodeInfo>] = &[
    Column::new("NODE", |node: &NodeInfo, _| Cell::text(&node.name)),
    Column::new("STATE", |node: &NodeInfo, _| state(&node.state)),
    Column::new("ADDRESS", |node: &NodeInfo, _| Cell::text(&node.api_address)),
    Column::new("VERSION", |node: &NodeInfo, _| Cell::text(&node.version)),
    Column::new("APPLIED", |node: &NodeInfo, _| Cell::number(node.applied_index)),
    Column::new("ID", |node: &NodeInfo, _| Cell::number(node.id)).when(When::Wide),
    Column::new("STATE-HASH", |node: &NodeInfo, _| Cell::text(&node.state_hash)).when(When::Wide),
];

/// One member, a line for each thing.
pub(crate) fn node(node: &NodeInfo) -> Grid {
    let rows = [
        ("name", Cell::text(&node.name)),
        ("id", Cell::number(node.id)),
        ("state", state(&node.state)),
        ("address", Cell::text(&node.api_address)),
        ("version", Cell::text(&node.version)),
        ("applied", Cell::number(node.applied_index)),
        ("state hash", Cell::text(&node.state_hash)),
    ];
    let rows = rows.map(|(title, cell)| vec![Cell::text(title), cell]).into();
    Grid { headings: vec![Heading::default(), Heading::default()], rows, ..Grid::default() }
}

fn state(state: &str) -> Cell {
    let role = match state {
        "leader" | "follower" => Role::Good,
        _ => Role::Warn,
    };
    Cell::role(role, state)
}

/// The JSON, with what scripts ask for always there: a field at its default is left out by the
/// mapping, and a missing leader must read as an empty name.
pub(crate) fn document(status: &StatusResponse) -> Value {
    let mut document = to_json("keiko.v1.StatusResponse", status);
    let quorum = status.quorum.unwrap_or_default();
    document["leader"] = json!(status.leader);
    document["revision"] = json!(status.revision);
    document["cluster"]["id"] = json!(status.cluster.as_ref().map_or("", |cluster| &cluster.id));
    document["quorum"] = json!({
        "voters": quorum.voters,
        "needed": quorum.needed,
        "reachable": quorum.reachable,
        "ok": quorum.ok,
    });
    for list in ["nodes", "missing", "alarms"] {
        if document[list].is_null() {
            document[list] = json!([]);
        }
    }
    document
}

/// The first lines of `status`.
pub(crate) fn summary(status: &StatusResponse) -> Grid {
    let quorum = status.quorum.unwrap_or_default();
    let id = status.cluster.as_ref().map_or("", |cluster| &cluster.id);
    let leader = match status.leader.as_str() {
        "" => Cell::role(Role::Bad, "none"),
        name => Cell::text(format!("{name} (term {})", status.term)),
    };
    let (role, word) = if quorum.ok { (Role::Good, "ok") } else { (Role::Bad, "lost") };
    let voters = format!(
        "{word}: {} of {} voters reachable, {} needed",
        quorum.reachable, quorum.voters, quorum.needed
    );
    let cluster = if id.is_empty() { Cell::role(Role::Warn, "none yet") } else { Cell::text(id) };
    let mut rows = vec![
        vec![Cell::text("cluster"), cluster],
        vec![Cell::text("leader"), leader],
        vec![Cell::text("quorum"), Cell::role(role, voters)],
        vec![Cell::text("revision"), Cell::text(status.revision.to_string())],
        vec![Cell::text("release"), Cell::text(&status.version)],
    ];
    let missing = status.missing.iter().map(|words| ("missing", Role::Warn, words));
    let alarms = status.alarms.iter().map(|words| ("alarm", Role::Bad, words));
    for (title, role, words) in missing.chain(alarms) {
        rows.push(vec![Cell::text(title), Cell::role(role, words)]);
    }
    Grid { headings: vec![Heading::default(), Heading::default()], rows, ..Grid::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::Style;
    use keiko_client::proto::v1::{ClusterInfo, Quorum};

    #[test]
    fn scripts_find_every_field_even_without_a_leader() {
        let document = document(&StatusResponse::default());
        assert_eq!(document["leader"], "");
        assert_eq!(document["cluster"]["id"], "");
        assert_eq!(document["quorum"]["ok"], false);
        assert_eq!(document["revision"], 0);
        assert_eq!(document["nodes"], json!([]));
    }

    #[test]
    fn people_read_words() {
        let status = StatusResponse {
            cluster: Some(ClusterInfo { id: "c1".into(), ca_hash: String::new() }),
            leader: "n1".into(),
            term: 3,
            quorum: Some(Quorum { voters: 1, needed: 1, reachable: 1, ok: true }),
            revision: 42,
            version: "0.1.0".into(),
            alarms: vec!["the disk is nearly full".into()],
            ..StatusResponse::default()
        };
        assert_eq!(
            summary(&status).lay_out(&Style::plain(), None, false),
            "cluster    c1\n\
             leader     n1 (term 3)\n\
             quorum     ok: 1 of 1 voters reachable, 1 needed\n\
             revision   42\n\
             release    0.1.0\n\
             alarm      the disk is nearly full\n"
        );
    }
}
