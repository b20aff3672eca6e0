//! The columns of every kind.

use super::object::Item;
use super::state;
use crate::print::columns::When::{AllNamespaces, Wide};
use crate::print::{Cell, Column};
use keiko_client::proto::v1::object::Object as Any;
use keiko_client::proto::v1::{AgentSpec, Kind, McpServerSpec, SkillSpec, ToolSpec};

const NAMESPACE: Column<Item> =
    Column::new("NAMESPACE", |item: &Item, _| Cell::text(&item.metadata().namespace))
        .when(AllNamespaces);
const NAME: Column<Item> = Column::new("NAME", |item: &Item, _| Cell::text(&item.metadata().name));
const STATE: Column<Item> = Column::new("STATE", |item: &Item, _| state::cell(item));
const AGE: Column<Item> =
    Column::new("AGE", |item: &Item, clock| Cell::age(clock, item.metadata().created_ms));
const REVISION: Column<Item> =
    Column::new("REVISION", |item: &Item, _| Cell::number(item.metadata().revision)).when(Wide);
const REASON: Column<Item> =
    Column::new("REASON", |item: &Item, _| Cell::text(state::reason(item))).flexible();
const VERSION: Column<Item> =
    Column::new("VERSION", |item: &Item, _| Cell::text(state::version(item))).spare();
/// Of the last probe.
const LATENCY: Column<Item> = Column::new("LATENCY", |item: &Item, _| {
    state::took(item.live().map_or(0, |live| live.probe_latency_ms.saturating_mul(1000)))
})
.when(Wide);
/// Through the answering node, under way.
const CALLS: Column<Item> = Column::new("CALLS", |item: &Item, _| {
    item.live().map_or_else(Cell::default, |live| Cell::number(live.calls_in_flight.into()))
})
.when(Wide);
const LOAD: Column<Item> = Column::new("LOAD", |item: &Item, _| {
    item.live().and_then(|live| live.load.as_ref()).map(state::load).unwrap_or_default()
})
.when(Wide);
/// When it is looked at again.
const PROBE: Column<Item> = Column::new("PROBE", |item: &Item, clock| {
    state::until(clock, item.live().map_or(0, |live| live.next_probe_ms))
})
.when(Wide);
/// When its lease ends without another heartbeat.
const LEASE: Column<Item> = Column::new("LEASE", |item: &Item, clock| {
    state::until(clock, item.live().map_or(0, |live| live.lease_expires_ms))
})
.when(Wide);
const LABELS: Column<Item> = Column::new("LABELS", |item: &Item, _| {
    let labels = item.metadata().labels.iter().map(|(key, value)| format!("{key}={value}"));
    Cell::text(labels.collect::<Vec<_>>().join(","))
})
.when(Wide);

/// The columns of a kind.
pub(crate) fn columns(kind: Kind) -> &'static [Column<Item>] {
    match kind {
        Kind::Agent => AGENTS,
        Kind::McpServer => SERVERS,
        Kind::Tool => TOOLS,
        Kind::Skill => SKILLS,
        Kind::Unspecified => &[NAME],
    }
}

const AGENTS: &[Column<Item>] = &[
    NAMESPACE,
    NAME,
    STATE,
    REASON,
    VERSION,
    Column::new("PROTOCOL", |item: &Item, _| {
        agent(item, |spec| format!("{} {}", spec.protocol, spec.protocol_version))
    })
    .spare(),
    Column::new("URL", |item: &Item, _| agent(item, |spec| spec.url.clone())).flexible(),
    AGE,
    Column::new("TITLE", |item: &Item, _| agent(item, |spec| spec.title.clone()))
        .when(Wide)
        .flexible(),
    Column::new("SIGNATURE", |item: &Item, _| agent(item, |spec| spec.signature.clone()))
        .when(Wide),
    LATENCY,
    CALLS,
    LOAD,
    PROBE,
    LEASE,
    REVISION,
    LABELS,
];

const SERVERS: &[Column<Item>] = &[
    NAMESPACE,
    NAME,
    STATE,
    REASON,
    VERSION,
    Column::new("TRANSPORT", |item: &Item, _| server(item, |spec| spec.transport.clone())).spare(),
    Column::new("PROTOCOL", |item: &Item, _| server(item, |spec| spec.protocol_version.clone()))
        .spare(),
    Column::new("ENDPOINT", |item: &Item, _| server(item, endpoint)).flexible(),
    AGE,
    Column::new("SERVER", |item: &Item, _| server(item, |spec| spec.server_name.clone()))
        .when(Wide),
    Column::new("NODE", |item: &Item, _| {
        server(item, |spec| spec.grant.as_ref().map(|grant| grant.node.clone()).unwrap_or_default())
    })
    .when(Wide),
    LATENCY,
    CALLS,
    PROBE,
    REVISION,
    LABELS,
];

const TOOLS: &[Column<Item>] = &[
    NAMESPACE,
    NAME,
    Column::new("SERVER", |item: &Item, _| tool(item, |spec| spec.server.clone())),
    Column::new("DESCRIPTION", |item: &Item, _| tool(item, |spec| first_line(&spec.description)))
        .flexible(),
    AGE,
    Column::new("HINTS", |item: &Item, _| tool(item, hints)).when(Wide),
    Column::new("SCHEMA", |item: &Item, _| {
        tool(item, |spec| spec.schema_hash.chars().take(12).collect())
    })
    .when(Wide),
    REVISION,
    LABELS,
];

const SKILLS: &[Column<Item>] = &[
    NAMESPACE,
    NAME,
    Column::new("AGENT", |item: &Item, _| skill(item, |spec| spec.agent.clone())),
    Column::new("DESCRIPTION", |item: &Item, _| skill(item, |spec| first_line(&spec.description)))
        .flexible(),
    AGE,
    Column::new("TAGS", |item: &Item, _| skill(item, |spec| spec.tags.join(","))).when(Wide),
    REVISION,
    LABELS,
];

/// Where an MCP server is: its URL or its command.
pub(crate) fn endpoint(spec: &McpServerSpec) -> String {
    if spec.url.is_empty() { spec.command.join(" ") } else { spec.url.clone() }
}

/// What a server says of its tool.
pub(crate) fn hints(spec: &ToolSpec) -> String {
    let hints = spec.hints.unwrap_or_default();
    let words = [(hints.read_only, "read-only"), (hints.idempotent, "idempotent")];
    words.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}

fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().trim_end().to_owned()
}

fn agent(item: &Item, word: impl Fn(&AgentSpec) -> String) -> Cell {
    match &item.0.object {
        Some(Any::Agent(agent)) => Cell::text(agent.spec.as_ref().map(word).unwrap_or_default()),
        _ => Cell::default(),
    }
}

fn server(item: &Item, word: impl Fn(&McpServerSpec) -> String) -> Cell {
    match &item.0.object {
        Some(Any::McpServer(server)) => {
            Cell::text(server.spec.as_ref().map(word).unwrap_or_default())
        }
        _ => Cell::default(),
    }
}

fn tool(item: &Item, word: impl Fn(&ToolSpec) -> String) -> Cell {
    match &item.0.object {
        Some(Any::Tool(tool)) => Cell::text(tool.spec.as_ref().map(word).unwrap_or_default()),
        _ => Cell::default(),
    }
}

fn skill(item: &Item, word: impl Fn(&SkillSpec) -> String) -> Cell {
    match &item.0.object {
        Some(Any::Skill(skill)) => Cell::text(skill.spec.as_ref().map(word).unwrap_or_default()),
        _ => Cell::default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::print::columns::Wanted;
    use crate::print::time::Clock;
    use crate::print::{FormatKind, Style};
    use keiko_client::proto::v1::{
        Condition, Health, Live, McpServer, Metadata, Object, ObjectStatus,
    };

    pub(in crate::rooms::registry) fn time_server() -> Item {
        let ready =
            Condition { r#type: "Ready".into(), status: "True".into(), ..Condition::default() };
        let health = Health { state: "ready".into(), ..Health::default() };
        server(ObjectStatus {
            conditions: vec![ready],
            health: Some(health),
            ..ObjectStatus::default()
        })
    }

    pub(in crate::rooms::registry) fn server(status: ObjectStatus) -> Item {
        let metadata = Metadata {
            name: "time".into(),
            namespace: "default".into(),
            revision: 7,
            created_ms: 1_000,
            updated_ms: 2_000,
            ..Metadata::default()
        };
        let spec = McpServerSpec {
            transport: "stdio".into(),
            command: vec![
                "/usr/bin/mcp-server-time".into(),
                "--local-timezone".into(),
                "UTC".into(),
            ],
            protocol_version: "2026-07-28".into(),
            version: "1.2.0".into(),
            ..McpServerSpec::default()
        };
        let server = McpServer {
            api_version: "keiko/v1".into(),
            kind: "McpServer".into(),
            metadata: Some(metadata),
            spec: Some(spec),
            status: Some(status),
        };
        Item(Object { object: Some(Any::McpServer(server)) })
    }

    #[test]
    fn servers_in_columns() {
        let clock = Clock { now_ms: 181_000, utc: false };
        let grid = |item, kind| Wanted::default().grid(SERVERS, &[item], kind, &clock).unwrap();
        assert_eq!(
            grid(time_server(), FormatKind::Table).lay_out(&Style::plain(), Some(90), true),
            "NAME   STATE   REASON   VERSION   TRANSPORT   PROTOCOL     ENDPOINT                    AGE\n\
             time   ready            1.2.0     stdio       2026-07-28   /usr/bin/mcp-server-time…   3m\n"
        );
        let live = Live {
            next_probe_ms: 193_000,
            probe_latency_ms: 12,
            calls_in_flight: 3,
            ..Live::default()
        };
        let health = Health {
            state: "cooling-down".into(),
            failure_class: "timeout".into(),
            ..Health::default()
        };
        let status =
            ObjectStatus { health: Some(health), live: Some(live), ..ObjectStatus::default() };
        let wide = grid(server(status), FormatKind::Wide).lay_out(&Style::plain(), None, true);
        for words in
            ["cooling-down   timeout", "LATENCY   CALLS   PROBE", "12ms          3   in 12s"]
        {
            assert!(wide.contains(words), "{wide}");
        }
    }

    #[test]
    fn titles_are_unique_upper_case_words() {
        for kind in [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill] {
            let mut titles: Vec<_> = columns(kind).iter().map(|column| column.title).collect();
            assert!(titles.iter().all(|title| title.bytes().all(|b| b.is_ascii_uppercase())));
            titles.sort_unstable();
            let count = titles.len();
            titles.dedup();
            assert_eq!(titles.len(), count);
        }
    }
}
