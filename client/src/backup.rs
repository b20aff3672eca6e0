//! A backup as it arrives. It is whole only once its end was seen and all bytes before it have the
//! hash that the server says.

use crate::call::Client;
use crate::error::{Error, Result, code};
use keiko_proto::v1 as wire;
use std::time::Duration;
use tonic::Streaming;
use wire::backup_response::Item;

/// How long nothing may come: the server says every two seconds that it is still at it.
const SILENCE: Duration = Duration::from_secs(60);

/// The bytes of a backup.
pub struct Backup {
    client: Client,
    stream: Streaming<wire::BackupResponse>,
    /// What the server says that it holds, once it came.
    pub header: Option<wire::BackupHeader>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Client {
    /// Asks for a backup. It is not asked for again if the connection breaks: another one would be
    /// of another moment.
    pub async fn backup(&self) -> Result<Backup> {
        let stream = self
            .open(wire::BackupRequest::default(), |client, request| async move {
                client.cluster().backup(request).await
            })
            .await?;
        let (client, hasher) = (self.clone(), blake3::Hasher::new());
        Ok(Backup { client, stream, header: None, hasher, bytes: 0 })
    }
}

impl Backup {
    /// The next bytes; none once all of them came and are what was sent.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let next = self.receive().await;
        next.map_err(|error| self.client.mark(error, None))
    }

    /// How many bytes came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// BLAKE3 of the bytes so far, hex.
    pub fn blake3(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    async fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let message = tokio::time::timeout(SILENCE, self.stream.message()).await;
            let message = message.map_err(|_| {
                Error::new(code::DEADLINE_EXCEEDED, "keikod sends no more of the backup")
                    .cause(format!("nothing came for {SILENCE:?}"))
            })?;
            match message?.map(|message| message.item) {
                Some(Some(Item::Header(header))) => self.header = Some(header),
                Some(Some(Item::Data(data))) => {
                    self.hasher.update(&data);
                    self.bytes += data.len() as u64;
                    return Ok(Some(data));
                }
                Some(Some(Item::End(end))) => return self.check(&end),
                // Not asked for.
                Some(Some(Item::Piece(_)) | None) => {}
                None => return Err(Error::new(code::UNREACHABLE, "the backup was cut short")),
            }
        }
    }

    fn check(&self, end: &wire::BackupEnd) -> Result<Option<Vec<u8>>> {
        if (end.bytes, &end.blake3) == (self.bytes, &self.blake3()) {
            return Ok(None);
        }
        Err(Error::new(code::INTERNAL, "the backup did not arrive as it was sent").cause(format!(
            "{} bytes with BLAKE3 {}, and {} with {} were sent",
            self.bytes,
            self.blake3(),
            end.bytes,
            end.blake3,
        )))
    }
}
