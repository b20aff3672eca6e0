//! A watcher for each node, which goes on where it stopped, and notes everything that it is shown.

use super::NAMESPACE;
use super::check::watched::{Shown, Watched};
use super::load::{key, shown};
use crate::cluster::Cluster;
use keiko_client::proto::v1::{self as wire, watch_response::Type};
use keiko_client::{Client, Endpoint, Identity, Watch};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two tries to watch a node that does not let it.
const PAUSE: Duration = Duration::from_millis(200);
/// What connecting may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watchers at work.
pub(super) struct Watching {
    stop: watch::Sender<bool>,
    watchers: Vec<JoinHandle<Watched>>,
    /// How far each is.
    reached: Vec<Arc<AtomicU64>>,
}

impl Watching {
    /// One for each node, from a revision on.
    pub(super) fn start(cluster: &Cluster, after: u64) -> Self {
        let stop = watch::Sender::new(false);
        let (mut watchers, mut reached) = (Vec::new(), Vec::new());
        for (number, socket) in cluster.sockets().into_iter().enumerate() {
            let far = Arc::new(AtomicU64::new(after));
            reached.push(Arc::clone(&far));
            let node = u32::try_from(number).unwrap_or_default();
            let watched = Watched { node, after, shown: Vec::new() };
            let watcher = Watcher { socket, watched, reached: far };
            watchers.push(tokio::spawn(watcher.run(stop.subscribe())));
        }
        Self { stop, watchers, reached }
    }

    /// Which of them do not know yet what happened up to a revision.
    pub(super) fn behind(&self, revision: u64) -> Vec<(usize, u64)> {
        let far = self.reached.iter().map(|far| far.load(Ordering::Relaxed)).enumerate();
        far.filter(|(_, far)| *far < revision).collect()
    }

    /// Ends them; what they saw.
    pub(super) async fn end(self) -> Vec<Watched> {
        self.stop.send_replace(true);
        let mut all = Vec::new();
        for watcher in self.watchers {
            let ended = tokio::time::timeout(crate::DEADLINE, watcher).await;
            all.push(ended.expect("a watcher ends").expect("a watcher ends"));
        }
        all
    }
}

struct Watcher {
    socket: PathBuf,
    watched: Watched,
    reached: Arc<AtomicU64>,
}

impl Watcher {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> Watched {
        loop {
            tokio::select! {
                _ = stop.changed() => return self.watched,
                () = self.follow() => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Until the node does not let it any more.
    async fn follow(&mut self) {
        let after = self.reached.load(Ordering::Relaxed);
        let Some(mut watch) = self.open(after).await else { return };
        if after > self.watched.after {
            self.watched.shown.push(Shown::Resumed { after });
        }
        while let Ok(item) = watch.next().await {
            self.take(&item);
        }
    }

    async fn open(&self, after_revision: u64) -> Option<Watch> {
        let endpoint = Endpoint::Unix(self.socket.clone());
        let connecting = Client::connect(endpoint, Identity::Process);
        let client = tokio::time::timeout(PATIENCE, connecting).await.ok()?.ok()?;
        let request = wire::WatchRequest {
            kind: wire::Kind::Agent.into(),
            namespace: NAMESPACE.to_owned(),
            after_revision,
            ..Default::default()
        };
        client.watch(request).await.ok()
    }

    fn take(&mut self, item: &wire::WatchResponse) {
        let shown = match item.r#type() {
            Type::Bookmark => Shown::Bookmark { revision: item.revision },
            Type::Resync => Shown::Resync,
            Type::Unspecified | Type::Added | Type::Modified | Type::Deleted => {
                let Some(object) = &item.object else { return };
                let Some(key) = key(object) else { return };
                let (value, generation) = shown(object).unwrap_or_default();
                Shown::Change { revision: item.revision, key, value, generation }
            }
        };
        self.watched.shown.push(shown);
        if !matches!(shown, Shown::Resync) {
            self.reached.fetch_max(item.revision, Ordering::Relaxed);
        }
    }
}
