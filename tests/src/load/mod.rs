//! The load generator: what a fleet does to one node, measured from outside.
//!
//! It talks to the node as any program does, over gRPC, from a process of its own, and reads what
//! the node costs from `/proc`. Every part is a file; each gives [`Point`]s. Invariants: every wait
//! ends, every queue is bounded, and a part that fails says so in place of a figure.

mod cards;
pub mod cluster;
mod commands;
mod echo;
mod figures;
mod fleet;
mod json;
mod lookup;
mod machine;
pub mod node;
mod pairs;
mod settings;
mod tokens;
mod watchers;

pub use figures::{Goal, Point};
pub use settings::{PARTS, Settings};

use anyhow::{Context as _, Result};
use keiko_client::{Client, Endpoint, Identity};
use keiko_proto::v1 as wire;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The parts that need thousands of agents.
const OF_THE_FLEET: [&str; 6] = ["memory", "lookup", "list", "tokens", "watchers", "heartbeats"];
/// What one call may take before it counts as failed.
const CALL: Duration = Duration::from_secs(30);

/// The program: `keiko-load registry …`, `keiko-load node …`, `keiko-load cluster …`, or
/// `keiko-load echo`, which is the server that is called.
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = match words.split_first().map(|(word, rest)| (word.as_str(), rest)) {
        Some(("echo", _)) => return echo::serve(),
        Some(("registry", rest)) => begin(rest),
        Some(("node", rest)) => node::begin(rest),
        Some(("cluster", rest)) => cluster::begin(rest),
        _ => {
            complain("usage: keiko-load registry --socket PATH --pid N --folder D …");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn begin(words: &[String]) -> Result<()> {
    let settings = Settings::parse(words)?;
    let json = settings.json;
    let mut say = |point: &Point| {
        let line = if json { point.json() } else { point.row() };
        // Nobody is there to be told that stdout is closed.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    };
    runtime()?.block_on(run(&settings, &mut say))
}

/// One thread is enough for all callers, and a second one would hand work to and fro.
fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().context("starting tokio")
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "keiko-load: {text}");
}

/// Measures what was asked for, and hands each figure over as soon as it is there.
pub async fn run(settings: &Settings, say: &mut dyn FnMut(&Point)) -> Result<()> {
    for point in machine::describe(&settings.folder)? {
        say(&point);
    }
    let node = Node { settings, client: settings.client().await? };
    node.part("version", say, commands::version(&node)).await;
    node.part("pairs", say, pairs::run(&node)).await;
    if settings.parts.iter().any(|part| OF_THE_FLEET.contains(&part.as_str())) {
        let fleet = fleet::Fleet::join(&node).await.context("registering the fleet")?;
        node.part("memory", say, async { fleet.memory() }).await;
        node.part("lookup", say, lookup::run(&node)).await;
        node.part("list", say, commands::list(&node)).await;
        node.part("tokens", say, tokens::run(&node)).await;
        node.part("watchers", say, watchers::run(&node)).await;
        node.part("heartbeats", say, fleet.beat_for(&node)).await;
        fleet.leave().await;
    }
    Ok(())
}

/// The node under load.
struct Node<'s> {
    settings: &'s Settings,
    client: Client,
}

impl Node<'_> {
    fn wants(&self, part: &str) -> bool {
        self.settings.parts.iter().any(|wanted| wanted == part)
    }

    /// One part. Its failure is a line of its own and ends nothing else.
    async fn part<F>(&self, name: &str, say: &mut dyn FnMut(&Point), work: F)
    where
        F: Future<Output = Result<Vec<Point>>>,
    {
        if !self.wants(name) {
            return;
        }
        match work.await {
            Ok(points) => points.iter().for_each(say),
            Err(error) => complain(&format!("{name}: {error:#}")),
        }
    }

    /// A further connection to the same node.
    async fn connect(&self) -> Result<Client> {
        self.settings.client().await
    }
}

impl Settings {
    async fn client(&self) -> Result<Client> {
        let endpoint = Endpoint::Unix(self.socket.clone());
        let settings = keiko_client::Settings {
            endpoint,
            identity: Identity::Process,
            trust: None,
            timeout: CALL,
            fence: None,
        };
        Ok(Client::with(settings).await?)
    }
}

/// Asks for the best one who offers a capability.
fn one(capability: &str) -> wire::FindRequest {
    wire::FindRequest { capability: capability.to_owned(), one: true, ..Default::default() }
}

/// Looks again until it works, for `bound` at most; the last error is the reason.
async fn until<T, F, Fut>(bound: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let end = Instant::now() + bound;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
