//! Sorted files of rows that come from elsewhere, as an install takes them.

use super::super::Family;
use super::{FILE_BYTES_MAX, Part, digest};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::store::{Pair, Space};
use rocksdb::SstFileWriter;
use std::path::Path;

/// Writes the rows of one space into files of a folder, which is there. They come in the order of
/// their keys.
pub fn write_sorted(
    folder: &Path,
    space: Space,
    rows: impl Iterator<Item = Result<Pair>>,
) -> Result<Vec<Part>> {
    let family = Family::from(space);
    let options = super::super::options::family(family, &super::super::options::cache());
    let (mut rows, mut files) = (rows.peekable(), Vec::new());
    for number in 0.. {
        if rows.peek().is_none() {
            break;
        }
        let name = format!("{}-{number:04}.sst", family.name());
        let path = folder.join(&name);
        let unwritable = |error: &rocksdb::Error| {
            Refusal::new(Code::DataFolderUnwritable, format!("can't write {}", path.display()))
                .cause(error)
        };
        let mut writer = SstFileWriter::create(&options);
        writer.open(&path).map_err(|error| unwritable(&error))?;
        let mut bytes = 0;
        while let Some(row) = rows.next_if(|_| bytes < FILE_BYTES_MAX) {
            let (key, value) = row?;
            bytes += key.len() + value.len();
            writer.put(&key, &value).map_err(|error| unwritable(&error))?;
        }
        writer.finish().map_err(|error| unwritable(&error))?;
        let (length, blake3) = digest(&path)?;
        let blake3 = blake3.to_vec();
        files.push(Part { family: family.name().to_owned(), name, length, blake3 });
    }
    Ok(files)
}
