//! One mount of the disk.
//!
//! Nothing is cached: every read, write and look at a name comes here, so a fault counts at once
//! and no page of the kernel outlives a power cut.

use super::state::{State, Waiting, lock};
use super::volume::{Body, Node};
use fuser::{Errno, FileAttr, FileType, Generation, INodeNo, ReplyEmpty, ReplyEntry, Request};
use nix::sys::stat::SFlag;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The kernel may not remember anything.
pub(super) const NEVER: Duration = Duration::ZERO;
pub(super) const BLOCK_BYTES: u32 = 4096;
/// More than anybody has.
pub(super) const FILES_MAX: u64 = 1 << 20;

/// A name in a folder with what it names.
pub(super) type Entry = (u64, FileType, OsString);

/// Serves one mount.
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    mount: u64,
    /// Folders as they were when they were opened.
    listings: Mutex<BTreeMap<u64, Vec<Entry>>>,
    next: AtomicU64,
}

impl Server {
    /// Of the mount that the state names.
    pub(super) fn new(state: Arc<Mutex<State>>) -> Self {
        let mount = lock(&state).mount;
        Self { state, mount, listings: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// The state, unless the power went since this was mounted.
    pub(super) fn state(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = lock(&self.state);
        if state.mount == self.mount { Ok(state) } else { Err(Errno::EIO) }
    }

    pub(super) fn about(&self, number: u64) -> Result<FileAttr, Errno> {
        about(&mut *self.state()?, number)
    }

    /// Makes a node and says what it is.
    pub(super) fn make(
        &self,
        folder: INodeNo,
        name: &OsStr,
        body: Body,
        mode: u32,
        by: &Request,
        opened: u32,
    ) -> Result<FileAttr, Errno> {
        let mut state = self.state()?;
        let node = Node { opened, ..Node::new(body, mode, (by.uid(), by.gid())) };
        let number = state.make(folder.0, name, node)?;
        about(&mut state, number)
    }

    pub(super) fn named(&self, folder: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let mut state = self.state()?;
        let number = state.volume.child(folder.0, name)?;
        about(&mut state, number)
    }

    pub(super) fn list(&self, folder: INodeNo) -> Result<u64, Errno> {
        let mut state = self.state()?;
        let names = state.volume.node(folder.0)?.names()?.clone();
        let mut entries: Vec<Entry> =
            [".", ".."].map(|name| (folder.0, FileType::Directory, name.into())).into();
        for (name, number) in names {
            entries.push((number, kind(state.volume.node(number)?), name));
        }
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        listings.insert(handle, entries);
        Ok(handle)
    }

    /// Looks at a folder as it was when it was opened.
    pub(super) fn listing(&self, handle: u64, look: impl FnOnce(&[Entry])) {
        let listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        look(listings.get(&handle).map(Vec::as_slice).unwrap_or_default());
    }

    /// The folder was closed.
    pub(super) fn forget_listing(&self, handle: u64) {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle);
    }
}

fn kind(node: &Node) -> FileType {
    match &node.body {
        Body::File(_) => FileType::RegularFile,
        Body::Folder { .. } => FileType::Directory,
        Body::Link(_) => FileType::Symlink,
        Body::Special => match SFlag::from_bits_truncate(node.mode) & SFlag::S_IFMT {
            SFlag::S_IFSOCK => FileType::Socket,
            _ => FileType::NamedPipe,
        },
    }
}

pub(super) fn about(state: &mut State, number: u64) -> Result<FileAttr, Errno> {
    let node = state.volume.node(number)?;
    let (size, room) = match &node.body {
        Body::File(file) => (file.now().length(), file.now().room()),
        Body::Link(target) => (target.as_os_str().len() as u64, 0),
        Body::Folder { .. } | Body::Special => (0, 0),
    };
    let nlink = if matches!(node.body, Body::Folder { .. }) { 2 } else { node.links };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: room / 512,
        atime: node.changed,
        mtime: node.changed,
        ctime: node.changed,
        crtime: node.changed,
        kind: kind(node),
        perm: (node.mode & 0o7777) as u16,
        nlink,
        uid: node.owner.0,
        gid: node.owner.1,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    })
}

/// What was done, once it may be told.
pub(super) fn told<T>(done: Waiting<T>) -> Result<T, Errno> {
    done.map(|(value, wait)| {
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        value
    })
}

pub(super) fn empty(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

pub(super) fn entry(done: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match done {
        Ok(about) => reply.entry(&NEVER, &about, Generation(0)),
        Err(error) => reply.error(error),
    }
}
