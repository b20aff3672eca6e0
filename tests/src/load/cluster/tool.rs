//! Calls of one tool through each node: its server is a child of the first, so calls through the
//! others take one more way.

use super::super::figures::Point;
use super::super::node::compare::ROUNDS;
use super::super::node::drive::{Caller, Run, Work, drive};
use super::super::until;
use super::members::Members;
use super::{Bench, Line, SIZE, Said, Side};
use anyhow::{Context as _, Result, ensure};
use keiko_client::{Client, rooms};
use keiko_proto::v1 as wire;
use std::time::Duration;

/// How long the server may take to be there, for every node.
const START: Duration = Duration::from_secs(30);
/// Callers at a time.
const CALLERS: [usize; 2] = [1, 16];
/// Through which node.
const WORKS: [&str; SIZE] = ["tool-at-n1", "tool-at-n2", "tool-at-n3"];
const SERVER: &str = "echo";

/// Registers the server and measures, each node in turn.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Said>> {
    register(bench).await?;
    let keiko = &bench.keiko;
    let leader = keiko.member(keiko.leader().await?)?.name();
    let fact = format!("n1 runs the server, {leader} leads");
    let mut said = vec![Said::Point(Point { part: "tool", ..Point::fact("tool calls", fact) })];
    for clients in CALLERS {
        let mut runs = WORKS.map(|_| Run::of(Work::ReadLease));
        for _ in 0..ROUNDS {
            for (node, sum) in runs.iter_mut().enumerate() {
                sum.add(once(bench, node, clients).await.context(WORKS[node])?);
            }
        }
        for (work, run) in WORKS.into_iter().zip(&mut runs) {
            let (keiko, peer_name, peer, goal) = (Side::of(run), "", None, None);
            said.push(Said::Line(Line { work, peer_name, clients, keiko, peer, goal }));
        }
    }
    Ok(said)
}

/// On the first node's socket: that is where the command may run.
async fn register(bench: &Bench<'_>) -> Result<()> {
    let echo = bench.settings.echo.display().to_string();
    let request = wire::RegisterMcpServerRequest {
        name: SERVER.to_owned(),
        command: vec![echo, "echo".to_owned()],
        ..Default::default()
    };
    let call = |client: Client, request| async move {
        client.registry().register_mcp_server(request).await
    };
    let client = bench.keiko.member(0)?.connect().await?;
    client.write(None, request, call).await.context("registering the echo server")?;
    for (node, through) in WORKS.into_iter().enumerate() {
        let registry = bench.keiko.connect(node).await?.registry();
        let look = || {
            let mut one = Tools(registry.clone());
            async move { one.call(Work::ReadLease, 0).await }
        };
        until(START, look).await.with_context(|| format!("the first of {through}"))?;
    }
    Ok(())
}

async fn once(bench: &Bench<'_>, node: usize, clients: usize) -> Result<Run> {
    let (keiko, time) = (&bench.keiko, bench.settings.time / ROUNDS);
    let connections = bench.settings.connections.clamp(1, clients);
    let connected = keiko.connections(&[node], connections).await?;
    let callers: Vec<Tools> =
        connected.iter().cycle().take(clients).map(|client| Tools(client.registry())).collect();
    drive(callers, Work::ReadLease, usize::MAX, time, || keiko.spent()).await
}

/// One who calls the tool, with another text each time.
struct Tools(rooms::Registry);

impl Caller for Tools {
    async fn call(&mut self, _work: Work, number: usize) -> Result<()> {
        let text = format!("text-{number}");
        let request = wire::CallToolRequest {
            name: SERVER.to_owned(),
            arguments: format!("{{\"text\":\"{text}\"}}"),
            ..Default::default()
        };
        let answer = self.0.call_tool(request).await?.into_inner();
        ensure!(answer.content.contains(&text), "not an echo of {text:?}: {}", answer.content);
        Ok(())
    }
}
