//! What the servers of a disk share: its volume, its faults and its size.

use super::faults::{Ask, Fault, Faults};
use super::volume::{Node, Volume};
use fuser::Errno;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Behind one lock: a disk does one thing at a time.
#[derive(Debug)]
pub(super) struct State {
    /// What is on it.
    pub(super) volume: Volume,
    /// What it does wrong.
    pub(super) faults: Faults,
    /// All its room, in bytes.
    pub(super) size: u64,
    /// Room that somebody else took, in bytes.
    pub(super) taken: u64,
    /// The mount that is served; an older one is of before a power cut.
    pub(super) mount: u64,
}

impl State {
    /// Free room in bytes.
    pub(super) fn free(&self) -> u64 {
        self.size.saturating_sub(self.volume.room()).saturating_sub(self.taken)
    }

    /// Refuses to change anything on a disk that is read-only.
    pub(super) fn writable(&mut self) -> Result<&mut Self, Errno> {
        if self.faults.read_only { Err(Errno::EROFS) } else { Ok(self) }
    }

    /// Bytes of a file.
    pub(super) fn read(&mut self, number: u64, offset: u64, size: u64) -> Waiting<Vec<u8>> {
        let node = self.volume.node(number)?;
        let mut bytes = node.file()?.now().read(offset, size);
        let fault = self.faults.meet(Ask::Read, &node.name);
        let mut wait = Duration::ZERO;
        match fault {
            Some(Fault::Lie) | None => {}
            Some(Fault::Error(error)) => return Err(error),
            Some(Fault::Slow(time)) => wait = time,
            Some(Fault::Short(length)) => bytes.truncate(length as usize),
            Some(Fault::Flip(at, bit)) => {
                let at = at.checked_sub(offset).and_then(|at| bytes.get_mut(at as usize));
                if let Some(byte) = at {
                    *byte ^= 1 << bit;
                }
            }
        }
        Ok((bytes, wait))
    }

    /// Writes into a file, at its end if `append`.
    pub(super) fn write(
        &mut self,
        number: u64,
        offset: u64,
        bytes: &[u8],
        append: bool,
    ) -> Waiting<usize> {
        self.writable()?;
        let free = self.free();
        let node = self.volume.node(number)?;
        let file = node.file()?;
        let offset = if append { file.now().length() } else { offset };
        let room = file.now().room_for(offset, bytes.len() as u64);
        let fault = self.faults.meet(Ask::Write, &node.name);
        let mut wait = Duration::ZERO;
        let bytes = match fault {
            Some(Fault::Error(error)) => return Err(error),
            Some(Fault::Slow(time)) => {
                wait = time;
                bytes
            }
            Some(Fault::Short(length)) => &bytes[..bytes.len().min(length as usize)],
            Some(Fault::Flip(..) | Fault::Lie) | None => bytes,
        };
        if room > free {
            return Err(Errno::ENOSPC);
        }
        self.volume.node(number)?.file()?.write(offset, bytes);
        Ok((bytes.len(), wait))
    }

    /// Takes room for a part of a file, or gives back what lies behind its end.
    pub(super) fn reserve(
        &mut self,
        number: u64,
        offset: u64,
        length: u64,
        how: Reserve,
    ) -> Result<(), Errno> {
        self.writable()?;
        let free = self.free();
        let file = self.volume.node(number)?.file()?;
        match how {
            Reserve::Release if offset >= file.now().length() => file.release(),
            Reserve::Release => return Err(Errno::EOPNOTSUPP),
            Reserve::Keep | Reserve::Grow => {
                if file.now().room_for(offset, length) > free {
                    return Err(Errno::ENOSPC);
                }
                file.reserve(offset, length, how == Reserve::Grow);
            }
        }
        Ok(())
    }

    /// Makes a file or the names in a folder durable, or says so.
    pub(super) fn sync(&mut self, number: u64) -> Waiting<()> {
        let node = self.volume.node(number)?;
        let mut wait = Duration::ZERO;
        match self.faults.meet(Ask::Sync, &node.name) {
            Some(Fault::Error(error)) => return Err(error),
            Some(Fault::Slow(time)) => wait = time,
            Some(Fault::Lie) => return Ok(((), wait)),
            Some(Fault::Short(_) | Fault::Flip(..)) | None => {}
        }
        match node.names() {
            Ok(_) => self.writable()?.volume.sync_folder(number)?,
            Err(_) => {
                let file = node.file()?;
                if self.faults.read_only && file.pending() > 0 {
                    return Err(Errno::EROFS);
                }
                file.sync();
            }
        }
        Ok(((), wait))
    }

    /// Puts a new node into a folder; it takes no room yet.
    pub(super) fn make(
        &mut self,
        folder: u64,
        name: &std::ffi::OsStr,
        node: Node,
    ) -> Result<u64, Errno> {
        self.writable()?;
        if self.free() == 0 {
            return Err(Errno::ENOSPC);
        }
        self.volume.make(folder, name, node)
    }
}

/// What is done, and how long to wait before saying so.
pub(super) type Waiting<T> = Result<(T, Duration), Errno>;

/// What to do with the room of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserve {
    /// Take it, and leave the length.
    Keep,
    /// Take it, and grow.
    Grow,
    /// Give back what lies behind the end.
    Release,
}

/// A server that panicked has changed nothing by half.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
