//! Which pieces a backup consists of, sealed.
//!
//! ```text
//! "KEIKOMAN" | version u32 | header | BLAKE3 of all before it
//! ```
//!
//! The header is a `keiko.v1.BackupHeader` whose groups name pieces in place of files.

use crate::features;
use crate::hash::Hash;
use crate::refusal::{Code, Refusal, Result};
use keiko_proto::v1::BackupHeader;
use prost::Message as _;

const MAGIC: &[u8; 8] = b"KEIKOMAN";
/// The layout that this release writes and reads.
const VERSION: u32 = 1;
/// A million pieces of 50 bytes, which are 250 GB, and 64 nodes of 1 KiB.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;

/// The bytes of a manifest.
pub fn seal(header: &BackupHeader) -> Result<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(header.encode_to_vec());
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(Refusal::new(Code::LimitExceeded, "the manifest of the backup is too large"));
    }
    Ok(bytes)
}

/// What a manifest says; `what` names it for whoever reads the refusal.
pub fn open(bytes: &[u8], what: &str) -> Result<BackupHeader> {
    let damaged = |cause: &str| {
        Refusal::new(Code::BackupInvalid, format!("{what} is damaged"))
            .cause(cause)
            .hint("take an older backup of the place: --backup NAME")
    };
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no manifest of Keiko"))?;
    let (version, _) = body.split_first_chunk().ok_or_else(|| damaged("it is cut short"))?;
    let version = u32::from_be_bytes(*version);
    if version != VERSION {
        return Err(Refusal::new(Code::BackupInvalid, format!("{what} is of a newer release"))
            .cause(format!("its layout is {version}; this release reads {VERSION}")));
    }
    let (sealed, hash): (_, &Hash) =
        bytes.split_last_chunk().ok_or_else(|| damaged("it is cut short"))?;
    if blake3::hash(sealed) != *hash {
        return Err(damaged("its bytes are not those that were written"));
    }
    let header = sealed.get(MAGIC.len() + 4..).ok_or_else(|| damaged("it is cut short"))?;
    let header = BackupHeader::decode(header).map_err(|_| damaged("it can't be read"))?;
    check(&header).map_err(damaged)?;
    if header.feature_level > features::LEVEL {
        let level = header.feature_level;
        return Err(Refusal::new(
            Code::FeatureLevel,
            format!("the backup needs feature level {level}"),
        )
        .cause(format!("this release knows {}", features::LEVEL))
        .hint(format!("take the release that wrote it, {}, or a newer one", header.version)));
    }
    Ok(header)
}

/// What can be said of a header by itself.
fn check(header: &BackupHeader) -> Result<(), &'static str> {
    let groups = &header.groups;
    if groups.first().is_none_or(|group| group.group != 0) {
        return Err("it holds no control group");
    }
    let ascending = groups.windows(2).all(|pair| pair[0].group < pair[1].group);
    if !ascending || groups.iter().any(|group| group.group > u32::from(u16::MAX)) {
        return Err("its groups are not in order");
    }
    let mut pieces = groups.iter().flat_map(|group| &group.pieces);
    if !pieces.all(|piece| piece.blake3.len() == blake3::OUT_LEN) {
        return Err("a piece of it has no name");
    }
    if header.next_node_id == 0 || header.cluster_id.is_empty() {
        return Err("it is of no cluster");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_proto::v1::BackupGroup;

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let header = BackupHeader {
            cluster_id: "c".to_owned(),
            groups: vec![BackupGroup::default()],
            next_node_id: 2,
            ..Default::default()
        };
        let whole = seal(&header).unwrap();
        assert_eq!(open(&whole, "m").unwrap(), header);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let refusal = open(&flipped, "m").unwrap_err();
            assert_eq!(refusal.code, Code::BackupInvalid, "bit {bit}: {refusal:?}");
        }
        for length in 0..whole.len() {
            assert!(open(&whole[..length], "m").is_err(), "cut to {length}");
        }
        let nobody = BackupHeader { next_node_id: 0, ..header };
        assert!(open(&seal(&nobody).unwrap(), "m").is_err());
    }
}
