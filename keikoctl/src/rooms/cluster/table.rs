//! How a cluster and its nodes are shown.

use crate::print::table::{Grid, Heading};
use crate::print::time::{Clock, rfc3339, short};
use crate::print::{Cell, Column, Role, Shown, When};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    NodeInfo, RemoveNodeResponse, StatusResponse, TransferLeaderResponse,
};
use serde_json::{Value, json};

/// From here on a node counts as down.
const PHI_DOWN: f64 = 8.0;
/// Further from the answering node's clock is worth a colour; what it is worth is the law's to say.
const OFFSET_MS_MAX: u64 = 500;
/// Names that a sentence gives.
const NAMED_MAX: usize = 5;

/// A member as a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub node: NodeInfo,
    /// Entries that it lags behind; none: only the leader knows.
    pub lag: Option<u64>,
}

impl Shown for Row {
    fn json(&self) -> Value {
        to_json("keiko.v1.NodeInfo", &self.node)
    }
}

impl Row {
    /// `node/name`.
    pub(super) fn reference(&self) -> String {
        format!("node/{}", self.node.name)
    }
}

/// The members of one answer.
pub(super) fn rows(nodes: Vec<NodeInfo>) -> Vec<Row> {
    let leads = nodes.iter().any(|node| node.answering && node.state == "leader");
    let row = |node: NodeInfo| Row { lag: (leads || node.lag > 0).then_some(node.lag), node };
    nodes.into_iter().map(row).collect()
}

const NODE: Column<Row> = Column::new("NODE", |row: &Row, _| Cell::text(&row.node.name));
const STATE: Column<Row> = Column::new("STATE", |row: &Row, _| state(&row.node));
const ROLE: Column<Row> = Column::new("ROLE", |row: &Row, _| or_dash(&row.node.role));
const ADDRESS: Column<Row> =
    Column::new("ADDRESS", |row: &Row, _| Cell::text(&row.node.api_address));
const VERSION: Column<Row> =
    Column::new("VERSION", |row: &Row, _| Cell::text(&row.node.version)).spare();
const APPLIED: Column<Row> =
    Column::new("APPLIED", |row: &Row, _| Cell::number(row.node.applied_index)).spare();
const LAG: Column<Row> = Column::new("LAG", |row: &Row, _| row.lag.map_or_else(dash, Cell::number));
const HEARD: Column<Row> = Column::new("HEARD", |row: &Row, clock| heard(&row.node, clock));
const PHI: Column<Row> = Column::new("PHI", |row: &Row, _| phi(&row.node));
const OFFSET: Column<Row> = Column::new("OFFSET", |row: &Row, _| offset(&row.node));

/// Members, as lists have them.
pub(super) const NODES: &[Column<Row>] = &[
    NODE,
    STATE,
    ROLE,
    ADDRESS,
    VERSION,
    APPLIED,
    HEARD.spare(),
    LAG.when(When::Wide),
    PHI.when(When::Wide),
    OFFSET.when(When::Wide),
    TRIP,
    HOSTED,
    CERTIFICATE,
    LEVEL,
    ID,
    PEER,
    JOINED,
    REASON,
    STATE_HASH,
];

/// Members, and how well they hear each other.
pub(super) const MEMBERS: &[Column<Row>] = &[
    NODE,
    ROLE,
    STATE,
    LAG,
    HEARD,
    PHI,
    OFFSET,
    ADDRESS.spare(),
    VERSION.when(When::Wide),
    APPLIED.when(When::Wide),
    TRIP,
    HOSTED,
    CERTIFICATE,
    LEVEL,
    ID,
    PEER,
    JOINED,
    REASON,
    STATE_HASH,
];

const TRIP: Column<Row> =
    Column::new("TRIP", |row: &Row, _| trip(row.node.round_trip_us)).when(When::Wide);
const HOSTED: Column<Row> =
    Column::new("HOSTED", |row: &Row, _| Cell::number(row.node.hosted.into())).when(When::Wide);
/// When its certificate ends.
const CERTIFICATE: Column<Row> =
    Column::new("CERTIFICATE", |row: &Row, clock| until(clock, row.node.certificate_expires_ms))
        .when(When::Wide);
const LEVEL: Column<Row> =
    Column::new("LEVEL", |row: &Row, _| Cell::number(row.node.feature_level.into()))
        .when(When::Wide);
const ID: Column<Row> =
    Column::new("ID", |row: &Row, _| Cell::number(row.node.id)).when(When::Wide);
const PEER: Column<Row> =
    Column::new("PEER", |row: &Row, _| or_dash(&row.node.peer_address)).when(When::Wide);
const JOINED: Column<Row> =
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.node.joined_ms)).when(When::Wide);
const REASON: Column<Row> =
    Column::new("REASON", |row: &Row, _| Cell::text(&row.node.admin_reason))
        .when(When::Wide)
        .flexible();
const STATE_HASH: Column<Row> =
    Column::new("STATE-HASH", |row: &Row, _| Cell::text(&row.node.state_hash)).when(When::Wide);

/// What is not known, or means nothing here.
fn dash() -> Cell {
    Cell::role(Role::Muted, "-")
}

fn or_dash(text: &str) -> Cell {
    if text.is_empty() { dash() } else { Cell::text(text) }
}

/// What it does, and what an operator decided about it.
fn state(node: &NodeInfo) -> Cell {
    let role = match node.state.as_str() {
        "down" => Role::Bad,
        "leader" | "follower" if node.admin_state.is_empty() => Role::Good,
        _ => Role::Warn,
    };
    let words = [node.state.as_str(), &node.admin_state];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    Cell::role(role, words.join(", "))
}

/// How long ago the answering node heard from it.
fn heard(node: &NodeInfo, clock: &Clock) -> Cell {
    let is_down = node.state == "down";
    match (node.answering, node.last_heard_ms) {
        (true, _) => dash(),
        (false, 0) if is_down && node.down_since_ms == 0 => Cell::role(Role::Bad, "never"),
        (false, 0) if is_down => Cell { role: Role::Bad, ..Cell::age(clock, node.down_since_ms) },
        (false, ago) => {
            let role = if is_down { Role::Bad } else { Role::Plain };
            Cell { role, ..Cell::age(clock, clock.now_ms.saturating_sub(ago)) }
        }
    }
}

fn phi(node: &NodeInfo) -> Cell {
    if node.answering {
        return dash();
    }
    let role = if node.phi >= PHI_DOWN { Role::Bad } else { Role::Plain };
    // What is beyond any figure is as large as a key can be.
    let key = Some((node.phi.max(0.0) * 1000.0) as u64);
    Cell { text: format!("{:.1}", node.phi), role, key }
}

fn offset(node: &NodeInfo) -> Cell {
    if node.answering {
        return dash();
    }
    let away = node.clock_offset_ms.unsigned_abs();
    let role = if away > OFFSET_MS_MAX { Role::Bad } else { Role::Plain };
    let text = match node.clock_offset_ms {
        0 => "0ms".to_owned(),
        away => format!("{away:+}ms"),
    };
    Cell { text, role, key: Some(away) }
}

/// A round trip, to a tenth of a millisecond.
fn trip(us: u64) -> Cell {
    match us {
        0 => dash(),
        us => Cell {
            text: format!("{}.{}ms", us / 1000, us % 1000 / 100),
            role: Role::Plain,
            key: Some(us),
        },
    }
}

fn until(clock: &Clock, unix_ms: u64) -> Cell {
    match unix_ms {
        0 => dash(),
        _ if unix_ms <= clock.now_ms => Cell { role: Role::Bad, ..Cell::until(clock, unix_ms) },
        _ => Cell::until(clock, unix_ms),
    }
}

fn time(unix_ms: u64) -> Cell {
    Cell::text(if unix_ms == 0 { String::new() } else { rfc3339(unix_ms) })
}

/// One member, a line for each thing that is known.
pub(super) fn page(row: &Row, clock: &Clock) -> Grid {
    let node = &row.node;
    let known = |cell: Cell| if cell.text == "-" { Cell::default() } else { cell };
    let lines = [
        ("name", Cell::text(&node.name)),
        ("id", Cell::number(node.id)),
        ("state", state(node)),
        ("reason", Cell::text(&node.admin_reason)),
        ("role", Cell::text(&node.role)),
        ("address", Cell::text(&node.api_address)),
        ("peer address", Cell::text(&node.peer_address)),
        ("version", Cell::text(&node.version)),
        ("feature level", Cell::number(node.feature_level.into())),
        ("applied", Cell::number(node.applied_index)),
        ("lag", row.lag.map(Cell::number).unwrap_or_default()),
        ("state hash", Cell::text(&node.state_hash)),
        ("hosts", Cell::text(hosts(&[], node.hosted))),
        ("heard", known(heard(node, clock))),
        ("down since", time(node.down_since_ms)),
        ("phi", known(phi(node))),
        ("clock offset", known(offset(node))),
        ("round trip", known(trip(node.round_trip_us))),
        ("certificate", time(node.certificate_expires_ms)),
        ("settings hash", Cell::text(&node.settings_hash)),
        ("joined", time(node.joined_ms)),
    ];
    let is_known = |(_, cell): &(&str, Cell)| !cell.text.is_empty();
    let rows = lines.into_iter().filter(is_known);
    let rows = rows.map(|(title, cell)| vec![Cell::role(Role::Muted, title), cell]).collect();
    Grid { headings: vec![Heading::default(), Heading::default()], rows, ..Grid::default() }
}

/// The JSON, with what scripts ask for always there: a field at its default is left out by the
/// mapping, and a missing leader must read as an empty name.
pub(super) fn document(status: &StatusResponse) -> Value {
    let mut document = to_json("keiko.v1.StatusResponse", status);
    let quorum = status.quorum.unwrap_or_default();
    document["leader"] = json!(status.leader);
    document["lastLeader"] = json!(status.last_leader);
    document["node"] = json!(status.node);
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

/// The first line where no write is taken; none where one is, and before there is a cluster.
pub(super) fn lost(status: &StatusResponse) -> Option<String> {
    let quorum = status.quorum.unwrap_or_default();
    if quorum.voters == 0 || (quorum.ok && !status.leader.is_empty()) {
        return None;
    }
    let (reachable, voters, needed) = (quorum.reachable, quorum.voters, quorum.needed);
    let last = last_leader(status);
    Some(if reachable < needed {
        format!("NO QUORUM {reachable}/{voters}, need {needed}, last leader {last}")
    } else {
        format!("NO LEADER {reachable}/{voters}, need {needed}, last leader {last}")
    })
}

/// Who led last, and how long it has been silent.
fn last_leader(status: &StatusResponse) -> String {
    let names = [&status.leader, &status.last_leader];
    let Some(name) = names.into_iter().find(|name| !name.is_empty()) else {
        return "unknown".to_owned();
    };
    match status.nodes.iter().find(|node| node.name == *name) {
        Some(node) if node.answering => format!("{name} (this node)"),
        Some(node) if node.last_heard_ms > 0 => {
            format!("{name} (heard {} ago)", short(node.last_heard_ms))
        }
        _ => name.clone(),
    }
}

/// The first lines of `status`.
pub(super) fn summary(status: &StatusResponse) -> Grid {
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
    let rotation = status.cluster.as_ref().map_or("", |cluster| &cluster.rotation);
    if !rotation.is_empty() {
        rows.push(vec![Cell::text("CA"), Cell::role(Role::Warn, rotation)]);
    }
    // Where there is one node nobody asks which.
    if status.nodes.len() > 1 && !status.node.is_empty() {
        rows.push(vec![Cell::text("seen by"), Cell::text(&status.node)]);
    }
    let missing = status.missing.iter().map(|words| ("missing", Role::Warn, words));
    let alarms = status.alarms.iter().map(|words| ("alarm", Role::Bad, words));
    for (title, role, words) in missing.chain(alarms) {
        rows.push(vec![Cell::text(title), Cell::role(role, words)]);
    }
    Grid { headings: vec![Heading::default(), Heading::default()], rows, ..Grid::default() }
}

/// As in `node/n2 leads in term 7; node/n1 did before, and 120 ms went by without a leader`.
pub(super) fn handed(handed: &TransferLeaderResponse) -> String {
    let TransferLeaderResponse { leader, before, term, took_ms } = handed;
    if leader == before {
        return format!("node/{leader} leads already, in term {term}");
    }
    let before = match before.as_str() {
        "" => "nobody".to_owned(),
        name => format!("node/{name}"),
    };
    format!(
        "node/{leader} leads in term {term}; {before} did before, and writes waited for {took_ms} ms at most"
    )
}

/// What a removal would touch, a line for each thing.
pub(super) fn radius(removal: &RemoveNodeResponse) -> Vec<String> {
    let node = removal.node.clone().unwrap_or_default();
    let (before, after) = (removal.voters_before, removal.voters_after);
    let needed = after / 2 + 1;
    let mut lines = vec![match after.saturating_sub(needed) {
        _ if before == after => format!("it has no vote: {after} voters stay {after}"),
        0 => format!("voters {before} -> {after}: then none of them may be lost"),
        spare => format!("voters {before} -> {after}: then {spare} of them may be lost"),
    }];
    let hosted = hosts(&removal.hosted, node.hosted);
    if !hosted.is_empty() {
        lines.push(format!("it hosts {hosted}"));
    }
    lines
}

/// As in `2 MCP servers: mcp/a, mcp/b`; empty if it hosts nothing.
fn hosts(names: &[String], count: u32) -> String {
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX).max(count);
    let servers = match count {
        0 => return String::new(),
        1 => "1 MCP server".to_owned(),
        count => format!("{count} MCP servers"),
    };
    if names.is_empty() {
        return servers;
    }
    let more = if names.len() > NAMED_MAX { ", …" } else { "" };
    format!("{servers}: {}{more}", names[..names.len().min(NAMED_MAX)].join(", "))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
