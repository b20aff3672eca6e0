//! A backup that lies in a place in pieces, and reading it: nothing is believed unchecked.

use super::format::folder_of;
use super::place::{Found, Place};
use super::unusable;
use crate::store::Family;
use crate::store::snapshot::write_sorted;
use keiko_core::backup::{
    self, BACKUPS, MANIFEST_BYTES_MAX, Name, PIECE_BYTES_READ_MAX, manifest_path, piece_path,
};
use keiko_core::hash::{Hash, hex};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::store::{Pair, Space};
use keiko_proto::v1::{BackupFile, BackupGroup, BackupHeader, BackupPiece};
use std::fs;
use std::path::Path;

/// A backup whose manifest is as it was written.
#[derive(Debug)]
pub struct Placed {
    /// What it says that it holds.
    pub header: BackupHeader,
    /// Its name.
    pub name: Name,
    place: Place,
}

/// The backups of a place, oldest first.
pub fn names(place: &Place) -> Result<Vec<Name>> {
    let found = place.list(BACKUPS)?;
    let mut names: Vec<Name> =
        found.iter().filter_map(|Found { path, .. }| backup::manifest_at(path)).collect();
    names.sort_by_key(|name| (name.created_ms(), name.to_string()));
    Ok(names)
}

impl Placed {
    /// The backup of this name, or the newest, of a place; `what` is the place's name.
    pub fn find(what: &str, name: Option<&str>) -> Result<Self> {
        let place = Place::open(what)?;
        let name = match name {
            Some(name) => name.parse::<Name>().map_err(|()| none(what, Some(name)))?,
            None => names(&place)?.pop().ok_or_else(|| none(what, None))?,
        };
        Self::open(&place, &name)?.ok_or_else(|| none(what, Some(&name.to_string())))
    }

    /// The backup of this name; none if it is not there.
    pub fn open(place: &Place, name: &Name) -> Result<Option<Self>> {
        let path = manifest_path(&name.to_string());
        let Some(bytes) = place.get(&path, MANIFEST_BYTES_MAX)? else { return Ok(None) };
        let header = backup::open(&bytes, &format!("the manifest of backup {name}"))?;
        Ok(Some(Self { header, name: name.clone(), place: place.clone() }))
    }

    /// What all its pieces hold together.
    pub fn bytes(&self) -> u64 {
        let pieces = self.header.groups.iter().flat_map(|group| &group.pieces);
        pieces.map(|piece| piece.length).sum()
    }

    /// Reads and checks every piece, and makes of their rows the files of each group below `folder`,
    /// which is made. The header names them then, as that of a backup in one file does.
    pub fn unpack(self, folder: &Path) -> Result<BackupHeader> {
        let mut header = self.header.clone();
        for group in &mut header.groups {
            let below = folder_of(folder, group.group);
            fs::create_dir_all(&below).map_err(|error| unusable(&below, &error))?;
            for space in Space::ALL {
                let files = write_sorted(&below, space, self.rows(group, space))?;
                group.files.extend(files.into_iter().map(|file| BackupFile {
                    family: file.family,
                    name: file.name,
                    length: file.length,
                    blake3: hex(&file.blake3),
                }));
            }
        }
        Ok(header)
    }

    /// The rows of one space of a group, in order; ends behind the first refusal.
    fn rows(&self, group: &BackupGroup, space: Space) -> impl Iterator<Item = Result<Pair>> {
        let family = Family::from(space).name();
        let of_family = |piece: &&BackupPiece| piece.family == family;
        let mut pieces =
            group.pieces.iter().filter(of_family).cloned().collect::<Vec<_>>().into_iter();
        let prefix = GroupId(u16::try_from(group.group).unwrap_or(u16::MAX)).prefix();
        let mut rows = Vec::<Pair>::new().into_iter();
        let (mut before, mut failed): (Option<Vec<u8>>, bool) = (None, false);
        std::iter::from_fn(move || {
            while !failed {
                if let Some(row) = rows.next() {
                    let (key, _) = &row;
                    failed = !key.starts_with(&prefix) || before.as_ref() >= Some(key);
                    before = Some(key.clone());
                    return Some(match failed {
                        true => Err(self.damaged("its rows are not in order")),
                        false => Ok(row),
                    });
                }
                match self.fetch(&pieces.next()?) {
                    Ok(fetched) => rows = fetched.into_iter(),
                    Err(refusal) => {
                        failed = true;
                        return Some(Err(refusal));
                    }
                }
            }
            None
        })
    }

    fn fetch(&self, piece: &BackupPiece) -> Result<Vec<Pair>> {
        let hash: Hash =
            piece.blake3[..].try_into().map_err(|_| self.damaged("a piece of it has no name"))?;
        let path = piece_path(&hash);
        let bytes = self.place.get(&path, PIECE_BYTES_READ_MAX)?;
        let bytes = bytes.ok_or_else(|| self.damaged(&format!("{path} is not there")))?;
        if backup::hash_of(&bytes) != hash || bytes.len() as u64 != piece.length {
            return Err(self.damaged(&format!("{path} is not what was written")));
        }
        backup::rows(&bytes).ok_or_else(|| self.damaged(&format!("{path} holds no rows")))
    }

    fn damaged(&self, cause: &str) -> Refusal {
        Refusal::new(Code::BackupInvalid, format!("backup {} is damaged", self.name))
            .cause(cause)
            .hint("take an older one of the place: --backup NAME")
            .hint("the next backup after a rehearsal that failed writes every piece anew")
    }
}

fn none(what: &str, name: Option<&str>) -> Refusal {
    let message = match name {
        Some(name) => format!("no backup {name:?} in {what}"),
        None => format!("no backup in {what}"),
    };
    Refusal::new(Code::BackupInvalid, message)
        .hint("keikoctl cluster backup list shows those of the cluster's own place")
}
