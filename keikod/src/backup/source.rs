//! The bytes of a new backup, in order, as they are sent to whoever keeps it.

use super::format::prelude;
use crate::consensus::Export;
use keiko_core::hash::hex;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{BackupEnd, BackupHeader};
use std::collections::VecDeque;
use std::path::PathBuf;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

/// One part: a message that every client takes.
const PART_BYTES: usize = 512 << 10;

/// A backup that is being read off the files of an export, which it holds.
#[derive(Debug)]
pub struct Source {
    prelude: Option<Vec<u8>>,
    files: VecDeque<PathBuf>,
    open: Option<(File, PathBuf)>,
    ended: bool,
    /// Of all that was given out.
    hasher: blake3::Hasher,
    bytes: u64,
    _export: Export,
}

impl Source {
    /// Of these files; `header` names them in the same order.
    pub fn new(export: Export, header: &BackupHeader) -> Result<Self> {
        let files = export.groups.iter().flat_map(|group| {
            let folder = export.folder_of(group.group);
            group.files.iter().map(move |file| folder.join(&file.name))
        });
        Ok(Self {
            prelude: Some(prelude(header)?),
            files: files.collect(),
            open: None,
            ended: false,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            _export: export,
        })
    }

    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let part = match self.prelude.take() {
            Some(prelude) => Some(prelude),
            None => self.read().await?,
        };
        if let Some(part) = &part {
            self.hasher.update(part);
            self.bytes += part.len() as u64;
        }
        Ok(part)
    }

    /// What was given out, once there is no more.
    pub fn end(&self) -> BackupEnd {
        BackupEnd { bytes: self.bytes, blake3: hex(self.hasher.finalize().as_bytes()) }
    }

    /// From the files, and then their hash.
    async fn read(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let Some((file, path)) = &mut self.open else {
                let Some(path) = self.files.pop_front() else {
                    let last = !std::mem::replace(&mut self.ended, true);
                    return Ok(last.then(|| self.hasher.finalize().as_bytes().to_vec()));
                };
                let file = File::open(&path).await.map_err(|error| unreadable(&path, &error))?;
                self.open = Some((file, path));
                continue;
            };
            let mut part = Vec::with_capacity(PART_BYTES);
            let read = (&mut *file).take(PART_BYTES as u64).read_to_end(&mut part).await;
            read.map_err(|error| unreadable(path, &error))?;
            if !part.is_empty() {
                return Ok(Some(part));
            }
            self.open = None;
        }
    }
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Refusal {
    Refusal::new(Code::DiskFault, format!("can't read {}", path.display())).cause(error)
}
