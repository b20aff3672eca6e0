//! Server-sent events with a limit for each event.

use super::link::Link;
use crate::outbound::fault::CallError;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use keiko_core::refusal::{Code, Refusal};
use rmcp::transport::streamable_http_client::SseError;
use sse_stream::{Sse, SseStream};

/// Events of `bytes`; one larger than `event_bytes_max` ends the stream and the session: rmcp tells
/// only that a stream ended, and the caller has to know why.
pub(super) fn events<E>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    event_bytes_max: usize,
    link: Link,
) -> BoxStream<'static, Result<Sse, SseError>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut event = Event { bytes: 0, at_line_start: true, broken: false };
    let limited =
        bytes.map(|chunk| chunk.map_err(|error| lost(&error))).scan((), move |(), chunk| {
            if event.broken {
                return std::future::ready(None);
            }
            let checked = chunk.and_then(|chunk| match event.observe(&chunk, event_bytes_max) {
                true => Ok(chunk),
                false => Err(too_large(event_bytes_max, &link)),
            });
            event.broken = checked.is_err();
            std::future::ready(Some(checked))
        });
    SseStream::from_bytes_stream(limited).boxed()
}

/// Bytes since the last empty line, which is where an event ends.
struct Event {
    bytes: usize,
    at_line_start: bool,
    broken: bool,
}

impl Event {
    fn observe(&mut self, chunk: &[u8], most: usize) -> bool {
        for &byte in chunk {
            self.bytes += 1;
            match byte {
                b'\n' | b'\r' if self.at_line_start => self.bytes = 0,
                b'\n' => self.at_line_start = true,
                b'\r' => {}
                _ => self.at_line_start = false,
            }
            if self.bytes > most {
                return false;
            }
        }
        true
    }
}

fn too_large(most: usize, link: &Link) -> CallError {
    let message = format!("the server sent an event of more than {most} bytes");
    let refusal = Refusal::new(Code::PeerTooLarge, message);
    link.lose(refusal.clone());
    CallError::maybe_run(refusal)
}

fn lost(error: &dyn std::error::Error) -> CallError {
    CallError::maybe_run(
        Refusal::new(Code::PeerUnreachable, "the server's stream broke off").cause(error),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(chunks: &[&'static str], most: usize) -> Vec<Option<String>> {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|c| Ok::<_, std::io::Error>(Bytes::from_static(c.as_bytes())))
            .collect();
        let events = events(futures::stream::iter(chunks), most, Link::default());
        events.map(|event| event.ok().and_then(|event| event.data)).collect().await
    }

    #[tokio::test]
    async fn each_event_has_its_own_limit() {
        let data = |text: &str| Some(text.to_owned());
        assert_eq!(check(&["data: a\n\ndata", ": b\r\n\r\n"], 10).await, [data("a"), data("b")]);
        assert_eq!(
            check(&["data: a\n\n", "data: 0123456789\n\n", "data: c\n\n"], 10).await,
            [data("a"), None]
        );
        assert_eq!(check(&["data: a\n\n"; 50], 10).await.len(), 50);
    }
}
