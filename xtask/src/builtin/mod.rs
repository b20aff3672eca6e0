//! Stand-ins for the demo on a machine without real peers: one MCP server, one A2A agent. And one
//! more server, whose tool is idempotent, for what the real ones have no tool for.
//!
//! They speak just enough of the protocols for a tour and never count as a test of them.

pub(crate) mod agent;
pub(crate) mod mcp;
pub(crate) mod notes;
mod stdio;

use serde_json::{Value, json};

fn answer(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn refusal(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
