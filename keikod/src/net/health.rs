//! The gRPC health protocol, answered from the node's state at each call.

use super::gate::State;
use super::probe::is_ready;
use futures::stream::{self, BoxStream, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// A change is seen by watchers within this.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Service {
    state: Arc<dyn State>,
    shutdown: CancellationToken,
}

impl Service {
    pub(super) fn server(state: Arc<dyn State>, shutdown: CancellationToken) -> HealthServer<Self> {
        HealthServer::new(Self { state, shutdown })
    }
}

fn known(service: &str) -> Result<(), Status> {
    // The empty name is the whole server.
    if service.is_empty() || keiko_proto::json::pool().get_service_by_name(service).is_some() {
        return Ok(());
    }
    Err(Status::not_found("no such service"))
}

fn serving(state: &dyn State) -> ServingStatus {
    if is_ready(state.phase(), state.missing().is_empty()) {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        known(&request.get_ref().service)?;
        Ok(Response::new(HealthCheckResponse { status: serving(self.state.as_ref()).into() }))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        known(&request.get_ref().service)?;
        let (state, shutdown) = (Arc::clone(&self.state), self.shutdown.clone());
        let changes = stream::unfold(None, move |last| {
            let (state, shutdown) = (Arc::clone(&state), shutdown.clone());
            async move {
                let mut now = serving(state.as_ref());
                while last == Some(now) {
                    tokio::select! {
                        () = shutdown.cancelled() => return None,
                        () = tokio::time::sleep(WATCH_EVERY) => {}
                    }
                    now = serving(state.as_ref());
                }
                Some((Ok(HealthCheckResponse { status: now.into() }), Some(now)))
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}
