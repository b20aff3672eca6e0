//! The only clock and the only identity that the law knows.

use crate::id::GroupId;
use keiko_proto::v1 as wire;

/// When, where and on whose account an entry takes effect. The same on every node.
///
/// (unix_ms, index) is the group's hybrid logical clock: it never goes back, whatever the clocks of
/// the machines do.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    /// Whose log.
    pub group: GroupId,
    /// The log's index.
    pub index: u64,
    /// The revision that this entry makes if it is accepted.
    pub revision: u64,
    /// The later of the leader's clock and the stamp before.
    pub unix_ms: u64,
    /// Who asked.
    pub actor: wire::Actor,
    /// Whose data.
    pub tenant: String,
    /// Where it was asked.
    pub region: String,
}

impl Stamp {
    /// An id that no other entry gets: group and log index.
    pub fn uid(&self) -> String {
        format!("{}-{}", self.group, self.index)
    }
}

/// What an empty tenant or region in an entry means, until tenants and regions are built.
pub const DEFAULT: &str = "default";
