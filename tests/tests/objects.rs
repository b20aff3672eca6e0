//! What the cases ask of objects.

use keiko_tests::wait::expect;
use keiko_tests::{Ctl, eventually};
use serde_json::Value;

/// The status of a condition, as in `True`.
pub(crate) fn condition<'o>(object: &'o Value, name: &str) -> &'o str {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == name);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or("missing")
}

/// Waits until an MCP server is Ready or not.
#[track_caller]
pub(crate) fn wait_ready(ctl: &Ctl, server: &str, status: &str) -> Value {
    eventually(&format!("{server} Ready={status}"), || {
        let object = ctl.json(&format!("mcp get {server}"));
        expect(condition(&object, "Ready") == status, || object.to_string()).map(|()| object)
    })
}

/// An object without what one node knows of it at this moment.
#[must_use]
pub(crate) fn kept(mut object: Value) -> Value {
    if let Some(status) = object["status"].as_object_mut() {
        status.remove("live");
    }
    object
}

/// The names of a list.
#[track_caller]
pub(crate) fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list has items");
    let name = |item: &Value| item["metadata"]["name"].as_str().map(str::to_owned);
    items.iter().map(|item| name(item).expect("a name")).collect()
}
