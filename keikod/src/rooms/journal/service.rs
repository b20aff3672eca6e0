//! Parse, authorise, query, answer.

use super::super::Control;
use super::super::follow::{Followed, Follower};
use crate::net::{Identity, Permission, Resource, status::to_status};
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::{house, journal};
use keiko_proto::v1::journal_server::Journal;
use keiko_proto::v1::tail_response::Item;
use keiko_proto::v1::{
    Bookmark, Consistency, Event, GetEventsRequest, GetEventsResponse, Resync, TailRequest,
    TailResponse,
};
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Types that one tail may name.
const TYPES_MAX: usize = 32;

/// Serves `keiko.v1.Journal`.
#[derive(Clone)]
pub struct Service {
    control: Control,
}

impl Service {
    /// Reads the journal of this node.
    pub const fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl Journal for Service {
    type TailStream = Pin<Box<dyn Stream<Item = Result<TailResponse, Status>> + Send>>;

    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        allow(&request).map_err(|refusal| to_status(&refusal))?;
        let tail = request.into_inner();
        if tail.types.len() > TYPES_MAX {
            let refusal = Refusal::new(
                Code::LimitExceeded,
                format!("at most {TYPES_MAX} types can be named"),
            );
            return Err(to_status(&refusal));
        }
        let after = self.start(&tail).await.map_err(|refusal| to_status(&refusal))?;
        let follower =
            Follower::far(&self.control, after).map_err(|refusal| to_status(&refusal))?;
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(pass_on(tail, follower, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_events(
        &self,
        request: Request<GetEventsRequest>,
    ) -> Result<Response<GetEventsResponse>, Status> {
        allow(&request).map_err(|refusal| to_status(&refusal))?;
        let revision = request.into_inner().revision;
        let read = self.control.read(Consistency::Unspecified.into(), move |view| {
            let group = GroupId::CONTROL;
            let oldest = journal::oldest_revision(view, group);
            let newest = house::revision(view, group);
            if revision < oldest {
                let text = format!("revision {revision} is no longer kept, the oldest is {oldest}");
                return Err(Refusal::new(Code::Compacted, text));
            }
            if revision > newest {
                let text = format!("revision {revision} is not there yet, the newest is {newest}");
                return Err(Refusal::new(Code::FutureRevision, text));
            }
            Ok(journal::events_of(view, group, revision))
        });
        let read = read.await.map_err(|refusal| to_status(&refusal))?;
        let items = read.value.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(GetEventsResponse { items, revision: read.revision }))
    }
}

impl Service {
    /// Behind which revision a tail begins.
    async fn start(&self, tail: &TailRequest) -> Result<u64> {
        if tail.only_new {
            return Ok(*self.control.group()?.revisions().borrow());
        }
        let oldest = match tail.from_revision {
            0 => {
                let oldest = |view: &View<'_>| journal::oldest_revision(view, GroupId::CONTROL);
                self.control.read_local(oldest).await?
            }
            revision => revision,
        };
        Ok(oldest.saturating_sub(1))
    }
}

fn allow<T>(request: &Request<T>) -> Result<()> {
    Identity::of(request)?.require(Permission::JournalRead, &Resource::All("journal"))
}

/// Filters, counts and ends.
async fn pass_on(
    tail: TailRequest,
    mut follower: Follower,
    sender: mpsc::Sender<Result<TailResponse, Status>>,
) {
    let mut left = match tail.limit {
        0 => u64::MAX,
        limit => limit,
    };
    loop {
        let followed = tokio::select! {
            followed = follower.next() => followed,
            () = sender.closed() => return,
        };
        let (items, is_all) = match followed {
            Ok(Some(followed)) => items(&tail, followed, left),
            Ok(None) => return,
            Err(refusal) => {
                // The reader may be gone, and then nobody needs the reason.
                let _gone = sender.send(Err(to_status(&refusal))).await;
                return;
            }
        };
        for item in items {
            left -= u64::from(matches!(item, Item::Event(_)));
            if sender.send(Ok(TailResponse { item: Some(item) })).await.is_err() {
                return;
            }
        }
        if left == 0 || (is_all && !tail.follow) {
            return;
        }
    }
}

/// What of it the reader wants, and whether there is no more at the moment.
fn items(tail: &TailRequest, followed: Followed, left: u64) -> (Vec<Item>, bool) {
    match followed {
        Followed::Events(events) => {
            let wanted = events.iter().filter(|event| wants(tail, event));
            let limit = usize::try_from(left).unwrap_or(usize::MAX);
            (wanted.take(limit).map(|event| Item::Event(Event::clone(event))).collect(), false)
        }
        Followed::CaughtUp(revision) => (vec![Item::Bookmark(Bookmark { revision })], true),
        Followed::Lost { oldest, revision } => {
            let reason = "compacted".to_owned();
            (vec![Item::Resync(Resync { oldest_revision: oldest, revision, reason })], false)
        }
    }
}

fn wants(tail: &TailRequest, event: &Event) -> bool {
    let type_fits = tail.types.is_empty()
        || tail.types.iter().any(|start| event.r#type.starts_with(start.as_str()));
    let subject_fits = match event.subject.strip_prefix(tail.subject.as_str()) {
        Some(rest) => tail.subject.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    type_fits && subject_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for (types, subject, expect) in [
            (vec![], "", true),
            (vec!["keiko.registry."], "", true),
            (vec!["keiko.security.", "keiko.registry.agent"], "", true),
            (vec!["keiko.security."], "", false),
            (vec![], "agent/default", true),
            (vec![], "agent/default/hello", true),
            (vec![], "agent/default/hell", false),
        ] {
            let event = Event {
                r#type: "keiko.registry.agent.registered".to_owned(),
                subject: "agent/default/hello".to_owned(),
                ..Default::default()
            };
            let tail = TailRequest {
                types: types.iter().map(|text| (*text).to_owned()).collect(),
                subject: subject.to_owned(),
                ..Default::default()
            };
            assert_eq!(wants(&tail, &event), expect, "{types:?} {subject:?}");
        }
    }
}
