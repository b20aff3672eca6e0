//! The node that is measured, and its callers: over the unix socket, or over TLS with tokens.
//!
//! A token may touch the entry of its agent and nothing else, so a caller over TLS shows for each
//! call the token of the agent that it is about. That is as dear for the node as it gets: no two
//! calls in a row come from the same bearer.

use super::Settings;
use super::callers::{self, Bearer, NAMESPACE, Streamer, bearers, connect, name};
use super::cost::{self, Spent};
use super::process::Process;
use crate::http;
use anyhow::{Context as _, Result, ensure};
use keiko_client::{Client, Endpoint, Identity, Trust};
use keiko_proto::v1 as wire;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};

/// All tokens together may have 64 calls open, and the answers overlap.
pub(super) const TOKEN_CALLERS_MAX: usize = 48;
/// Far below what a cluster may have.
const TOKENS_MAX: usize = 1000;

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
        let mut command = command(&self.program, &self.folder, &self.socket);
        command.args(more);
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
        connect(Endpoint::Unix(self.socket.clone()), Identity::Process, None).await
    }

    /// Callers that share so many connections, as the socket's peer.
    pub(super) async fn callers(&self, count: usize, connections: usize) -> Result<Vec<Bearer>> {
        let mut clients = Vec::new();
        for _ in 0..connections.clamp(1, count) {
            clients.push(self.connect().await?);
        }
        bearers(&clients, count, &Arc::default())
    }

    /// Callers that share so many streams, each on a connection of its own, as the socket's peer.
    pub(super) async fn streamers(&self, count: usize, streams: usize) -> Result<Vec<Streamer>> {
        let mut clients = Vec::new();
        for _ in 0..streams.clamp(1, count) {
            clients.push(self.connect().await?);
        }
        callers::streamers(&clients, count)
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
        let endpoint: Endpoint = format!("https://{}", api(&self.folder)?).parse()?;
        let mut clients = Vec::new();
        for _ in 0..connections.clamp(1, count) {
            let trust = Some(trust.clone());
            clients.push(connect(endpoint.clone(), Identity::Process, trust).await?);
        }
        bearers(&clients, count, tokens)
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

/// A node on ports that are chosen for it, quiet, and hidden from the rest of the machine.
pub(in crate::load) fn command(program: &Path, folder: &Path, socket: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEIKO_") {
            command.env_remove(name);
        }
    }
    command.args(["run", "--log", "warn", "--data-dir"]).arg(folder).arg("--socket").arg(socket);
    for port in ["--listen", "--listen-peer", "--metrics-listen"] {
        command.args([port, "127.0.0.1:0"]);
    }
    command.env("XDG_RUNTIME_DIR", folder.join("run"));
    command
}

/// Where the node of this folder listens for everybody, host and port.
pub(in crate::load) fn api(folder: &Path) -> Result<String> {
    let text = std::fs::read_to_string(folder.join("addresses.json")).context("addresses.json")?;
    let addresses: serde_json::Value = serde_json::from_str(&text)?;
    Ok(addresses["api"].as_str().context("the node has no API")?.to_owned())
}
