//! Heartbeats over TLS, each agent with a token of its own: what a call from another machine costs.
//!
//! A token may touch its own entry only, so lookups and calls of tools can't be measured this way.

use super::figures::{Point, Times};
use super::fleet::{name, namespace};
use super::{CALL, Node};
use anyhow::{Context as _, Result, ensure};
use keiko_client::{Client, Endpoint, Identity};
use keiko_proto::v1 as wire;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Callers at a time: all tokens together have 64 calls open, and the answers overlap.
const CALLERS: [usize; 3] = [1, 16, 48];
/// Not counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// Makes the tokens and measures.
pub(super) async fn run(node: &Node<'_>) -> Result<Vec<Point>> {
    let text = std::fs::read_to_string(node.settings.folder.join("addresses.json"));
    let addresses: serde_json::Value = serde_json::from_str(&text.context("addresses.json")?)?;
    let api = addresses["api"].as_str().context("the node has no API")?;
    let endpoint: Endpoint = format!("https://{api}").parse()?;
    let mut points = Vec::new();
    for callers in CALLERS.into_iter().filter(|callers| *callers <= node.settings.agents) {
        points.extend(measure(node, &endpoint, callers).await?);
    }
    Ok(points)
}

async fn measure(node: &Node<'_>, endpoint: &Endpoint, callers: usize) -> Result<Vec<Point>> {
    let time = node.settings.time;
    let mut clients = Vec::new();
    for number in 0..callers {
        clients.push(bearer(node, endpoint, number).await?);
    }
    let (mut running, start) = (JoinSet::new(), Instant::now() + WARM_UP);
    for (number, client) in clients.into_iter().enumerate() {
        running.spawn(beat_loop(client, number, start, time));
    }
    let mut times = Times::default();
    while let Some(ended) = running.join_next().await {
        times.append(ended.context("a caller")??);
    }
    let rate = times.len() as f64 / time.as_secs_f64();
    let name = |what: &str| format!("heartbeat over TLS, {callers} callers: {what}");
    Ok(vec![
        Point::new("tokens", name("calls"), rate, "/s"),
        Point::new("tokens", name("p50"), times.percentile_ms(50.0), "ms"),
        Point::new("tokens", name("p99"), times.percentile_ms(99.0), "ms"),
    ])
}

/// A connection of the agent with this number, as itself.
async fn bearer(node: &Node<'_>, endpoint: &Endpoint, number: usize) -> Result<Client> {
    let request = wire::CreateAgentTokenRequest {
        namespace: namespace(number).to_owned(),
        name: name(number),
        ..Default::default()
    };
    let call = |client: Client, request| async move {
        client.security().create_agent_token(request).await
    };
    let made = node.client.write(None, request, call).await.context("making a token")?;
    let identity: Identity = made.token.parse()?;
    let endpoint = endpoint.clone();
    let settings =
        keiko_client::Settings { endpoint, identity, trust: None, timeout: CALL, fence: None };
    Client::with(settings).await.context("connecting with a token")
}

async fn beat_loop(client: Client, number: usize, start: Instant, time: Duration) -> Result<Times> {
    let (mut times, mut registry) = (Times::default(), client.registry());
    loop {
        let began = Instant::now();
        if began >= start + time {
            return Ok(times);
        }
        let beat = wire::Beat {
            namespace: namespace(number).to_owned(),
            name: name(number),
            ..Default::default()
        };
        let answer = registry.heartbeat(wire::HeartbeatRequest { beats: vec![beat] }).await?;
        let answers = answer.into_inner().answers;
        ensure!(answers.iter().all(|answer| answer.refusal.is_none()), "refused: {answers:?}");
        if began >= start {
            times.push(began.elapsed());
        }
    }
}
