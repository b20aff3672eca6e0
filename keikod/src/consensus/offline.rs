//! The store of a node that does not run, taken further by hand: what a restored node begins with,
//! and what a node goes on with that gave a lost quorum up.
//!
//! Invariants:
//! - A log only grows here. What is added stands behind its end, in a term of its own above every
//!   one that this node has seen, and this node's vote is its own in that term: the next start
//!   finds what a leader would leave that was killed.
//! - What the law would refuse is not written.
//! - The durable note is written last, after the store is synced.
//!
//! Never: is used beside a daemon. The caller holds the folder's lock.

use super::members::MemberView;
use super::wire;
use crate::store::folder::Folder;
use crate::store::note::{Groups, Note, Noted};
use crate::store::record::{Kind, LogId, Record, Vote};
use crate::store::snapshot::{Manifest, Part};
use crate::store::{Database, View, damage};
use bytes::Bytes;
use keiko_core::house::{Head, Round};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::store::Store;
use keiko_proto::v1 as wire_v1;
use prost::Message as _;
use std::collections::BTreeSet;
use std::path::Path;

/// The node that is alone from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alone {
    /// Never another node's.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// How far a group of a stopped node is.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The last entry of its log.
    pub log_end: Option<LogId>,
    /// How far it is applied.
    pub applied: Option<LogId>,
    /// Its vote.
    pub vote: Option<Vote>,
    /// The state.
    pub head: Head,
    /// The newest members that the log knows.
    pub members: Vec<MemberView>,
    /// Who votes: of each of these sets a majority decides. Two while the voters change.
    pub voters: Vec<BTreeSet<u64>>,
}

/// A store that nobody serves.
pub struct Offline {
    database: Database,
    note: Note,
}

impl Offline {
    /// An empty one, in a folder that has none yet.
    pub fn create(root: &Path) -> Result<Self> {
        Self::of(Database::open(Folder::open(root)?)?)
    }

    /// That of a node that ran, with all that it called durable.
    pub fn open(root: &Path) -> Result<Self> {
        Self::of(Database::open(Folder::existing(root)?)?)
    }

    fn of(database: Database) -> Result<Self> {
        let note = database.checked_note()?;
        Ok(Self { database, note })
    }

    /// What it holds now.
    pub fn view(&self) -> View<'_> {
        self.database.view()
    }

    /// Takes in a group whose files lie in `folder`, as it was at `last`, with this one node as its
    /// only member. The folder is moved away.
    pub fn take_in(
        &self,
        group: GroupId,
        folder: &Path,
        files: Vec<Part>,
        last: LogId,
        alone: &Alone,
    ) -> Result<Head> {
        let applied = wire::alone_to_store(last, alone.id, &alone.name)?.encode();
        Manifest { group: u32::from(group.0), applied, files }.write(folder)?;
        self.database.install_snapshot(group, folder)?;
        // So that the log goes on behind it.
        self.database.purge(group, last)?;
        self.database.sync()?;
        Ok(Head::read(&self.view(), group))
    }

    /// Asks the state that there will be once all that the log holds, and these entries behind it,
    /// are applied. Refused if the law refuses one of them.
    pub fn foresee<R>(
        &self,
        group: GroupId,
        entries: &[Vec<u8>],
        query: impl FnOnce(&dyn Store) -> R,
    ) -> Result<R> {
        let view = self.view();
        let mut round = Round::new(&view, group);
        let first = view.applied(group).map_or(0, |applied| applied.last.index + 1);
        let mut next = first;
        for record in self.database.scan_log(group, first..u64::MAX) {
            let record = record?;
            next = record.id.index + 1;
            if record.kind == Kind::Normal {
                round.apply(record.id.index, &record.payload)?;
            }
        }
        for (index, entry) in (next..).zip(entries) {
            let applied = round.apply(index, entry)?;
            let reply = wire_v1::Reply::decode(applied.reply.as_slice()).map_err(|error| {
                Refusal::new(Code::Internal, "the law's reply is not readable").cause(error)
            })?;
            if let Some(wire_v1::reply::Result::Refusal(refusal)) = reply.result {
                return Err(Refusal::from_wire(refusal));
            }
        }
        Ok(query(round.store()))
    }

    /// Adds entries behind the log's end; with `members`, first the one that makes this node the
    /// only member. Durable when this returns.
    pub fn append(
        &mut self,
        group: GroupId,
        alone: &Alone,
        members: bool,
        entries: Vec<Vec<u8>>,
    ) -> Result<()> {
        let end = end_of(&self.database, group)?;
        if let Some(end) = end
            && self.database.last_record(group)?.is_none_or(|last| last.id.index < end.index)
        {
            // Nothing may lie below the gap that a snapshot left.
            self.database.purge(group, end)?;
        }
        let seen = self.database.vote(group)?.map_or(0, |vote| vote.term);
        let term = seen.max(end.map_or(0, |end| end.term)) + 1;
        let mut at = LogId { term, index: end.map_or(0, |end| end.index + 1) };
        let mut records = Vec::with_capacity(entries.len() + 1);
        if members {
            records.push(wire::alone_entry(at, alone.id, &alone.name)?);
            at.index += 1;
        }
        for entry in entries {
            records.push(Record { id: at, kind: Kind::Normal, payload: Bytes::from(entry) });
            at.index += 1;
        }
        let vote = Vote { term, node_id: alone.id, committed: true };
        // In this order, as a leader's: no entry is of a term that this node has not seen.
        self.database.save_vote(group, vote)?;
        self.database.append(group, &records)?;
        self.database.sync()?;
        let last = records.last().map(|record| record.id).or(end);
        self.note.groups.insert(group, Noted { vote: Some(vote), last });
        self.note.write()?;
        self.note.sync()
    }
}

/// What a node is given that lost pieces of what it held, from nodes that have them.
impl Offline {
    /// Takes in a group whose files lie in `folder`, as it was at `last`, with the members that it
    /// had. The folder is moved away.
    pub fn take_over(&self, group: GroupId, folder: &Path, last: LogId) -> Result<()> {
        self.database.install_snapshot(group, folder)?;
        // So that the log goes on behind it.
        self.database.purge(group, last)
    }

    /// Adds entries of the group's log as another node has them; not durable yet.
    pub fn go_on(&self, group: GroupId, records: &[Record]) -> Result<()> {
        self.database.append(group, records)
    }

    /// Ends it with this vote. Durable when this returns, and checked as a start checks it.
    pub fn seal(mut self, group: GroupId, vote: Vote) -> Result<()> {
        self.database.save_vote(group, vote)?;
        self.database.sync()?;
        let last = self.database.log_end(group)?;
        self.note.groups.insert(group, Noted { vote: Some(vote), last });
        self.note.write()?;
        self.note.sync()?;
        self.database.check_note(&self.note.groups)
    }
}

/// Of each of these sets of nodes a majority decides, as an apply mark or a log entry has them.
pub(crate) fn voters_of(members: &[u8]) -> Result<Vec<BTreeSet<u64>>> {
    wire::members_from_store(members).map(|members| members.get_joint_config().clone())
}

/// Looks at a group of a stopped node, asks its state, and changes nothing.
pub fn standing<R>(
    root: &Path,
    group: GroupId,
    query: impl FnOnce(&View<'_>) -> R,
) -> Result<(Standing, R)> {
    let database = Database::open_to_read(Folder::existing(root)?)?;
    if let Some(marker) = database.unfinished_installs()?.first() {
        let message = "the install of a snapshot was interrupted, so the state is not whole";
        return Err(Refusal::new(Code::NotReady, message)
            .cause(format!("{} is there", marker.display()))
            .hint("start keikod once: it finishes the install; then stop it"));
    }
    let path = database.folder().durable();
    let noted = match Note::open(&path, false)? {
        Some(note) => note.groups,
        None if database.groups()?.is_empty() => Groups::new(),
        None => return Err(damage(&path, "the durable note is missing beside a log")),
    };
    database.check_note(&noted)?;
    let applied = database.applied(group)?;
    let mut members = applied.as_ref().map(|applied| applied.membership.clone());
    let first = applied.as_ref().map_or(0, |applied| applied.last.index + 1);
    for record in database.scan_log(group, first..u64::MAX) {
        let record = record?;
        if record.kind == Kind::Membership {
            members = Some(record.payload.to_vec());
        }
    }
    let members = members.map(|bytes| wire::members_from_store(&bytes)).transpose()?;
    let voters = members.as_ref().map(|members| members.get_joint_config().clone());
    let view = database.view();
    let standing = Standing {
        log_end: end_of(&database, group)?,
        applied: applied.map(|applied| applied.last),
        vote: database.vote(group)?,
        head: Head::read(&view, group),
        members: members.as_ref().map(MemberView::all).unwrap_or_default(),
        voters: voters.unwrap_or_default(),
    };
    Ok((standing, query(&view)))
}

/// Behind which entry the log goes on: its last one, or that of a snapshot which reached further and
/// behind which a crash left the log as it was.
fn end_of(database: &Database, group: GroupId) -> Result<Option<LogId>> {
    let end = database.log_end(group)?;
    let applied = database.applied(group)?.map(|applied| applied.last);
    let further = applied.filter(|applied| end.is_none_or(|end| end.index < applied.index));
    Ok(further.or(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Applied;
    use keiko_core::store::{Space, Write};

    fn filled(root: &Path) -> Offline {
        let store = Offline::create(root).unwrap();
        let group = GroupId::CONTROL;
        let key = [&group.prefix()[..], b"key"].concat();
        let write = Write { space: Space::State, key, value: Some(vec![7; 100]) };
        let applied = Applied { last: LogId { term: 3, index: 7 }, membership: Vec::new() };
        store.database.apply(group, &[write], &applied).unwrap();
        store
    }

    #[test]
    fn a_group_is_taken_in_and_the_log_goes_on_behind_it() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let from = filled(here.path());
        let (group, alone) = (GroupId::CONTROL, Alone { id: 4, name: "n4".to_owned() });
        let folder = there.path().join("files");
        let files = from.database.write_group(&from.view(), group, &folder).unwrap().files;
        let root = there.path().join("node");
        let mut to = Offline::create(&root).unwrap();
        let last = LogId { term: 3, index: 7 };
        to.take_in(group, &folder, files, last, &alone).unwrap();
        to.append(group, &alone, false, vec![b"entry".to_vec()]).unwrap();
        drop(to);
        let (standing, ()) = standing(&root, group, |_| ()).unwrap();
        assert_eq!(standing.applied, Some(last));
        assert_eq!(standing.log_end, Some(LogId { term: 4, index: 8 }));
        let vote = Vote { term: 4, node_id: 4, committed: true };
        assert_eq!(standing.vote, Some(vote));
        assert_eq!(standing.members.len(), 1);
        assert_eq!((standing.members[0].id, standing.members[0].votes), (4, true));
        // A start finds nothing to complain of.
        Offline::open(&root).unwrap();
        crate::consensus::verify(&root).unwrap();
    }

    #[test]
    fn a_log_that_a_snapshot_left_behind_goes_on_behind_the_snapshot() {
        let here = tempfile::tempdir().unwrap();
        let mut store = filled(here.path());
        let (group, id) = (GroupId::CONTROL, LogId { term: 2, index: 4 });
        let behind = Record { id, kind: Kind::Blank, payload: Bytes::new() };
        store.database.append(group, &[behind]).unwrap();
        let alone = Alone { id: 1, name: "n1".to_owned() };
        store.append(group, &alone, true, Vec::new()).unwrap();
        drop(store);
        let (standing, ()) = standing(here.path(), group, |_| ()).unwrap();
        assert_eq!(standing.log_end, Some(LogId { term: 4, index: 8 }));
        assert_eq!(standing.members[0].id, 1);
        Offline::open(here.path()).unwrap();
        crate::consensus::verify(here.path()).unwrap();
    }

    #[test]
    fn the_last_members_of_the_log_count() {
        let here = tempfile::tempdir().unwrap();
        let mut store = filled(here.path());
        let group = GroupId::CONTROL;
        let mark = wire::alone_to_store(LogId { term: 3, index: 7 }, 1, "n1").unwrap();
        store.database.apply(group, &[], &mark).unwrap();
        let alone = Alone { id: 2, name: "n2".to_owned() };
        store.append(group, &alone, true, Vec::new()).unwrap();
        store.append(group, &alone, false, vec![b"x".to_vec()]).unwrap();
        drop(store);
        let (standing, ()) = standing(here.path(), group, |_| ()).unwrap();
        assert_eq!(standing.members[0].id, 2);
        assert_eq!(standing.voters, [BTreeSet::from([2])]);
        assert_eq!(standing.log_end, Some(LogId { term: 5, index: 9 }));
    }
}
