//! The frames of a gRPC body: five bytes of head (flag, length), then one message.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use keiko_core::refusal::{Code, Refusal, Result};
use tonic::Status;
use tonic::body::Body;

use crate::net::standing::Standing;
use crate::net::status::to_refusal;

const HEAD_BYTES: usize = 5;

/// One message, framed.
pub(super) fn frame(message: &[u8]) -> Result<Bytes> {
    let length = u32::try_from(message.len())
        .map_err(|_| Refusal::new(Code::LimitExceeded, "a message is longer than 4 GiB"))?;
    let mut framed = BytesMut::with_capacity(HEAD_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    Ok(framed.freeze())
}

/// Reads messages off a body that a service in this process made.
pub(super) struct Frames {
    body: Body,
    held: BytesMut,
}

impl Frames {
    pub(super) fn new(body: Body) -> Self {
        Self { body, held: BytesMut::new() }
    }

    /// The same, until its caller no longer may read them.
    pub(super) fn watched(self, standing: Standing) -> Self {
        Self { body: standing.watch(self.body), ..self }
    }

    /// The next message; none at a good end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let Some(part) = self.body.frame().await else { return Err(cut()) };
            match part.map_err(|status| to_refusal(&status))?.into_data() {
                Ok(data) => self.held.extend_from_slice(&data),
                Err(part) => {
                    let trailers = part.into_trailers().map_err(|_| cut())?;
                    check(&trailers)?;
                    return if self.held.is_empty() { Ok(None) } else { Err(cut()) };
                }
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>> {
        let Some(head) = self.held.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        if head[0] != 0 {
            return Err(Refusal::new(Code::Internal, "a compressed answer that nobody asked for"));
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if self.held.len() - HEAD_BYTES < length {
            return Ok(None);
        }
        self.held.advance(HEAD_BYTES);
        Ok(Some(self.held.split_to(length).freeze()))
    }
}

/// The refusal in headers or trailers, if they say anything but OK.
pub(super) fn check(headers: &HeaderMap) -> Result<()> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != tonic::Code::Ok => Err(to_refusal(&status)),
        _ => Ok(()),
    }
}

fn cut() -> Refusal {
    Refusal::new(Code::Internal, "the answer of the service was cut short")
}
