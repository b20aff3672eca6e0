//! A message to an agent, in the words of either version.

use super::card::Version;
use serde_json::{Value, json};

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// One part of plain text.
    Text(String),
}

/// The message object. `id` makes a repetition recognisable to the agent.
pub(super) fn compose(input: Input, id: &str, version: &Version) -> Value {
    let Input::Text(text) = input;
    match version {
        Version::V03 => json!({
            "kind": "message",
            "messageId": id,
            "role": "user",
            "parts": [{"kind": "text", "text": text}],
        }),
        Version::V1 | Version::Other(_) => json!({
            "messageId": id,
            "role": "ROLE_USER",
            "parts": [{"text": text}],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use a2a::{Message, Part, Role};

    #[test]
    fn both_versions() {
        let text = || Input::Text("hi".to_owned());
        let typed = Message::new(Role::User, vec![Part::text("hi".to_owned())]);
        let typed = serde_json::to_value(Message { message_id: "m".to_owned(), ..typed }).unwrap();
        assert_eq!(compose(text(), "m", &Version::V1), typed);
        let expect = json!({"kind": "message", "messageId": "m", "role": "user",
            "parts": [{"kind": "text", "text": "hi"}]});
        assert_eq!(compose(text(), "m", &Version::V03), expect);
    }
}
