//! The registry behind the server: what it answers is in the name that is asked for.

use crate::net::{Deadline, Identity, Peer, Permission, Resource, TraceContext, status};
use futures::stream::{self, BoxStream, StreamExt as _};
use keiko_core::refusal::{Code, Refusal};
use keiko_proto::v1 as wire;
use keiko_proto::v1::registry_server::Registry;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tonic::{Response, Status};

/// What the registry saw last.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<wire::DeleteRequest>>>);

impl Seen {
    pub(super) fn take(&self) -> Option<wire::DeleteRequest> {
        self.0.lock().unwrap().take()
    }
}

/// The registry of two agents.
pub(super) struct Room {
    pub(super) seen: Seen,
    /// Told when a call has begun that takes a while.
    pub(super) paused: Arc<Notify>,
}

fn agent(name: &str) -> wire::Object {
    let metadata = wire::Metadata { name: name.into(), ..Default::default() };
    let agent =
        wire::Agent { kind: "Agent".into(), metadata: Some(metadata), ..Default::default() };
    wire::Object { object: Some(wire::object::Object::Agent(agent)) }
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Registry for Room {
    type WatchStream = BoxStream<'static, Result<wire::WatchResponse, Status>>;
    type LogsStream = BoxStream<'static, Result<wire::LogLine, Status>>;
    type ApplyStreamStream = BoxStream<'static, Result<wire::ApplyStreamResponse, Status>>;
    type HeartbeatStreamStream = BoxStream<'static, Result<wire::HeartbeatResponse, Status>>;

    async fn get(&self, request: tonic::Request<wire::GetRequest>) -> Reply<wire::GetResponse> {
        let wanted = request.get_ref();
        let resource = Resource::object("agent", &wanted.namespace, &wanted.name);
        Identity::of(&request)
            .and_then(|who| who.require(Permission::RegistryRead, &resource))
            .map_err(|refusal| status::to_status(&refusal))?;
        assert!(request.extensions().get::<TraceContext>().is_some());
        assert!(request.extensions().get::<Deadline>().is_some());
        assert!(request.extensions().get::<Peer>().is_some());
        match wanted.name.as_str() {
            "slow" => std::future::pending().await,
            "pause" => {
                self.paused.notify_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            _ => {}
        }
        let revision = wanted.at.and_then(|at| at.point);
        let revision = match revision {
            Some(wire::at::Point::Revision(revision)) => revision,
            _ => 7,
        };
        let read = wire::ReadInfo { revision, ..Default::default() };
        Ok(Response::new(wire::GetResponse { object: Some(agent(&wanted.name)), read: Some(read) }))
    }

    async fn delete(
        &self,
        request: tonic::Request<wire::DeleteRequest>,
    ) -> Reply<wire::DeleteResponse> {
        *self.seen.0.lock().unwrap() = Some(request.into_inner());
        Ok(Response::new(wire::DeleteResponse::default()))
    }

    async fn watch(&self, request: tonic::Request<wire::WatchRequest>) -> Reply<Self::WatchStream> {
        let name = request.into_inner().name;
        if name == "refused" {
            let refusal = Refusal::new(Code::Compacted, "too old");
            return Err(status::to_status(&refusal));
        }
        let items = (1..=2).map(|revision| {
            Ok(wire::WatchResponse { revision, object: Some(agent("a")), r#type: 1 })
        });
        let broken = status::to_status(&Refusal::new(Code::NoLeader, "gone"));
        let last = (name == "broken").then_some(Err(broken));
        let items = stream::iter(items.chain(last));
        Ok(Response::new(match name.as_str() {
            "open" => items.chain(stream::pending()).boxed(),
            _ => items.boxed(),
        }))
    }

    async fn call_tool(
        &self,
        request: tonic::Request<wire::CallToolRequest>,
    ) -> Reply<wire::CallToolResponse> {
        let wire::CallToolRequest { name, arguments, .. } = request.into_inner();
        let content = arguments;
        Ok(Response::new(wire::CallToolResponse { tool: name, content, ..Default::default() }))
    }

    async fn list(&self, _: tonic::Request<wire::ListRequest>) -> Reply<wire::ListResponse> {
        Err(Status::unimplemented(""))
    }

    async fn register_agent(
        &self,
        _: tonic::Request<wire::RegisterAgentRequest>,
    ) -> Reply<wire::RegisterResponse> {
        Err(Status::unimplemented(""))
    }

    async fn register_mcp_server(
        &self,
        _: tonic::Request<wire::RegisterMcpServerRequest>,
    ) -> Reply<wire::RegisterResponse> {
        Err(Status::unimplemented(""))
    }

    async fn history(
        &self,
        _: tonic::Request<wire::HistoryRequest>,
    ) -> Reply<wire::HistoryResponse> {
        Err(Status::unimplemented(""))
    }

    async fn call_agent(
        &self,
        _: tonic::Request<wire::CallAgentRequest>,
    ) -> Reply<wire::CallAgentResponse> {
        Err(Status::unimplemented(""))
    }

    async fn apply(&self, _: tonic::Request<wire::ApplyRequest>) -> Reply<wire::ApplyResponse> {
        Err(Status::unimplemented(""))
    }

    async fn heartbeat(
        &self,
        _: tonic::Request<wire::HeartbeatRequest>,
    ) -> Reply<wire::HeartbeatResponse> {
        Err(Status::unimplemented(""))
    }

    async fn apply_stream(
        &self,
        _: tonic::Request<tonic::Streaming<wire::ApplyRequest>>,
    ) -> Reply<Self::ApplyStreamStream> {
        Err(Status::unimplemented(""))
    }

    async fn heartbeat_stream(
        &self,
        _: tonic::Request<tonic::Streaming<wire::HeartbeatRequest>>,
    ) -> Reply<Self::HeartbeatStreamStream> {
        Err(Status::unimplemented(""))
    }

    async fn find(&self, _: tonic::Request<wire::FindRequest>) -> Reply<wire::FindResponse> {
        Err(Status::unimplemented(""))
    }

    async fn impact(&self, _: tonic::Request<wire::ImpactRequest>) -> Reply<wire::ImpactResponse> {
        Err(Status::unimplemented(""))
    }

    async fn set_admin_state(
        &self,
        _: tonic::Request<wire::SetAdminStateRequest>,
    ) -> Reply<wire::SetAdminStateResponse> {
        Err(Status::unimplemented(""))
    }

    async fn probe(&self, _: tonic::Request<wire::ProbeRequest>) -> Reply<wire::ProbeResponse> {
        Err(Status::unimplemented(""))
    }

    async fn logs(&self, _: tonic::Request<wire::LogsRequest>) -> Reply<Self::LogsStream> {
        Err(Status::unimplemented(""))
    }
}
