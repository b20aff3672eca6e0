//! `keikod verify FILE`: is every byte as it was written, and does it make the state that it says?

use super::load::load;
use super::opened::Opened;
use super::{Scratch, unusable};
use crate::cli::{Output, VerifyArgs};
use crate::consensus::offline::{Alone, Offline};
use crate::moment;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Filter, Kind};
use keiko_core::security;
use keiko_core::selector::Selector;
use keiko_core::store::Store;
use keiko_proto::v1::{BackupGroup, BackupHeader};
use serde_json::{Value, json};
use std::path::Path;

/// What it holds, beside the journal and the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holdings {
    agents: usize,
    servers: usize,
    tools: usize,
    skills: usize,
    people: usize,
    tokens: usize,
}

/// Checks all of it in a folder below `scratch`, which is removed again, and reports on stdout.
pub(crate) fn run(file: &Path, args: &VerifyArgs) -> Result<()> {
    let backup = Opened::open(file, args.backup.as_deref())?;
    let words = backup.words(file);
    let root = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let place = place(&root)?;
    let header = backup.unpack(&place.join("files"))?;
    let alone = Alone { id: header.next_node_id, name: "verify".to_owned() };
    let store = Offline::create(&place.join("node"))?;
    load(&store, &header, &place.join("files"), &alone)?;
    let holdings = count(&store.view())?;
    let text = match args.output {
        Output::Json => format!("{}\n", as_json(&header, holdings)),
        Output::Text => as_text(&words, &header, holdings),
    };
    drop(store);
    crate::cli::print(&text);
    Ok(())
}

/// A folder of this process's own.
fn place(root: &Path) -> Result<Scratch> {
    std::fs::create_dir_all(root).map_err(|error| unusable(root, &error))?;
    let name = format!("keiko-verify-{}-{}", std::process::id(), moment::now_ms());
    Scratch::make(root.join(name))
}

fn count(store: &dyn Store) -> Result<Holdings> {
    let group = GroupId::CONTROL;
    Ok(Holdings {
        agents: count_kind(store, Kind::Agent)?,
        servers: count_kind(store, Kind::McpServer)?,
        tools: count_kind(store, Kind::Tool)?,
        skills: count_kind(store, Kind::Skill)?,
        people: security::people(store, group).len(),
        tokens: security::tokens(store, group).len(),
    })
}

fn count_kind(store: &dyn Store, kind: Kind) -> Result<usize> {
    let filter = Filter { kind, namespace: None, selector: Selector::parse("")? };
    let (mut count, mut token) = (0, String::new());
    loop {
        let page = registry::list(store, GroupId::CONTROL, &filter, None, 0, &token)?;
        count += page.items.len();
        match page.next {
            Some(next) => token = next,
            None => return Ok(count),
        }
    }
}

fn bytes_of(group: &BackupGroup) -> u64 {
    group.files.iter().map(|file| file.length).sum()
}

fn as_json(header: &BackupHeader, holdings: Holdings) -> Value {
    let group = |group: &BackupGroup| {
        json!({
            "group": group.group,
            "revision": group.revision,
            "oldest_revision": group.oldest_revision,
            "time": moment::text(group.unix_ms),
            "term": group.term,
            "index": group.index,
            "state_hash": group.state_hash,
            "files": group.files.len(),
            "pieces": group.pieces.len(),
            "bytes": bytes_of(group),
        })
    };
    let Holdings { agents, servers, tools, skills, people, tokens } = holdings;
    json!({
        "cluster_id": header.cluster_id,
        "created": moment::text(header.created_unix_ms),
        "node": header.node,
        "version": header.version,
        "groups": header.groups.iter().map(group).collect::<Vec<_>>(),
        "nodes": header.nodes.iter().map(|node| &node.name).collect::<Vec<_>>(),
        "holds": {
            "agents": agents, "servers": servers, "tools": tools, "skills": skills,
            "people": people, "tokens": tokens,
        },
    })
}

fn as_text(words: &str, header: &BackupHeader, holdings: Holdings) -> String {
    let BackupHeader { cluster_id, node, version, nodes, .. } = header;
    let created = moment::text(header.created_unix_ms);
    let mut text = format!("{words}: cluster {cluster_id}, made {created} by {node} ({version})\n");
    for group in &header.groups {
        text.push_str(&format!(
            "group {}: revision {} of {}, back to {}, state {}\n  {} files, {} bytes\n",
            group.group,
            group.revision,
            moment::text(group.unix_ms),
            group.oldest_revision,
            &group.state_hash[..group.state_hash.len().min(16)],
            group.files.len(),
            bytes_of(group),
        ));
    }
    let Holdings { agents, servers, tools, skills, people, tokens } = holdings;
    text.push_str(&format!(
        "holds: agents {agents}, MCP servers {servers}, tools {tools}, skills {skills}\n"
    ));
    text.push_str(&format!(
        "a restore leaves out: members {}, people {people}, tokens {tokens}\n",
        nodes.len()
    ));
    text.push_str("everything is in order\n");
    text
}
