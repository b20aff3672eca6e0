//! What the file looks like.
//!
//! ```text
//! "KEIKOBAK" | version u32 | length of the header u32 | header | BLAKE3 of all before it
//! the files' bytes, in the order of the header
//! BLAKE3 of all before it
//! ```
//!
//! Numbers are big-endian, the header is a `keiko.v1.BackupHeader`, and each file's own BLAKE3 stands
//! in it. So a reader knows what is to come before it makes room for it, and which file is damaged.

use super::unusable;
use keiko_core::features;
use keiko_core::hash::hex;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{BackupFile, BackupGroup, BackupHeader};
use prost::Message as _;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"KEIKOBAK";
/// The layout that this release writes and reads.
const VERSION: u32 = 1;
const HASH_BYTES: usize = blake3::OUT_LEN;
/// Files of all groups: 8,192 of 60 MiB are 480 GiB.
const FILES_MAX: usize = 8192;
/// 8,192 files of 200 bytes and 64 nodes of 1 KiB are below 2 MiB.
const HEADER_BYTES_MAX: usize = 4 << 20;
/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Above every term, index, id and revision of a real cluster, with room for what a restore adds.
const NUMBER_MAX: u64 = 1 << 62;

/// The beginning of the file, up to the first byte of the first file.
pub fn prelude(header: &BackupHeader) -> Result<Vec<u8>> {
    check_header(header).map_err(|cause| {
        Refusal::new(Code::Internal, "nobody could read this backup").cause(cause)
    })?;
    let header = header.encode_to_vec();
    if header.len() > HEADER_BYTES_MAX {
        return Err(Refusal::new(Code::LimitExceeded, "the header of the backup is too large"));
    }
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(header);
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    Ok(bytes)
}

/// An open backup whose header is as it was written.
#[derive(Debug)]
pub struct Backup {
    /// What it says that it holds.
    pub header: BackupHeader,
    input: Input,
}

impl Backup {
    /// Opens it and checks the header.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| {
            Refusal::new(Code::BackupInvalid, format!("can't read {}", path.display())).cause(error)
        })?;
        let (reader, hasher) = (BufReader::with_capacity(CHUNK_BYTES, file), blake3::Hasher::new());
        let mut input = Input { path: path.to_owned(), reader, hasher };
        let mut magic = [0; MAGIC.len()];
        let is_ours = input.fill(&mut magic).is_ok() && magic == *MAGIC;
        if !is_ours {
            let message = format!("{} is no backup of Keiko", path.display());
            return Err(Refusal::new(Code::BackupInvalid, message)
                .hint("a backup is made by: keikoctl cluster backup FILE"));
        }
        let version = input.number()?;
        if version != VERSION {
            let message = format!("{} was written by a newer release", path.display());
            return Err(Refusal::new(Code::BackupInvalid, message)
                .cause(format!("its layout is {version}; this release reads {VERSION}")));
        }
        let length = input.number()? as usize;
        if length > HEADER_BYTES_MAX {
            return Err(input.damaged("its header is longer than any"));
        }
        let mut header = vec![0; length];
        input.fill(&mut header)?;
        input.check_hash("its header is not what was written")?;
        let header = BackupHeader::decode(&header[..])
            .map_err(|_| input.damaged("its header can't be read"))?;
        check_header(&header).map_err(|cause| input.damaged(cause))?;
        if header.feature_level > features::LEVEL {
            let level = header.feature_level;
            let message = format!("the backup needs feature level {level}");
            return Err(Refusal::new(Code::FeatureLevel, message)
                .cause(format!("this release knows {}", features::LEVEL))
                .hint(format!(
                    "take the release that wrote it, {}, or a newer one",
                    header.version
                )));
        }
        Ok(Self { header, input })
    }

    /// Reads and checks everything, and writes each file to where it belongs below `folder`, which is
    /// made. Each file is on disk when this returns.
    pub fn unpack(mut self, folder: &Path) -> Result<BackupHeader> {
        for group in &self.header.groups {
            let below = folder_of(folder, group.group);
            fs::create_dir_all(&below).map_err(|error| unusable(&below, &error))?;
            for file in &group.files {
                self.input.copy(file, &below.join(&file.name), group.group)?;
            }
        }
        self.input.check_hash("its bytes are not all those that were written")?;
        if !self.input.is_at_end()? {
            return Err(self.input.damaged("more bytes follow its end"));
        }
        Ok(self.header)
    }
}

/// Where a group's files are unpacked.
pub(super) fn folder_of(folder: &Path, group: u32) -> PathBuf {
    folder.join(format!("{group:05}"))
}

/// What can be said of a header by itself.
fn check_header(header: &BackupHeader) -> Result<(), &'static str> {
    let groups = &header.groups;
    if groups.first().is_none_or(|group| group.group != 0) {
        return Err("it holds no control group");
    }
    let ascending = groups.windows(2).all(|pair| pair[0].group < pair[1].group);
    if !ascending || groups.iter().any(|group| group.group > u32::from(u16::MAX)) {
        return Err("its groups are not in order");
    }
    if groups.iter().map(|group| group.files.len()).sum::<usize>() > FILES_MAX {
        return Err("it holds more files than any backup");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_plain = |file: &BackupFile| {
        let stem = file.name.strip_suffix(".sst");
        stem.is_some_and(|stem| !stem.is_empty()) && file.name.chars().all(plain)
    };
    let mut files = groups.iter().flat_map(|group| &group.files);
    if !files.all(is_plain) {
        return Err("a file of it has no plain name");
    }
    let is_once = |group: &BackupGroup| {
        let names: BTreeSet<&str> = group.files.iter().map(|file| file.name.as_str()).collect();
        names.len() == group.files.len()
    };
    if !groups.iter().all(is_once) {
        return Err("two files of it have the same name");
    }
    if header.next_node_id == 0 || header.cluster_id.is_empty() {
        return Err("it is of no cluster");
    }
    check_values(header)
}

/// What is counted on, and shown on terminals.
fn check_values(header: &BackupHeader) -> Result<(), &'static str> {
    let numbers = |group: &BackupGroup| [group.revision, group.term, group.index];
    let mut numbers = header.groups.iter().flat_map(numbers).chain([header.next_node_id]);
    if numbers.any(|number| number > NUMBER_MAX) {
        return Err("a number of it is larger than any");
    }
    let hashes = header.groups.iter().map(|group| group.state_hash.as_str());
    let about = [&header.cluster_id, &header.node, &header.version].map(String::as_str);
    let names = header.nodes.iter().map(|node| node.name.as_str());
    let mut texts = hashes.chain(about).chain(names);
    if texts.any(|text| !text.is_ascii() || text.contains(|c: char| c.is_ascii_control())) {
        return Err("a word of it is no plain text");
    }
    Ok(())
}

#[derive(Debug)]
struct Input {
    path: PathBuf,
    reader: BufReader<File>,
    /// Of all that was read.
    hasher: blake3::Hasher,
}

impl Input {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.damaged("it is cut short"),
            _ => self.damaged(error),
        })
    }

    fn number(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// Compares the hash that stands here with that of all before it.
    fn check_hash(&mut self, cause: &str) -> Result<()> {
        let expect = self.hasher.finalize();
        let mut found = [0; HASH_BYTES];
        self.fill(&mut found)?;
        match expect == found {
            true => Ok(()),
            false => Err(self.damaged(cause)),
        }
    }

    fn copy(&mut self, file: &BackupFile, path: &Path, group: u32) -> Result<()> {
        let mut output = File::create_new(path).map_err(|error| unusable(path, &error))?;
        let (mut left, mut hasher) = (file.length, blake3::Hasher::new());
        let mut chunk = vec![0; CHUNK_BYTES];
        while left > 0 {
            let length = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let part = &mut chunk[..length];
            self.fill(part)?;
            hasher.update(part);
            output.write_all(part).map_err(|error| unusable(path, &error))?;
            left -= length as u64;
        }
        output.sync_all().map_err(|error| unusable(path, &error))?;
        if hex(hasher.finalize().as_bytes()) != file.blake3 {
            let name = &file.name;
            return Err(self.damaged(format!("{name} of group {group} is not what was written")));
        }
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool> {
        let read = self.reader.read(&mut [0]).map_err(|error| self.damaged(error))?;
        Ok(read == 0)
    }

    fn damaged(&self, cause: impl std::fmt::Display) -> Refusal {
        Refusal::new(Code::BackupInvalid, format!("{} is damaged", self.path.display()))
            .cause(cause)
            .hint("take another copy of it, or an older backup: keikod verify FILE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backup of one file that is no real one.
    fn bytes(content: &[u8]) -> Vec<u8> {
        let file = BackupFile {
            family: "state".to_owned(),
            name: "state-0000.sst".to_owned(),
            length: content.len() as u64,
            blake3: hex(blake3::hash(content).as_bytes()),
        };
        let group = BackupGroup { files: vec![file], ..Default::default() };
        let header = BackupHeader {
            cluster_id: "c".to_owned(),
            groups: vec![group],
            next_node_id: 2,
            ..Default::default()
        };
        let mut bytes = prelude(&header).unwrap();
        bytes.extend(content);
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, bytes).unwrap();
        let below = place.path().join("below");
        Backup::open(&path)?.unpack(&below)?;
        Ok(fs::read(below.join("00000/state-0000.sst")).unwrap())
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let content = b"what a file holds";
        let whole = bytes(content);
        assert_eq!(read(&whole).unwrap(), content);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let refusal = read(&flipped).unwrap_err();
            assert_eq!(refusal.code, Code::BackupInvalid, "bit {bit}: {refusal:?}");
        }
        for length in 0..whole.len() {
            let refusal = read(&whole[..length]).unwrap_err();
            assert_eq!(refusal.code, Code::BackupInvalid, "cut to {length}: {refusal:?}");
        }
        let more = [&whole[..], b"x"].concat();
        assert_eq!(read(&more).unwrap_err().code, Code::BackupInvalid);
    }

    #[test]
    fn names_stay_in_their_folder() {
        let check = |name: &str, expect: bool| {
            let file = BackupFile { name: name.to_owned(), ..Default::default() };
            let group = BackupGroup { files: vec![file], ..Default::default() };
            let header = BackupHeader {
                cluster_id: "c".to_owned(),
                groups: vec![group],
                next_node_id: 1,
                ..Default::default()
            };
            assert_eq!(check_header(&header).is_ok(), expect, "{name:?}");
        };
        check("state-0000.sst", true);
        for name in ["", ".sst", "../x.sst", "a/b.sst", "/etc/x.sst", "state", "manifest"] {
            check(name, false);
        }
        assert!(check_header(&BackupHeader::default()).is_err());
    }

    #[test]
    fn what_no_backup_says_is_refused() {
        let file = BackupFile { name: "state-0000.sst".to_owned(), ..Default::default() };
        let group = BackupGroup { files: vec![file.clone()], ..Default::default() };
        let header = BackupHeader {
            cluster_id: "c".to_owned(),
            groups: vec![group.clone()],
            next_node_id: 1,
            ..Default::default()
        };
        check_header(&header).unwrap();
        let twice = BackupGroup { files: vec![file.clone(), file], ..Default::default() };
        let endless = BackupGroup { index: u64::MAX, ..group };
        for groups in [vec![twice], vec![endless]] {
            assert!(check_header(&BackupHeader { groups, ..header.clone() }).is_err());
        }
        let painted = BackupHeader { node: "n1\u{1b}[2J".to_owned(), ..header };
        assert!(check_header(&painted).is_err());
    }
}
