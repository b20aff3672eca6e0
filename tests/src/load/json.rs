//! A caller without gRPC: HTTP/1.1 and JSON over one connection that stays, as any language has it.

use super::Node;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::UnixStream;

/// One connection.
pub(super) struct Caller {
    stream: BufStream<UnixStream>,
    line: String,
    body: Vec<u8>,
}

impl Caller {
    pub(super) async fn connect(node: &Node<'_>) -> Result<Self> {
        let stream = UnixStream::connect(&node.settings.socket).await.context("connecting")?;
        Ok(Self { stream: BufStream::new(stream), line: String::new(), body: Vec::new() })
    }

    /// One lookup and one call.
    pub(super) async fn pair(&mut self, text: &str) -> Result<()> {
        let found = self.ask("GET", "/v1/find?capability=echo&one=true", "").await?;
        let name = found["items"][0]["name"].as_str().context("nobody offers it")?;
        let path = format!("/v1/tools/default/{name}:call");
        let body = json!({"arguments": {"text": text}}).to_string();
        let answer = self.ask("POST", &path, &body).await?;
        ensure!(answer["content"][0]["text"] == text, "not an echo of {text:?}: {answer}");
        Ok(())
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body.as_bytes()).await?;
        self.stream.flush().await?;
        let length = self.head().await?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// Reads the head of an answer that is well; how long its body is.
    async fn head(&mut self) -> Result<usize> {
        let mut length = None;
        self.next_line().await?;
        ensure!(self.line.starts_with("HTTP/1.1 200"), "answered {:?}", self.line);
        loop {
            self.next_line().await?;
            let line = self.line.trim_end();
            if line.is_empty() {
                return length.context("an answer without a length");
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
    }

    async fn next_line(&mut self) -> Result<()> {
        self.line.clear();
        match self.stream.read_line(&mut self.line).await? {
            0 => bail!("the connection ended"),
            _ => Ok(()),
        }
    }
}
