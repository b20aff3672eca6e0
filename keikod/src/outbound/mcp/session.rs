//! One connection to one server.

use super::era::Era;
use super::failure;
use super::link::Link;
use super::listen::{Listener, subscribe};
use super::verdicts::Verdicts;
use crate::outbound::fault::{CallError, CallResult};
use keiko_core::refusal::{Code, Refusal, Result};
use rmcp::model::{ProtocolVersion, ServerPeerInfo};
use rmcp::service::{Peer, RoleClient, RunningService};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Ending a session: rmcp lets answers drain for 2 s and takes leave of the server for 5 s.
const CLOSE_MAX: Duration = Duration::from_secs(8);

/// Until the calls of a lost session have heard of it.
const HEAR_MAX: Duration = Duration::from_millis(500);

/// Who the server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// A name for programs.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// Its release.
    pub version: String,
}

/// One connection. Clones are the same connection; the last one to go ends it.
#[derive(Clone)]
pub struct Session {
    /// To be stored and passed to the next `connect`.
    pub era: Era,
    /// The revision that was agreed on.
    pub protocol_version: String,
    /// Servers of the stateless era may keep it to themselves.
    pub server: Option<ServerInfo>,
    /// How the server wants to be used, for a model to read.
    pub instructions: Option<String>,
    pub(super) peer: Peer<RoleClient>,
    pub(super) link: Link,
    pub(super) verdicts: Arc<Mutex<Verdicts>>,
    ended: CancellationToken,
    changes: watch::Receiver<u64>,
    stop: CancellationToken,
    calls: TaskTracker,
    _last: Arc<DropGuard>,
}

impl Session {
    pub(super) fn new(
        running: RunningService<RoleClient, Listener>,
        link: Link,
        stop: CancellationToken,
        changes: watch::Receiver<u64>,
    ) -> Result<Self> {
        let peer = running.peer().clone();
        let info = peer.peer_info().ok_or_else(|| {
            Refusal::new(Code::ProtocolUnknown, "the server did not introduce itself")
        })?;
        if !ProtocolVersion::KNOWN_VERSIONS.contains(&info.protocol_version) {
            stop.cancel();
            return Err(failure::other_version(info.protocol_version.as_str()));
        }
        let ended = CancellationToken::new();
        let ending = ended.clone().drop_guard();
        let listener = running.service().clone();
        tokio::spawn(async move {
            let _ = running.waiting().await;
            drop(ending);
        });
        let era = Era::of(&info.protocol_version);
        if era == Era::Stateless && tells_changes(&info) {
            tokio::spawn(subscribe(peer.clone(), listener, ended.clone()));
        }
        let server = info.server_info.as_ref().map(|server| ServerInfo {
            name: server.name.clone(),
            title: server.title.clone(),
            version: server.version.clone(),
        });
        Ok(Self {
            era,
            protocol_version: info.protocol_version.to_string(),
            server,
            instructions: info.instructions.clone(),
            peer,
            link,
            verdicts: Arc::default(),
            ended,
            changes,
            calls: TaskTracker::new(),
            _last: Arc::new(stop.clone().drop_guard()),
            stop,
        })
    }

    /// Returns when the session can't be used any more, with the reason.
    pub async fn closed(&self) -> Refusal {
        tokio::select! {
            () = self.ended.cancelled() => {}
            () = self.link.lost().cancelled() => {}
        }
        failure::closed(&self.link)
    }

    /// True once [`Self::closed`] would return at once.
    pub fn is_closed(&self) -> bool {
        self.ended.is_cancelled() || self.link.lost().is_cancelled()
    }

    /// Changes whenever the server says that its list of tools changed.
    pub fn tools_changed(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Takes leave and closes the pipes or the session; bounded by 8 s.
    ///
    /// A lost session is closed when its calls have heard why, which may be that they surely did
    /// not run.
    pub async fn close(self) {
        if self.is_closed() {
            self.calls.close();
            let _heard = tokio::time::timeout(HEAR_MAX, self.calls.wait()).await;
        }
        let ended = self.ended.clone();
        self.stop.cancel();
        if tokio::time::timeout(CLOSE_MAX, ended.cancelled()).await.is_err() {
            tracing::warn!("an MCP session did not end in {} s", CLOSE_MAX.as_secs());
        }
    }

    /// Held by a call until it is answered.
    pub(super) fn begin_call(&self) -> TaskTrackerToken {
        self.calls.token()
    }

    /// Refuses before anything is sent.
    pub(super) fn check_open(&self) -> CallResult<()> {
        if self.is_closed() { Err(CallError::not_run(failure::closed(&self.link))) } else { Ok(()) }
    }
}

fn tells_changes(info: &ServerPeerInfo) -> bool {
    info.capabilities.tools.as_ref().is_some_and(|tools| tools.list_changed == Some(true))
}
