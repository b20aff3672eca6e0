//! Maintenance windows declared, deleted and listed.

use super::super::control::unexpected;
use super::asker::Asker;
use super::service::{GROUP, Service};
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::coordination;
use keiko_core::refusal::{Code, Result, refuse};
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{
    DeclareWindow, DeclareWindowRequest, DeclareWindowResponse, DeleteWindow, DeleteWindowRequest,
    DeleteWindowResponse, ListWindowsRequest, ListWindowsResponse, MaintenanceWindow, WindowInfo,
    WriteInfo,
};
use tonic::Request;

const ALL: Resource<'static> = Resource::All("window");

pub(super) async fn declare(
    service: &Service,
    request: Request<DeclareWindowRequest>,
) -> Result<DeclareWindowResponse> {
    let asker = Asker::of(&service.control, &request, &request.get_ref().request_id, &ALL)?;
    let asked = request.into_inner();
    let ends_ms = ends(&asked, service.control.now_ms())?;
    let DeclareWindowRequest { name, scope, starts_ms, reason, .. } = asked;
    let window =
        MaintenanceWindow { name, scope, starts_ms, ends_ms, reason, ..Default::default() };
    let declare = Op::DeclareWindow(DeclareWindow { window: Some(window) });
    let (window, write) = propose(&asker, declare).await?;
    Ok(DeclareWindowResponse { window: Some(window), write: Some(write) })
}

/// Its end is said, or how long it lasts.
fn ends(asked: &DeclareWindowRequest, now_ms: u64) -> Result<u64> {
    let starts_ms = if asked.starts_ms == 0 { now_ms } else { asked.starts_ms };
    match (asked.ends_ms, asked.duration_ms) {
        (ends_ms, 0) => Ok(ends_ms),
        (0, duration_ms) => Ok(starts_ms.saturating_add(duration_ms)),
        _ => refuse(
            Code::InvalidArgument,
            "a maintenance window has an end, or a duration, and not both",
        ),
    }
}

pub(super) async fn delete(
    service: &Service,
    request: Request<DeleteWindowRequest>,
) -> Result<DeleteWindowResponse> {
    let asker = Asker::of(&service.control, &request, &request.get_ref().request_id, &ALL)?;
    let delete = Op::DeleteWindow(DeleteWindow { name: request.into_inner().name });
    let (window, write) = propose(&asker, delete).await?;
    Ok(DeleteWindowResponse { window: Some(window), write: Some(write) })
}

async fn propose(asker: &Asker, op: Op) -> Result<(MaintenanceWindow, WriteInfo)> {
    match asker.propose(op).await? {
        (Reply::Window(window), write) => Ok((window, write)),
        _ => Err(unexpected()),
    }
}

pub(super) async fn list(
    service: &Service,
    request: Request<ListWindowsRequest>,
) -> Result<ListWindowsResponse> {
    Identity::of(&request)?.require(Permission::LockRead, &ALL)?;
    let ListWindowsRequest { consistency, only_active } = request.into_inner();
    let query = |view: &View<'_>| coordination::windows(view, GROUP);
    let read = service.control.read(consistency, query).await?;
    let unix_ms = service.control.now_ms();
    let items = read.value.into_iter().map(|window| {
        let state = state(&window, unix_ms).to_owned();
        WindowInfo { window: Some(window), state }
    });
    let items = items.filter(|info| !only_active || info.state == ACTIVE).collect();
    Ok(ListWindowsResponse { items, revision: read.revision, unix_ms })
}

const ACTIVE: &str = "active";

fn state(window: &MaintenanceWindow, now_ms: u64) -> &'static str {
    if now_ms < window.starts_ms {
        "planned"
    } else if now_ms < window.ends_ms {
        ACTIVE
    } else {
        "over"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_or_a_duration() {
        for (starts_ms, ends_ms, duration_ms, expect) in [
            (0, 500, 0, Some(500)),
            (0, 0, 50, Some(150)),
            (300, 0, 50, Some(350)),
            (300, 0, u64::MAX, Some(u64::MAX)),
            // What has no end is the law's to refuse.
            (300, 0, 0, Some(0)),
            (300, 400, 50, None),
        ] {
            let asked =
                DeclareWindowRequest { starts_ms, ends_ms, duration_ms, ..Default::default() };
            assert_eq!(ends(&asked, 100).ok(), expect, "{asked:?}");
        }
    }

    #[test]
    fn a_window_is_planned_active_and_over() {
        let window = MaintenanceWindow { starts_ms: 10, ends_ms: 20, ..Default::default() };
        for (now_ms, expect) in [(9, "planned"), (10, ACTIVE), (19, ACTIVE), (20, "over")] {
            assert_eq!(state(&window, now_ms), expect, "{now_ms}");
        }
    }
}
