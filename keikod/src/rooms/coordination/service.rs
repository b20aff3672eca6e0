//! Parse, authorise, propose or query, answer: one line for each call.

use super::super::Control;
use super::{Metrics, barriers, locks, sessions, wait, windows};
use crate::net::status::to_status;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_proto::v1::coordination_server::Coordination;
use keiko_proto::v1::{
    AcquireLockRequest, AcquireLockResponse, ArriveRequest, ArriveResponse, CheckFenceRequest,
    CheckFenceResponse, CloseSessionRequest, CloseSessionResponse, DeclareWindowRequest,
    DeclareWindowResponse, DeleteWindowRequest, DeleteWindowResponse, GetLockRequest,
    GetLockResponse, KeepSessionRequest, KeepSessionResponse, ListBarriersRequest,
    ListBarriersResponse, ListLocksRequest, ListLocksResponse, ListSessionsRequest,
    ListSessionsResponse, ListWindowsRequest, ListWindowsResponse, OpenSessionRequest,
    OpenSessionResponse, ReleaseLockRequest, ReleaseLockResponse,
};
use tonic::{Request, Response, Status};

/// All that the room keeps is the control group's.
pub(super) const GROUP: GroupId = GroupId::CONTROL;

/// Serves `keiko.v1.Coordination`.
#[derive(Clone)]
pub struct Service {
    /// Where it reads and proposes.
    pub(super) control: Control,
    /// Calls that wait for their turn.
    pub(super) turns: wait::Turns,
}

impl Service {
    /// Serves what this node holds.
    pub fn new(control: Control, metrics: &Metrics) -> Self {
        Self { control, turns: wait::Turns::new(metrics.waiting.clone()) }
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: Result<T>) -> Answer<T> {
    result.map(Response::new).map_err(|refusal| to_status(&refusal))
}

#[tonic::async_trait]
impl Coordination for Service {
    async fn open_session(
        &self,
        request: Request<OpenSessionRequest>,
    ) -> Answer<OpenSessionResponse> {
        answer(sessions::open(self, request).await)
    }

    async fn keep_session(
        &self,
        request: Request<KeepSessionRequest>,
    ) -> Answer<KeepSessionResponse> {
        answer(sessions::keep(self, request).await)
    }

    async fn close_session(
        &self,
        request: Request<CloseSessionRequest>,
    ) -> Answer<CloseSessionResponse> {
        answer(sessions::close(self, request).await)
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Answer<ListSessionsResponse> {
        answer(sessions::list(self, request).await)
    }

    async fn acquire_lock(
        &self,
        request: Request<AcquireLockRequest>,
    ) -> Answer<AcquireLockResponse> {
        answer(Box::pin(locks::acquire(self, request)).await)
    }

    async fn release_lock(
        &self,
        request: Request<ReleaseLockRequest>,
    ) -> Answer<ReleaseLockResponse> {
        answer(locks::release(self, request).await)
    }

    async fn get_lock(&self, request: Request<GetLockRequest>) -> Answer<GetLockResponse> {
        answer(locks::get(self, request).await)
    }

    async fn list_locks(&self, request: Request<ListLocksRequest>) -> Answer<ListLocksResponse> {
        answer(locks::list(self, request).await)
    }

    async fn check_fence(&self, request: Request<CheckFenceRequest>) -> Answer<CheckFenceResponse> {
        answer(locks::check(self, request).await)
    }

    async fn arrive(&self, request: Request<ArriveRequest>) -> Answer<ArriveResponse> {
        answer(Box::pin(barriers::arrive(self, request)).await)
    }

    async fn list_barriers(
        &self,
        request: Request<ListBarriersRequest>,
    ) -> Answer<ListBarriersResponse> {
        answer(barriers::list(self, request).await)
    }

    async fn declare_window(
        &self,
        request: Request<DeclareWindowRequest>,
    ) -> Answer<DeclareWindowResponse> {
        answer(windows::declare(self, request).await)
    }

    async fn delete_window(
        &self,
        request: Request<DeleteWindowRequest>,
    ) -> Answer<DeleteWindowResponse> {
        answer(windows::delete(self, request).await)
    }

    async fn list_windows(
        &self,
        request: Request<ListWindowsRequest>,
    ) -> Answer<ListWindowsResponse> {
        answer(windows::list(self, request).await)
    }
}
