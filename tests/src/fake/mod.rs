//! Peers that do what no real one does on demand: break off, count, redirect, ask for secrets.
//!
//! They never stand for a real peer: what a real one shows is tested with a real one.

pub mod agent;
pub mod hostile;
pub mod mcp;

use serde_json::{Value, json};

fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
