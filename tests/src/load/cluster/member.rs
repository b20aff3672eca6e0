//! One node of a cluster, from its first start to its end.

use super::super::node::callers::connect;
use super::super::node::cost::{self, Spent};
use super::super::node::keiko::{api, command};
use super::super::node::process::Process;
use super::Settings;
use crate::http;
use anyhow::{Context as _, Result, ensure};
use keiko_client::{Client, Endpoint, Identity};
use keiko_proto::v1 as wire;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A node, running or not.
pub(super) struct Member {
    name: String,
    program: PathBuf,
    folder: PathBuf,
    socket: PathBuf,
    process: Option<Process>,
}

impl Member {
    /// A node that is not started yet.
    pub(super) fn new(settings: &Settings, name: &str) -> Result<Self> {
        let folder = settings.folder.join("keiko").join(name);
        for private in [&folder, &settings.sockets] {
            // A folder that others may look into is worth a warning of the node.
            DirBuilder::new().recursive(true).mode(0o700).create(private)?;
        }
        let socket = settings.sockets.join(format!("{name}.sock"));
        let (name, program) = (name.to_owned(), settings.keikod.clone());
        Ok(Self { name, program, folder, socket, process: None })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it with these further words and waits until it is ready; gives how long that took.
    pub(super) fn start(&mut self, more: &[&str]) -> Result<Duration> {
        self.start_until(more, |answer| answer.status == 200)
    }

    /// The same, until what it answers on `/readyz` fits.
    pub(super) fn start_until(
        &mut self,
        more: &[&str],
        fits: impl Fn(&http::Answer) -> bool,
    ) -> Result<Duration> {
        let mut command = command(&self.program, &self.folder, &self.socket);
        command.args(["--node-name", &self.name]).args(more);
        let is_there = || http::get(&self.socket, "/readyz").is_ok_and(|answer| fits(&answer));
        let log = self.folder.with_extension("log");
        let (process, took) = Process::start(command, &log, is_there)?;
        self.process = Some(process);
        Ok(took)
    }

    /// Makes it a member of the cluster that `of` is in, as `run --join` does, until `fits`.
    pub(super) async fn join(
        &mut self,
        of: &Self,
        more: &[&str],
        fits: impl Fn(&http::Answer) -> bool,
    ) -> Result<Duration> {
        let (address, token) = (of.api()?, of.token("node", "").await?);
        let words = ["--join", &address, "--token", &token];
        self.start_until(&[&words[..], more].concat(), fits)
    }

    /// Ends it as a crash does.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.process.take().map(drop).context("the node is gone")
    }

    /// Where it listens for everybody, host and port.
    pub(super) fn api(&self) -> Result<String> {
        api(&self.folder)
    }

    /// A connection as the socket's peer.
    pub(super) async fn connect(&self) -> Result<Client> {
        connect(Endpoint::Unix(self.socket.clone()), Identity::Process, None).await
    }

    /// A one-use token, as `keikoctl cluster token create` makes it.
    pub(super) async fn token(&self, role: &str, who: &str) -> Result<String> {
        let client = self.connect().await?;
        // Ids are made on the daemon's clock.
        client.status().await?;
        let request = wire::CreateTokenRequest {
            r#for: role.to_owned(),
            name: who.to_owned(),
            request_id: client.request_id().as_bytes().to_vec(),
            ..Default::default()
        };
        let create =
            |client: Client, request| async move { client.security().create_token(request).await };
        let made = client.once(request, create).await.with_context(|| format!("a {role} token"))?;
        Ok(made.token)
    }

    pub(super) fn spent(&self) -> Result<Spent> {
        let pid = self.process.as_ref().context("the node is gone")?.pid();
        let page = self.metrics()?;
        let syncs = cost::metric(&page, "keiko_store_syncs_total")?;
        let entries = cost::metric(&page, "keiko_store_synced_entries_total")?;
        Ok(Spent { syncs, entries, ..Spent::of(pid)? })
    }

    /// How many changes it has carried out.
    pub(super) fn revision(&self) -> Result<u64> {
        cost::metric(&self.metrics()?, "keiko_cluster_revision")
    }

    fn metrics(&self) -> Result<String> {
        let answer = http::get(&self.socket, "/metrics").context("the node's metrics")?;
        ensure!(answer.status == 200, "the node's metrics: {answer:?}");
        Ok(answer.text)
    }
}
