//! The peer: one member of etcd on this machine, with TLS or without, and its callers.

use super::Settings;
use super::cost::{self, Spent};
use super::drive::{Caller, VALUE_BYTES, Work};
use super::etcd_rpc::{self, PutRequest, RangeRequest, Rpc};
use super::process::Process;
use anyhow::{Context as _, Result, bail, ensure};
use rustls::pki_types::CertificateDer;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Its default of 2 GiB would refuse the end of a long run.
pub(in crate::load) const QUOTA_BYTES: u64 = 8 << 30;

/// Makes every write another one, in this process.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// One member, the only one of its cluster.
pub(super) struct Etcd {
    program: PathBuf,
    folder: PathBuf,
    /// With TLS: what its clients trust.
    authority: Option<CertificateDer<'static>>,
    client: SocketAddr,
    metrics: SocketAddr,
    peer: SocketAddr,
    process: Option<Process>,
}

impl Etcd {
    /// Founds a cluster of one member; gives how long that took until it was healthy. None without
    /// a program.
    pub(super) fn found(settings: &Settings, with_tls: bool) -> Result<Option<(Self, Duration)>> {
        let Some(program) = settings.etcd.clone() else { return Ok(None) };
        let folder = settings.folder.join(if with_tls { "etcd-tls" } else { "etcd-plain" });
        std::fs::create_dir_all(&folder)?;
        let authority = if with_tls { Some(certificate(&folder)?) } else { None };
        let [client, metrics, peer] = free_ports(3)?[..] else { bail!("no three ports") };
        let mut etcd = Self { program, folder, authority, client, metrics, peer, process: None };
        let took = etcd.start()?;
        Ok(Some((etcd, took)))
    }

    fn start(&mut self) -> Result<Duration> {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let (client, peer) =
            (format!("{scheme}://{}", self.client), format!("http://{}", self.peer));
        let mut command = Command::new(&self.program);
        command.args(["--name", "e1", "--initial-cluster-state", "new", "--log-level", "error"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("e1={peer}"), "--enable-grpc-gateway=false"]);
        command.args(["--listen-metrics-urls", &format!("http://{}", self.metrics)]);
        command.args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
        command.arg("--data-dir").arg(self.folder.join("data"));
        if self.authority.is_some() {
            command.arg("--cert-file").arg(self.folder.join("cert.pem"));
            command.arg("--key-file").arg(self.folder.join("key.pem"));
        }
        let is_ready =
            || cost::page(self.metrics, "/health").is_ok_and(|page| page.contains("\"true\""));
        let (process, took) = Process::start(command, &self.folder.join("etcd.log"), is_ready)?;
        self.process = Some(process);
        Ok(took)
    }

    /// Ends it, politely or as a crash does, and starts it again; gives how long that took.
    pub(super) fn restart(&mut self, politely: bool) -> Result<Duration> {
        let process = self.process.take().context("etcd is gone")?;
        if politely {
            process.terminate()?;
        } else {
            drop(process);
        }
        self.start()
    }

    pub(super) fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("etcd is gone")?.pid())
    }

    pub(super) fn spent(&self) -> Result<Spent> {
        let page = cost::page(self.metrics, "/metrics").context("etcd's metrics")?;
        let syncs = cost::metric(&page, "etcd_disk_wal_fsync_duration_seconds_count")?;
        Ok(Spent { syncs, ..Spent::of(self.pid()?)? })
    }

    pub(super) async fn connect(&self) -> Result<Rpc> {
        let connector = self.authority.as_ref().map(|authority| etcd_rpc::tls(authority, None));
        Rpc::connect(self.client, connector.transpose()?).await.context("connecting to etcd")
    }

    /// Callers that share so many connections.
    pub(super) async fn callers(&self, count: usize, connections: usize) -> Result<Vec<Client>> {
        let mut rpcs = Vec::new();
        for _ in 0..connections.clamp(1, count) {
            rpcs.push(self.connect().await?);
        }
        Ok(rpcs.into_iter().cycle().take(count).map(Client).collect())
    }
}

/// One caller.
pub(in crate::load) struct Client(pub(in crate::load) Rpc);

impl Caller for Client {
    async fn call(&mut self, work: Work, number: usize) -> Result<()> {
        match work {
            Work::Write => self.write(number).await.map(drop),
            Work::ReadLinearizable => self.read(number, false).await,
            Work::ReadLease => self.read(number, true).await,
        }
    }
}

impl Client {
    /// Puts another value; gives the revision.
    pub(in crate::load) async fn write(&mut self, number: usize) -> Result<u64> {
        let write = WRITES.fetch_add(1, Relaxed);
        let value = format!("{write:0VALUE_BYTES$}").into_bytes();
        let reply = self.0.put(PutRequest { key: key(number), value }).await?;
        let revision = reply.header.context("a write without a revision")?.revision;
        Ok(u64::try_from(revision)?)
    }

    async fn read(&mut self, number: usize, serializable: bool) -> Result<()> {
        let reply = self.0.range(RangeRequest { key: key(number), serializable }).await?;
        let value = reply.kvs.first().context("nothing was read")?;
        ensure!(value.value.len() == VALUE_BYTES, "a value of {} bytes", value.value.len());
        Ok(())
    }
}

/// As long as the agent's namespace and name.
pub(in crate::load) fn key(number: usize) -> Vec<u8> {
    format!("bench/agent-{number:05}").into_bytes()
}

/// A certificate that is its own authority, in files; gives what clients trust.
fn certificate(folder: &Path) -> Result<CertificateDer<'static>> {
    let names = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
    let made = rcgen::generate_simple_self_signed(names).context("a certificate")?;
    std::fs::write(folder.join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().clone())
}

/// Ports that are free now: etcd can't be told to choose. Held together, so that they differ.
pub(in crate::load) fn free_ports(count: usize) -> Result<Vec<SocketAddr>> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port");
    let held: Vec<TcpListener> = (0..count).map(bind).collect::<Result<_>>()?;
    held.iter().map(|port| port.local_addr().context("a port without an address")).collect()
}
