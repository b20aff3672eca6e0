//! The room's ops, checked as far as they can be without state.

use keiko_proto::v1::{Authority, Token};

/// The role of a token that touches one agent's entry only.
pub const ROLE_AGENT: &str = "agent";

/// What can be asked of the room.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// Keeps the certificate authority.
    StoreAuthority(Authority),
    /// Lets a bearer in.
    CreateToken(Token),
    /// Lets a bearer in no more.
    RevokeToken(String),
    /// Forgets tokens that expired.
    PruneTokens,
}
