//! What a server may write, against the readers of its lines, messages and events.

use super::lines::Lines;
use super::link::Link;
use super::{message, sse};
use crate::fuzz::{check_refusal_of_peer, mutate};
use bytes::Bytes;
use futures::StreamExt as _;
use keiko_core::refusal::Code;
use rmcp::model::{JsonRpcMessage, ServerJsonRpcMessage, ServerResult};
use rmcp::transport::Transport as _;
use tokio::runtime::{Builder, Runtime};

const MESSAGES: [&str; 9] = [
    r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hello"}],"isError":true}}"#,
    r#"{"jsonrpc":"2.0","id":"a","result":{"content":[],"structuredContent":{"sum":3},"_meta":{"a":1}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"image","data":"AAEC","mimeType":"image/png"}]}}"#,
    r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"now","inputSchema":{"type":"object"}}],"nextCursor":"x"}}"#,
    r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"time","version":"1"},"instructions":"ask"}}"#,
    r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"no","data":{"a":[1,2]}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5}}"#,
    r#"{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}"#,
];

const WORDS: &[&str] = &[
    "\"result\":",
    "\"error\":",
    "\"id\":null",
    "\"jsonrpc\":\"1.0\"",
    "\"content\":",
    "\"type\":\"text\"",
    "\"resultType\":\"complete\"",
    "\"structuredContent\":null",
    "\"method\":\"ping\"",
    ",",
    ":",
    "{}",
    "\n",
    "\r",
    "\n\n",
    "data: ",
    "event: message",
    "id: 1",
    "retry: 0",
    ": ",
];

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The short way reads what rmcp reads and nothing else; what was read can be written and read.
#[test]
fn any_message() {
    mutate::run("mcp messages", &MESSAGES, WORDS, |bytes| {
        let general = serde_json::from_slice::<ServerJsonRpcMessage>(bytes);
        let (read, general) = match (message::read(bytes), general) {
            (Ok(read), Ok(general)) => (read, general),
            (Err(_), Err(error)) => {
                return assert!(error.to_string().len() < 4096 + 8 * bytes.len());
            }
            // What nobody asked for is passed over, and may be no UTF-8.
            (Ok(_), Err(_)) if std::str::from_utf8(bytes).is_err() => return,
            // Nor is it counted how deep that nests.
            (Ok(_), Err(error)) if error.to_string().starts_with("recursion limit") => return,
            // Nor are its names looked at, in which an escape may be half of a pair.
            (Ok(_), Err(error)) if error.to_string().contains("hex escape") => return,
            (read, general) => panic!("{read:?}, but rmcp: {general:?}"),
        };
        // An answer to a call may look like that to another question as well, which rmcp tries first.
        let is_call = |message: &ServerJsonRpcMessage| {
            let JsonRpcMessage::Response(response) = message else { return false };
            matches!(response.result, ServerResult::CallToolResult(_))
        };
        if is_call(&general) || !is_call(&read) {
            assert_eq!(format!("{read:?}"), format!("{general:?}"));
        }
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        assert!(
            written.len() <= 1024 + 8 * bytes.len(),
            "{} bytes of {}",
            written.len(),
            bytes.len()
        );
        // A name that came twice is written once, which may make it an answer of another kind; from
        // then on it stays what it is.
        let again = |written: &[u8]| {
            let read = message::read(written).expect("what was written can be read");
            serde_json::to_vec(&read).expect("what was read can be written")
        };
        let twice = again(&written);
        assert_eq!(again(&twice), twice, "written and read again");
    });
}

/// Any output of a command ends in messages, then in a reason; it never waits or spins.
#[test]
fn any_output_of_a_command() {
    let banner = "Server started\n\n{\"level\":30}\n\u{feff}";
    let corpus: Vec<String> =
        MESSAGES.iter().map(|text| format!("{banner}{text}\n{text}\r\n")).collect();
    let runtime = runtime();
    mutate::run("mcp lines", &corpus, WORDS, |bytes| {
        let link = Link::default();
        let reader = std::io::Cursor::new(bytes.to_vec());
        let mut lines = Lines::new(Box::new(reader), Box::new(tokio::io::sink()), link.clone());
        let mut count = 0;
        runtime.block_on(async {
            while lines.receive().await.is_some() {
                count += 1;
            }
        });
        assert!(count <= 1 + bytes.iter().filter(|byte| **byte == b'\n').count());
        let why = link.why().expect("an ended output has a reason");
        check_refusal_of_peer(&why, &[Code::ChildFailed, Code::PeerGarbage, Code::PeerTooLarge]);
        if let Some(noise) = link.noise() {
            check_refusal_of_peer(&noise, &[Code::PeerGarbage]);
        }
    });
}

/// Events are bounded one by one, and do not depend on how the bytes were cut on their way. Only
/// behind a line that is of no event they do: with it goes the rest of what came with it.
#[test]
fn any_stream_of_events() {
    const EVENT_BYTES_MAX: usize = 600;
    let corpus: Vec<String> = MESSAGES
        .iter()
        .map(|text| {
            format!(": hi\n\nevent: message\nid: 1\ndata: {text}\n\ndata: a\r\ndata: b\r\n\r\n")
        })
        .collect();
    let runtime = runtime();
    let read = |chunks: Vec<Bytes>| {
        let link = Link::default();
        let chunks = futures::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        let events = sse::events(chunks, EVENT_BYTES_MAX, link.clone());
        let events = events.map(|event| event.ok().map(|event| event.data));
        (runtime.block_on(events.collect::<Vec<_>>()), link.why())
    };
    mutate::run("mcp events", &corpus, WORDS, |bytes| {
        let bytes = &bytes[..bytes.len().min(8 << 10)];
        let (events, why) = read(vec![Bytes::copy_from_slice(bytes)]);
        assert!(events.len() <= 1 + bytes.len());
        let longest = events.iter().flatten().flatten().map(String::len).max();
        // What is not UTF-8 is shown by a sign of three bytes.
        assert!(longest.is_none_or(|longest| longest <= 3 * EVENT_BYTES_MAX), "{longest:?}");
        if let Some(why) = &why {
            check_refusal_of_peer(why, &[Code::PeerTooLarge]);
        }
        let is_sound = events.iter().all(Option::is_some);
        for size in [1, 7, 64] {
            let (cut, why_cut) = read(bytes.chunks(size).map(Bytes::copy_from_slice).collect());
            assert_eq!(why_cut, why, "cut at {size}");
            assert_eq!(cut.iter().all(Option::is_some), is_sound, "cut at {size}");
            if is_sound {
                assert_eq!(cut, events, "cut at {size}");
            }
        }
    });
}
