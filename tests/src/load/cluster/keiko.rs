//! Three nodes, joined as people join them, and their callers over TLS with a certificate.

use super::super::node::callers::{self, Bearer, Streamer};
use super::super::node::cost::Spent;
use super::super::until;
use super::member::Member;
use super::members::Members;
use super::{SIZE, Settings};
use anyhow::{Context as _, Result, bail, ensure};
use keiko_client::{Client, Endpoint, Identity, Trust};
use keiko_proto::v1 as wire;
use std::sync::Arc;
use std::time::Duration;

/// What becoming a voter may take: the new node catches up first.
const JOIN_MAX: Duration = Duration::from_secs(60);
/// What a node may take to say who leads; it knows, or it does not.
const STATUS_MAX: Duration = Duration::from_secs(2);
/// What the trade of a token may take.
const ENROLL_DEADLINE: Duration = Duration::from_secs(10);

/// The nodes.
pub(super) struct Keiko {
    members: Vec<Member>,
    operator: Operator,
}

/// Who calls: somebody with a client certificate.
struct Operator {
    identity: Identity,
    trust: Trust,
}

impl Keiko {
    /// Founds a cluster with the first node, and lets the others join it until all of them vote.
    pub(super) async fn found(settings: &Settings) -> Result<Self> {
        let mut founder = Member::new(settings, "n1")?;
        founder.start(&["--init"])?;
        let mut joined = Vec::new();
        for name in ["n2", "n3"] {
            let mut member = Member::new(settings, name)?;
            member.join(&founder, &[], |answer| answer.status == 200).await.context(name)?;
            joined.push(member);
        }
        let client = founder.connect().await?;
        until(JOIN_MAX, || all_vote(&client)).await?;
        let operator = enroll(&founder).await.context("a certificate for the callers")?;
        let members: Vec<Member> = std::iter::once(founder).chain(joined).collect();
        ensure!(members.len() == SIZE, "{} nodes", members.len());
        Ok(Self { members, operator })
    }

    pub(super) fn member(&self, number: usize) -> Result<&Member> {
        self.members.get(number).with_context(|| format!("there is no node {number}"))
    }

    /// A connection over TLS.
    pub(super) async fn connect(&self, number: usize) -> Result<Client> {
        let member = self.member(number)?;
        let endpoint: Endpoint = format!("https://{}", member.api()?).parse()?;
        let Operator { identity, trust } = &self.operator;
        let connected = callers::connect(endpoint, identity.clone(), Some(trust.clone())).await;
        connected.with_context(|| format!("connecting to {}", member.name()))
    }

    /// Connections to `to` in turn.
    pub(super) async fn connections(&self, to: &[usize], count: usize) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        for number in to.iter().cycle().take(count) {
            clients.push(self.connect(*number).await?);
        }
        Ok(clients)
    }

    /// Callers that share so many streams, each on a connection of its own.
    pub(super) async fn streamers(
        &self,
        to: &[usize],
        count: usize,
        streams: usize,
    ) -> Result<Vec<Streamer>> {
        callers::streamers(&self.connections(to, streams.clamp(1, count)).await?, count)
    }
}

impl Members for Keiko {
    type Caller = Bearer;

    fn spent(&self) -> Result<Spent> {
        let running = self.members.iter().filter(|member| member.is_running());
        running.map(Member::spent).try_fold(Spent::default(), |sum, one| Ok(sum.plus(one?)))
    }

    async fn leader(&self) -> Result<usize> {
        for member in self.members.iter().filter(|member| member.is_running()) {
            let Ok(client) = member.connect().await else { continue };
            let Ok(status) = client.within(STATUS_MAX).status().await else { continue };
            let leads = |member: &Member| member.is_running() && member.name() == status.leader;
            if let Some(leader) = self.members.iter().position(leads) {
                return Ok(leader);
            }
        }
        bail!("no node knows of a leader that runs")
    }

    fn applied(&self, member: usize) -> Result<u64> {
        self.member(member)?.revision()
    }

    fn kill(&mut self, member: usize) -> Result<()> {
        self.members.get_mut(member).context("there is no such node")?.kill()
    }

    fn start(&mut self, member: usize) -> Result<Duration> {
        self.members.get_mut(member).context("there is no such node")?.start(&[])
    }

    async fn callers(&self, to: &[usize], count: usize, connections: usize) -> Result<Vec<Bearer>> {
        let clients = self.connections(to, connections.clamp(1, count)).await?;
        callers::bearers(&clients, count, &Arc::default())
    }
}

async fn all_vote(client: &Client) -> Result<()> {
    let nodes = client.cluster().list_nodes(wire::ListNodesRequest {}).await?.into_inner();
    let voters = nodes.items.iter().filter(|node| node.role == "voter").count();
    ensure!(voters == SIZE, "{voters} of {SIZE} nodes vote after {JOIN_MAX:?}");
    Ok(())
}

/// Trades a one-use token for an operator's certificate.
async fn enroll(founder: &Member) -> Result<Operator> {
    let token = founder.token("operator", "bench").await?;
    let endpoint: Endpoint = format!("https://{}", founder.api()?).parse()?;
    let (identity, timeout) = (token.parse::<Identity>()?, ENROLL_DEADLINE);
    let settings = keiko_client::Settings { endpoint, identity, trust: None, timeout, fence: None };
    let enrolled = keiko_client::enroll(settings).await?;
    let trust = Trust::from_pem(enrolled.ca_pem.as_bytes())?;
    Ok(Operator { identity: enrolled.identity(), trust })
}
