//! `tool call` and `agent call`: the result on stdout, whether it went well in the exit code.

use super::args::{CallAgentArgs, CallToolArgs};
use super::object::KindWord;
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::{Format, FormatKind};
use crate::session::{PATIENT, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    CallAgentRequest, CallAgentResponse, CallToolRequest, CallToolResponse, Kind,
};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Read;
use std::time::Duration;

/// What is read of a file or of standard input: no message may be larger.
const INPUT_BYTES_MAX: u64 = 4 << 20;
/// The node keeps the deadline of a call; this much later it must have said so.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// Runs `tool call`.
pub(crate) async fn tool(args: CallToolArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let patience = session.timeout(PATIENT);
    let request = CallToolRequest {
        namespace: args.namespace.one(),
        name: KindWord::of(Kind::Tool).name(&args.name)?,
        arguments: arguments(&args.arguments)?,
        timeout_ms: milliseconds(patience),
    };
    let client = session.client(PATIENT).await?.within(patience + ANSWER_GRACE);
    let progress = session.calling(&request.name);
    let called = client
        .once(request, |client, request| async move { client.registry().call_tool(request).await })
        .await;
    drop(progress);
    let called = called?;
    let printer = &session.printer;
    let document = tool_document(&called);
    match &printer.format {
        Format::Plain(FormatKind::Table | FormatKind::Wide) => {
            printer.foreign(&tool_text(&document))?;
        }
        _ => printer.document(&document, |_| format!("tool/{}\n", called.tool))?,
    }
    Ok(if called.is_error { Exit::EndedBadly } else { Exit::Done })
}

/// Runs `agent call`.
pub(crate) async fn agent(args: CallAgentArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let patience = session.timeout(PATIENT);
    let text = if args.text == "-" { input(&mut std::io::stdin())? } else { args.text };
    let request = CallAgentRequest {
        namespace: args.namespace.one(),
        name: KindWord::of(Kind::Agent).name(&args.name)?,
        text,
        timeout_ms: milliseconds(patience),
        message_id: String::new(),
    };
    let client = session.client(PATIENT).await?.within(patience + ANSWER_GRACE);
    let progress = session.calling(&request.name);
    let called = client
        .once(request, |client, request| async move { client.registry().call_agent(request).await })
        .await;
    drop(progress);
    let called = called?;
    let printer = &session.printer;
    match &printer.format {
        Format::Plain(FormatKind::Table | FormatKind::Wide) => {
            printer.foreign(&agent_text(&called))?;
        }
        _ => printer.document(&agent_document(&called), |_| format!("agent/{}\n", called.agent))?,
    }
    Ok(if called.failed { Exit::EndedBadly } else { Exit::Done })
}

fn milliseconds(patience: Duration) -> u64 {
    u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The arguments as one JSON object.
fn arguments(text: &str) -> Result<String> {
    let text = match text.strip_prefix('@') {
        Some(path) => {
            let mut file = std::fs::File::open(path)
                .map_err(|error| usage(format!("{path} can't be read")).cause(error))?;
            input(&mut file)?
        }
        None if text == "-" => input(&mut std::io::stdin())?,
        None => text.to_owned(),
    };
    let malformed = || {
        usage("the arguments are not a JSON object")
            .hint("as in: keikoctl tool call NAME '{\"timezone\":\"UTC\"}'")
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(_)) => Ok(text),
        Ok(_) => Err(malformed()),
        Err(error) => Err(malformed().cause(error)),
    }
}

fn input(from: &mut impl Read) -> Result<String> {
    let mut text = String::new();
    let read = from.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text);
    let read = read.map_err(|error| usage("the input can't be read").cause(error))?;
    if read as u64 > INPUT_BYTES_MAX {
        let words = format!("the input has more than {} MiB", INPUT_BYTES_MAX >> 20);
        return Err(Refusal::new(Code::LimitExceeded, words));
    }
    Ok(text)
}

/// Every field is always there: scripts ask for `isError` also when all went well.
fn tool_document(called: &CallToolResponse) -> Value {
    let json = to_json("keiko.v1.CallToolResponse", called);
    let or = |name: &str, empty: Value| json.get(name).cloned().unwrap_or(empty);
    json!({
        "tool": called.tool,
        "content": or("content", json!([])),
        "structuredContent": or("structuredContent", Value::Null),
        "isError": called.is_error,
        "durationMs": called.duration_ms,
    })
}

fn agent_document(called: &CallAgentResponse) -> Value {
    let json = to_json("keiko.v1.CallAgentResponse", called);
    json!({
        "agent": called.agent,
        "text": called.text,
        "taskState": called.task_state,
        "failed": called.failed,
        "answer": json.get("answer").cloned().unwrap_or(Value::Null),
        "durationMs": called.duration_ms,
    })
}

/// What people read: texts as they are, of everything else what it is.
fn tool_text(document: &Value) -> String {
    let mut text = String::new();
    for block in document["content"].as_array().into_iter().flatten() {
        let word = |name: &str| block[name].as_str().unwrap_or_default();
        // Writing to a String can't fail.
        let _ = match word("type") {
            "text" => writeln!(text, "{}", word("text").trim_end_matches('\n')),
            "resource" if block["resource"]["text"].is_string() => {
                let inner = block["resource"]["text"].as_str().unwrap_or_default();
                writeln!(text, "{}", inner.trim_end_matches('\n'))
            }
            "resource_link" => writeln!(text, "[{} {}]", word("name"), word("uri")),
            kind => {
                let bytes = word("data").len() / 4 * 3;
                writeln!(
                    text,
                    "[{kind} {}, about {bytes} bytes; -o json shows it]",
                    word("mimeType")
                )
            }
        };
    }
    if text.is_empty() && !document["structuredContent"].is_null() {
        return format!("{:#}\n", document["structuredContent"]);
    }
    text
}

fn agent_text(called: &CallAgentResponse) -> String {
    match (called.text.is_empty(), called.task_state.as_str()) {
        (false, "" | "completed") => called.text.clone(),
        (false, state) => format!("{}\n[the task is {state}]", called.text),
        (true, "") => String::new(),
        (true, state) => format!("[the task is {state}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object() {
        for (text, expect) in [
            ("{}", true),
            (" {\"a\": 1} ", true),
            ("[]", false),
            ("1", false),
            ("", false),
            ("{", false),
            ("@/nowhere", false),
        ] {
            assert_eq!(arguments(text).is_ok(), expect, "{text:?}");
        }
    }

    #[test]
    fn results_read_as_text_and_as_json() {
        let content = json!([
            {"type": "text", "text": "one\n"},
            {"type": "image", "mimeType": "image/png", "data": "AAAAAAAA"},
            {"type": "resource", "resource": {"uri": "a:b", "text": "two"}},
            {"type": "resource_link", "name": "n", "uri": "a:b"},
        ]);
        let called = CallToolResponse {
            tool: "a.b".into(),
            content: content.to_string(),
            ..CallToolResponse::default()
        };
        let document = tool_document(&called);
        assert_eq!(document["isError"], false);
        assert_eq!(document["structuredContent"], Value::Null);
        assert_eq!(document["content"], content);
        assert_eq!(
            tool_text(&document),
            "one\n[image image/png, about 6 bytes; -o json shows it]\ntwo\n[n a:b]\n"
        );
        let structured = CallToolResponse {
            structured_content: "{\"a\":1}".into(),
            ..CallToolResponse::default()
        };
        assert_eq!(tool_text(&tool_document(&structured)), "{\n  \"a\": 1\n}\n");
    }
}
