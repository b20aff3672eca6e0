//! A new backup in pieces, off the rows of a view: what is there already is not written again.

use crate::consensus::Shown;
use crate::store::{Family, View};
use keiko_core::backup::{Cutter, hash_of};
use keiko_core::hash::{Hash, hex};
use keiko_core::refusal::Result;
use keiko_core::store::{Space, Store as _};
use keiko_proto::v1::{BackupGroup, BackupPiece};

/// Where pieces go.
pub trait Sink {
    /// Takes the next piece, which has this name. It may have it already.
    fn take(&mut self, piece: &BackupPiece, hash: Hash, bytes: Vec<u8>) -> Result<()>;
}

/// Cuts a group and gives its pieces away; says what it consists of.
pub fn cut(view: &View<'_>, shown: &Shown, sink: &mut impl Sink) -> Result<BackupGroup> {
    let mut pieces = Vec::new();
    let (start, end) = shown.group.range();
    for space in Space::ALL {
        let family = Family::from(space).name();
        let mut give = |bytes: Vec<u8>| -> Result<()> {
            let hash = hash_of(&bytes);
            let (family, length) = (family.to_owned(), bytes.len() as u64);
            let piece = BackupPiece { family, length, blake3: hash.to_vec() };
            sink.take(&piece, hash, bytes)?;
            pieces.push(piece);
            Ok(())
        };
        let mut cutter = Cutter::default();
        for (key, value) in view.scan(space, &start, &end) {
            cutter.push(&key, &value).map_or(Ok(()), &mut give)?;
        }
        cutter.finish().map_or(Ok(()), &mut give)?;
    }
    Ok(BackupGroup {
        group: u32::from(shown.group.0),
        revision: shown.head.revision,
        unix_ms: shown.head.unix_ms,
        term: shown.last.term,
        index: shown.last.index,
        state_hash: hex(&shown.head.hash),
        oldest_revision: 0,
        files: Vec::new(),
        pieces,
    })
}
