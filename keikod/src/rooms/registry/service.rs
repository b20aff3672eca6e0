//! The gRPC service: each method asks for the permission and hands over.

use super::super::{Caller, Control, control};
use super::driver::Fleet;
use super::feed::Feed;
use super::read::require_on;
use super::{
    Metrics, Reach, admin, apply, call, find, heartbeat, impact, logs, probe, read, register, watch,
};
use crate::net::{Identity, Permission, called_from, caller_address, status::to_status};
use crate::outbound::schema::Schemas;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::registry_server::Registry;
use keiko_proto::v1::{
    ApplyRequest, ApplyResponse, ApplyStreamResponse, CallAgentRequest, CallAgentResponse,
    CallToolRequest, CallToolResponse, DeleteObject, DeleteRequest, DeleteResponse, FindRequest,
    FindResponse, GetRequest, GetResponse, HeartbeatRequest, HeartbeatResponse, HistoryRequest,
    HistoryResponse, ImpactRequest, ImpactResponse, ListRequest, ListResponse, LogLine,
    LogsRequest, ProbeRequest, ProbeResponse, RegisterAgentRequest, RegisterMcpServerRequest,
    RegisterResponse, RegistryOp, SetAdminStateRequest, SetAdminStateResponse, WatchRequest,
    WatchResponse, registry_op, registry_reply, reply,
};
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Serves `keiko.v1.Registry`.
#[derive(Clone)]
pub struct Service {
    /// Where it reads and proposes.
    pub control: Control,
    /// How entries are reached from this node.
    pub reach: Reach,
    /// The live links of this node.
    pub fleet: Fleet,
    /// Who offers what, and how they are.
    pub feed: Feed,
    /// Compiled schemas of tools.
    pub schemas: Arc<Schemas>,
    /// What it tells.
    pub metrics: Metrics,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Registry for Service {
    type WatchStream = Answers<WatchResponse>;
    type LogsStream = Answers<LogLine>;
    type HeartbeatStreamStream = Answers<HeartbeatResponse>;
    type ApplyStreamStream = Answers<ApplyStreamResponse>;

    async fn register_agent(
        &self,
        request: Request<RegisterAgentRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        answer(whole(register::agent(self.clone(), request)).await)
    }

    async fn register_mcp_server(
        &self,
        request: Request<RegisterMcpServerRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        answer(whole(register::server(self.clone(), request)).await)
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let caller = caller(&request)?;
        answer(read::get(&self.control, self.feed.soft(), &caller, request.into_inner()).await)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let caller = caller(&request)?;
        answer(read::list(&self.control, self.feed.soft(), &caller, request.into_inner()).await)
    }

    async fn history(
        &self,
        request: Request<HistoryRequest>,
    ) -> Result<Response<HistoryResponse>, Status> {
        let caller = caller(&request)?;
        answer(read::history(&self.control, &caller, request.into_inner()).await)
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = caller(&request)?;
        let receiver = watch::watch(self.control.clone(), &caller, request.get_ref()).await;
        let receiver = receiver.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        answer(self.remove(request).await)
    }

    async fn call_tool(
        &self,
        request: Request<CallToolRequest>,
    ) -> Result<Response<CallToolResponse>, Status> {
        answer(call::tool(self, request).await)
    }

    async fn call_agent(
        &self,
        request: Request<CallAgentRequest>,
    ) -> Result<Response<CallAgentResponse>, Status> {
        answer(call::agent(self, request).await)
    }

    async fn apply(
        &self,
        request: Request<ApplyRequest>,
    ) -> Result<Response<ApplyResponse>, Status> {
        answer(apply::apply(self, request).await)
    }

    async fn apply_stream(
        &self,
        request: Request<Streaming<ApplyRequest>>,
    ) -> Result<Response<Self::ApplyStreamStream>, Status> {
        let answers = apply::stream(self.clone(), request);
        let answers = answers.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(Box::pin(answers)))
    }

    async fn impact(
        &self,
        request: Request<ImpactRequest>,
    ) -> Result<Response<ImpactResponse>, Status> {
        let caller = caller(&request)?;
        answer(impact::impact(&self.control, &caller, request.into_inner()).await)
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let caller = caller(&request)?;
        answer(heartbeat::heartbeat(&self.feed, &caller, request.into_inner()).await)
    }

    async fn heartbeat_stream(
        &self,
        request: Request<Streaming<HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStreamStream>, Status> {
        let caller = caller(&request)?;
        let (feed, closing) = (self.feed.clone(), self.control.closing().clone());
        let receiver = heartbeat::stream(feed, caller, request.into_inner(), closing);
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn find(&self, request: Request<FindRequest>) -> Result<Response<FindResponse>, Status> {
        let caller = caller(&request)?;
        answer(find::find(&self.feed, &caller, request.into_inner()).await)
    }

    async fn set_admin_state(
        &self,
        request: Request<SetAdminStateRequest>,
    ) -> Result<Response<SetAdminStateResponse>, Status> {
        answer(admin::set(self, request).await)
    }

    async fn probe(
        &self,
        request: Request<ProbeRequest>,
    ) -> Result<Response<ProbeResponse>, Status> {
        let caller = caller(&request)?;
        answer(whole(probe::probe(self.clone(), caller, request.into_inner())).await)
    }

    async fn logs(
        &self,
        request: Request<LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let caller = caller(&request)?;
        let receiver = logs::logs(&self.control, &self.reach, &caller, request.into_inner()).await;
        let receiver = receiver.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Service {
    async fn remove(&self, request: Request<DeleteRequest>) -> Result<DeleteResponse> {
        let identity = Identity::of(&request)?.clone();
        let caller = Caller::of(&request, &request.get_ref().request_id)?;
        let asked = request.into_inner();
        let key = ObjectKey::parse(Kind::parse(asked.kind)?, &asked.namespace, &asked.name)?;
        require_on(&identity, Permission::RegistryWrite, &key)?;
        let delete = DeleteObject {
            object: Some(key.to_wire()),
            revision: asked.revision,
            ..Default::default()
        };
        let room = Room::Registry(RegistryOp { op: Some(registry_op::Op::Delete(delete)) });
        let (result, write) = if asked.dry_run {
            (self.control.dry_run(caller, room).await?, None)
        } else {
            let (result, write) = self.control.write(caller, room).await?;
            (result, Some(write))
        };
        match result {
            reply::Result::Registry(reply) => match reply.reply {
                Some(registry_reply::Reply::Delete(deleted)) => {
                    Ok(DeleteResponse { object: deleted.object, write })
                }
                _ => Err(control::unexpected()),
            },
            _ => Err(control::unexpected()),
        }
    }
}

/// Runs to its end even if the caller goes away: what was begun outside must be put right.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    // Another task, and the same call.
    tokio::spawn(called_from(caller_address(), work)).await.unwrap_or_else(|error| {
        Err(Refusal::new(Code::Internal, "the call broke off").cause(error))
    })
}

fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    Identity::of(request).cloned().map_err(|refusal| to_status(&refusal))
}

fn answer<T>(result: Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|refusal| to_status(&refusal))
}
