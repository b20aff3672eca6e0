//! Watch: the present, then every change, resumable by revision.
//!
//! The present is read page by page at one revision; then the journal is followed from there. Who
//! asks for what was compacted gets RESYNC and the present anew.

use super::super::Control;
use super::super::follow::{Followed, Follower};
use super::read::{among, filter};
use crate::net::{Identity, Permission, status::to_status};
use crate::store::View;
use keiko_core::house;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Filter, ObjectKey};
use keiko_core::selector::Selector;
use keiko_proto::v1::watch_response::Type;
use keiko_proto::v1::{
    self as wire, Event, Object, WatchRequest, WatchResponse, event::Body, registry_event,
};
use tokio::sync::mpsc;
use tonic::Status;

const GROUP: GroupId = GroupId::CONTROL;

/// Answers that wait for one watcher: small, because the journal waits for it anyway.
const QUEUE: usize = 64;

type Sender = mpsc::Sender<Result<WatchResponse, Status>>;

/// What one watcher wants.
#[derive(Clone)]
struct Wanted {
    filter: Filter,
    /// Empty: every name.
    name: String,
}

/// Starts a watch.
pub(super) async fn watch(
    control: Control,
    caller: &Identity,
    asked: &WatchRequest,
) -> Result<mpsc::Receiver<Result<WatchResponse, Status>>> {
    let mut filter = filter(asked.kind, &asked.namespace, &asked.label_selector)?;
    if asked.name.is_empty() {
        caller.require(Permission::RegistryRead, &among(&filter))?;
    } else {
        let key = ObjectKey::parse(filter.kind, &asked.namespace, &asked.name)?;
        super::read::require_on(caller, Permission::RegistryRead, &key)?;
        // What was asked for is what is shown: a name is one object of one namespace.
        filter.namespace = Some(key.namespace);
    }
    control.reached(asked.after_revision).await?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let wanted = Wanted { filter, name: asked.name.clone() };
    let after = asked.after_revision;
    tokio::spawn(async move {
        if let Err(refusal) = run(&control, &wanted, after, &sender).await {
            // The watcher may be gone, and then nobody needs the reason.
            let _gone = sender.send(Err(to_status(&refusal))).await;
        }
    });
    Ok(receiver)
}

async fn run(control: &Control, wanted: &Wanted, after: u64, sender: &Sender) -> Result<()> {
    let (mut after, mut told) = match after {
        0 => {
            let present = send_present(control, wanted, sender).await?;
            (present, present)
        }
        after => (Some(after), None),
    };
    while let Some(from) = after.take() {
        let mut follower = Follower::far(control, from)?;
        loop {
            let followed = tokio::select! {
                followed = follower.next() => followed?,
                () = sender.closed() => return Ok(()),
            };
            match followed {
                None => return Ok(()),
                Some(Followed::Events(events)) => {
                    for event in events {
                        if let Some(response) = wanted.change(control, &event).await?
                            && sender.send(Ok(response)).await.is_err()
                        {
                            return Ok(());
                        }
                    }
                }
                // The bookmark of the present was this one.
                Some(Followed::CaughtUp(revision)) if told.take() == Some(revision) => {}
                Some(Followed::CaughtUp(revision)) => {
                    if !send(sender, Type::Bookmark, None, revision).await {
                        return Ok(());
                    }
                }
                Some(Followed::Lost { revision, .. }) => {
                    if !send(sender, Type::Resync, None, revision).await {
                        return Ok(());
                    }
                    after = send_present(control, wanted, sender).await?;
                    told = after;
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn send(sender: &Sender, kind: Type, object: Option<Object>, revision: u64) -> bool {
    let response = WatchResponse { r#type: kind.into(), object, revision };
    sender.send(Ok(response)).await.is_ok()
}

/// Sends what is there now and a bookmark. The revision that it was read at; `None` if the watcher
/// is gone.
async fn send_present(control: &Control, wanted: &Wanted, sender: &Sender) -> Result<Option<u64>> {
    let (mut token, mut at) = (String::new(), None);
    loop {
        let filter = wanted.filter.clone();
        let (page, revision) = control
            .read_local(move |view: &View<'_>| {
                let revision = at.unwrap_or_else(|| house::revision(view, GROUP));
                registry::list(view, GROUP, &filter, at.or(Some(revision)), 0, &token)
                    .map(|page| (page, revision))
            })
            .await??;
        at = Some(revision);
        for object in page.items {
            let metadata = registry::metadata(&object);
            if !metadata.is_some_and(|metadata| wanted.names(&metadata.name)) {
                continue;
            }
            let changed = metadata.map_or(revision, |metadata| metadata.revision);
            if !send(sender, Type::Added, Some(object), changed).await {
                return Ok(None);
            }
        }
        match page.next {
            Some(next) => token = next,
            None => break,
        }
    }
    let revision = at.unwrap_or_default();
    Ok(send(sender, Type::Bookmark, None, revision).await.then_some(revision))
}

impl Wanted {
    fn names(&self, name: &str) -> bool {
        self.name.is_empty() || self.name == name
    }

    fn fits(&self, object: &Object) -> bool {
        let metadata = registry::metadata(object);
        self.filter.matches(object) && metadata.is_some_and(|metadata| self.names(&metadata.name))
    }

    /// What an event means to this watcher. An object whose labels begin to fit is new for it, one
    /// whose labels fit no longer is gone, as in Kubernetes.
    async fn change(&self, control: &Control, event: &Event) -> Result<Option<WatchResponse>> {
        if event.subject.split('/').next() != Some(self.filter.kind.noun()) {
            return Ok(None);
        }
        let Some(Body::Registry(wire::RegistryEvent { event: Some(body) })) = &event.body else {
            return Ok(None);
        };
        let (kind, object) = match body {
            registry_event::Event::Changed(wire::ObjectChanged {
                object: Some(object),
                created,
            }) => {
                let fits = self.fits(object);
                let fitted = !created && self.fitted(control, object, event.revision).await?;
                match (fitted, fits) {
                    (false, true) => (Type::Added, object),
                    (true, true) => (Type::Modified, object),
                    (true, false) => (Type::Deleted, object),
                    (false, false) => return Ok(None),
                }
            }
            registry_event::Event::Deleted(object) if self.fits(object) => (Type::Deleted, object),
            registry_event::Event::Changed(_)
            | registry_event::Event::Deleted(_)
            | registry_event::Event::OfferChanged(_) => return Ok(None),
        };
        let object = with_dependencies(control, object.clone(), event.revision).await?;
        let (kind, revision) = (kind.into(), event.revision);
        Ok(Some(WatchResponse { r#type: kind, object: Some(object), revision }))
    }

    /// True if the object fitted before this revision. Only labels change, so without a selector
    /// it is enough to look at it now.
    async fn fitted(&self, control: &Control, object: &Object, revision: u64) -> Result<bool> {
        if self.filter.selector == Selector::default() {
            return Ok(self.fits(object));
        }
        let Some(metadata) = registry::metadata(object) else { return Ok(false) };
        let key = ObjectKey::parse(self.filter.kind, &metadata.namespace, &metadata.name)?;
        let before = move |view: &View<'_>| {
            registry::get(view, GROUP, &key, Some(revision.saturating_sub(1))).ok()
        };
        let before = control.read_local(before).await?;
        Ok(before.is_some_and(|before| self.fits(&before)))
    }
}

/// What reading derives of an object that needs others, as it was at a revision.
async fn with_dependencies(control: &Control, mut object: Object, revision: u64) -> Result<Object> {
    if registry::needs(&object).is_empty() {
        return Ok(object);
    }
    let derived = move |view: &View<'_>| {
        registry::show_dependencies(view, GROUP, Some(revision), &mut object);
        object
    };
    control.read_local(derived).await
}
