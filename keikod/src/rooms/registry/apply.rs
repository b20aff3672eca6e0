//! Apply: declares an agent or a server as a manifest has it. Nothing is asked outside: whether it
//! answers is for its supervisor to find out.
//!
//! A write is begun when it is proposed and finished when the law answered: one call does both, a
//! stream begins the next one meanwhile.

use super::super::control::Done;
use super::super::{Caller, Submitted};
use super::put::put_reply;
use super::read::require_on;
use super::register::meet;
use super::service::Service;
use crate::net::status::to_status;
use crate::net::{Identity, Permission};
use crate::outbound::http::parse_url;
use crate::store::View;
use futures::{Stream, StreamExt as _};
use keiko_core::id::GroupId;
use keiko_core::limits::APPLIES_UNDER_WAY_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::apply_stream_response::Answer;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    ApplyObject, ApplyRequest, ApplyResponse, ApplyStreamResponse, Change, Object, RegistryOp,
    object::Object as Inner, registry_op,
};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

/// A stream on which nothing comes for so long is ended; the client opens another when it needs it.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// One declaration.
pub(super) async fn apply(
    service: &Service,
    request: Request<ApplyRequest>,
) -> Result<ApplyResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    if asked.dry_run {
        return rehearse(service, &identity, caller, asked).await;
    }
    let brief = asked.brief;
    let (key, room) = checked(&identity, asked)?;
    let done = service.control.write(caller, room).await?;
    finish(service, key, brief, done).await
}

/// One after the other, each begun before the one before is finished. Where leadership moves the
/// stream ends: the client sends what was not answered again, in order, on the next one.
pub(super) fn stream(
    service: Service,
    request: Request<Streaming<ApplyRequest>>,
) -> Result<impl Stream<Item = std::result::Result<ApplyStreamResponse, Status>>> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of_call(&request)?;
    let mut requests = request.into_inner();
    let (sender, begun) = mpsc::channel(APPLIES_UNDER_WAY_MAX);
    let reader = service.clone();
    tokio::spawn(async move {
        loop {
            // Who does not read the answers is not read from.
            let Ok(place) = sender.reserve().await else { return };
            let next = tokio::select! {
                next = tokio::time::timeout(IDLE_MAX, requests.message()) => next,
                () = reader.control.closing().cancelled() => return,
                () = sender.closed() => return,
            };
            // Or it ended, broke off, or fell silent.
            let Ok(Ok(Some(asked))) = next else { return };
            let repeatable = !asked.request_id.is_empty();
            let caller = caller.clone().with(&asked, &asked.request_id);
            place.send((repeatable, begin(&reader, &identity, caller, asked).await));
        }
    });
    let answers = ReceiverStream::new(begun).then(move |(repeatable, begun)| {
        let service = service.clone();
        async move {
            let finished = match begun {
                Ok(begun) => begun.finish(&service).await,
                Err(refusal) => Err(refusal),
            };
            let answer = match finished {
                Ok(response) => Answer::Response(response),
                Err(refusal) if lost_with_leader(&refusal, repeatable) => {
                    return Err(to_status(&service.control.no_leader(&refusal)));
                }
                Err(refusal) => Answer::Refusal(refusal.to_wire()),
            };
            Ok(ApplyStreamResponse { answer: Some(answer) })
        }
    });
    Ok(answers.scan(false, |ended, answer| {
        let next = (!*ended).then_some(answer);
        *ended = next.as_ref().is_none_or(std::result::Result::is_err);
        std::future::ready(next)
    }))
}

/// True if it is to be sent again: nothing happened, or it takes effect once all the same.
fn lost_with_leader(refusal: &Refusal, repeatable: bool) -> bool {
    match refusal.code {
        Code::NoLeader => true,
        Code::OutcomeUnknown => repeatable,
        _ => false,
    }
}

/// A declaration that was proposed.
struct Begun {
    key: ObjectKey,
    brief: bool,
    submitted: Submitted,
}

async fn begin(
    service: &Service,
    identity: &Identity,
    caller: Caller,
    asked: ApplyRequest,
) -> Result<Begun> {
    if asked.dry_run {
        return Err(Refusal::new(Code::InvalidArgument, "a stream has no dry runs")
            .hint("ask by Apply: one call, one answer"));
    }
    let brief = asked.brief;
    let (key, room) = checked(identity, asked)?;
    let submitted = service.control.submit(caller, room).await?;
    Ok(Begun { key, brief, submitted })
}

impl Begun {
    async fn finish(self, service: &Service) -> Result<ApplyResponse> {
        let Self { key, brief, submitted } = self;
        finish(service, key, brief, submitted.done().await?).await
    }
}

/// What the law did, and what stands now.
async fn finish(
    service: &Service,
    key: ObjectKey,
    brief: bool,
    (result, write): Done,
) -> Result<ApplyResponse> {
    let put = put_reply(result)?;
    // What changed is taken in by who follows the journal here; a new name may be called at once.
    // It is written, whatever comes of that.
    if put.change() == Change::Created {
        let _met = meet(service, &key, &put.uid).await;
    }
    let object = match brief {
        true => None,
        false => {
            let query = move |view: &View<'_>| {
                registry::written(view, GroupId::CONTROL, &key, write.revision)
            };
            // Of an old request that was sent again, the past may be forgotten.
            service.control.read_local(query).await.and_then(|found| found).ok()
        }
    };
    Ok(ApplyResponse { change: put.change, before: None, object, write: Some(write) })
}

/// What declaring would do. Nothing is kept.
async fn rehearse(
    service: &Service,
    identity: &Identity,
    caller: Caller,
    asked: ApplyRequest,
) -> Result<ApplyResponse> {
    let (key, room) = checked(identity, asked)?;
    let wanted = key.clone();
    let find = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &wanted, None).ok();
    let before = service.control.read_local(find).await?;
    let (result, object) = service
        .control
        .dry_run_then(caller, room, move |state, revision| {
            registry::written(state, GroupId::CONTROL, &key, revision).ok()
        })
        .await?;
    Ok(ApplyResponse { change: put_reply(result)?.change, before, object, write: None })
}

/// What is proposed, if the caller may.
fn checked(identity: &Identity, asked: ApplyRequest) -> Result<(ObjectKey, Room)> {
    let ApplyRequest { object, revision, .. } = asked;
    let mut object = object.unwrap_or_default();
    normalise(&mut object)?;
    let key = key(&object)?;
    require_on(identity, Permission::RegistryWrite, &key)?;
    if runs_command(&object) {
        require_on(identity, Permission::McpExec, &key)?;
    }
    let apply = ApplyObject { object: Some(object), revision };
    Ok((key, Room::Registry(RegistryOp { op: Some(registry_op::Op::Apply(apply)) })))
}

/// The same place is the same text, however it was typed; as registering has it.
fn normalise(object: &mut Object) -> Result<()> {
    let url = match object.object.as_mut() {
        Some(Inner::Agent(agent)) => agent.spec.as_mut().map(|spec| &mut spec.url),
        Some(Inner::McpServer(server)) => server.spec.as_mut().map(|spec| &mut spec.url),
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => None,
    };
    if let Some(url) = url.filter(|url| !url.is_empty()) {
        *url = parse_url(url)?.to_string();
    }
    Ok(())
}

/// What the manifest names.
fn key(object: &Object) -> Result<ObjectKey> {
    let (kind, metadata) = match &object.object {
        Some(Inner::Agent(agent)) => (Kind::Agent, agent.metadata.as_ref()),
        Some(Inner::McpServer(server)) => (Kind::McpServer, server.metadata.as_ref()),
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                "only agents and servers are declared: tools and skills come with them",
            )
            .hint("declare an object of kind Agent or McpServer"));
        }
    };
    let metadata = metadata.cloned().unwrap_or_default();
    ObjectKey::parse(kind, &metadata.namespace, &metadata.name)
}

fn runs_command(object: &Object) -> bool {
    matches!(&object.object, Some(Inner::McpServer(server))
        if server.spec.as_ref().is_some_and(|spec| !spec.command.is_empty()))
}
