//! Pages of tools that no server should send.

use super::{LeftOut, Limits, List, NAME_CHARS_SHOWN, REASONS_MAX, WHY_CHARS_SHOWN, one_by_one};
use crate::fuzz::{check_refusal_of_peer, mutate};
use keiko_core::id::is_part_name;
use keiko_core::refusal::Code;
use serde_json::Value;
use std::collections::BTreeSet;

const PAGES: [&str; 4] = [
    r#"{"tools":[{"name":"now","title":"Now","description":"tells the time","inputSchema":{"type":"object","properties":{"zone":{"type":"string"}}},"annotations":{"readOnlyHint":true,"idempotentHint":true}},{"name":"zone","inputSchema":{}}],"nextCursor":"a"}"#,
    r#"{"tools":[{"name":"a","inputSchema":{"type":"object"},"outputSchema":{"type":"object"}},{"name":"a","inputSchema":{}},{"name":"b/c.d:e","inputSchema":{}}]}"#,
    r#"{"tools":[{"name":7},{"name":"x"},null,"y",{"name":"\u001b[2J","inputSchema":{}}],"_meta":{}}"#,
    r#"{"tools":[],"nextCursor":null}"#,
];

const WORDS: &[&str] = &[
    "\"name\":\"now\"",
    "\"inputSchema\":{\"type\":\"object\"}",
    "\"inputSchema\":true",
    "\"tools\":",
    "\"nextCursor\":7",
    "\"description\":null",
    "\"annotations\":[]",
    ",",
    "{}",
    "\"\\u202e\"",
];

const LIMITS: Limits = Limits { tools_max: 3, tool_bytes_max: 1500, bytes_max: 2500 };

fn check_left_out(left_out: &LeftOut) {
    assert_eq!(left_out.reasons.len(), left_out.count.min(REASONS_MAX));
    for line in left_out.lines() {
        // What is obeyed is shown by up to ten characters.
        assert!(line.chars().count() <= 10 * (NAME_CHARS_SHOWN + WHY_CHARS_SHOWN) + 8, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn any_page_of_tools() {
    mutate::run("mcp tools", &PAGES, WORDS, |bytes| {
        let Ok(page) = serde_json::from_slice::<Value>(bytes) else { return };
        let items = page.get("tools").and_then(Value::as_array).map(Vec::len);
        let tools = match one_by_one(page) {
            Ok((tools, _)) => tools,
            Err(refusal) => return check_refusal_of_peer(&refusal, &[Code::PeerGarbage]),
        };
        assert_eq!(items, Some(tools.len()), "none is lost");
        let mut list = List::new(&LIMITS);
        tools.into_iter().for_each(|tool| list.add(tool));
        let listed = list.listed;
        assert_eq!(
            items,
            Some(listed.tools.len() + listed.left_out.count),
            "each is accounted for"
        );
        check_left_out(&listed.left_out);
        let names: BTreeSet<_> = listed.tools.iter().map(|tool| &tool.name).collect();
        assert_eq!(names.len(), listed.tools.len(), "no name comes twice");
        assert!(names.iter().all(|name| is_part_name(name)), "{names:?}");
        let kept: usize = listed.tools.iter().map(super::cost).sum();
        assert!(kept <= LIMITS.bytes_max && names.len() <= LIMITS.tools_max, "{kept}");
    });
}
