//! A message to an agent, in the words of either version.

use super::card::Version;
use a2a::{Message, Part, Role};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::{Map, Value, json};

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// One part of plain text.
    Text(String),
    /// A message of A2A 1.0 as JSON: `parts`, and what else it needs (`contextId`, `taskId` …).
    Message(Value),
}

/// The message object. `id` makes a repetition recognisable to the agent, so it wins over what the
/// caller's message says.
pub(super) fn compose(input: Input, id: &str, version: &Version) -> Result<Value> {
    let message = match input {
        Input::Text(text) => Message::new(Role::User, vec![Part::text(text)]),
        Input::Message(mut value) => {
            let Some(map) = value.as_object_mut() else { return Err(wrong("it is not an object")) };
            map.insert("messageId".to_owned(), id.into());
            map.entry("role").or_insert_with(|| "ROLE_USER".into());
            // Who copies a message of 0.3 means the same role.
            if map["role"] == "user" {
                map.insert("role".to_owned(), "ROLE_USER".into());
            }
            serde_json::from_value(value).map_err(|error| wrong(&error.to_string()))?
        }
    };
    if message.parts.is_empty() {
        return Err(wrong("it has no parts"));
    }
    let message = Message { message_id: id.to_owned(), ..message };
    let value = serde_json::to_value(&message).map_err(|error| wrong(&error.to_string()))?;
    Ok(if *version == Version::V03 { to_03(value) } else { value })
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(Code::InvalidArgument, "the message is not a message of A2A")
        .cause(why)
        .hint(r#"write {"parts": [{"text": "…"}]}, or plain text"#)
}

fn to_03(mut message: Value) -> Value {
    message["kind"] = "message".into();
    message["role"] = "user".into();
    if let Some(parts) = message["parts"].as_array_mut() {
        for part in parts {
            *part = part_to_03(part);
        }
    }
    message
}

fn part_to_03(part: &Value) -> Value {
    let mut made = if let Some(text) = part.get("text") {
        json!({"kind": "text", "text": text})
    } else if let Some(data) = part.get("data") {
        json!({"kind": "data", "data": data})
    } else {
        let mut file = Map::new();
        for (field, name) in
            [("raw", "bytes"), ("url", "uri"), ("filename", "name"), ("mediaType", "mimeType")]
        {
            if let Some(value) = part.get(field) {
                file.insert(name.to_owned(), value.clone());
            }
        }
        json!({"kind": "file", "file": file})
    };
    if let Some(metadata) = part.get("metadata") {
        made["metadata"] = metadata.clone();
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        let text = || Input::Text("hi".to_owned());
        let full = json!({"role": "user", "messageId": "theirs", "contextId": "c",
            "parts": [{"data": {"a": 1}}, {"url": "http://x", "mediaType": "image/png"}]});
        for (input, version, expect) in [
            (
                text(),
                Version::V1,
                json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}),
            ),
            (
                text(),
                Version::V03,
                json!({"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hi"}]}),
            ),
            (
                Input::Message(full),
                Version::V03,
                json!({"kind": "message", "messageId": "m", "role": "user", "contextId": "c", "parts": [
                    {"kind": "data", "data": {"a": 1}},
                    {"kind": "file", "file": {"uri": "http://x", "mimeType": "image/png"}}]}),
            ),
        ] {
            assert_eq!(compose(input, "m", &version).unwrap(), expect);
        }
        for message in [json!([]), json!({}), json!({"parts": []}), json!({"parts": [{}]})] {
            let refused = compose(Input::Message(message.clone()), "m", &Version::V1).unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument, "{message}");
        }
    }
}
