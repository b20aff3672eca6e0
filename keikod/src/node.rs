//! The assembly: the one place where everything is built, started and taken down.
//!
//! ```text
//! settings → lock → listeners → store and consensus → server → founded? → drivers
//!                                                       │ no: joins, or waits for `cluster init`
//! SIGTERM: gate closes → calls drain → children end → consensus stops → lock goes
//! ```

mod parts;
mod phase;
mod place;

pub(crate) use place::introduction;

use crate::consensus::Consensus;
use crate::exec::Children;
use crate::lifecycle::{Ballast, Folder, Listeners, Notify, Readiness, Signals, Stop, folder};
use crate::net::{Certificates, Keys, NodeCertificate, socket};
use crate::observe::Log;
use crate::observe::metrics::Registry;
use crate::rooms::{cluster, journal, registry, security};
use crate::settings::{Current, Flags, Settings};
use keiko_core::refusal::{Code, Refusal, Result};
use parts::{Given, Parts};
use phase::NodeState;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Consensus has a thread of its own; these serve everything else.
const WORKERS: usize = 2;

/// What founding may take before the start counts as failed.
const OPEN_DEADLINE: Duration = Duration::from_secs(30);

/// Runs the node until it is told to end.
pub fn run(flags: Flags) -> Result<()> {
    let settings = Arc::new(Current::load(flags)?);
    let live = settings.live();
    let log = Log::start(&live.log_filter, *settings.settings().log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Refusal::new(Code::Internal, "can't start the runtime").cause(error))?;
    let ended = runtime.block_on(Box::pin(serve(settings, log)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(settings: Arc<Current>, log: Log) -> Result<()> {
    let signals = Signals::install()?;
    let stop = Stop::default();
    let notify = Arc::new(Notify::from_env());
    let at_start = settings.settings();
    let data_dir = &at_start.data_dir.value;
    refuse_if_held(data_dir)?;
    let folder = Folder::take(data_dir)?;
    crate::backup::restore::check_finished(data_dir)?;
    let ballast = Ballast::of(data_dir);
    if let Err(error) = ballast.make_way() {
        tracing::warn!(%error, "the ballast can't be looked at");
    }
    let listeners = Listeners::bind(data_dir, *at_start.api, *at_start.peer, *at_start.metrics)?;
    let socket = socket::Bound::bind(&socket::Settings {
        path: at_start.socket_path.value.clone(),
        group: at_start.socket_group.as_ref().map(|group| group.value.clone()),
        links: socket::default_links(),
    })?;
    let consensus = Arc::new(place::open_consensus(at_start, &listeners.addresses)?);
    let metrics = Registry::default();
    let readiness = Readiness::default();
    let state = Arc::new(NodeState::new(readiness.clone()));
    let Listeners { api, peer, metrics: scrape, addresses } = listeners;
    let given = Given {
        current: Arc::clone(&settings),
        consensus: Arc::clone(&consensus),
        addresses,
        peers: peer,
        readiness: readiness.clone(),
        closing: stop.graceful.child_token(),
    };
    let parts = Parts::build(given, &metrics)?;
    parts.founding.show().await?;
    let (to, until) = (Arc::clone(&state), &stop.graceful);
    let handle = parts.serve(api, scrape, socket, to, &metrics, until)?;
    tracing::info!(
        api = %handle.api_addr, peers = %addresses.peer, metrics = %handle.metrics_addr,
        socket = %handle.socket_path.display(), "listening"
    );
    if !handle.is_linked {
        tracing::info!("reach this node with: keikoctl --endpoint {}", handle.endpoint());
    }
    tokio::spawn(reload_and_stop(signals, stop.clone(), parts.clone(), log, Arc::clone(&notify)));
    tokio::spawn(ballast.keep(stop.graceful.clone()));
    let feed = Arc::clone(&notify);
    let ended = CancellationToken::new();
    let fed_until = ended.clone();
    let of = Arc::clone(&consensus);
    tokio::spawn(async move { feed.feed(move || of.alive(), fed_until).await });

    let living = live(&parts, &state, &readiness, &notify, &stop, at_start);
    let result = Box::pin(living).await;
    stop.graceful.cancel();
    state.drain();
    notify.stopping();
    take_down(parts, &handle, &stop, consensus).await;
    ended.cancel();
    drop(folder);
    result
}

fn refuse_if_held(data_dir: &std::path::Path) -> Result<()> {
    folder::check(data_dir)?;
    match folder::holder(data_dir) {
        None => Ok(()),
        // Taking it would fail with the same words after its patience; the listeners would fail
        // first, with words that do not help.
        Some(_) => Folder::take(data_dir).map(drop),
    }
}

/// Founds, joins, opens or awaits the cluster, runs the drivers, and returns when the node is told to
/// end, or finds that it must.
async fn live(
    parts: &Parts,
    state: &NodeState,
    readiness: &Readiness,
    notify: &Notify,
    stop: &Stop,
    settings: &Settings,
) -> Result<()> {
    let mut fatal = parts.neighbours.fatal();
    let opened = async {
        let founded = parts.control.consensus().is_founded();
        match &settings.join {
            _ if settings.init => {
                let founding = Box::pin(parts.founding.found(parts.control.as_node()));
                open(founding).await.map(drop)
            }
            join if founded => Box::pin(parts.founding.open(join.as_ref())).await,
            Some(join) => Box::pin(parts.founding.join(join)).await.map(drop),
            None => {
                wait_for_init(parts, state, readiness, notify).await;
                Ok(())
            }
        }
    };
    tokio::select! {
        opened = opened => opened?,
        refusal = must_end(&mut fatal) => return Err(refusal),
        () = stop.graceful.cancelled() => return Ok(()),
    }
    parts.start_drivers(&stop.graceful)?;
    state.serve();
    notify.ready(parts.words());
    tracing::info!(node = parts.control.node(), "ready");
    tokio::select! {
        refusal = must_end(&mut fatal) => Err(refusal),
        () = stop.graceful.cancelled() => Ok(()),
    }
}

/// Returns once this node may not go on: it was removed.
async fn must_end(fatal: &mut tokio::sync::watch::Receiver<Option<Refusal>>) -> Refusal {
    let found = fatal.wait_for(Option::is_some).await.ok().and_then(|refusal| refusal.clone());
    match found {
        Some(refusal) => refusal,
        // Nobody can say so any more: it ends otherwise.
        None => std::future::pending().await,
    }
}

async fn open<T>(opening: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(OPEN_DEADLINE, opening).await.unwrap_or_else(|_| {
        let text = format!("the cluster did not open in {} s", OPEN_DEADLINE.as_secs());
        Err(Refusal::new(Code::NotReady, text).hint("the log says what it waited for"))
    })
}

/// An empty node never founds by itself: a node that lost its disk would found a second cluster.
async fn wait_for_init(parts: &Parts, state: &NodeState, readiness: &Readiness, notify: &Notify) {
    let task = readiness.cluster_task(&parts.socket_path);
    state.wait();
    tracing::warn!("{}", readiness.text().trim_end());
    notify.ready(parts.words());
    let mut settled = parts.founding.settled();
    // The sender lives in `founding`, so the wait can't fail.
    let _settled = settled.wait_for(|settled| *settled).await;
    task.done();
}

async fn reload_and_stop(
    signals: Signals,
    stop: Stop,
    parts: Parts,
    log: Log,
    notify: Arc<Notify>,
) {
    let reload = move || {
        notify.reloading();
        match parts.reload() {
            Ok(reloaded) => {
                if let Err(refusal) = log.set_filter(&reloaded.live.log_filter) {
                    tracing::error!(code = %refusal.code, "{refusal}");
                }
                tracing::info!(changed = ?reloaded.changed, "the configuration was read again");
                if !reloaded.needs_restart.is_empty() {
                    tracing::warn!(keys = ?reloaded.needs_restart, "these hold from the next start");
                }
            }
            Err(refusal) => {
                tracing::error!(
                    code = %refusal.code, causes = ?refusal.causes,
                    "the configuration stays as it was: {refusal}"
                );
            }
        }
        notify.ready(parts.words());
    };
    signals.run(stop, reload).await;
}

/// From the outside in: no new calls, then no children, then no consensus.
async fn take_down(
    parts: Parts,
    handle: &crate::net::Handle,
    stop: &Stop,
    consensus: Arc<Consensus>,
) {
    let (fleet, children) = (parts.fleet.clone(), parts.children.clone());
    let unlink = parts.unlink.clone();
    let graceful = async {
        handle.stopped().await;
        unlink.cancel();
        fleet.stopped().await;
        children.stop_all(crate::exec::Grace::default()).await;
    };
    tokio::select! {
        () = graceful => {}
        () = stop.at_once.cancelled() => tracing::warn!("ending at once"),
    }
    drop((parts, fleet, children));
    consensus.shutdown().await;
    tracing::info!("ended");
}
