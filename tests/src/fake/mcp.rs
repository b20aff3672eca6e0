//! An MCP server of revision 2025-11-25, over stdio and over HTTP, that misbehaves when told to.
//!
//! `echo` gives back its text (its schema is another one with [`Flavour::Odd`]). `fail` says
//! isError. `die` ends the process in the middle of the call; `die_once` and `read_once` do so only
//! if the file named by their argument is not there yet, and make it. `read_once` says that it is
//! read-only, `die_once` does not.

use super::{error, result};
use crate::web::{Asked, Reply};
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// Which tools it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// As above.
    Plain,
    /// `echo` takes a number.
    Odd,
}

/// What a call does to its server.
enum Effect {
    Answer(Value),
    /// The process ends, the connection breaks.
    Die,
}

/// Serves on standard input and output until the input ends.
///
/// The length of `FAKE_SECRET` is logged to stderr; with `--exit` it ends at once. With `--asks` it
/// is asked for its tools, asks back without end, and reads nothing any more.
pub fn stdio() -> ExitCode {
    let mut output = std::io::stdout().lock();
    let mut log = std::io::stderr().lock();
    let secret = std::env::var("FAKE_SECRET").map_or(0, |secret| secret.len());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let started = format!("fake-mcp: started with {arguments:?}, a secret of {secret} bytes\n");
    if log.write_all(started.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    if arguments.iter().any(|word| word == "--exit") {
        return ExitCode::from(3);
    }
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(request) = serde_json::from_str::<Value>(&line) else { continue };
        if request["method"] == "tools/list" && arguments.iter().any(|word| word == "--asks") {
            let ping = json!({"jsonrpc": "2.0", "id": "ask", "method": "ping"});
            while writeln!(output, "{ping}").is_ok() {}
            return ExitCode::FAILURE;
        }
        match respond(&request, Flavour::Plain) {
            None => {}
            Some(Effect::Die) => std::process::abort(),
            Some(Effect::Answer(answer)) => {
                let written = writeln!(output, "{answer}").and_then(|()| output.flush());
                if written.is_err() {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// The same over streamable HTTP without sessions.
pub fn http(asked: &Asked, flavour: Flavour) -> Reply {
    if asked.method != "POST" {
        return Reply::status(405, "POST only");
    }
    let Ok(request) = serde_json::from_str::<Value>(&asked.body) else {
        return Reply::status(400, "no JSON");
    };
    match respond(&request, flavour) {
        None => Reply::status(202, ""),
        Some(Effect::Die) => Reply::hang_up(),
        Some(Effect::Answer(answer)) => Reply::json(&answer),
    }
}

/// The answer to one message; a notification has none.
fn respond(request: &Value, flavour: Flavour) -> Option<Effect> {
    let id = request.get("id")?;
    let answer = match request["method"].as_str().unwrap_or_default() {
        "initialize" => result(
            id,
            &json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "Fake Server", "version": "1.2.3"},
            }),
        ),
        "ping" => result(id, &json!({})),
        "tools/list" => result(id, &json!({"tools": tools(flavour)})),
        "tools/call" => return Some(call(id, &request["params"])),
        _ => error(id, -32601, "method not found"),
    };
    Some(Effect::Answer(answer))
}

fn call(id: &Value, params: &Value) -> Effect {
    let text = params["arguments"]["text"].as_str().unwrap_or_default();
    let say = |text: &str, is_error: bool| {
        let content = json!([{"type": "text", "text": text}]);
        Effect::Answer(result(id, &json!({"content": content, "isError": is_error})))
    };
    match params["name"].as_str().unwrap_or_default() {
        "echo" => say(text, false),
        "fail" => say("it failed", true),
        "slow" => {
            let seconds = params["arguments"]["seconds"].as_u64().unwrap_or(1).min(30);
            std::thread::sleep(Duration::from_secs(seconds));
            say("at last", false)
        }
        "die" => Effect::Die,
        "die_once" | "read_once" => match std::fs::File::create_new(text) {
            Ok(_) => Effect::Die,
            Err(_) => say("the second time", false),
        },
        name => Effect::Answer(error(id, -32602, &format!("unknown tool {name}"))),
    }
}

fn tools(flavour: Flavour) -> Value {
    let text =
        json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
    let none = json!({"type": "object"});
    let seconds = json!({"type": "object", "properties": {"seconds": {"type": "integer"}}});
    let tool = |name: &str, schema: &Value, read_only: bool| {
        json!({
            "name": name,
            "description": format!("The fake tool {name}."),
            "inputSchema": schema,
            "annotations": {"readOnlyHint": read_only},
        })
    };
    json!([
        tool("echo", if flavour == Flavour::Odd { &seconds } else { &text }, true),
        tool("fail", &none, false),
        tool("slow", &seconds, false),
        tool("die", &none, false),
        tool("die_once", &text, false),
        tool("read_once", &text, true),
    ])
}
