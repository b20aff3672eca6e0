//! Peers that mean harm, or were never made for this: below HTTP, and in what they answer over it.
//!
//! Each is a real listener on loopback, until it is dropped. What they write is bounded by the one
//! who reads: they stop when their peer goes.

use super::{error, result};
use crate::web::{Asked, Reply, Web};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Text that would clear a screen, retitle a window, turn the reading direction and break a line.
pub const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}lave\u{2066}\u{200f}\r\u{7f}";

/// How long a peer keeps a connection at most.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two bytes of a drip.
const DRIP: Duration = Duration::from_millis(500);

/// A listener that speaks no HTTP of its own.
pub struct Raw {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl Raw {
    /// `serve` gets each connection on a thread of its own.
    pub fn start(serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::<AtomicUsize>::default();
        let (ended, counted, serve) =
            (Arc::clone(&stop), Arc::clone(&connections), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let serve = Arc::clone(&serve);
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let _ = stream.set_write_timeout(Some(PATIENCE));
                // A caller that breaks off is no failure of the test.
                std::thread::spawn(move || serve(stream).is_ok());
            }
        });
        Self { address, stop, connections }
    }

    /// As in `http://127.0.0.1:41000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As in `https://localhost:41000`.
    pub fn secure_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// Accepts, and never says a word.
pub fn hangs_after_accept() -> Raw {
    Raw::start(wait_for_end)
}

/// Begins an answer, and never goes on.
pub fn hangs_after_headers() -> Raw {
    Raw::start(|mut stream| {
        read_request(&stream)?;
        stream.write_all(b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\n")?;
        stream.write_all(b"content-length: 1000\r\n\r\n{")?;
        wait_for_end(stream)
    })
}

/// Answers, one byte at a time.
pub fn drips() -> Raw {
    Raw::start(|mut stream| {
        read_request(&stream)?;
        stream.write_all(b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\n\r\n")?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            stream.write_all(b" ")?;
            std::thread::sleep(DRIP);
        }
        Ok(())
    })
}

/// Bytes of no protocol.
pub fn garbage() -> Raw {
    Raw::start(|mut stream| {
        read_request(&stream)?;
        let bytes: Vec<u8> = (0..4096_u32).map(|at| (at.wrapping_mul(167) >> 3) as u8).collect();
        stream.write_all(&bytes)?;
        stream.write_all(EVIL.as_bytes())?;
        // An end with something unread would take back what was said.
        wait_for_end(stream)
    })
}

/// One line of JSON that goes on for as long as somebody reads, at most `bytes_max`.
pub fn one_line(bytes_max: usize) -> Raw {
    Raw::start(move |mut stream| {
        read_request(&stream)?;
        stream.write_all(b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\n\r\n\"")?;
        let part = vec![b'x'; 64 << 10];
        for _ in 0..bytes_max / part.len() {
            stream.write_all(&part)?;
        }
        stream.write_all(b"\"")
    })
}

/// TLS, with a certificate that nobody vouches for.
pub fn tls() -> Raw {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions are known")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a key and its certificate");
    let config = Arc::new(config);
    Raw::start(move |mut stream| {
        let mut connection =
            rustls::ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut stream) {
                // The alert that says so.
                let _ = connection.write_tls(&mut stream);
                return Err(error);
            }
        }
        wait_for_end(stream)
    })
}

fn wait_for_end(mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes)? > 0 {}
    Ok(())
}

/// Reads what came first; that is enough of a request for who does not care.
fn read_request(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.read(&mut [0; 16384]).map(drop)
}

/// Answers everything with this.
pub fn answers(status: u16, kind: &'static str, body: &'static str) -> Web {
    Web::start(move |_, _| Reply::status(status, body).header("content-type", kind))
}

/// Sends everybody here; `{path}` grows, so that no address comes twice.
pub fn redirects(to: &'static str) -> Web {
    Web::start(move |asked, _| Reply::redirect(&to.replace("{path}", &asked.path)))
}

/// An MCP server of revision 2025-11-25 over HTTP with another list each time: `list` gets the
/// parameters of `tools/list` and how often it was asked before.
pub fn lists(list: impl Fn(&Value, usize) -> Value + Send + Sync + 'static) -> Web {
    serves(json!({"name": "hostile", "version": "1.0.0"}), list)
}

/// The same with a word about who it is.
pub fn serves(server: Value, list: impl Fn(&Value, usize) -> Value + Send + Sync + 'static) -> Web {
    let asked_before = AtomicUsize::new(0);
    Web::start(move |asked, _| {
        rpc(asked, |id, method, params| match method {
            "initialize" => initialized(id, "2025-11-25", &server),
            "tools/list" => result(id, &list(params, asked_before.fetch_add(1, Ordering::Relaxed))),
            "tools/call" => result(id, &json!({"content": [{"type": "text", "text": "done"}]})),
            _ => error(id, -32601, "method not found"),
        })
    })
}

/// An MCP server that answers `initialize` in this revision.
pub fn of_version(version: &'static str) -> Web {
    let server = json!({"name": "odd", "version": "1"});
    Web::start(move |asked, _| {
        rpc(asked, |id, method, _| match method {
            "initialize" => initialized(id, version, &server),
            _ => error(id, -32601, "method not found"),
        })
    })
}

/// An MCP server whose session is unknown after each call.
pub fn forgets() -> Web {
    let session = AtomicUsize::new(0);
    let server = json!({"name": "forgetful", "version": "1"});
    Web::start(move |asked, _| {
        let current = session.load(Ordering::Relaxed).to_string();
        if asked.headers.get("mcp-session-id").is_some_and(|given| *given != current) {
            return Reply::status(404, "no such session");
        }
        let called = asked.body.contains("tools/call");
        let reply = rpc(asked, |id, method, _| match method {
            "initialize" => initialized(id, "2025-11-25", &server),
            "tools/list" => {
                result(id, &json!({"tools": [tool("echo", &json!({"type": "object"}))]}))
            }
            "tools/call" => result(id, &json!({"content": [{"type": "text", "text": "done"}]})),
            _ => error(id, -32601, "method not found"),
        });
        if called {
            session.fetch_add(1, Ordering::Relaxed);
        }
        reply.header("mcp-session-id", &current)
    })
}

/// An MCP server whose own stream is these events, and then its end.
pub fn streams(events: &'static str) -> Web {
    Web::start(move |asked, _| match asked.method.as_str() {
        "GET" => Reply::status(200, events).header("content-type", "text/event-stream"),
        _ => super::mcp::http(asked, super::mcp::Flavour::Plain).header("mcp-session-id", "one"),
    })
}

/// An MCP server that is asked for its tools, and asks back without end.
pub fn asks() -> Web {
    let server = json!({"name": "curious", "version": "1"});
    let ping = json!({"jsonrpc": "2.0", "id": "ask", "method": "ping"});
    let pings = format!("data: {ping}\n\n").repeat(5_000);
    Web::start(move |asked, _| {
        if asked.body.contains("\"tools/list\"") {
            return Reply::status(200, &pings).header("content-type", "text/event-stream");
        }
        if asked.body.contains("\"ask\"") {
            return Reply::status(202, "");
        }
        rpc(asked, |id, method, _| match method {
            "initialize" => initialized(id, "2025-11-25", &server),
            _ => error(id, -32601, "method not found"),
        })
    })
}

/// An MCP server with another tool at every look.
pub fn changes() -> Web {
    lists(
        |_, before| json!({"tools": [tool(&format!("tool-{before}"), &json!({"type": "object"}))]}),
    )
}

/// An MCP server that is there for one `period`, and for the next it is not.
pub fn flaps(period: Duration) -> Web {
    let begun = Instant::now();
    Web::start(move |asked, _| {
        let periods = begun.elapsed().as_millis() / period.as_millis().max(1);
        match periods % 2 {
            0 => super::mcp::http(asked, super::mcp::Flavour::Plain),
            _ => Reply::hang_up(),
        }
    })
}

/// The words of a command that is an MCP server for a second, and ends.
pub fn crash_loop() -> String {
    let fake = crate::programs::path("fake-mcp");
    format!("/bin/sh -c 'timeout 1 {}; exit 3'", fake.display())
}

/// A tool as a server lists it.
pub fn tool(name: &str, schema: &Value) -> Value {
    json!({"name": name, "description": "A tool.", "inputSchema": schema})
}

/// Tools by their number, `page` at a time, `total` in all.
pub fn pages(params: &Value, total: usize, page: usize) -> Value {
    let from = params["cursor"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    let to = total.min(from + page);
    let none = json!({"type": "object"});
    let tools: Vec<_> = (from..to).map(|at| tool(&format!("tool-{at}"), &none)).collect();
    match to < total {
        true => json!({"tools": tools, "nextCursor": to.to_string()}),
        false => json!({"tools": tools}),
    }
}

/// An agent with this card, made from the address; it takes every message and is never done.
pub fn agent(card: impl Fn(&str) -> Value + Send + Sync + 'static) -> Web {
    let working = json!({"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_WORKING"}});
    Web::start(move |asked, url| match asked.method.as_str() {
        "GET" if asked.path == super::agent::CARD => Reply::json(&card(url)),
        "POST" => rpc(asked, |id, method, _| match method {
            "SendMessage" => result(id, &json!({"task": working})),
            "GetTask" => result(id, &working),
            _ => error(id, -32601, "method not found"),
        }),
        _ => Reply::status(404, "nothing here"),
    })
}

fn initialized(id: &Value, version: &str, server: &Value) -> Value {
    result(
        id,
        &json!({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}),
    )
}

/// Answers a request of JSON-RPC; a notification is only taken.
fn rpc(asked: &Asked, respond: impl Fn(&Value, &str, &Value) -> Value) -> Reply {
    let Ok(request) = serde_json::from_str::<Value>(&asked.body) else {
        return Reply::status(405, "POST only");
    };
    let Some(id) = request.get("id") else { return Reply::status(202, "") };
    Reply::json(&respond(id, request["method"].as_str().unwrap_or_default(), &request["params"]))
}
