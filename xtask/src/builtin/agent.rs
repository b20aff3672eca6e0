//! An A2A 1.0 agent over JSON-RPC on loopback, that answers a text with a text.

use super::{answer, refusal};
use crate::{Outcome, checkout::Checkout};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A request head or body beyond this is cut off, and then malformed.
const REQUEST_BYTES_MAX: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const METHOD_NOT_FOUND: i32 = -32601;

static MESSAGES: AtomicU64 = AtomicU64::new(1);

pub(crate) fn run(_checkout: &Checkout, _arguments: &[String]) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("listening on {url}");
    loop {
        let (stream, _) = listener.accept()?;
        // One caller at a time: a demo has one. A caller that breaks off is not our fault.
        let _ = serve(&stream, &url);
    }
}

/// One request, one response, then the connection is closed.
fn serve(mut stream: &TcpStream, url: &str) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.take(REQUEST_BYTES_MAX));
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let body = read_body(&mut reader, &head)?;
    let mut words = head.split_whitespace();
    let (status, answer) = match (words.next(), words.next()) {
        (Some("GET"), Some("/.well-known/agent-card.json")) => ("200 OK", card(url)),
        (Some("POST"), Some("/")) => ("200 OK", respond(&body)),
        _ => ("404 Not Found", json!({"error": "not found"})),
    };
    let answer = answer.to_string();
    let length = answer.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{answer}"
    )
}

fn read_body(reader: &mut impl Read, head: &str) -> Result<Value> {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    });
    let mut body = Vec::new();
    reader.take(length.unwrap_or(0)).read_to_end(&mut body)?;
    Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn respond(request: &Value) -> Value {
    if request["method"] != "SendMessage" {
        return refusal(&request["id"], METHOD_NOT_FOUND, "method not found");
    }
    let text = request["params"]["message"]["parts"][0]["text"].as_str().unwrap_or_default();
    let message = json!({
        "messageId": format!("builtin-{}", MESSAGES.fetch_add(1, Ordering::Relaxed)),
        "role": "ROLE_AGENT",
        "parts": [{"text": format!("Hello! You said: {text}")}],
    });
    answer(&request["id"], &json!({ "message": message }))
}

fn card(url: &str) -> Value {
    json!({
        "name": "hello",
        "description": "Says hello; built in, for a demo without real peers.",
        "version": env!("CARGO_PKG_VERSION"),
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        ],
        "capabilities": {},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{
            "id": "hello",
            "name": "Say hello",
            "description": "Greets whoever writes and repeats what they said.",
            "tags": ["greeting"],
        }],
    })
}
