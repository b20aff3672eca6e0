//! Impact: what breaks if an object does, in the order in which it breaks.

use super::super::Control;
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::limits::GRAPH_NODES_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Kind, ObjectKey, graph};
use keiko_core::store::Store;
use keiko_proto::v1::{Affected, Consistency, ImpactRequest, ImpactResponse};
use std::collections::BTreeSet;

pub(super) async fn impact(
    control: &Control,
    caller: &Identity,
    asked: ImpactRequest,
) -> Result<ImpactResponse> {
    let key = ObjectKey::parse(Kind::parse(asked.kind)?, &asked.namespace, &asked.name)?;
    // The answer names others: who may read one entry only may not have it.
    caller.require(Permission::RegistryRead, &Resource::All(key.kind.noun()))?;
    let query = move |view: &View<'_>| affected(view, GroupId::CONTROL, &key);
    let read = control.read(Consistency::Unspecified.into(), query).await?;
    Ok(ImpactResponse { items: read.value?, revision: read.revision })
}

fn affected(store: &dyn Store, group: GroupId, root: &ObjectKey) -> Result<Vec<Affected>> {
    let dependents = |node: &ObjectKey| registry::dependents(store, group, node);
    let order = graph::affected(root, dependents, GRAPH_NODES_MAX).ok_or_else(|| {
        let text = format!("more than {GRAPH_NODES_MAX} entries need {}", root.subject());
        Refusal::new(Code::LimitExceeded, text).hint("ask about one of those in between")
    })?;
    if order.is_empty() {
        // Something that is only needed, and not there, can be asked about too.
        registry::get(store, group, root, None)?;
    }
    let broken: BTreeSet<&ObjectKey> = order.iter().map(|(node, _)| node).collect();
    let item = |(node, distance): &(ObjectKey, u32)| {
        let object = registry::get(store, group, node, None).unwrap_or_default();
        let needs = registry::needs(&object);
        let breaks = |need: &ObjectKey| concerns(root, need) || broken.contains(&need.owner());
        Affected {
            kind: node.kind.noun().to_owned(),
            namespace: node.namespace.to_string(),
            name: node.name.clone(),
            distance: *distance,
            needs: needs.iter().filter(|need| breaks(need)).map(ObjectKey::short).collect(),
        }
    };
    Ok(order.iter().map(item).collect())
}

/// True if whoever needs `need` lacks something without `root`.
fn concerns(root: &ObjectKey, need: &ObjectKey) -> bool {
    let owner = root.owner();
    need == root || *need == owner || (*root == owner && need.owner() == owner)
}
