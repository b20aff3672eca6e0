//! Prometheus HTTP service discovery: one group for each agent or server that is reached by HTTP.
//!
//! `?kind=agent|mcp`, `?namespace=` and `?selector=` choose. The labels are all meta labels: what
//! becomes of them is up to the relabelling of whoever scrapes.

use super::query::Query;
use super::{entries, server};
use crate::rooms::Control;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Kind};
use keiko_proto::v1::{Object, object::Object as Inner};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use url::Url;

pub(super) async fn read(control: &Control, query: &Query) -> Result<Value> {
    Ok(entries(control, query, group).await?.into())
}

/// One group, if the object is reached by HTTP.
pub(super) fn group(kind: Kind, object: &Object) -> Option<Value> {
    let metadata = registry::metadata(object)?;
    let (url, version, protocol) = match object.object.as_ref()? {
        Inner::Agent(agent) => {
            let spec = agent.spec.as_ref()?;
            let called = spec.interfaces.first().map(|interface| &interface.url);
            (called.unwrap_or(&spec.url), &spec.version, &spec.protocol_version)
        }
        Inner::McpServer(server) => {
            let spec = server.spec.as_ref()?;
            (&spec.url, &spec.version, &spec.protocol_version)
        }
        Inner::Tool(_) | Inner::Skill(_) => return None,
    };
    let url = Url::parse(url).ok()?;
    let target = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
    let status = registry::status(object).cloned().unwrap_or_default();
    let mut labels = BTreeMap::from([
        ("__meta_keiko_kind".to_owned(), kind.noun().to_owned()),
        ("__meta_keiko_namespace".to_owned(), metadata.namespace.clone()),
        ("__meta_keiko_name".to_owned(), metadata.name.clone()),
        ("__meta_keiko_uid".to_owned(), metadata.uid.clone()),
        ("__meta_keiko_scheme".to_owned(), url.scheme().to_owned()),
        ("__meta_keiko_path".to_owned(), url.path().to_owned()),
        ("__meta_keiko_version".to_owned(), version.clone()),
        ("__meta_keiko_protocol_version".to_owned(), protocol.clone()),
        ("__meta_keiko_health".to_owned(), server::state(&status).to_owned()),
        ("__meta_keiko_admin_state".to_owned(), status.admin_state.clone()),
    ]);
    for (key, value) in &metadata.labels {
        let key = safe(key);
        labels.insert(format!("__meta_keiko_label_{key}"), value.clone());
        labels.insert(format!("__meta_keiko_labelpresent_{key}"), "true".to_owned());
    }
    Some(json!({"targets": [target], "labels": labels}))
}

/// What a label's name may hold.
fn safe(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
