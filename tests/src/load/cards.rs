//! Agents that have nothing but a card: as many as wanted, behind one listener.
//!
//! The agent with number N lies at `/a/N`. Its skill is one of a thousand and its tag one of a
//! hundred, so that a lookup finds some and not all.

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Different skills, and different tags.
pub(super) const SKILLS: usize = 1000;
pub(super) const TAGS: usize = 100;

/// Lines of one request's head; more than this is no client of ours.
const HEAD_LINES_MAX: usize = 64;

/// The listener, until it is dropped.
pub(super) struct Cards {
    base: String,
    accepts: JoinHandle<()>,
}

impl Cards {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening for cards")?;
        let base = format!("http://{}", listener.local_addr()?);
        let own = base.clone();
        let accepts = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let base = own.clone();
                // Who breaks off asks again.
                tokio::spawn(async move { serve(stream, &base).await.is_ok() });
            }
        });
        Ok(Self { base, accepts })
    }

    /// Where the agent with this number is.
    pub(super) fn url(&self, number: usize) -> String {
        format!("{}/a/{number}", self.base)
    }
}

impl Drop for Cards {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn serve(stream: TcpStream, base: &str) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let mut is_known = false;
        for _ in 0..HEAD_LINES_MAX {
            line.clear();
            if stream.read_line(&mut line).await? <= 2 {
                break;
            }
            is_known |= line.to_ascii_lowercase().starts_with("if-none-match:");
        }
        let answer = match number(&path) {
            None => "HTTP/1.1 404 none\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Some(_) if is_known => "HTTP/1.1 304 same\r\netag: \"1\"\r\n\r\n".to_owned(),
            Some(number) => {
                let card = card(base, number).to_string();
                format!(
                    "HTTP/1.1 200 ok\r\ncontent-type: application/json\r\netag: \"1\"\r\n\
                     content-length: {}\r\n\r\n{card}",
                    card.len()
                )
            }
        };
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}

/// Of a path like `/a/17/.well-known/agent-card.json`.
fn number(path: &str) -> Option<usize> {
    let (number, rest) = path.strip_prefix("/a/")?.split_once('/')?;
    (rest == ".well-known/agent-card.json").then(|| number.parse().ok()).flatten()
}

fn card(base: &str, number: usize) -> serde_json::Value {
    let skill = format!("skill-{}", number % SKILLS);
    json!({
        "name": format!("agent-{number}"),
        "description": "An agent of the benchmark.",
        "version": "1.2.3",
        "supportedInterfaces": [{
            "url": format!("{base}/a/{number}"),
            "protocolBinding": "JSONRPC",
            "protocolVersion": "1.0",
        }],
        "capabilities": {},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{
            "id": skill,
            "name": skill,
            "description": "One of a thousand skills.",
            "tags": [format!("tag-{}", number % TAGS)],
        }],
    })
}
