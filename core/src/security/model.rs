//! The room's ops, checked as far as they can be without state.

use super::rotation::Turn;
use crate::cluster::Reopening;
use keiko_proto::v1::{Authority, Binding, Node, NoteRefusals, NoteUses, Role, Token};

/// The role of a token that makes a node a member, and is good for nothing else.
pub const ROLE_NODE: &str = "node";

/// The role of who may do everything.
pub const ROLE_ADMIN: &str = "admin";

/// The role of who declares, calls and operates, and lets nobody in.
pub const ROLE_OPERATOR: &str = "operator";

/// The role of who looks.
pub const ROLE_VIEWER: &str = "viewer";

/// The role of who touches one agent's entry only.
pub const ROLE_AGENT: &str = "agent";

/// The role of who holds what bindings say, and nothing else.
pub const ROLE_GUEST: &str = "guest";

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
    /// Trades a token for membership.
    AdmitNode { token: String, node: Node },
    /// Trades a token for a person's entry.
    EnrollPerson { token: String, key_hash: String },
    /// Tells of attempts that were refused.
    NoteRefusals(NoteRefusals),
    /// Declares a role, or changes it.
    SetRole(Role),
    /// Declares a role no more.
    DeleteRole(String),
    /// Hands a role to somebody.
    SetBinding(Binding),
    /// Takes it back.
    DeleteBinding(String),
    /// Takes somebody out.
    RemovePerson(String),
    /// Tells which grants were used.
    NoteUses(NoteUses),
    /// Another authority in the place of the one that is.
    Turn(Turn),
    /// Goes on with one node alone, with or without whoever was let in before.
    Reopen { asked: Box<Reopening>, forget: bool },
}

/// Who is known by the certificate that a person's or agent's token is traded for.
pub fn person_name(token: &Token) -> String {
    match token.role.as_str() {
        // As in agent.default.hello: no person has a dot in the name.
        ROLE_AGENT => token.scope.replace('/', "."),
        _ => token.who.clone(),
    }
}
