//! Every call of the kernel, passed on to the [`Server`].

use super::file::File;
use super::server::{BLOCK_BYTES, FILES_MAX, NEVER, Server, about, empty, entry, told};
use super::state::Reserve;
use super::volume::{Body, Node, ROOT};
use fuser::{
    BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use nix::fcntl::{FallocateFlags, OFlag};
use nix::sys::stat::SFlag;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Older kernels can't map a file that is not cached; nobody here does.
        let _can = config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.named(parent, name), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.about(ino.0) {
            Ok(about) => reply.attr(&NEVER, &about),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = (|| {
            let mut state = self.state()?;
            let node = state.writable()?.volume.node(ino.0)?;
            if let Some(mode) = mode {
                node.mode = node.mode & !0o7777 | mode & 0o7777;
            }
            node.owner = (uid.unwrap_or(node.owner.0), gid.unwrap_or(node.owner.1));
            match mtime {
                Some(TimeOrNow::SpecificTime(time)) => node.changed = time,
                Some(TimeOrNow::Now) => node.changed = SystemTime::now(),
                None => {}
            }
            if let Some(size) = size {
                node.changed = SystemTime::now();
                node.file()?.set_length(size);
            }
            about(&mut state, ino.0)
        })();
        match done {
            Ok(about) => reply.attr(&NEVER, &about),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.state().and_then(|mut state| match &state.volume.node(ino.0)?.body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        });
        match target {
            Ok(target) => reply.data(target.as_os_str().as_encoded_bytes()),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        by: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let body = match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Body::File(File::default()),
            _ => Body::Special,
        };
        entry(self.make(parent, name, body, mode, by, 0), reply);
    }

    fn mkdir(
        &self,
        by: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let body = Node::folder(0, (0, 0)).body;
        let mode = SFlag::S_IFDIR.bits() | mode & 0o7777;
        entry(self.make(parent, name, body, mode, by, 0), reply);
    }

    fn symlink(
        &self,
        by: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let mode = SFlag::S_IFLNK.bits() | 0o777;
        entry(self.make(parent, name, Body::Link(target.to_owned()), mode, by, 0), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let done = (|| {
            let mut state = self.state()?;
            state.writable()?.volume.link(ino.0, parent.0, name)?;
            about(&mut state, ino.0)
        })();
        entry(done, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self
            .state()
            .and_then(|mut state| state.writable()?.volume.remove(parent.0, name, false));
        empty(done, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self
            .state()
            .and_then(|mut state| state.writable()?.volume.remove(parent.0, name, true));
        empty(done, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            return reply.error(Errno::EINVAL);
        }
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let done = self.state().and_then(|mut state| {
            let volume = &mut state.writable()?.volume;
            volume.rename((parent.0, name), (newparent.0, newname), replace)
        });
        empty(done, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let done = self.state().and_then(|mut state| {
            let writes = OFlag::from_bits_truncate(flags.0) & OFlag::O_ACCMODE != OFlag::O_RDONLY;
            let state = if writes { state.writable()? } else { &mut *state };
            state.volume.node(ino.0)?.opened += 1;
            Ok(())
        });
        match done {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        by: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mode = SFlag::S_IFREG.bits() | mode & 0o7777;
        match self.make(parent, name, Body::File(File::default()), mode, by, 1) {
            Ok(about) => {
                let flags = FopenFlags::FOPEN_DIRECT_IO;
                reply.created(&NEVER, &about, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let done = self.state().and_then(|mut state| state.read(ino.0, offset, size.into()));
        match told(done) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let flags = OFlag::from_bits_truncate(flags.0);
        let append = flags.contains(OFlag::O_APPEND);
        let written =
            told(self.state().and_then(|mut state| state.write(ino.0, offset, data, append)));
        // Who opened it so wants no write without its sync.
        let sync = flags.intersects(OFlag::O_SYNC | OFlag::O_DSYNC);
        let done = written.and_then(|length| match sync {
            true => told(self.state().and_then(|mut state| state.sync(ino.0))).map(|()| length),
            false => Ok(length),
        });
        match done {
            Ok(length) => reply.written(length as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mode = FallocateFlags::from_bits_truncate(mode);
        let how = match mode {
            _ if mode.is_empty() => Reserve::Grow,
            FallocateFlags::FALLOC_FL_KEEP_SIZE => Reserve::Keep,
            _ if mode.contains(FallocateFlags::FALLOC_FL_PUNCH_HOLE) => Reserve::Release,
            _ => return reply.error(Errno::EOPNOTSUPP),
        };
        let done = self.state().and_then(|mut state| state.reserve(ino.0, offset, length, how));
        empty(done, reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        if let Ok(mut state) = self.state()
            && let Ok(node) = state.volume.node(ino.0)
        {
            node.opened = node.opened.saturating_sub(1);
        }
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(told(self.state().and_then(|mut state| state.sync(ino.0))), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(told(self.state().and_then(|mut state| state.sync(ino.0))), reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(ino) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.listing(fh.0, |entries| {
            for (position, (number, kind, name)) in (0u64..).zip(entries).skip(offset as usize) {
                if reply.add(INodeNo(*number), position + 1, *kind, name) {
                    break;
                }
            }
        });
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.forget_listing(fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let found = self.state().map(|state| (state.size, state.free()));
        match found {
            Ok((size, free)) => {
                let blocks = |bytes: u64| bytes / u64::from(BLOCK_BYTES);
                let free = blocks(free);
                let block = BLOCK_BYTES;
                reply.statfs(blocks(size), free, free, FILES_MAX, FILES_MAX, block, 255, block);
            }
            Err(error) => reply.error(error),
        }
    }
}

/// The number of the uppermost folder is the kernel's.
const _: () = assert!(ROOT == INodeNo::ROOT.0);
