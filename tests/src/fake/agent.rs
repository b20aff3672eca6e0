//! An A2A 1.0 agent over JSON-RPC.

use super::{error, result};
use crate::web::{Asked, Reply, Web};
use serde_json::{Value, json};

/// Where agents keep their card.
pub const CARD: &str = "/.well-known/agent-card.json";

/// An agent that answers each text with `Hello! You said: …`.
pub fn start(name: &'static str) -> Web {
    Web::start(move |asked, url| answer(asked, &card(name, url)))
}

/// What an agent with this card answers.
pub fn answer(asked: &Asked, card: &Value) -> Reply {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", CARD) => Reply::json(card),
        ("POST", "/") => {
            let request: Value = serde_json::from_str(&asked.body).unwrap_or_default();
            Reply::json(&respond(&request))
        }
        _ => Reply::status(404, "nothing here"),
    }
}

fn respond(request: &Value) -> Value {
    if request["method"] != "SendMessage" {
        return error(&request["id"], -32601, "method not found");
    }
    let text = request["params"]["message"]["parts"][0]["text"].as_str().unwrap_or_default();
    let message = json!({
        "messageId": "fake-1",
        "role": "ROLE_AGENT",
        "parts": [{"text": format!("Hello! You said: {text}")}],
    });
    result(&request["id"], &json!({ "message": message }))
}

/// A card with one interface at `url` and one skill.
pub fn card(name: &str, url: &str) -> Value {
    json!({
        "name": name,
        "description": "A fake agent.",
        "version": "1.0.0",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        ],
        "capabilities": {},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{
            "id": "greet",
            "name": "Greet",
            "description": "Greets whoever writes.",
            "tags": ["greeting"],
        }],
    })
}
