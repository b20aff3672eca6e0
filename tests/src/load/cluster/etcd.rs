//! The peer: three members of etcd on this machine, with TLS and certificates on both ports.

use super::super::node::cost::{self, Spent};
use super::super::node::etcd::{Client, QUOTA_BYTES, free_ports};
use super::super::node::etcd_rpc::{self, Rpc};
use super::super::node::process::Process;
use super::members::Members;
use super::{SIZE, Settings};
use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// All members.
pub(super) struct Etcd {
    program: PathBuf,
    folder: PathBuf,
    connector: TlsConnector,
    members: Vec<Member>,
}

struct Member {
    name: String,
    client: SocketAddr,
    peer: SocketAddr,
    metrics: SocketAddr,
    process: Option<Process>,
}

impl Etcd {
    /// Starts all members and waits until they are healthy. None without a program.
    pub(super) fn found(settings: &Settings) -> Result<Option<Self>> {
        let Some(program) = settings.etcd.clone() else { return Ok(None) };
        let folder = settings.folder.join("etcd");
        std::fs::create_dir_all(&folder)?;
        let connector = certificates(&folder).context("making certificates")?;
        let mut members = Vec::new();
        for (number, ports) in free_ports(3 * SIZE)?.chunks(3).enumerate() {
            let [client, peer, metrics] = *ports else { bail!("no three ports") };
            let name = format!("e{}", number + 1);
            members.push(Member { name, client, peer, metrics, process: None });
        }
        let mut etcd = Self { program, folder, connector, members };
        // None is healthy before most of them run.
        for number in 0..SIZE {
            etcd.spawn(number)?;
        }
        for member in &mut etcd.members {
            member.wait()?;
        }
        Ok(Some(etcd))
    }

    fn spawn(&mut self, number: usize) -> Result<()> {
        let peers = self.members.iter().map(|peer| format!("{}=https://{}", peer.name, peer.peer));
        let all = peers.collect::<Vec<_>>().join(",");
        let member = self.members.get_mut(number).context("there is no such member")?;
        let (client, peer) =
            (format!("https://{}", member.client), format!("https://{}", member.peer));
        let mut command = Command::new(&self.program);
        command.args(["--name", &member.name, "--initial-cluster-state", "new"]);
        command.args(["--log-level", "error", "--enable-grpc-gateway=false"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &all]);
        command.args(["--listen-metrics-urls", &format!("http://{}", member.metrics)]);
        command.args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
        command.arg("--data-dir").arg(self.folder.join(&member.name));
        for port in ["", "peer-"] {
            command.arg(format!("--{port}client-cert-auth"));
            for (flag, file) in
                [("trusted-ca-file", "ca"), ("cert-file", "member"), ("key-file", "member-key")]
            {
                let file = self.folder.join(file).with_extension("pem");
                command.arg(format!("--{port}{flag}")).arg(file);
            }
        }
        let log = self.folder.join(&member.name).with_extension("log");
        member.process = Some(Process::spawn(command, &log)?);
        Ok(())
    }

    fn member(&self, number: usize) -> Result<&Member> {
        self.members.get(number).context("there is no such member")
    }

    /// A connection.
    pub(super) async fn connect(&self, number: usize) -> Result<Rpc> {
        let Member { name, client, .. } = self.member(number)?;
        let connected = Rpc::connect(*client, Some(self.connector.clone())).await;
        connected.with_context(|| format!("connecting to {name}"))
    }
}

impl Member {
    fn wait(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("etcd is gone")?;
        let healthy = |page: String| page.contains("\"true\"");
        process.wait(|| cost::page(self.metrics, "/health").is_ok_and(healthy))
    }

    fn metric(&self, name: &str) -> Result<u64> {
        cost::metric(&cost::page(self.metrics, "/metrics").context("etcd's metrics")?, name)
    }

    fn spent(&self) -> Result<Spent> {
        let pid = self.process.as_ref().context("etcd is gone")?.pid();
        let page = cost::page(self.metrics, "/metrics").context("etcd's metrics")?;
        let syncs = cost::metric(&page, "etcd_disk_wal_fsync_duration_seconds_count")?;
        // The name of a counter and the value of an index.
        let entries = cost::metric(&page, "etcd_server_proposals_committed_total")?;
        Ok(Spent { syncs, entries, ..Spent::of(pid)? })
    }
}

impl Members for Etcd {
    type Caller = Client;

    fn spent(&self) -> Result<Spent> {
        let running = self.members.iter().filter(|member| member.process.is_some());
        running.map(Member::spent).try_fold(Spent::default(), |sum, one| Ok(sum.plus(one?)))
    }

    async fn leader(&self) -> Result<usize> {
        let leads = |member: &Member| {
            let runs = member.process.is_some();
            runs && member.metric("etcd_server_is_leader").is_ok_and(|leads| leads == 1)
        };
        self.members.iter().position(leads).context("no member of etcd leads")
    }

    fn applied(&self, member: usize) -> Result<u64> {
        self.member(member)?.metric("etcd_server_proposals_applied_total")
    }

    fn kill(&mut self, member: usize) -> Result<()> {
        let member = self.members.get_mut(member).context("there is no such member")?;
        member.process.take().map(drop).context("etcd is gone")
    }

    fn start(&mut self, member: usize) -> Result<Duration> {
        let begun = Instant::now();
        self.spawn(member)?;
        self.members.get_mut(member).context("there is no such member")?.wait()?;
        Ok(begun.elapsed())
    }

    async fn callers(&self, to: &[usize], count: usize, connections: usize) -> Result<Vec<Client>> {
        let mut rpcs = Vec::new();
        for number in to.iter().cycle().take(connections.clamp(1, count)) {
            rpcs.push(self.connect(*number).await?);
        }
        ensure!(!rpcs.is_empty(), "nobody to connect to");
        Ok(rpcs.into_iter().cycle().take(count).map(Client).collect())
    }
}

/// An authority, and what it signed for the members, in files; gives how clients connect.
fn certificates(folder: &Path) -> Result<TlsConnector> {
    let mut params = named("bench authority", &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    std::fs::write(folder.join("ca.pem"), authority.pem())?;
    let issuer = Issuer::new(params, key);

    // Each is a server on both of its ports, and a client on the others'.
    let mut params = named("member", &["localhost", &Ipv4Addr::LOCALHOST.to_string()])?;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    std::fs::write(folder.join("member.pem"), params.signed_by(&key, &issuer)?.pem())?;
    std::fs::write(folder.join("member-key.pem"), key.serialize_pem())?;

    let mut params = named("bench", &[])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    etcd_rpc::tls(authority.der(), Some((certificate, key)))
}

fn named(common_name: &str, subjects: &[&str]) -> Result<CertificateParams> {
    let subjects: Vec<String> = subjects.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(subjects)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
