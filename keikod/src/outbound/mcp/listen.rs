//! What a server says unasked: only that its tools changed.

use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ErrorData, Implementation, ListRootsRequestMethod,
    ProtocolVersion, SubscriptionFilter,
};
use rmcp::service::{NotificationContext, Peer, RequestContext, RoleClient};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Between two attempts to subscribe: the first at least, doubled up to the second. After a
/// subscription that held for the second it is the first again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Counts changes; a receiver sees that there were some, not how many.
#[derive(Clone)]
pub(super) struct Listener {
    changes: watch::Sender<u64>,
}

impl Listener {
    pub(super) fn new() -> (Self, watch::Receiver<u64>) {
        let (changes, seen) = watch::channel(0);
        (Self { changes }, seen)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl ClientHandler for Listener {
    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed();
    }

    /// What rmcp would say by itself, that there are none, is an answer.
    #[allow(deprecated, reason = "servers of earlier revisions ask for them")]
    async fn list_roots(
        &self,
        _context: RequestContext<RoleClient>,
    ) -> Result<rmcp::model::ListRootsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListRootsRequestMethod>())
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("keiko", env!("CARGO_PKG_VERSION")),
        )
        .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }
}

/// Servers of the stateless era tell changes only to who subscribed. Runs until the session ends.
pub(super) async fn subscribe(
    peer: Peer<RoleClient>,
    listener: Listener,
    ended: CancellationToken,
) {
    let mut wait = AGAIN.0;
    loop {
        let begun = Instant::now();
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let listening = async {
            let Ok(mut subscription) = peer.listen(filter).await else { return false };
            while let Ok(Some(_)) = subscription.next().await {
                listener.changed();
            }
            true
        };
        tokio::select! {
            () = ended.cancelled() => return,
            heard = listening => {
                let held = heard && begun.elapsed() >= AGAIN.1;
                wait = if held { AGAIN.0 } else { (wait * 2).min(AGAIN.1) };
            }
        }
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        // What changed while nobody listened is not known, so it counts as a change.
        listener.changed();
    }
}
