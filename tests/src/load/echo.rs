//! A fast MCP server over stdio with one tool, `echo`: so that a figure is of the node.
//!
//! Reads as long as something is there and writes once for all of it. Speaks revision 2025-11-25.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::process::ExitCode;

/// Serves on standard input and output until the input ends.
pub(super) fn serve() -> ExitCode {
    match echo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn echo() -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, std::io::stdin().lock());
    let mut output = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Ok(request) = serde_json::from_str::<Value>(&line) {
            answer(&mut output, &request)?;
        }
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
}

fn answer(output: &mut impl Write, request: &Value) -> std::io::Result<()> {
    let Some(id) = request.get("id") else { return Ok(()) };
    let result = match request["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "Echo", "version": "1.2.3"},
        }),
        "tools/list" => json!({"tools": [{
            "name": "echo",
            "description": "Gives back its text.",
            "inputSchema": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
            },
            "annotations": {"readOnlyHint": true},
        }]}),
        "tools/call" => {
            let text = &request["params"]["arguments"]["text"];
            json!({"content": [{"type": "text", "text": text}]})
        }
        "ping" => json!({}),
        _ => {
            let error = json!({"code": -32601, "message": "method not found"});
            return writeln!(output, "{}", json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
    };
    writeln!(output, "{}", json!({"jsonrpc": "2.0", "id": id, "result": result}))
}
