//! Between openraft's words and those on the wire.

use super::super::types::{Entry, LogId, Types, Vote};
use super::super::wire;
use crate::store::record::{self, Kind, Record};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};

pub(super) fn id_to(id: &LogId) -> peer::LogId {
    let record::LogId { term, index } = wire::log_id_to_store(id);
    peer::LogId { term, index }
}

pub(super) fn id_from(id: peer::LogId) -> LogId {
    wire::log_id_from_store(record::LogId { term: id.term, index: id.index })
}

pub(super) fn vote_to(vote: &Vote) -> peer::Vote {
    let record::Vote { term, node_id, committed } = wire::vote_to_store(vote);
    peer::Vote { term, node: node_id, committed }
}

pub(super) fn vote_from(vote: Option<peer::Vote>) -> Result<Vote> {
    let peer::Vote { term, node, committed } = vote.ok_or_else(|| malformed("it has no vote"))?;
    Ok(wire::vote_from_store(record::Vote { term, node_id: node, committed }))
}

fn entry_to(entry: &Entry) -> peer::LogEntry {
    let Record { id: record::LogId { term, index }, kind, payload } = wire::entry_to_store(entry);
    let kind = match kind {
        Kind::Blank => 0,
        Kind::Normal => 1,
        Kind::Membership => 2,
    };
    peer::LogEntry { id: Some(peer::LogId { term, index }), kind, payload }
}

fn entry_from(entry: peer::LogEntry) -> Result<Entry> {
    let id = entry.id.ok_or_else(|| malformed("an entry has no id"))?;
    let kind = match entry.kind {
        0 => Kind::Blank,
        1 => Kind::Normal,
        2 => Kind::Membership,
        _ => return Err(malformed("an entry is of a kind that this release does not know")),
    };
    let id = record::LogId { term: id.term, index: id.index };
    wire::entry_from_store(Record { id, kind, payload: entry.payload })
}

pub(super) fn append_to(group: u32, request: &AppendEntriesRequest<Types>) -> peer::AppendRequest {
    peer::AppendRequest {
        group,
        vote: Some(vote_to(&request.vote)),
        previous: request.prev_log_id.as_ref().map(id_to),
        entries: request.entries.iter().map(entry_to).collect(),
        commit: request.leader_commit.as_ref().map(id_to),
    }
}

pub(super) fn append_from(request: peer::AppendRequest) -> Result<AppendEntriesRequest<Types>> {
    Ok(AppendEntriesRequest {
        vote: vote_from(request.vote)?,
        prev_log_id: request.previous.map(id_from),
        entries: request.entries.into_iter().map(entry_from).collect::<Result<_>>()?,
        leader_commit: request.commit.map(id_from),
    })
}

pub(super) fn appended_to(result: &StreamAppendResult<Types>) -> peer::AppendResponse {
    use peer::append_response::Result as Appended;
    let result = match result {
        Ok(last) => Appended::Matched(peer::Matched { last: last.as_ref().map(id_to) }),
        Err(StreamAppendError::Conflict(id)) => Appended::Conflict(id_to(id)),
        Err(StreamAppendError::HigherVote(vote)) => Appended::HigherVote(vote_to(vote)),
    };
    peer::AppendResponse { result: Some(result) }
}

pub(super) fn appended_from(response: peer::AppendResponse) -> Result<StreamAppendResult<Types>> {
    use peer::append_response::Result as Appended;
    Ok(match response.result {
        Some(Appended::Matched(matched)) => Ok(matched.last.map(id_from)),
        Some(Appended::Conflict(id)) => Err(StreamAppendError::Conflict(id_from(id))),
        Some(Appended::HigherVote(vote)) => {
            Err(StreamAppendError::HigherVote(vote_from(Some(vote))?))
        }
        Some(Appended::Fault(why)) => return Err(malformed(&why)),
        None => return Err(malformed("it says nothing")),
    })
}

pub(super) fn vote_request_to(
    group: u32,
    pre: bool,
    request: &VoteRequest<Types>,
) -> peer::VoteRequest {
    peer::VoteRequest {
        group,
        vote: Some(vote_to(&request.vote)),
        last: request.last_log_id.as_ref().map(id_to),
        pre,
        transfer: request.leadership_transfer,
    }
}

pub(super) fn vote_request_from(request: peer::VoteRequest) -> Result<VoteRequest<Types>> {
    let mut asked = VoteRequest::new(vote_from(request.vote)?, request.last.map(id_from));
    asked.leadership_transfer = request.transfer;
    Ok(asked)
}

pub(super) fn voted_to(response: &VoteResponse<Types>) -> peer::VoteResponse {
    peer::VoteResponse {
        vote: Some(vote_to(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(id_to),
    }
}

pub(super) fn voted_from(response: peer::VoteResponse) -> Result<VoteResponse<Types>> {
    let vote = vote_from(response.vote)?;
    Ok(VoteResponse::new(vote, response.last.map(id_from), response.granted))
}

pub(super) fn transfer_to(
    group: u32,
    request: &TransferLeaderRequest<Types>,
) -> peer::TransferRequest {
    peer::TransferRequest {
        group,
        from: Some(vote_to(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(id_to),
    }
}

pub(super) fn transfer_from(
    request: peer::TransferRequest,
) -> Result<TransferLeaderRequest<Types>> {
    let from = vote_from(request.from)?;
    Ok(TransferLeaderRequest::new(from, request.to, request.last.map(id_from)))
}

/// What is read from a peer and can't be: a peer of another release, or a defect.
pub(super) fn malformed(why: &str) -> Refusal {
    Refusal::new(Code::Internal, "a peer's message can't be read").cause(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::types::{Command, Member, Membership};
    use bytes::Bytes;
    use openraft::EntryPayload;
    use openraft::vote::leader_id_std::CommittedLeaderId;
    use std::collections::{BTreeMap, BTreeSet};

    fn id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term), index)
    }

    #[test]
    fn appends_come_back() {
        let member = Member { name: "n1".to_owned(), addr: "h:1".to_owned() };
        let members =
            Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, member)])).unwrap();
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Command(Bytes::from_static(b"\x00entry"))),
            EntryPayload::Membership(members),
        ];
        let entries = payloads.into_iter().zip(7..);
        let entries: Vec<Entry> =
            entries.map(|(payload, index)| Entry { log_id: id(3, index), payload }).collect();
        let vote = vote_from(Some(peer::Vote { term: 3, node: 2, committed: true })).unwrap();
        for (prev_log_id, leader_commit) in [(None, None), (Some(id(2, 6)), Some(id(2, 5)))] {
            let entries = entries.clone();
            let request = AppendEntriesRequest { vote, prev_log_id, entries, leader_commit };
            let back = append_from(append_to(0, &request)).unwrap();
            assert_eq!(format!("{back:?}"), format!("{request:?}"));
        }
    }

    #[test]
    fn results_come_back() {
        let vote = vote_from(Some(peer::Vote { term: 3, node: 2, committed: false })).unwrap();
        for result in [
            Ok(None),
            Ok(Some(id(3, 9))),
            Err(StreamAppendError::Conflict(id(2, 4))),
            Err(StreamAppendError::HigherVote(vote)),
        ] {
            assert_eq!(appended_from(appended_to(&result)), Ok(result));
        }
        assert!(appended_from(peer::AppendResponse::default()).is_err());
        assert!(vote_from(None).is_err());
    }
}
