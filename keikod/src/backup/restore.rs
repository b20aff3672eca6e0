//! `keikod restore`: a data folder of one node from a backup.
//!
//! The state is taken as it is, and two entries are written behind it that the node applies at its
//! first start: one that makes it a cluster of its own with this node as its only member and without
//! whoever was let in before, and, to go back further, one that takes what is declared back. The
//! node then makes its authority as after any founding that was cut.
//!
//! All of it is made in a folder inside the data folder and moved at the end, the marker of the
//! format last: a folder that a cut restore left is refused by every start.

use super::load::load;
use super::opened::Opened;
use super::{Scratch, unusable};
use crate::cli::{Output, RestoreArgs, print};
use crate::consensus::offline::{Alone, Offline};
use crate::lifecycle::{Folder, Membership};
use crate::moment;
use crate::settings::values;
use keiko_core::features;
use keiko_core::house;
use keiko_core::id::GroupId;
use keiko_core::journal;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    self as wire, BackupHeader, RegistryOp, Reopen, Rewind, SecurityOp, at::Point, registry_op,
    security_op,
};
use prost::Message as _;
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use uuid::Uuid;

/// Where it is made; while there is no marker it is swept by nobody, so that whoever finds it knows
/// what happened.
const SCRATCH: &str = "restore.unfinished";
/// What a store consists of, in the order in which it is moved.
const PARTS: [&str; 3] = ["durable", "snapshots", "store"];
/// Moved last: without it every start is refused.
const MARKER: &str = "format";
/// What may lie in an empty folder: the lock, and what a fresh file system has.
const NOTHING: [&str; 2] = ["lock", "lost+found"];

/// What came of it.
struct Restored {
    header: BackupHeader,
    cluster_id: String,
    node: Alone,
    /// What is declared is as it was then.
    revision: u64,
    /// Where revisions go on.
    goes_on_at: u64,
}

/// Restores, and says what came of it on stdout.
pub(crate) fn run(args: &RestoreArgs) -> Result<()> {
    let backup = Opened::open(&args.from, args.backup.as_deref())?;
    check_empty(&args.data_dir)?;
    let folder = Folder::take(&args.data_dir)?;
    let restored = restore(backup, args)?;
    drop(folder);
    print(&match args.output {
        Output::Json => format!("{}\n", restored.as_json()),
        Output::Text => restored.as_text(args),
    });
    Ok(())
}

fn check_empty(data_dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| unusable(data_dir, &error))?,
    };
    for entry in entries {
        let name = entry.map_err(|error| unusable(data_dir, &error))?.file_name();
        if NOTHING.iter().any(|nothing| name == *nothing) {
            continue;
        }
        let message = format!("{} is not empty", data_dir.display());
        return Err(Refusal::new(Code::TargetNotEmpty, message)
            .cause(format!("{} is there", data_dir.join(name).display()))
            .hint("restore into a folder of its own: nothing is ever written over"));
    }
    Ok(())
}

/// Refuses a folder in which a restore was cut: what is there is nothing, or half of a store. Of one
/// that came to its end, what it only had to remove is removed.
pub(crate) fn check_finished(data_dir: &Path) -> Result<()> {
    let scratch = data_dir.join(SCRATCH);
    if !scratch.exists() {
        return Ok(());
    }
    // A hand may have written the marker; the note before it, it can't.
    if data_dir.join(MARKER).exists() && Membership::read(data_dir)?.is_some() {
        drop(Scratch(scratch));
        return Ok(());
    }
    let message = format!("a restore into {} was cut", data_dir.display());
    Err(Refusal::new(Code::TargetNotEmpty, message)
        .cause(format!("{} is there", scratch.display()))
        .hint("remove all that is in the folder, and restore again"))
}

fn restore(backup: Opened, args: &RestoreArgs) -> Result<Restored> {
    let from = backup.words(&args.from);
    let scratch = Scratch::make(args.data_dir.join(SCRATCH))?;
    let header = backup.unpack(&scratch.join("files"))?;
    let name = args.node_name.clone().unwrap_or_else(values::node_name_default);
    let node = Alone { id: header.next_node_id, name };
    let root = scratch.join("node");
    let mut store = Offline::create(&root)?;
    load(&store, &header, &scratch.join("files"), &node)?;
    let revision = revision_of(&store, &header, args)?;
    let cluster_id = Uuid::now_v7().to_string();
    let mut rooms = vec![reopen(&header, &cluster_id, &node, &from)];
    if revision < house::revision(&store.view(), GroupId::CONTROL) {
        let op = registry_op::Op::Rewind(Rewind { revision });
        rooms.push(Room::Registry(RegistryOp { op: Some(op) }));
    }
    let entries: Vec<_> = rooms.into_iter().map(|room| entry(&node, room)).collect();
    let goes_on_at = store
        .foresee(GroupId::CONTROL, &entries, |state| house::revision(state, GroupId::CONTROL))?;
    store.append(GroupId::CONTROL, &node, false, entries)?;
    for group in header.groups.iter().skip(1) {
        // Nothing is added to the others, but a vote: without one, they would begin in term 1 again,
        // below that of their last entry.
        let id = GroupId(u16::try_from(group.group).unwrap_or(u16::MAX));
        store.append(id, &node, false, Vec::new())?;
    }
    // RocksDB must let go of its files before they move.
    drop(store);
    for part in PARTS {
        move_in(part, &root, &args.data_dir)?;
    }
    let (node_id, name) = (node.id, node.name.clone());
    let membership = Membership::new(cluster_id.clone(), node_id, name);
    Membership { had_state: true, ..membership }.write(&args.data_dir)?;
    move_in(MARKER, &root, &args.data_dir)?;
    Ok(Restored { header, cluster_id, node, revision, goes_on_at })
}

/// Up to which revision what is declared is wanted, if that can be told.
fn revision_of(store: &Offline, header: &BackupHeader, args: &RestoreArgs) -> Result<u64> {
    let view = store.view();
    let group = GroupId::CONTROL;
    let newest = house::revision(&view, group);
    let found = match args.to.as_ref().and_then(|to| to.point) {
        // The newest is not what was so then.
        Some(Point::UnixMs(unix_ms)) if unix_ms > header.created_unix_ms => {
            let message = format!("the backup was made before {}", moment::text(unix_ms));
            Err(Refusal::new(Code::FutureRevision, message))
        }
        _ => journal::resolve(&view, group, args.to.as_ref()),
    };
    let found = found.map_err(|refusal| {
        let oldest = journal::oldest_revision(&view, group);
        let mut refusal = refusal.cause(format!(
            "this backup reaches from revision {oldest} to {newest}, which is of {}",
            moment::text(house::last_stamp_ms(&view, group))
        ));
        refusal.hints = vec!["take an older backup, or a revision that this one has".to_owned()];
        refusal
    })?;
    Ok(found.unwrap_or(newest))
}

fn reopen(header: &BackupHeader, cluster_id: &str, node: &Alone, from: &str) -> Room {
    let reason = format!(
        "restored from {}, made {} by {}",
        // A path may hold anything; the law takes a line.
        from.escape_default(),
        moment::text(header.created_unix_ms),
        header.node,
    );
    let reopen = Reopen {
        from_cluster_id: header.cluster_id.clone(),
        cluster_id: cluster_id.to_owned(),
        node: Some(wire::Node {
            id: node.id,
            name: node.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            feature_level: features::LEVEL,
            ..Default::default()
        }),
        forget_authority: true,
        reason: reason.chars().take(keiko_core::limits::REASON_CHARS_MAX).collect(),
    };
    Room::Security(SecurityOp { op: Some(security_op::Op::Reopen(reopen)) })
}

/// As whoever runs this command, at this node.
pub(crate) fn entry(node: &Alone, room: Room) -> Vec<u8> {
    let uid = Some(nix::unistd::Uid::current().as_raw());
    let who = wire::actor::Who::Socket(wire::SocketPeer { node: node.name.clone(), uid });
    wire::Entry {
        format: features::FORMAT,
        feature_level: features::LEVEL,
        proposed_ms: moment::now_ms(),
        actor: Some(wire::Actor { who: Some(who) }),
        room: Some(room),
        ..Default::default()
    }
    .encode_to_vec()
}

fn move_in(part: &str, root: &Path, data_dir: &Path) -> Result<()> {
    let to = data_dir.join(part);
    fs::rename(root.join(part), &to)
        .and_then(|()| File::open(data_dir)?.sync_all())
        .map_err(|error| unusable(&to, &error))
}

impl Restored {
    fn as_json(&self) -> serde_json::Value {
        let Self { header, cluster_id, node, revision, goes_on_at } = self;
        json!({
            "cluster_id": cluster_id,
            "from_cluster_id": header.cluster_id,
            "node": node.name,
            "node_id": node.id,
            "revision": revision,
            "goes_on_at": goes_on_at,
            "backup_created": moment::text(header.created_unix_ms),
            "state_hash": header.groups.first().map(|group| &group.state_hash),
        })
    }

    fn as_text(&self, args: &RestoreArgs) -> String {
        let Self { header, cluster_id, node, revision, goes_on_at } = self;
        format!(
            "restored cluster {} as it was at revision {revision}\n\
             it is cluster {cluster_id} from now on, with node {} as its only member\n\
             revisions go on at {goes_on_at}; history and journal are kept\n\
             left out: the members, tokens and people of before; its authority is made anew\n\
             start it: keikod run --data-dir {} --node-name {}\n",
            header.cluster_id,
            node.name,
            args.data_dir.display(),
            node.name,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_is_taken() {
        let place = tempfile::tempdir().unwrap();
        check_empty(&place.path().join("missing")).unwrap();
        check_empty(place.path()).unwrap();
        fs::write(place.path().join("lock"), "7").unwrap();
        fs::create_dir(place.path().join("lost+found")).unwrap();
        check_empty(place.path()).unwrap();
        for name in ["format", "store", SCRATCH, "anything"] {
            let path = place.path().join(name);
            fs::write(&path, "").unwrap();
            assert_eq!(check_empty(place.path()).unwrap_err().code, Code::TargetNotEmpty, "{name}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_a_cut_restore_left_is_no_data_folder() {
        let place = tempfile::tempdir().unwrap();
        let scratch = place.path().join(SCRATCH);
        check_finished(place.path()).unwrap();
        fs::create_dir(&scratch).unwrap();
        for part in PARTS {
            assert_eq!(check_finished(place.path()).unwrap_err().code, Code::TargetNotEmpty);
            fs::create_dir(place.path().join(part)).unwrap();
        }
        assert_eq!(check_finished(place.path()).unwrap_err().code, Code::TargetNotEmpty);
        fs::write(place.path().join(MARKER), "1").unwrap();
        assert_eq!(check_finished(place.path()).unwrap_err().code, Code::TargetNotEmpty);
        // With the note and the marker nothing is missing but the sweep.
        let (cluster_id, name) = ("c".to_owned(), "n".to_owned());
        Membership::new(cluster_id, 2, name).write(place.path()).unwrap();
        check_finished(place.path()).unwrap();
        assert!(!scratch.exists());
    }
}
