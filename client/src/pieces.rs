//! A backup in pieces, for a folder that may hold most of them already. It is whole only once its end
//! was seen: until then its manifest is not to be written.

use crate::call::Client;
use crate::error::{Error, Result, code};
use keiko_proto::v1 as wire;
use std::collections::BTreeSet;
use std::time::Duration;
use tonic::Streaming;
use wire::backup_response::Item;

/// How long nothing may come: while pieces are cut, they come.
const SILENCE: Duration = Duration::from_secs(60);
/// What a piece may be: a single row is smaller than an entry of 4 MiB.
const PIECE_BYTES_MAX: u64 = 8 << 20;

/// The name of a piece: its BLAKE3.
pub type PieceName = [u8; 32];

/// The pieces of a backup.
pub struct Pieces {
    client: Client,
    stream: Streaming<wire::BackupResponse>,
    known: BTreeSet<PieceName>,
    /// Of the data so far, and how much it is.
    hasher: blake3::Hasher,
    bytes: u64,
    open: Option<Open>,
    /// All that the manifest says, once every piece came.
    pub header: Option<wire::BackupHeader>,
}

/// A piece whose bytes are still coming.
struct Open {
    name: PieceName,
    length: u64,
    bytes: Vec<u8>,
}

impl Client {
    /// Asks for a backup, but for these pieces. It is not asked for again if the connection breaks:
    /// another one would be of another moment.
    pub async fn backup_in_pieces(&self, known: BTreeSet<PieceName>) -> Result<Pieces> {
        let names = known.iter().map(|name| name.to_vec()).collect();
        let request = wire::BackupRequest { pieces: true, known: names };
        let stream = self
            .open(request, |client, request| async move { client.cluster().backup(request).await })
            .await?;
        Ok(Pieces {
            client: self.clone(),
            stream,
            known,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            open: None,
            header: None,
        })
    }
}

impl Pieces {
    /// The next piece that was not known; none once all of them came and are what was sent.
    pub async fn next(&mut self) -> Result<Option<(PieceName, Vec<u8>)>> {
        let next = self.receive().await;
        next.map_err(|error| self.client.mark(error, None))
    }

    /// How many bytes came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    async fn receive(&mut self) -> Result<Option<(PieceName, Vec<u8>)>> {
        loop {
            let message = tokio::time::timeout(SILENCE, self.stream.message()).await;
            let message = message.map_err(|_| {
                Error::new(code::DEADLINE_EXCEEDED, "keikod sends no more of the backup")
                    .cause(format!("nothing came for {SILENCE:?}"))
            })?;
            match message?.map(|message| message.item) {
                Some(Some(Item::Piece(piece))) => self.begin(&piece)?,
                Some(Some(Item::Data(data))) => {
                    if let Some(whole) = self.take(&data)? {
                        return Ok(Some(whole));
                    }
                }
                Some(Some(Item::Header(header))) => self.header = Some(header),
                Some(Some(Item::End(end))) => return self.check(&end).map(|()| None),
                Some(None) => {}
                None => return Err(Error::new(code::UNREACHABLE, "the backup was cut short")),
            }
        }
    }

    fn begin(&mut self, piece: &wire::BackupPiece) -> Result<()> {
        let name = PieceName::try_from(&piece.blake3[..]).map_err(|_| other("it has no name"))?;
        if self.open.is_some() || piece.length == 0 || piece.length > PIECE_BYTES_MAX {
            return Err(other("a piece of it is cut short, or none"));
        }
        if self.known.insert(name) {
            self.open = Some(Open { name, length: piece.length, bytes: Vec::new() });
        }
        Ok(())
    }

    fn take(&mut self, data: &[u8]) -> Result<Option<(PieceName, Vec<u8>)>> {
        self.hasher.update(data);
        self.bytes += data.len() as u64;
        let Some(mut open) = self.open.take() else {
            return Err(other("bytes came that belong to no piece"));
        };
        open.bytes.extend(data);
        if (open.bytes.len() as u64) < open.length {
            self.open = Some(open);
            return Ok(None);
        }
        if *blake3::hash(&open.bytes).as_bytes() != open.name {
            return Err(other("a piece is not what its name says"));
        }
        Ok(Some((open.name, open.bytes)))
    }

    fn check(&self, end: &wire::BackupEnd) -> Result<()> {
        let found = (self.bytes, self.hasher.finalize().to_hex().to_string());
        if (end.bytes, &end.blake3) != (found.0, &found.1) || self.open.is_some() {
            return Err(other("its bytes are not those that were sent"));
        }
        let header = self.header.as_ref().ok_or_else(|| other("its header did not come"))?;
        let mut pieces = header.groups.iter().flat_map(|group| &group.pieces);
        let is_here = |piece: &wire::BackupPiece| {
            PieceName::try_from(&piece.blake3[..]).is_ok_and(|name| self.known.contains(&name))
        };
        match pieces.all(is_here) {
            true => Ok(()),
            false => Err(other("a piece that it names did not come")),
        }
    }
}

fn other(cause: &str) -> Error {
    Error::new(code::INTERNAL, "the backup did not arrive as it was sent").cause(cause)
}
