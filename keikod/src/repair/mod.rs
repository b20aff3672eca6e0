//! `keikod repair`: the data folder of a stopped node, made good again.
//!
//! ```text
//! peers.rs    from members that serve: another id, and nothing that it had
//! pieces.rs   from the folders of all voters, stopped: the same id, and all that it had
//! sources.rs  what such a folder has that can be believed     chain.rs  which entries are the log's
//! aside.rs    where the damaged goes
//! ```
//!
//! Invariants: nothing is deleted, what was damaged lies beside what is made; a folder that a cut
//! repair left is refused by every start, or is empty, and the same command goes on. A node keeps its
//! id only with everything that it may have confirmed and a vote above every one that it may have
//! given; in every other case its id is given up, by an entry of the cluster's, before it comes back.
//!
//! Never: runs beside a daemon; takes a byte for good because it can be read.

mod aside;
mod chain;
mod peers;
mod pieces;
mod sources;

use crate::cli::{Output, RepairArgs, print};
use crate::lifecycle::Folder;
use crate::settings::{Flags, Settings};
use crate::verify::refuse_running;
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::json;
use std::path::PathBuf;

/// What came of it.
struct Repaired {
    node: String,
    node_id: u64,
    cluster_id: String,
    /// Where what was there lies now; nowhere if there was nothing.
    set_aside: Option<PathBuf>,
    /// What was put together, if anything was.
    pieces: Option<pieces::Found>,
}

/// Repairs, and says what came of it on stdout.
pub(crate) fn run(args: &RepairArgs, flags: &Flags) -> Result<()> {
    let settings = Settings::load(flags)?;
    let data_dir = &settings.data_dir.value;
    for folder in std::iter::once(data_dir).chain(&args.with) {
        refuse_running(folder)?;
    }
    let folder = Folder::take(data_dir)?;
    let repaired = match &settings.join {
        Some(join) => peers::repair(&settings, join)?,
        None => pieces::repair(data_dir, &args.with)?,
    };
    drop(folder);
    print(&match args.output {
        Output::Json => format!("{}\n", repaired.as_json()),
        Output::Text => repaired.as_text(&settings),
    });
    Ok(())
}

fn refused(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::RepairRefused, message)
}

impl Repaired {
    fn as_json(&self) -> serde_json::Value {
        let Self { node, node_id, cluster_id, set_aside, pieces } = self;
        let pieces = pieces.as_ref().map(|found| {
            json!({
                "state_of": found.state_of.as_ref().map(|folder| folder.display().to_string()),
                "state_index": found.state.map(|id| id.index),
                "log_end": found.end.index,
                "entries": found.entries,
            })
        });
        json!({
            "node": node,
            "node_id": node_id,
            "cluster_id": cluster_id,
            "set_aside": set_aside.as_ref().map(|folder| folder.display().to_string()),
            "pieces": pieces,
        })
    }

    fn as_text(&self, settings: &Settings) -> String {
        let Self { node, node_id, cluster_id, set_aside, pieces } = self;
        let mut text = match pieces {
            None => format!(
                "node {node} is node {node_id} of cluster {cluster_id} from now on\n\
                 it gets the state from the others, and votes once it has all of it\n"
            ),
            Some(found) => format!(
                "node {node} is whole again, as node {node_id} of cluster {cluster_id}\n{}",
                found.as_text()
            ),
        };
        if let Some(folder) = set_aside {
            let line = format!(
                "what was there is in {}; remove it when nobody needs it\n",
                folder.display()
            );
            text.push_str(&line);
        }
        let data_dir = settings.data_dir.value.display();
        text.push_str(&format!("start it: keikod run --data-dir {data_dir} --node-name {node}\n"));
        text
    }
}
