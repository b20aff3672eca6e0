//! A backup wherever it lies: one file, or a place that holds many.

use super::format::Backup;
use super::place::is_place;
use super::placed::Placed;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::BackupHeader;
use std::path::Path;

/// One whose header is as it was written.
#[derive(Debug)]
pub(super) enum Opened {
    File(Box<Backup>),
    Placed(Box<Placed>),
}

impl Opened {
    /// Of a place the one of this name, by default the newest.
    pub(super) fn open(from: &Path, name: Option<&str>) -> Result<Self> {
        match from.to_str().filter(|text| is_place(text)) {
            Some(place) => Ok(Self::Placed(Box::new(Placed::find(place, name)?))),
            None if name.is_some() => {
                let message = format!("{} is one backup, and no place of many", from.display());
                Err(Refusal::new(Code::InvalidArgument, message).hint("leave --backup away"))
            }
            None => Backup::open(from).map(|backup| Self::File(Box::new(backup))),
        }
    }

    /// Of which one is told.
    pub(super) fn words(&self, from: &Path) -> String {
        match self {
            Self::File(_) => from.display().to_string(),
            Self::Placed(placed) => format!("{} in {}", placed.name, from.display()),
        }
    }

    /// Checks everything, and makes the files of each group below `folder`.
    pub(super) fn unpack(self, folder: &Path) -> Result<BackupHeader> {
        match self {
            Self::File(backup) => backup.unpack(folder),
            Self::Placed(placed) => placed.unpack(folder),
        }
    }
}
