//! Who has a certificate, and taking somebody out.

use super::super::Caller;
use super::super::control::unexpected;
use super::declare::propose;
use super::service::Service;
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::security;
use keiko_core::store::Store;
use keiko_proto::v1::{
    ListPeopleRequest, ListPeopleResponse, PersonEntry, PersonInfo, RemovePerson,
    RemovePersonRequest, RemovePersonResponse, security_op, security_reply,
};
use std::collections::BTreeMap;
use tonic::Request;

const GROUP: GroupId = GroupId::CONTROL;
const PERSON: Resource<'_> = Resource::All("person");

pub(super) async fn list(
    service: &Service,
    request: Request<ListPeopleRequest>,
) -> Result<ListPeopleResponse> {
    Identity::of(&request)?.require(Permission::SecurityRead, &PERSON)?;
    let now_ms = service.control.now_ms();
    let query = move |view: &View<'_>| people(view, now_ms);
    let read = service.control.read(request.get_ref().consistency, query).await?;
    Ok(ListPeopleResponse { items: read.value, revision: read.revision })
}

fn people(view: &dyn Store, now_ms: u64) -> Vec<PersonInfo> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for binding in security::bindings(view, GROUP) {
        if security::is_live(&binding, now_ms) {
            for subject in binding.subjects {
                names.entry(subject).or_default().push(binding.name.clone());
            }
        }
    }
    let info = |person: PersonEntry| {
        let used = security::used(view, GROUP, &format!("person/{}", person.name));
        let day = used.iter().map(|used| used.day).max().unwrap_or_default();
        PersonInfo {
            bindings: names.get(&security::subject_of_person(&person)).cloned().unwrap_or_default(),
            name: person.name,
            role: person.role,
            scope: person.scope,
            enrolled_ms: person.enrolled_ms,
            last_used_ms: u64::from(day) * security::DAY_MS,
        }
    };
    security::people(view, GROUP).into_iter().map(info).collect()
}

pub(super) async fn remove(
    service: &Service,
    request: Request<RemovePersonRequest>,
) -> Result<RemovePersonResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::SecurityWrite, &PERSON)?;
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let RemovePersonRequest { name, request_id: _, dry_run } = request.into_inner();
    // Only to tell: the law looks for itself.
    let all = |view: &View<'_>| security::bindings(view, GROUP);
    let all = service.control.read_local(all).await?;
    let op = security_op::Op::RemovePerson(RemovePerson { name });
    let (reply, write) = propose(service, &identity, caller, (op, dry_run)).await?;
    let security_reply::Reply::Person(person) = reply else { return Err(unexpected()) };
    let subject = security::subject_of_person(&person);
    let named = all.into_iter().filter(|binding| binding.subjects.contains(&subject));
    let bindings = named.map(|binding| binding.name).collect();
    Ok(RemovePersonResponse { person: Some(person), bindings, write: Some(write) })
}
