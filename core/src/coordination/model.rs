//! The room's ops, checked as far as they can be without state.

use crate::id::Name;
use crate::key::{Key, Parts};
use crate::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{DueSession, MaintenanceWindow};

/// Where sessions meet: a lock or a barrier in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Whose it is.
    pub namespace: Name,
    /// Its name there.
    pub name: Name,
}

impl Spot {
    /// Checks both; an empty namespace is the default one.
    pub fn parse(what: &str, namespace: &str, name: &str) -> Result<Self> {
        let namespace = Name::parse_namespace(namespace)?;
        Ok(Self { namespace, name: Name::parse(what, name)? })
    }

    /// As events name it: `lock/default/deploy`.
    pub fn subject(&self, what: &str) -> String {
        format!("{what}/{self}")
    }

    /// Its row in a table, or where its rows begin.
    pub(super) fn key(&self, table: Key) -> Key {
        table.text(self.namespace.as_str()).text(self.name.as_str())
    }
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a lock is to those who use it. To the law the limit is the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// One at a time.
    Lock,
    /// So many at a time.
    Semaphore,
    /// One at a time, whose value all others want to know.
    Election,
}

impl LockKind {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Lock, Self::Semaphore, Self::Election];

    /// As it stands in requests and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
            Self::Election => "election",
        }
    }

    /// The kind of this name.
    pub fn parse(text: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| {
            Refusal::new(Code::InvalidArgument, format!("no lock is of the kind {text:?}"))
                .hint("one of lock, semaphore, election")
        })
    }
}

/// What there is to a fencing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fenced {
    /// The lock is held with it.
    pub held: bool,
    /// The newest token that the lock is held with; zero: nobody holds it.
    pub newest: u64,
    /// When its session ends unless it is kept; zero if nothing is granted with it.
    pub expires_ms: u64,
}

/// Whose session is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct By {
    /// The session.
    pub(super) session: String,
    /// Whoever asks may use anybody's.
    pub(super) as_admin: bool,
}

/// A wish to hold a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acquire {
    pub(super) by: By,
    pub(super) spot: Spot,
    pub(super) kind: LockKind,
    pub(super) limit: u32,
    pub(super) value: String,
    pub(super) wait: bool,
}

/// What can be asked of the room.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// A life begins.
    OpenSession { id: String, name: String, ttl_ms: u64 },
    /// It goes on.
    KeepSession(By),
    /// It ends.
    CloseSession(By),
    /// Lives whose time is over end.
    ExpireSessions(Vec<DueSession>),
    /// Somebody wants a lock.
    Acquire(Acquire),
    /// Somebody gives it back: a session, or whoever holds it with the token.
    Release { spot: Spot, session: Option<String>, token: u64, as_admin: bool },
    /// Somebody waits no longer.
    Withdraw { by: By, spot: Spot, ticket: u64 },
    /// Somebody is there.
    Arrive { by: By, spot: Spot, parties: u32 },
    /// Somebody is there no longer.
    Leave { by: By, spot: Spot, generation: u64 },
    /// Something will be down for a while.
    DeclareWindow(MaintenanceWindow),
    /// Or it will not.
    DeleteWindow(Name),
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its owner said so.
    Closed,
    /// Nobody kept it.
    Expired,
}

/// The lock or barrier of a row that lies under its session.
pub(super) fn spot_of(key: &[u8]) -> Option<Spot> {
    let mut parts = Parts::of(key);
    parts.text()?;
    let (namespace, name) = (parts.text()?, parts.text()?);
    Spot::parse("name", &namespace, &name).ok()
}
