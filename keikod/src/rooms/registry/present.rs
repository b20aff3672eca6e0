//! What is registered now: read once by whoever then follows every change.

use crate::store::View;
use keiko_core::house;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Filter, Kind};
use keiko_core::selector::Selector;
use keiko_proto::v1::Object;

const GROUP: GroupId = GroupId::CONTROL;

/// The servers whose commands a node runs, as namespace/name.
pub fn hosted_by(view: &View<'_>, node: &str) -> Vec<String> {
    let mut hosted = Vec::new();
    let visited = each(view, &[Kind::McpServer], |object| {
        let is_there = registry::host(&object).as_deref() == Some(node);
        if let Some(metadata) = registry::metadata(&object).filter(|_| is_there) {
            hosted.push(format!("{}/{}", metadata.namespace, metadata.name));
        }
    });
    if let Err(refusal) = visited {
        tracing::warn!(code = %refusal.code, "{refusal}");
    }
    hosted
}

/// Visits every object of these kinds, kind by kind. The revision at which they were read.
pub(super) fn each(view: &View<'_>, kinds: &[Kind], mut visit: impl FnMut(Object)) -> Result<u64> {
    for kind in kinds {
        let filter = Filter { kind: *kind, namespace: None, selector: Selector::default() };
        let mut token = String::new();
        loop {
            let page = registry::list(view, GROUP, &filter, None, 0, &token)?;
            page.items.into_iter().for_each(&mut visit);
            match page.next {
                Some(next) => token = next,
                None => break,
            }
        }
    }
    Ok(house::revision(view, GROUP))
}
