//! The node that is measured, and its callers: over the unix socket, or over TLS with tokens.
//!
//! A token may touch the entry of its agent and nothing else, so a caller over TLS shows for each
//! call the token of the agent that it is about. That is as dear for the node as it gets: no two
//! calls in a row come from the same bearer.

use super::Settings;
use super::cost::{self, Spent};
use super::drive::{Caller, VALUE_BYTES, Work};
use super::process::Process;
use crate::http;
use anyhow::{Context as _, Result, ensure};
use keiko_client::{Applies, Client, Endpoint, Identity, Trust, rooms};
use keiko_proto::v1 as wire;
use prost::Message as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};

/// What one call may take before it counts as failed.
const CALL: Duration = Duration::from_secs(30);
/// All tokens together may have 64 calls open, and the answers overlap.
pub(super) const TOKEN_CALLERS_MAX: usize = 48;
/// Far below what a cluster may have.
const TOKENS_MAX: usize = 1000;
pub(super) const NAMESPACE: &str = "bench";
/// Nobody is there: the node finds out and looks again once a minute.
const URL: &str = "http://127.0.0.1:9/";

/// Makes every write another one, in this process.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// The node.
pub(super) struct Keiko {
    program: PathBuf,
    folder: PathBuf,
    socket: PathBuf,
    process: Option<Process>,
}

impl Keiko {
    /// Founds a cluster of one node; gives how long that took until it was ready.
    pub(super) fn found(settings: &Settings) -> Result<(Self, Duration)> {
        let folder = settings.folder.join("keiko");
        // A folder that others may look into is worth a warning of the node.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let (program, socket) = (settings.keikod.clone(), settings.socket.clone());
        let mut keiko = Self { program, folder, socket, process: None };
        let took = keiko.start(&["--init"])?;
        Ok((keiko, took))
    }

    fn start(&mut self, more: &[&str]) -> Result<Duration> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEIKO_") {
                command.env_remove(name);
            }
        }
        command.args(["run", "--log", "warn", "--data-dir"]).arg(&self.folder);
        command.arg("--socket").arg(&self.socket).args(more);
        command.args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        command.env("XDG_RUNTIME_DIR", self.folder.join("run"));
        let is_ready =
            || http::get(&self.socket, "/readyz").is_ok_and(|answer| answer.status == 200);
        let log = self.folder.with_extension("log");
        let (process, took) = Process::start(command, &log, is_ready)?;
        self.process = Some(process);
        Ok(took)
    }

    /// Ends it, politely or as a crash does, and starts it again; gives how long that took.
    pub(super) fn restart(&mut self, politely: bool) -> Result<Duration> {
        let process = self.process.take().context("the node is gone")?;
        if politely {
            process.terminate()?;
        } else {
            drop(process);
        }
        self.start(&[])
    }

    pub(super) fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("the node is gone")?.pid())
    }

    pub(super) fn spent(&self) -> Result<Spent> {
        let page = self.metrics()?;
        let syncs = cost::metric(&page, "keiko_store_syncs_total")?;
        let entries = cost::metric(&page, "keiko_store_synced_entries_total")?;
        Ok(Spent { syncs, entries, ..Spent::of(self.pid()?)? })
    }

    /// How many changes it has behind it.
    pub(super) fn revision(&self) -> Result<u64> {
        cost::metric(&self.metrics()?, "keiko_cluster_revision")
    }

    fn metrics(&self) -> Result<String> {
        let answer = http::get(&self.socket, "/metrics").context("the node's metrics")?;
        ensure!(answer.status == 200, "the node's metrics: {answer:?}");
        Ok(answer.text)
    }

    /// A connection as the socket's peer.
    pub(super) async fn connect(&self) -> Result<Client> {
        connect(Endpoint::Unix(self.socket.clone()), None).await
    }

    /// Callers that share so many connections, as the socket's peer.
    pub(super) async fn callers(&self, count: usize, connections: usize) -> Result<Vec<Bearer>> {
        let mut clients = Vec::new();
        for _ in 0..connections.clamp(1, count) {
            clients.push(self.connect().await?);
        }
        bearers(&clients, count, &Arc::default()).await
    }

    /// Callers that share so many streams, each on a connection of its own, as the socket's peer.
    pub(super) async fn streamers(&self, count: usize, streams: usize) -> Result<Vec<Streamer>> {
        let mut all = Vec::new();
        for _ in 0..streams.clamp(1, count) {
            all.push(self.connect().await?.applies());
        }
        let agent = agent()?;
        let streamer =
            |applies: &Applies| Streamer { applies: applies.clone(), agent: agent.clone() };
        Ok(all.iter().cycle().take(count).map(streamer).collect())
    }

    /// Callers over TLS.
    pub(super) async fn token_callers(
        &self,
        count: usize,
        connections: usize,
        tokens: &Arc<Vec<MetadataValue<Ascii>>>,
    ) -> Result<Vec<Bearer>> {
        ensure!(count <= TOKEN_CALLERS_MAX && !tokens.is_empty(), "not over TLS: {count} callers");
        let trust = Trust::from_pem(&std::fs::read(self.folder.join("ca.pem"))?)?;
        let endpoint = api(&self.folder)?;
        let mut clients = Vec::new();
        for _ in 0..connections.clamp(1, count) {
            clients.push(connect(endpoint.clone(), Some(trust.clone())).await?);
        }
        bearers(&clients, count, tokens).await
    }

    /// A token for each of the first names, as it stands in a call.
    pub(super) async fn tokens(&self, names: usize) -> Result<Vec<MetadataValue<Ascii>>> {
        let client = self.connect().await?;
        let mut tokens = Vec::new();
        for number in 0..names.min(TOKENS_MAX) {
            let namespace = NAMESPACE.to_owned();
            let request = wire::CreateAgentTokenRequest {
                namespace,
                name: name(number),
                ..Default::default()
            };
            let call = |client: Client, request| async move {
                client.security().create_agent_token(request).await
            };
            let made = client.write(None, request, call).await.context("making a token")?;
            let mut token: MetadataValue<Ascii> = format!("Bearer {}", made.token).parse()?;
            token.set_sensitive(true);
            tokens.push(token);
        }
        Ok(tokens)
    }
}

async fn connect(endpoint: Endpoint, trust: Option<Trust>) -> Result<Client> {
    let identity = Identity::Process;
    let settings = keiko_client::Settings { endpoint, identity, trust, timeout: CALL };
    Ok(Client::with(settings).await?)
}

fn api(folder: &Path) -> Result<Endpoint> {
    let text = std::fs::read_to_string(folder.join("addresses.json")).context("addresses.json")?;
    let addresses: serde_json::Value = serde_json::from_str(&text)?;
    let api = addresses["api"].as_str().context("the node has no API")?;
    Ok(format!("https://{api}").parse()?)
}

async fn bearers(
    clients: &[Client],
    count: usize,
    tokens: &Arc<Vec<MetadataValue<Ascii>>>,
) -> Result<Vec<Bearer>> {
    let agent = agent()?;
    let bearer = |client: &Client| Bearer {
        registry: client.registry(),
        client: client.clone(),
        tokens: Arc::clone(tokens),
        agent: agent.clone(),
    };
    Ok(clients.iter().cycle().take(count).map(bearer).collect())
}

/// One caller of the node.
pub(super) struct Bearer {
    client: Client,
    registry: rooms::Registry,
    /// Empty on the socket.
    tokens: Arc<Vec<MetadataValue<Ascii>>>,
    agent: wire::Agent,
}

impl Caller for Bearer {
    async fn call(&mut self, work: Work, number: usize) -> Result<()> {
        match work {
            Work::Write => self.write(number).await.map(drop),
            Work::ReadLinearizable => self.read(number, wire::Consistency::Linearizable).await,
            Work::ReadLease => self.read(number, wire::Consistency::Lease).await,
        }
    }
}

impl Bearer {
    /// Declares the agent with this number with another label; gives the revision.
    pub(super) async fn write(&mut self, number: usize) -> Result<u64> {
        let request_id = self.client.request_id().as_bytes().to_vec();
        let request = wire::ApplyRequest { request_id, ..declaration(&self.agent, number) };
        let reply = self.registry.apply(self.shown(request, number)).await?.into_inner();
        revision(&reply)
    }

    async fn read(&mut self, number: usize, consistency: wire::Consistency) -> Result<()> {
        let request = wire::GetRequest {
            kind: wire::Kind::Agent.into(),
            namespace: NAMESPACE.to_owned(),
            name: name(number),
            consistency: consistency.into(),
            ..Default::default()
        };
        let reply = self.registry.get(self.shown(request, number)).await?.into_inner();
        ensure!(reply.object.is_some(), "nothing was read");
        Ok(())
    }

    /// With the token of the agent with this number, if there are any.
    fn shown<M>(&self, message: M, number: usize) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = self.tokens.get(number) {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }
}

/// One of the callers that share a stream.
pub(super) struct Streamer {
    applies: Applies,
    agent: wire::Agent,
}

impl Caller for Streamer {
    async fn call(&mut self, work: Work, number: usize) -> Result<()> {
        ensure!(work == Work::Write, "a stream has writes only");
        let reply = self.applies.apply(None, declaration(&self.agent, number)).await?;
        revision(&reply).map(drop)
    }
}

/// Another write of the agent with this number. The answer says what became of it, and no more, as
/// etcd's does.
fn declaration(agent: &wire::Agent, number: usize) -> wire::ApplyRequest {
    let mut agent = agent.clone();
    let metadata = agent.metadata.get_or_insert_default();
    metadata.name = name(number);
    metadata.labels.insert("write".to_owned(), label(WRITES.fetch_add(1, Relaxed)));
    let object = Some(wire::Object { object: Some(wire::object::Object::Agent(agent)) });
    wire::ApplyRequest { object, brief: true, ..Default::default() }
}

fn revision(reply: &wire::ApplyResponse) -> Result<u64> {
    ensure!(reply.change() != wire::Change::Unchanged, "a write changed nothing");
    Ok(reply.write.context("a write without a revision")?.revision)
}

/// What the agent with this number is called.
pub(super) fn name(number: usize) -> String {
    format!("agent-{number:05}")
}

fn label(write: u64) -> String {
    format!("{write:012}")
}

/// An agent of exactly the bytes that are asked for, whatever its number and label.
fn agent() -> Result<wire::Agent> {
    let mut agent = wire::Agent {
        api_version: "keiko/v1".to_owned(),
        kind: "Agent".to_owned(),
        metadata: Some(wire::Metadata {
            name: name(0),
            namespace: NAMESPACE.to_owned(),
            labels: [("write".to_owned(), label(0))].into(),
            annotations: [("note".to_owned(), "x".to_owned())].into(),
            ..Default::default()
        }),
        spec: Some(wire::AgentSpec { url: URL.to_owned(), ..Default::default() }),
        status: None,
    };
    // A length takes one byte or two: what is missing is not always what has to be added.
    while agent.encoded_len() < VALUE_BYTES {
        let annotations = &mut agent.metadata.get_or_insert_default().annotations;
        annotations.values_mut().for_each(|note| note.push('x'));
    }
    ensure!(agent.encoded_len() == VALUE_BYTES, "an agent of {} bytes", agent.encoded_len());
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_the_bytes_of_the_design() {
        assert_eq!(agent().unwrap().encoded_len(), 256);
    }
}
