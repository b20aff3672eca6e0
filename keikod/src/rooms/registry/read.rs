//! Get, list, history: parse, authorise, query.

use super::super::Control;
use super::live::Soft;
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::id::{GroupId, Name};
use keiko_core::journal;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Filter, Kind, ObjectKey};
use keiko_core::selector::Selector;
use keiko_proto::v1::{
    Consistency, GetRequest, GetResponse, HistoryRequest, HistoryResponse, ListRequest,
    ListResponse, ReadInfo, Version,
};

const GROUP: GroupId = GroupId::CONTROL;

/// Asks for a permission on one object.
pub(super) fn require_on(caller: &Identity, permission: Permission, key: &ObjectKey) -> Result<()> {
    let (kind, namespace) = (key.kind.noun(), key.namespace.as_str());
    caller.require(permission, &Resource::object(kind, namespace, &key.name))
}

/// Which objects a list or a watch means.
pub(super) fn filter(kind: i32, namespace: &str, selector: &str) -> Result<Filter> {
    let namespace = match namespace {
        "" => None,
        text => Some(Name::parse("namespace", text)?),
    };
    Ok(Filter { kind: Kind::parse(kind)?, namespace, selector: Selector::parse(selector)? })
}

/// What a list or a watch of these touches.
pub(super) fn among(filter: &Filter) -> Resource<'_> {
    Resource::among(filter.kind.noun(), filter.namespace.as_ref().map(Name::as_str))
}

pub(super) async fn get(
    control: &Control,
    soft: &Soft,
    caller: &Identity,
    asked: GetRequest,
) -> Result<GetResponse> {
    let key = ObjectKey::parse(Kind::parse(asked.kind)?, &asked.namespace, &asked.name)?;
    require_on(caller, Permission::RegistryRead, &key)?;
    let query = move |view: &View<'_>| {
        let at = journal::resolve(view, GROUP, asked.at.as_ref())?;
        registry::get(view, GROUP, &key, at).map(|object| (object, at))
    };
    let read = control.read(asked.consistency, query).await?;
    let info = ReadInfo {
        revision: read.revision,
        unix_ms: read.unix_ms,
        staleness_ms: read.staleness_ms,
    };
    let (mut object, at) = read.value?;
    if at.is_none() {
        soft.overlay(&mut object);
    }
    Ok(GetResponse { object: Some(object), read: Some(info) })
}

pub(super) async fn list(
    control: &Control,
    soft: &Soft,
    caller: &Identity,
    asked: ListRequest,
) -> Result<ListResponse> {
    let filter = filter(asked.kind, &asked.namespace, &asked.label_selector)?;
    caller.require(Permission::RegistryRead, &among(&filter))?;
    let query = move |view: &View<'_>| {
        let at = journal::resolve(view, GROUP, asked.at.as_ref())?;
        let page = registry::list(view, GROUP, &filter, at, asked.limit, &asked.page_token)?;
        Ok::<_, keiko_core::refusal::Refusal>((page, at))
    };
    let read = control.read(asked.consistency, query).await?;
    let (mut page, at) = read.value?;
    if at.is_none() {
        page.items.iter_mut().for_each(|object| soft.overlay(object));
    }
    Ok(ListResponse {
        items: page.items,
        revision: at.unwrap_or(read.revision),
        next_page_token: page.next.unwrap_or_default(),
        staleness_ms: read.staleness_ms,
    })
}

pub(super) async fn history(
    control: &Control,
    caller: &Identity,
    asked: HistoryRequest,
) -> Result<HistoryResponse> {
    let key = ObjectKey::parse(Kind::parse(asked.kind)?, &asked.namespace, &asked.name)?;
    require_on(caller, Permission::RegistryRead, &key)?;
    let query = move |view: &View<'_>| {
        let oldest = journal::oldest_revision(view, GROUP);
        registry::history(view, GROUP, &key, oldest, asked.limit)
    };
    let read = control.read(Consistency::Unspecified.into(), query).await?;
    let version = |version: keiko_core::history::Version<_>| Version {
        revision: version.revision,
        object: version.value,
    };
    let items = read.value?.into_iter().map(version).collect();
    Ok(HistoryResponse { items, revision: read.revision })
}
