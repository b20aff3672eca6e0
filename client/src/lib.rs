//! Connects to Keiko: identity, deadlines, retries with the same request id, watches that resume.
//!
//! Keeps one connection and the offset of the server's clock. Invariants:
//! - every call has a deadline, and every repetition of it lives inside that deadline;
//! - a call is repeated only if it is a read or carries a request id, and the id is kept over all
//!   repetitions, also where another member of the cluster is asked;
//! - a watch that lost its connection goes on where it stopped, or says RESYNC.
//!
//! It never prints, and it decides nothing that the law decides.

mod applies;
mod backup;
mod call;
mod clock;
mod connect;
mod endpoint;
mod enroll;
mod error;
mod fence;
mod identity;
mod pieces;
mod tail;
mod tls;
mod watch;

pub use applies::Applies;
pub use backup::Backup;
pub use call::{Client, Identified, Settings, Transport};
pub use endpoint::Endpoint;
pub use enroll::{Badge, Enrolled, enroll};
pub use error::{Error, Result, code};
pub use fence::Fence;
pub use identity::{Identity, Trust};
pub use keiko_proto as proto;
pub use keiko_proto::v1::Refusal;
pub use pieces::{PieceName, Pieces};
pub use tail::Tail;
pub use watch::Watch;

/// The typed clients of every room.
pub mod rooms {
    use crate::Transport;
    use keiko_proto::v1;

    /// What the cluster is.
    pub type Cluster = v1::cluster_client::ClusterClient<Transport>;
    /// Tokens.
    pub type Security = v1::security_client::SecurityClient<Transport>;
    /// Sessions, locks, barriers, maintenance windows.
    pub type Coordination = v1::coordination_client::CoordinationClient<Transport>;
    /// Agents, MCP servers, tools, skills.
    pub type Registry = v1::registry_client::RegistryClient<Transport>;
    /// Events.
    pub type Journal = v1::journal_client::JournalClient<Transport>;
}
