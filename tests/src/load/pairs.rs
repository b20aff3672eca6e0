//! `find --one` and then `tool call`, again and again, from 1, 16 and 64 callers at a time.
//!
//! The server is [`super::echo`], a child of the node. Each caller has a connection of its own, as
//! programs of one agent have; then 64 share four connections, as the agents of four programs do.
//! The same 64 then leave the finding to the call, which takes one request for both. At last 16
//! callers without gRPC do it over HTTP/JSON. A pair counts when the echo is right.

use super::figures::{Goal, Point, Times};
use super::json::Caller;
use super::{Node, machine, one, until};
use anyhow::{Context as _, Result, ensure};
use keiko_client::Client;
use keiko_proto::v1 as wire;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Who calls, and how.
#[derive(Clone, Copy)]
struct Load {
    callers: usize,
    connections: usize,
    way: Way,
}

#[derive(Clone, Copy)]
enum Way {
    /// A request to find, and one to call.
    Two,
    /// The call finds whom it goes to.
    One,
    /// Two requests over HTTP/JSON.
    Json,
}

const LOADS: [Load; 6] = [
    Load { callers: 1, connections: 1, way: Way::Two },
    Load { callers: 16, connections: 16, way: Way::Two },
    Load { callers: 64, connections: 64, way: Way::Two },
    Load { callers: 64, connections: 4, way: Way::Two },
    Load { callers: 64, connections: 4, way: Way::One },
    Load { callers: 16, connections: 16, way: Way::Json },
];
/// Not counted: connections, caches, the first pages of memory.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long the server may take to be there.
const START: Duration = Duration::from_secs(30);

/// Registers the server and measures.
pub(super) async fn run(node: &Node<'_>) -> Result<Vec<Point>> {
    register(node).await?;
    let mut points = Vec::new();
    for load in LOADS {
        points.extend(measure(node, load).await?);
    }
    Ok(points)
}

async fn register(node: &Node<'_>) -> Result<()> {
    let echo = node.settings.echo.display().to_string();
    let request = wire::RegisterMcpServerRequest {
        name: "echo".to_owned(),
        command: vec![echo, "echo".to_owned()],
        ..Default::default()
    };
    let call = |client: Client, request| async move {
        client.registry().register_mcp_server(request).await
    };
    node.client.write(None, request, call).await.context("registering the echo server")?;
    let client = &node.client;
    until(START, || async move { pair(client, "ready").await }).await.context("the first call")
}

/// One lookup and one call.
async fn pair(client: &Client, text: &str) -> Result<()> {
    let found = client.registry().find(one("echo")).await?.into_inner();
    let first = found.items.into_iter().next().context("nobody offers it")?;
    call(client, first.namespace, first.name, text).await
}

/// A call of whoever offers it.
async fn call(client: &Client, namespace: String, name: String, text: &str) -> Result<()> {
    let arguments = format!("{{\"text\":\"{text}\"}}");
    let request = wire::CallToolRequest { namespace, name, arguments, timeout_ms: 0 };
    let answer = client.registry().call_tool(request).await?.into_inner();
    ensure!(answer.content.contains(text), "not an echo of {text:?}: {}", answer.content);
    Ok(())
}

async fn measure(node: &Node<'_>, load: Load) -> Result<Vec<Point>> {
    let Load { callers, connections, way } = load;
    let time = node.settings.time;
    let mut running = JoinSet::new();
    let (own, pid) = (std::process::id(), node.settings.pid);
    let before = (machine::cpu_time(pid)?, machine::cpu_time(own)?);
    let start = Instant::now() + WARM_UP;
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(match way {
            Way::Two => Connection::Two(node.connect().await?),
            Way::One => Connection::One(node.connect().await?),
            Way::Json => Connection::Json(Arc::new(Mutex::new(Caller::connect(node).await?))),
        });
    }
    for (caller, client) in (0..callers).zip(clients.iter().cycle()) {
        running.spawn(caller_loop(client.clone(), caller, start, time));
    }
    let (mut times, mut rounds) = (Times::default(), 0);
    while let Some(ended) = running.join_next().await {
        let (of_caller, made) = ended.context("a caller")??;
        times.append(of_caller);
        rounds += made;
    }
    let each = |before: Duration, pid| {
        let spent = machine::cpu_time(pid)?.saturating_sub(before);
        Ok::<_, anyhow::Error>(spent.as_secs_f64() * 1e6 / f64::from(rounds.max(1)))
    };
    let rate = times.len() as f64 / time.as_secs_f64();
    let way = match way {
        Way::Two => "find + call",
        Way::One => "find and call in one",
        Way::Json => "find + call, HTTP/JSON",
    };
    let name = |what: &str| match connections == callers {
        true => format!("{way}, {callers} callers: {what}"),
        false => format!("{way}, {callers} callers, {connections} connections: {what}"),
    };
    // The floor is of a node under load; one caller waits for itself.
    let floor = if callers == 1 { Goal::None } else { Goal::AtLeast(10_000.0) };
    let point = |what: &str, value: f64, unit: &str| Point::new("pairs", name(what), value, unit);
    Ok(vec![
        point("pairs", rate, "/s").goal(floor),
        point("p50", times.percentile_ms(50.0), "ms"),
        point("p95", times.percentile_ms(95.0), "ms").goal(Goal::AtMost(200.0)),
        point("p99", times.percentile_ms(99.0), "ms").goal(Goal::AtMost(500.0)),
        point("CPU of the node", each(before.0, pid)?, "us each"),
        point("CPU of the callers", each(before.1, own)?, "us each"),
    ])
}

/// What a caller has to call with.
#[derive(Clone)]
enum Connection {
    Two(Client),
    One(Client),
    Json(Arc<Mutex<Caller>>),
}

/// Pairs again and again: the times of those that count, and how many there were.
async fn caller_loop(
    connection: Connection,
    caller: usize,
    start: Instant,
    time: Duration,
) -> Result<(Times, u32)> {
    let (mut times, mut round) = (Times::default(), 0);
    loop {
        let began = Instant::now();
        if began >= start + time {
            return Ok((times, round));
        }
        let text = format!("{caller}-{round}");
        match &connection {
            Connection::Two(client) => pair(client, &text).await?,
            Connection::One(client) => {
                call(client, String::new(), "echo".to_owned(), &text).await?;
            }
            Connection::Json(own) => own.lock().await.pair(&text).await?,
        }
        round += 1;
        if began >= start {
            times.push(began.elapsed());
        }
    }
}
