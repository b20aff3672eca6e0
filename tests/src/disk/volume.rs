//! Files and folders, each name with what is durable of it.
//!
//! Invariants: a file's bytes are durable when it was synced, its name when the folder was. Names
//! become durable in the order in which they were changed, and a rename as a whole, as a journal
//! of a file system has it. Modes, owners and times are durable at once: nobody relies on them.

use super::file::{File, Survival};
use crate::report::Dice;
use fuser::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// The number of the uppermost folder.
pub const ROOT: u64 = 1;

/// The names in a folder.
pub type Names = BTreeMap<OsString, u64>;

/// What a node is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A plain file.
    File(File),
    /// A folder.
    Folder {
        /// What everybody sees.
        now: Names,
        /// What a power cut leaves.
        durable: Names,
    },
    /// A symbolic link.
    Link(PathBuf),
    /// A socket, a pipe or a device.
    Special,
}

/// A file, a folder or whatever has names.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub body: Body,
    /// The name that it got last.
    pub name: OsString,
    /// Type and permissions.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// When it was changed last.
    pub changed: SystemTime,
    /// Names that it has.
    pub links: u32,
    /// How often it is open.
    pub opened: u32,
}

impl Node {
    /// Without a name.
    pub fn new(body: Body, mode: u32, owner: (u32, u32)) -> Self {
        let name = OsString::new();
        Self { body, name, mode, owner, changed: SystemTime::now(), links: 0, opened: 0 }
    }

    /// An empty folder.
    pub fn folder(mode: u32, owner: (u32, u32)) -> Self {
        Self::new(Body::Folder { now: Names::new(), durable: Names::new() }, mode, owner)
    }

    /// The bytes.
    pub fn file(&mut self) -> Result<&mut File, Errno> {
        match &mut self.body {
            Body::File(file) => Ok(file),
            Body::Folder { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The names.
    pub fn names(&self) -> Result<&Names, Errno> {
        match &self.body {
            Body::Folder { now, .. } => Ok(now),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn room(&self) -> u64 {
        match &self.body {
            Body::File(file) if self.links > 0 || self.opened > 0 => file.now().room(),
            _ => 0,
        }
    }
}

/// What becomes of names, all of it or nothing.
#[derive(Clone, Debug)]
struct Renaming(Vec<(u64, OsString, Option<u64>)>);

impl Renaming {
    fn folders(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(folder, ..)| *folder)
    }
}

/// All that is on a disk.
#[derive(Clone, Debug)]
pub struct Volume {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Changes of names that are not durable, oldest first.
    journal: Vec<Renaming>,
}

impl Volume {
    /// With nothing on it.
    pub fn empty(owner: (u32, u32)) -> Self {
        let root = Node { links: 1, ..Node::folder(0o40_700, owner) };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, journal: Vec::new() }
    }

    /// One of them.
    pub fn node(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    /// What has this name.
    pub fn child(&mut self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.node(folder)?.names()?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// What has this path, from the uppermost folder.
    pub fn find(&mut self, path: &Path) -> Result<u64, Errno> {
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        names.collect::<Vec<_>>().into_iter().try_fold(ROOT, |at, name| self.child(at, name))
    }

    /// Every file by its path.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let (mut found, mut open) = (Vec::new(), vec![(PathBuf::new(), ROOT)]);
        while let Some((path, number)) = open.pop() {
            match &self.nodes[&number].body {
                Body::Folder { now, .. } => {
                    open.extend(now.iter().map(|(name, child)| (path.join(name), *child)));
                }
                Body::File(_) => found.push((path, number)),
                Body::Link(_) | Body::Special => {}
            }
        }
        found.sort();
        found
    }

    /// Bytes that files take.
    pub fn room(&self) -> u64 {
        self.nodes.values().map(Node::room).sum()
    }

    /// Changes of bytes and of names that are not durable.
    pub fn pending(&self) -> usize {
        let of = |node: &Node| match &node.body {
            Body::File(file) => file.pending(),
            _ => 0,
        };
        self.journal.len() + self.nodes.values().map(of).sum::<usize>()
    }

    /// Puts a node into a folder.
    pub fn make(&mut self, folder: u64, name: &OsStr, node: Node) -> Result<u64, Errno> {
        match self.child(folder, name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(error) if error == Errno::ENOENT => {
                self.node(folder)?;
                let number = self.next;
                self.next += 1;
                self.nodes.insert(number, node);
                self.change(Renaming(vec![(folder, name.to_owned(), Some(number))]));
                Ok(number)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a node a second name.
    pub fn link(&mut self, number: u64, folder: u64, name: &OsStr) -> Result<(), Errno> {
        if self.child(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.node(number)?;
        self.change(Renaming(vec![(folder, name.to_owned(), Some(number))]));
        Ok(())
    }

    /// Takes a name away.
    pub fn remove(&mut self, folder: u64, name: &OsStr, is_folder: bool) -> Result<(), Errno> {
        let number = self.child(folder, name)?;
        match (self.node(number)?.names().map(Names::is_empty), is_folder) {
            (Ok(true), true) | (Err(_), false) => {}
            (Ok(false), true) => return Err(Errno::ENOTEMPTY),
            (Err(_), true) => return Err(Errno::ENOTDIR),
            (Ok(_), false) => return Err(Errno::EISDIR),
        }
        self.change(Renaming(vec![(folder, name.to_owned(), None)]));
        Ok(())
    }

    /// Moves a name; what had the new one loses it.
    pub fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        replace: bool,
    ) -> Result<(), Errno> {
        let number = self.child(from.0, from.1)?;
        if let Ok(replaced) = self.child(to.0, to.1) {
            if !replace {
                return Err(Errno::EEXIST);
            }
            if replaced == number {
                return Ok(());
            }
            if self.node(replaced)?.names().is_ok_and(|names| !names.is_empty()) {
                return Err(Errno::ENOTEMPTY);
            }
        }
        let edits = vec![(from.0, from.1.to_owned(), None), (to.0, to.1.to_owned(), Some(number))];
        self.change(Renaming(edits));
        Ok(())
    }

    /// Makes the names in a folder durable, and with them those of folders between which one of
    /// them was moved.
    pub fn sync_folder(&mut self, folder: u64) -> Result<(), Errno> {
        self.node(folder)?.names()?;
        let mut synced = BTreeSet::from([folder]);
        loop {
            let touches =
                |change: &&Renaming| change.folders().any(|folder| synced.contains(&folder));
            let more: BTreeSet<u64> =
                self.journal.iter().filter(touches).flat_map(Renaming::folders).collect();
            if more.is_subset(&synced) {
                break;
            }
            synced.extend(more);
        }
        let (now, later) = std::mem::take(&mut self.journal)
            .into_iter()
            .partition(|change| change.folders().any(|folder| synced.contains(&folder)));
        self.journal = later;
        self.make_durable(now);
        self.collect();
        Ok(())
    }

    /// The power goes and comes back: what is then on the disk, with nothing open.
    pub fn cut(&mut self, survival: Survival, dice: &mut Dice) {
        let mut journal = std::mem::take(&mut self.journal);
        journal.truncate(match survival {
            Survival::Nothing => 0,
            Survival::Everything => journal.len(),
            Survival::Prefix | Survival::Sectors => dice.below(journal.len() as u64 + 1) as usize,
        });
        self.make_durable(journal);
        for node in self.nodes.values_mut() {
            node.opened = 0;
            match &mut node.body {
                Body::File(file) => file.cut(survival, dice),
                Body::Folder { now, durable } => now.clone_from(durable),
                Body::Link(_) | Body::Special => {}
            }
        }
        // What lay in a folder that is dropped is dropped in the next round.
        let mut before = 0;
        while self.nodes.len() != before {
            before = self.nodes.len();
            self.collect();
        }
    }

    fn make_durable(&mut self, changes: Vec<Renaming>) {
        for (folder, name, number) in changes.into_iter().flat_map(|change| change.0) {
            if let Some(Node { body: Body::Folder { durable, .. }, .. }) =
                self.nodes.get_mut(&folder)
            {
                match number {
                    Some(number) => durable.insert(name, number),
                    None => durable.remove(&name),
                };
            }
        }
    }

    fn change(&mut self, change: Renaming) {
        for (folder, name, number) in &change.0 {
            let Some(Node { body: Body::Folder { now, .. }, changed, .. }) =
                self.nodes.get_mut(folder)
            else {
                continue;
            };
            *changed = SystemTime::now();
            let before = match number {
                Some(number) => now.insert(name.clone(), *number),
                None => now.remove(name),
            };
            if let Some(node) = before.and_then(|number| self.nodes.get_mut(&number)) {
                node.links = node.links.saturating_sub(1);
            }
            if let Some(node) = number.and_then(|number| self.nodes.get_mut(&number)) {
                node.links += 1;
                node.name.clone_from(name);
            }
        }
        self.journal.push(change);
    }

    /// Drops what no name leads to, now or after a power cut, and counts the names anew.
    fn collect(&mut self) {
        let mut links: BTreeMap<u64, u32> = BTreeMap::from([(ROOT, 1)]);
        let mut kept = BTreeSet::from([ROOT]);
        let renamed = self.journal.iter().flat_map(|change| &change.0);
        kept.extend(renamed.filter_map(|(.., number)| *number));
        for node in self.nodes.values() {
            if let Body::Folder { now, durable } = &node.body {
                kept.extend(now.values().chain(durable.values()));
                for number in now.values() {
                    *links.entry(*number).or_default() += 1;
                }
            }
        }
        self.nodes.retain(|number, node| {
            node.links = links.get(number).copied().unwrap_or(0);
            node.opened > 0 || kept.contains(number)
        });
    }
}

#[cfg(test)]
#[path = "volume_tests.rs"]
mod tests;
