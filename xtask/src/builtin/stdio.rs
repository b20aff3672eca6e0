//! An MCP server over stdio, revision 2025-11-25, with one tool.

use super::{answer, refusal};
use crate::Outcome;
use serde_json::{Value, json};
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

/// One message; more is not read, so nobody can fill the memory.
const LINE_BYTES_MAX: u64 = 1 << 20;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

/// What it says of itself, and what its tool does with the arguments.
pub(super) struct Server<C> {
    pub(super) name: &'static str,
    pub(super) tool: Value,
    pub(super) call: C,
}

impl<C: Fn(&Value) -> Value> Server<C> {
    /// Serves until its input ends.
    pub(super) fn run(self) -> Outcome {
        let mut input = std::io::stdin().lock();
        let mut output = std::io::stdout().lock();
        loop {
            let mut line = String::new();
            let count = input.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
            if count == 0 {
                return Ok(ExitCode::SUCCESS);
            }
            let Ok(request) = serde_json::from_str::<Value>(&line) else { continue };
            if let Some(answer) = self.respond(&request) {
                writeln!(output, "{answer}")?;
                output.flush()?;
            }
        }
    }

    /// The answer to one message; a notification has none.
    fn respond(&self, request: &Value) -> Option<Value> {
        let id = request.get("id")?;
        let params = &request["params"];
        Some(match request["method"].as_str().unwrap_or_default() {
            "initialize" => answer(
                id,
                &json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": self.name, "version": env!("CARGO_PKG_VERSION")},
                }),
            ),
            "ping" => answer(id, &json!({})),
            "tools/list" => answer(id, &json!({"tools": [self.tool]})),
            "tools/call" if params["name"] == self.tool["name"] => {
                answer(id, &(self.call)(&params["arguments"]))
            }
            "tools/call" => refusal(id, INVALID_PARAMS, "unknown tool"),
            _ => refusal(id, METHOD_NOT_FOUND, "method not found"),
        })
    }
}

/// What a call gives, as a text.
pub(super) fn text(text: &str, is_error: bool) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": is_error})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let tool = json!({"name": "double"});
        let call = |arguments: &Value| {
            let number = arguments["number"].as_u64().unwrap_or_default();
            text(&(2 * number).to_string(), false)
        };
        let server = Server { name: "calculator", tool, call };
        let ask = |method: &str, params: Value| {
            server.respond(&json!({"id": 1, "method": method, "params": params})).unwrap()
        };
        let begun = ask("initialize", json!({}));
        assert_eq!(begun["result"]["protocolVersion"], "2025-11-25");
        assert_eq!(ask("server/discover", json!({}))["error"]["code"], METHOD_NOT_FOUND);
        assert_eq!(ask("tools/list", json!({}))["result"]["tools"][0]["name"], "double");
        let call =
            |name: &str| ask("tools/call", json!({"name": name, "arguments": {"number": 4}}));
        assert_eq!(call("double")["result"]["content"][0]["text"], "8");
        assert_eq!(call("halve")["error"]["code"], INVALID_PARAMS);
        assert!(server.respond(&json!({"method": "notifications/initialized"})).is_none());
    }
}
