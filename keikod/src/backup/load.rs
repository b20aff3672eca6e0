//! The groups of a backup in a store of their own.

use super::format::folder_of;
use crate::consensus::offline::{Alone, Offline};
use crate::store::record::LogId;
use crate::store::snapshot::Part;
use keiko_core::hash::hex;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{BackupGroup, BackupHeader};
use std::path::Path;

/// Takes in every group whose files were unpacked below `files`, and compares what each says of
/// itself with what the header says.
pub(super) fn load(
    store: &Offline,
    header: &BackupHeader,
    files: &Path,
    alone: &Alone,
) -> Result<()> {
    for group in &header.groups {
        let id = GroupId(u16::try_from(group.group).unwrap_or(u16::MAX));
        let last = LogId { term: group.term, index: group.index };
        let folder = folder_of(files, group.group);
        let head = store.take_in(id, &folder, parts(group)?, last, alone)?;
        let found = (head.revision, head.unix_ms, hex(&head.hash));
        // The log goes on behind the state's own entry, never at or before it.
        let fits = head.index <= group.index;
        if !fits || found != (group.revision, group.unix_ms, group.state_hash.clone()) {
            let message = format!("group {} of the backup is not what its header says", id.0);
            return Err(Refusal::new(Code::BackupInvalid, message)
                .cause(format!(
                    "it holds revision {} with state {}, the header says {} with {}",
                    head.revision,
                    hex(&head.hash),
                    group.revision,
                    group.state_hash,
                ))
                .hint("take another backup"));
        }
    }
    Ok(())
}

fn parts(group: &BackupGroup) -> Result<Vec<Part>> {
    let part = |file: &keiko_proto::v1::BackupFile| {
        let blake3 = blake3::Hash::from_hex(&file.blake3).map_err(|error| {
            Refusal::new(Code::BackupInvalid, "a hash in the backup can't be read").cause(error)
        })?;
        Ok(Part {
            family: file.family.clone(),
            name: file.name.clone(),
            length: file.length,
            blake3: blake3.as_bytes().to_vec(),
        })
    };
    group.files.iter().map(part).collect()
}
