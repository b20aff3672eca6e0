//! MCP over a pair of pipes: one JSON message per line.
//!
//! Invariants: a line has a limit, and a longer one ends the session, since the message in it can't
//! be told from the next; what is not a message (a banner, a log line, a blank one) is skipped, but a
//! child that says nothing else for [`NOISE_BYTES_MAX`] is no MCP server, at its start and later on.
//! Never: waits for a newline with an unbounded buffer.

use super::MESSAGE_BYTES_MAX;
use super::link::Link;
use super::message;
use crate::outbound::fault::CallError;
use futures::StreamExt;
use keiko_core::refusal::{Code, Refusal};
use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};

/// Noise between two messages: banners have some lines, never 1 MiB.
const NOISE_BYTES_MAX: usize = 1 << 20;

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

pub(super) struct Lines {
    reader: FramedRead<Reader, AnyDelimiterCodec>,
    writer: Arc<Mutex<Option<Writer>>>,
    link: Link,
    noise: usize,
}

impl Lines {
    pub(super) fn new(reader: Reader, writer: Writer, link: Link) -> Self {
        let newline = || b"\n".to_vec();
        let codec = AnyDelimiterCodec::new_with_max_length(newline(), newline(), MESSAGE_BYTES_MAX);
        Self {
            reader: FramedRead::new(reader, codec),
            writer: Arc::new(Mutex::new(Some(writer))),
            link,
            noise: 0,
        }
    }

    fn parse(&mut self, raw: &[u8]) -> Option<ServerJsonRpcMessage> {
        let line = raw.trim_ascii();
        // A byte order mark is allowed before JSON, and some runtimes write one.
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if !line.is_empty() {
            match message::read(line) {
                Ok(message) => {
                    self.noise = 0;
                    return Some(message);
                }
                Err(error) => {
                    let bytes = line.len();
                    tracing::debug!(bytes, %error, "a line of the server is no message");
                    self.link.heard(line);
                }
            }
        }
        self.noise = self.noise.saturating_add(raw.len() + 1);
        None
    }
}

impl Transport<RoleClient> for Lines {
    type Error = CallError;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), CallError>> + Send + 'static {
        let writer = self.writer.clone();
        async move {
            let mut line = serde_json::to_vec(&message).map_err(|error| {
                CallError::not_run(
                    Refusal::new(Code::Internal, "the message can't be written").cause(error),
                )
            })?;
            if line.len() >= MESSAGE_BYTES_MAX {
                let message = format!("the message is larger than {MESSAGE_BYTES_MAX} bytes");
                return Err(CallError::not_run(Refusal::new(Code::LimitExceeded, message)));
            }
            line.push(b'\n');
            let mut writer = writer.lock().await;
            let Some(open) = writer.as_mut() else { return Err(closed("its input is closed")) };
            let written = async {
                open.write_all(&line).await?;
                open.flush().await
            };
            // A pipe without reader takes no whole line, and half a line is no message.
            written.await.map_err(closed)
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            match self.reader.next().await {
                Some(Ok(line)) => {
                    if let Some(message) = self.parse(&line) {
                        return Some(message);
                    }
                    if self.noise > NOISE_BYTES_MAX {
                        self.link.lose(self.link.noise().unwrap_or_else(blank));
                        return None;
                    }
                }
                Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded)) => {
                    let message =
                        format!("the server wrote a line of more than {MESSAGE_BYTES_MAX} bytes");
                    self.link.lose(Refusal::new(Code::PeerTooLarge, message));
                    return None;
                }
                Some(Err(AnyDelimiterCodecError::Io(error))) => {
                    self.link.lose(ended().cause(error));
                    return None;
                }
                None => {
                    self.link.lose(ended());
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), CallError> {
        // A closed input is how a stdio server is told to end.
        self.writer.lock().await.take();
        Ok(())
    }
}

fn blank() -> Refusal {
    Refusal::new(Code::PeerGarbage, "the command writes nothing but blank lines to its output")
}

fn ended() -> Refusal {
    Refusal::new(Code::ChildFailed, "the server closed its output")
}

fn closed(why: impl std::fmt::Display) -> CallError {
    let message = "the server does not read its input any more";
    CallError::not_run(Refusal::new(Code::ChildFailed, message).cause(why))
}
