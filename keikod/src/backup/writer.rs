//! A new backup into a place: the pieces that are not there yet, then the manifest, then what the
//! ladder lets go.

use super::pieces::Sink;
use super::place::{Claim, Place};
use super::placed::{Placed, names};
use keiko_core::backup::{
    self, Ladder, Name, PIECES, kept, manifest_path, name_of, piece_path, restored_path,
};
use keiko_core::hash::Hash;
use keiko_core::refusal::Result;
use keiko_proto::v1::{BackupGroup, BackupHeader, BackupPiece};
use std::collections::BTreeSet;

/// Writes one. The place is claimed as long as this lives.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    known: BTreeSet<Hash>,
    /// What was given so far.
    pub groups: Vec<BackupGroup>,
    bytes: u64,
    new_bytes: u64,
    _claim: Claim,
}

/// One that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: Name,
    /// What all its pieces hold together.
    pub bytes: u64,
    /// What of that was not there before.
    pub new_bytes: u64,
}

impl Writer {
    /// Claims the place. Without `trust` every piece is written, whether it is there or not.
    pub fn begin(place: Place, holder: &str, now_ms: u64, trust: bool) -> Result<Self> {
        let claim = place.claim(holder, now_ms)?;
        let known = if trust { pieces_of(&place)? } else { BTreeSet::new() };
        Ok(Self { place, known, groups: Vec::new(), bytes: 0, new_bytes: 0, _claim: claim })
    }

    /// Writes the manifest, behind which the backup is there.
    pub fn finish(&self, header: &BackupHeader) -> Result<Written> {
        let name = name_of(header.created_unix_ms, &header.cluster_id);
        self.place.put(&manifest_path(&name.to_string()), backup::seal(header)?)?;
        Ok(Written { name, bytes: self.bytes, new_bytes: self.new_bytes })
    }

    /// Removes the backups of this cluster that the ladder has no rung for, and the pieces that none
    /// has any more; says how many backups went. `proven` stays: nothing newer was ever restored.
    pub fn prune(&self, cluster_id: &str, ladder: Ladder, proven: &str) -> Result<usize> {
        let own: Vec<Name> =
            names(&self.place)?.into_iter().filter(|name| name.is_of(cluster_id)).collect();
        let created: Vec<u64> = own.iter().map(Name::created_ms).collect();
        let stays = kept(&created, ladder).into_iter();
        let mut gone = 0;
        for (name, _) in own.iter().zip(stays).filter(|(_, stays)| !stays) {
            let name = name.to_string();
            if name != proven {
                self.place.remove(&manifest_path(&name))?;
                self.place.remove(&restored_path(&name))?;
                gone += 1;
            }
        }
        if gone > 0 {
            self.sweep()?;
        }
        Ok(gone)
    }

    /// Removes the pieces that no manifest names. Where one can't be read, nothing is removed: nobody
    /// knows what it needs.
    fn sweep(&self) -> Result<()> {
        let mut needed = BTreeSet::new();
        for name in names(&self.place)? {
            let Some(placed) = Placed::open(&self.place, &name)? else { continue };
            let pieces = placed.header.groups.into_iter().flat_map(|group| group.pieces);
            needed.extend(pieces.filter_map(|piece| Hash::try_from(piece.blake3).ok()));
        }
        for hash in pieces_of(&self.place)?.difference(&needed) {
            self.place.remove(&piece_path(hash))?;
        }
        Ok(())
    }
}

impl Sink for Writer {
    fn take(&mut self, piece: &BackupPiece, hash: Hash, bytes: Vec<u8>) -> Result<()> {
        self.bytes += piece.length;
        if self.known.insert(hash) {
            self.place.put(&piece_path(&hash), bytes)?;
            self.new_bytes += piece.length;
        }
        Ok(())
    }
}

fn pieces_of(place: &Place) -> Result<BTreeSet<Hash>> {
    let found = place.list(PIECES)?;
    Ok(found.iter().filter_map(|found| backup::piece_at(&found.path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::backup::hash_of;

    const CLUSTER: &str = "0199a1b2-0000-7000-8000-0123456789ab";
    const HOUR: u64 = 3_600_000;

    fn write(place: &Place, hour: u64, rows: &[&[u8]], trust: bool) -> (Writer, Written) {
        let mut writer = Writer::begin(place.clone(), "n1", hour * HOUR, trust).unwrap();
        let mut pieces = Vec::new();
        for row in rows {
            let (hash, length) = (hash_of(row), row.len() as u64);
            let family = "state".to_owned();
            let piece = BackupPiece { family, length, blake3: hash.to_vec() };
            writer.take(&piece, hash, row.to_vec()).unwrap();
            pieces.push(piece);
        }
        let header = BackupHeader {
            cluster_id: CLUSTER.to_owned(),
            created_unix_ms: hour * HOUR,
            groups: vec![BackupGroup { pieces, ..Default::default() }],
            next_node_id: 2,
            ..Default::default()
        };
        let written = writer.finish(&header).unwrap();
        (writer, written)
    }

    #[test]
    fn what_is_there_is_not_written_again_and_goes_with_the_last_that_needs_it() {
        let here = tempfile::tempdir().unwrap();
        let place = Place::open(&here.path().display().to_string()).unwrap();
        let (_, first) = write(&place, 1, &[b"one", b"two"], true);
        assert_eq!((first.bytes, first.new_bytes), (6, 6));
        let (_, second) = write(&place, 2, &[b"two", b"four"], true);
        assert_eq!((second.bytes, second.new_bytes), (7, 4));
        let (writer, third) = write(&place, 3, &[b"two"], false);
        assert_eq!((third.bytes, third.new_bytes), (3, 3));
        assert_eq!(names(&place).unwrap(), [first.name, second.name.clone(), third.name.clone()]);
        let ladder = Ladder { hourly: 1, daily: 0, weekly: 0, monthly: 0 };
        let gone = writer.prune(CLUSTER, ladder, &second.name.to_string()).unwrap();
        assert_eq!((gone, names(&place).unwrap()), (1, vec![second.name, third.name]));
        assert_eq!(pieces_of(&place).unwrap(), BTreeSet::from([hash_of(b"two"), hash_of(b"four")]));
        // Another cluster's stay.
        assert_eq!(writer.prune("other", ladder, "").unwrap(), 0);
    }

    #[test]
    fn nothing_goes_where_a_manifest_can_not_be_read() {
        let here = tempfile::tempdir().unwrap();
        let place = Place::open(&here.path().display().to_string()).unwrap();
        write(&place, 1, &[b"one"], true);
        let (writer, second) = write(&place, 9, &[b"two"], true);
        place.put(&manifest_path(&second.name.to_string()), b"KEIKOMAN?".to_vec()).unwrap();
        let ladder = Ladder { hourly: 1, daily: 0, weekly: 0, monthly: 0 };
        assert!(writer.prune(CLUSTER, ladder, "").is_err());
        assert_eq!(pieces_of(&place).unwrap().len(), 2);
    }
}
