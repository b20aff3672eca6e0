//! Between openraft's types and the store's records.

use super::types::{Command, Entry, LogId, Member, Membership, StoredMembership, Vote};
use crate::store::record::{self, Applied, Kind, Record};
use bytes::Bytes;
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::EntryPayload;
use openraft::vote::leader_id_std::{CommittedLeaderId, LeaderId};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// Members, as they are stored in log records, apply marks and snapshots.
#[derive(Clone, PartialEq, prost::Message)]
struct MembersRecord {
    /// The log entry that made them so; absent inside that entry.
    #[prost(message, optional, tag = "1")]
    log_id: Option<LogIdRecord>,
    /// One set of voters; two while it changes.
    #[prost(message, repeated, tag = "2")]
    voters: Vec<VotersRecord>,
    /// Voters and learners.
    #[prost(message, repeated, tag = "3")]
    nodes: Vec<NodeRecord>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct LogIdRecord {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VotersRecord {
    #[prost(uint64, repeated, tag = "1")]
    ids: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NodeRecord {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    addr: String,
}

pub(super) fn log_id_to_store(id: &LogId) -> record::LogId {
    record::LogId { term: id.leader_id.term, index: id.index }
}

pub(super) fn log_id_from_store(id: record::LogId) -> LogId {
    LogId::new(CommittedLeaderId::new(id.term), id.index)
}

pub(super) fn vote_to_store(vote: &Vote) -> record::Vote {
    let LeaderId { term, voted_for } = vote.leader_id;
    record::Vote { term, node_id: voted_for, committed: vote.committed }
}

pub(super) fn vote_from_store(vote: record::Vote) -> Vote {
    let leader_id = LeaderId { term: vote.term, voted_for: vote.node_id };
    Vote { leader_id, committed: vote.committed }
}

pub(super) fn entry_to_store(entry: &Entry) -> Record {
    let id = log_id_to_store(&entry.log_id);
    let (kind, payload) = match &entry.payload {
        EntryPayload::Blank => (Kind::Blank, Bytes::new()),
        EntryPayload::Normal(Command(bytes)) => (Kind::Normal, bytes.clone()),
        EntryPayload::Membership(members) => {
            (Kind::Membership, encode_members(None, members).into())
        }
    };
    Record { id, kind, payload }
}

pub(super) fn entry_from_store(record: Record) -> Result<Entry> {
    let payload = match record.kind {
        Kind::Blank => EntryPayload::Blank,
        Kind::Normal => EntryPayload::Normal(Command(record.payload)),
        Kind::Membership => {
            let (_, members) = decode_members(&record.payload)?;
            EntryPayload::Membership(members)
        }
    };
    Ok(Entry { log_id: log_id_from_store(record.id), payload })
}

pub(super) fn applied_to_store(last: &LogId, members: &StoredMembership) -> Applied {
    let membership = encode_members(members.log_id().as_ref(), members.membership());
    Applied { last: log_id_to_store(last), membership }
}

pub(super) fn applied_from_store(
    applied: Option<&Applied>,
) -> Result<(Option<LogId>, StoredMembership)> {
    let Some(Applied { last, membership }) = applied else {
        return Ok((None, StoredMembership::default()));
    };
    let (log_id, members) = decode_members(membership)?;
    Ok((Some(log_id_from_store(*last)), StoredMembership::new(log_id, members)))
}

/// This node as the only member.
fn alone(id: u64, name: &str) -> Result<Membership> {
    let member = Member { name: name.to_owned(), addr: String::new() };
    Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, member)]))
        .map_err(|error| Refusal::new(Code::Internal, "nobody is a member").cause(error))
}

/// The mark of a state whose only member is this node.
pub(super) fn alone_to_store(last: record::LogId, id: u64, name: &str) -> Result<Applied> {
    let last = log_id_from_store(last);
    Ok(applied_to_store(&last, &StoredMembership::new(Some(last), alone(id, name)?)))
}

/// The entry that makes this node the only member.
pub(super) fn alone_entry(at: record::LogId, id: u64, name: &str) -> Result<Record> {
    let payload = encode_members(None, &alone(id, name)?).into();
    Ok(Record { id: at, kind: Kind::Membership, payload })
}

/// The members of an apply mark, or of an entry that changes them.
pub(super) fn members_from_store(bytes: &[u8]) -> Result<Membership> {
    decode_members(bytes).map(|(_, members)| members)
}

fn encode_members(log_id: Option<&LogId>, members: &Membership) -> Vec<u8> {
    let log_id = log_id.map(|id| LogIdRecord { term: id.leader_id.term, index: id.index });
    let voters = members.get_joint_config().iter();
    let voters = voters.map(|ids| VotersRecord { ids: ids.iter().copied().collect() });
    let nodes = members.nodes().map(|(id, Member { name, addr })| NodeRecord {
        id: *id,
        name: name.clone(),
        addr: addr.clone(),
    });
    MembersRecord { log_id, voters: voters.collect(), nodes: nodes.collect() }.encode_to_vec()
}

fn decode_members(bytes: &[u8]) -> Result<(Option<LogId>, Membership)> {
    let unreadable = |cause: String| {
        Refusal::new(Code::StoreDamaged, "the stored members of a group are not readable")
            .cause(cause)
    };
    let record = MembersRecord::decode(bytes).map_err(|error| unreadable(error.to_string()))?;
    let log_id = record
        .log_id
        .map(|LogIdRecord { term, index }| log_id_from_store(record::LogId { term, index }));
    let voters = record.voters.into_iter().map(|voters| BTreeSet::from_iter(voters.ids)).collect();
    let node = |NodeRecord { id, name, addr }| (id, Member { name, addr });
    let nodes: BTreeMap<u64, Member> = record.nodes.into_iter().map(node).collect();
    let members = Membership::new(voters, nodes).map_err(|error| unreadable(error.to_string()))?;
    Ok((log_id, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Membership {
        let member = |id: u64| (id, Member { name: format!("n{id}"), addr: format!("h{id}:7341") });
        let nodes: BTreeMap<u64, Member> = (1..=4).map(member).collect();
        Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])], nodes).unwrap()
    }

    #[test]
    fn entries_come_back() {
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Command(Bytes::from_static(b"\x00entry"))),
            EntryPayload::Membership(members()),
        ] {
            let log_id = LogId::new(CommittedLeaderId::new(3), 9);
            let entry = Entry { log_id, payload };
            assert_eq!(entry_from_store(entry_to_store(&entry)), Ok(entry));
        }
    }

    #[test]
    fn apply_marks_come_back() {
        let last = LogId::new(CommittedLeaderId::new(3), 9);
        let since = LogId::new(CommittedLeaderId::new(2), 4);
        for members in [StoredMembership::default(), StoredMembership::new(Some(since), members())]
        {
            let applied = applied_to_store(&last, &members);
            assert_eq!(applied_from_store(Some(&applied)), Ok((Some(last), members)));
        }
    }
}

#[cfg(test)]
mod fuzz;
