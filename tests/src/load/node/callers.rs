//! The callers of a node: they declare one agent after the other, and read it again.

use super::drive::{Caller, VALUE_BYTES, Work};
use anyhow::{Context as _, Result, ensure};
use keiko_client::{Applies, Client, Endpoint, Identity, Trust, rooms};
use keiko_proto::v1 as wire;
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};

/// What one call may take before it counts as failed.
const CALL: Duration = Duration::from_secs(30);
pub(in crate::load) const NAMESPACE: &str = "bench";

/// Makes every write another one, in this process.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A connection of its own.
pub(in crate::load) async fn connect(
    endpoint: Endpoint,
    identity: Identity,
    trust: Option<Trust>,
) -> Result<Client> {
    let settings = keiko_client::Settings { endpoint, identity, trust, timeout: CALL, fence: None };
    Ok(Client::with(settings).await?)
}

/// So many callers on these connections; with tokens, each call shows that of its agent.
pub(in crate::load) fn bearers(
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

/// So many callers on streams, one on each of these connections.
pub(in crate::load) fn streamers(clients: &[Client], count: usize) -> Result<Vec<Streamer>> {
    let (all, agent) = (clients.iter().map(Client::applies).collect::<Vec<_>>(), agent()?);
    let streamer = |applies: &Applies| Streamer { applies: applies.clone(), agent: agent.clone() };
    Ok(all.iter().cycle().take(count).map(streamer).collect())
}

/// One caller.
pub(in crate::load) struct Bearer {
    client: Client,
    registry: rooms::Registry,
    /// Empty where the connection says who calls.
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
    pub(in crate::load) async fn write(&mut self, number: usize) -> Result<u64> {
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
pub(in crate::load) struct Streamer {
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
pub(in crate::load) fn name(number: usize) -> String {
    format!("agent-{number:05}")
}

fn label(write: u64) -> String {
    format!("{write:012}")
}

/// An agent of exactly the bytes that are asked for, whatever its number and label.
fn agent() -> Result<wire::Agent> {
    let mut agent = crate::declaration::agent(wire::Metadata {
        name: name(0),
        namespace: NAMESPACE.to_owned(),
        labels: [("write".to_owned(), label(0))].into(),
        annotations: [("note".to_owned(), "x".to_owned())].into(),
        ..Default::default()
    });
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
