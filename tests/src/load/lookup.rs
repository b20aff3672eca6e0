//! How long it takes to find who offers a capability, with the whole fleet registered.

use super::cards::{SKILLS, TAGS};
use super::figures::{Goal, Point, Times};
use super::fleet::namespace;
use super::{Node, one};
use anyhow::{Context as _, Result};
use keiko_client::Client;
use keiko_proto::v1 as wire;
use std::time::{Duration, Instant};

/// Lookups of each sort, at most.
const LOOKUPS: usize = 5_000;

/// By skill (one of a thousand), by tag (one of a hundred), and all of one tag.
pub(super) async fn run(node: &Node<'_>) -> Result<Vec<Point>> {
    let (agents, time) = (node.settings.agents, node.settings.time);
    let skill = |number: usize| format!("skill-{}", number % SKILLS);
    let tag = |number: usize| format!("tag-{}", number % TAGS);
    let mut points = Vec::new();
    let by_skill = |round| find(skill(round % agents), round % agents, true);
    points.extend(timed(&node.client, "find --one by skill", time, by_skill).await?);
    let by_tag = |round| find(tag(round % agents), round % agents, true);
    points.extend(timed(&node.client, "find --one by tag", time, by_tag).await?);
    let all = |round| find(tag(round % agents), round % agents, false);
    points.extend(timed(&node.client, "find all of a tag", time, all).await?);
    Ok(points)
}

/// The agent with this number has it, so somebody in its namespace does.
fn find(capability: String, number: usize, only_one: bool) -> wire::FindRequest {
    wire::FindRequest { namespace: namespace(number).to_owned(), one: only_one, ..one(&capability) }
}

async fn timed(
    client: &Client,
    what: &str,
    time: Duration,
    request: impl Fn(usize) -> wire::FindRequest,
) -> Result<Vec<Point>> {
    let mut registry = client.registry();
    let (mut times, begin) = (Times::default(), Instant::now());
    let mut found = 0;
    for round in 0..LOOKUPS {
        if begin.elapsed() > time {
            break;
        }
        let request = request(round);
        let capability = request.capability.clone();
        let start = Instant::now();
        let answer = registry.find(request).await.with_context(|| capability.clone())?;
        times.push(start.elapsed());
        found += answer.into_inner().items.len();
    }
    let found = found as f64 / times.len().max(1) as f64;
    let point =
        |which: &str, value: f64| Point::new("lookup", format!("{what} {which}"), value, "ms");
    Ok(vec![
        point("p50", times.percentile_ms(50.0)),
        point("p99", times.percentile_ms(99.0)).goal(Goal::AtMost(5.0)),
        Point::new("lookup", format!("{what}: answers"), found, "each"),
    ])
}
