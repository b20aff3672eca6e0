//! The way to other nodes. There are none: a group has one voter, this node, so whoever asks for
//! another one is told that it can't be reached.

use super::types::{Member, Types};
use crate::store::snapshot::Snapshot;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use std::future::Future;

/// Makes [`Absent`] ones.
pub(super) struct Network;

/// A node that this one has no way to.
pub(super) struct Absent(u64);

impl Absent {
    fn unreachable(&self) -> Unreachable<Types> {
        Unreachable::from_string(format!("node {} is not a peer of this node", self.0))
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Absent;

    async fn new_client(&mut self, target: u64, _node: &Member) -> Absent {
        Absent(target)
    }
}

impl RaftNetworkV2<Types> for Absent {
    type SnapshotData = Snapshot;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Err(self.unreachable().into())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Err(self.unreachable().into())
    }

    // openraft's default would grant.
    async fn pre_vote(
        &mut self,
        _request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: VoteOf<Types>,
        _snapshot: SnapshotOf<Types, Snapshot>,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(self.unreachable().into())
    }
}
