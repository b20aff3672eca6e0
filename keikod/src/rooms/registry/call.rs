//! Calling: find who offers it, check the arguments, call, and repeat only what may be repeated.
//!
//! A call is repeated only if it surely did not run, or if the tool says of itself that repeating
//! does no harm. Otherwise the caller learns that the outcome is unknown.

use super::convert;
use super::driver::Fleet;
use super::link::Link;
use super::metrics::CallOutcome;
use super::read::require_on;
use super::service::Service;
use crate::net::{Identity, Permission, TraceContext};
use crate::outbound::{CallError, a2a, mcp};
use crate::store::View;
use keiko_core::id::{GroupId, Name};
use keiko_core::refusal::{Class, Code, Refusal, Result};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::{
    Agent, AgentSpec, CallAgentRequest, CallAgentResponse, CallToolRequest, CallToolResponse,
    Object, Tool, object::Object as Inner,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Request;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// How long a call waits for a server that is just being linked.
const LINK_WAIT_MAX: Duration = Duration::from_secs(10);

/// Calls of one call, the first included.
const ATTEMPTS_MAX: u32 = 3;

/// Between the attempts to reach an agent that refuses connections.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Text of one message to an agent.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The deadline of a call that asks for `timeout_ms`.
fn deadline(timeout_ms: u64) -> Instant {
    let timeout = match timeout_ms {
        0 => TIMEOUT_DEFAULT,
        ms => Duration::from_millis(ms).min(TIMEOUT_MAX),
    };
    Instant::now() + timeout
}

pub(super) async fn tool(
    service: &Service,
    request: Request<CallToolRequest>,
) -> Result<CallToolResponse> {
    let identity = Identity::of(&request)?.clone();
    let trace = request.extensions().get::<TraceContext>().map(TraceContext::to_header);
    let asked = request.into_inner();
    let namespace = Name::parse_namespace(&asked.namespace)?;
    let resource = crate::net::Resource::object("tool", namespace.as_str(), &asked.name);
    identity.require(Permission::ToolCall, &resource)?;
    let begun = Instant::now();
    let called = Call {
        fleet: &service.fleet,
        namespace: namespace.clone(),
        tools: resolve(service, namespace, &asked.name).await?,
        arguments: arguments(&asked.arguments)?,
        trace,
        deadline: deadline(asked.timeout_ms),
    };
    called.check(service).await?;
    let result = called.run().await;
    let took = begun.elapsed();
    let outcome = match &result {
        Ok((_, outcome)) if outcome.is_error => CallOutcome::Error,
        Ok(_) => CallOutcome::Ok,
        Err(refusal) => outcome_of(refusal),
    };
    service.metrics.called("tool", outcome, took);
    let (tool, outcome) = result?;
    Ok(CallToolResponse {
        tool,
        content: outcome.content.to_string(),
        structured_content: outcome.structured.map(|value| value.to_string()).unwrap_or_default(),
        is_error: outcome.is_error,
        duration_ms: millis(took),
    })
}

async fn resolve(service: &Service, namespace: Name, name: &str) -> Result<Vec<Tool>> {
    let name = name.to_owned();
    let query =
        move |view: &View<'_>| registry::resolve_tool(view, GroupId::CONTROL, &namespace, &name);
    service.control.read_local(query).await?
}

/// A JSON object; empty text is an empty one.
fn arguments(text: &str) -> Result<Value> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Ok(Value::Object(arguments)),
        Ok(_) => Err(Refusal::new(Code::ArgumentsInvalid, "the arguments are not a JSON object")
            .hint("as in: '{\"timezone\":\"UTC\"}'")),
        Err(error) => Err(Refusal::new(Code::ArgumentsInvalid, "the arguments are not JSON")
            .cause(error)
            .hint("as in: '{\"timezone\":\"UTC\"}'")),
    }
}

struct Call<'s> {
    fleet: &'s Fleet,
    namespace: Name,
    /// Several only if they agree on the schema.
    tools: Vec<Tool>,
    arguments: Value,
    trace: Option<String>,
    deadline: Instant,
}

impl Call<'_> {
    /// Checks the arguments against the schema, before anything is sent.
    async fn check(&self, service: &Service) -> Result<()> {
        let Some(spec) = self.tools.first().and_then(|tool| tool.spec.as_ref()) else {
            return Ok(());
        };
        let schema: Value = serde_json::from_str(&spec.input_schema).unwrap_or(Value::Bool(true));
        let hash = crate::outbound::schema::schema_hash(&schema);
        let name = format!("{}.{}", spec.server, spec.tool_name);
        service.schemas.check(&name, &schema, hash, &self.arguments).await
    }

    async fn run(&self) -> Result<(String, mcp::CallOutcome)> {
        let mut attempt = 1;
        loop {
            let (tool, link) = self.find().await?;
            let spec = tool.spec.clone().unwrap_or_default();
            let result = link
                .call(&spec.tool_name, &self.arguments, self.trace.as_deref(), self.deadline)
                .await;
            let error = match result {
                Ok(outcome) => {
                    let name = tool.metadata.clone().unwrap_or_default().name;
                    return Ok((name, outcome));
                }
                Err(error) => error,
            };
            let lost = is_link_fault(&error, &link);
            if lost
                && let Some(supervised) = self.fleet.server(&self.key(&spec.server)?)
                && supervised.link.borrow().as_ref().is_some_and(|live| Arc::ptr_eq(live, &link))
            {
                supervised.again.notify_one();
                // Until the supervisor took the lost link back, it would be found again.
                let mut live = supervised.link.clone();
                let gone = live
                    .wait_for(|live| !live.as_ref().is_some_and(|live| Arc::ptr_eq(live, &link)));
                let _waited = tokio::time::timeout(Duration::from_secs(1), gone).await;
            }
            let hints = spec.hints.unwrap_or_default();
            let silent = lost || error.refusal.code == Code::OutcomeUnknown;
            let may_repeat =
                (lost && error.surely_not_run) || (silent && (hints.read_only || hints.idempotent));
            if !may_repeat || attempt == ATTEMPTS_MAX || Instant::now() >= self.deadline {
                return Err(error.refusal);
            }
            attempt += 1;
        }
    }

    fn key(&self, server: &str) -> Result<ObjectKey> {
        ObjectKey::parse(Kind::McpServer, self.namespace.as_str(), server)
    }

    /// A tool with a live link; waits a little for one that is just being made.
    async fn find(&self) -> Result<(&Tool, Arc<Link>)> {
        let mut waiting = None;
        for tool in &self.tools {
            let server = tool.spec.as_ref().map(|spec| spec.server.as_str()).unwrap_or_default();
            let Some(supervised) = self.fleet.server(&self.key(server)?) else { continue };
            if let Some(link) = supervised.link.borrow().clone() {
                return Ok((tool, link));
            }
            waiting.get_or_insert((tool, supervised));
        }
        let Some((tool, mut supervised)) = waiting else { return Err(self.not_served()) };
        let until = self.deadline.min(Instant::now() + LINK_WAIT_MAX);
        match tokio::time::timeout_at(until, supervised.link.wait_for(Option::is_some)).await {
            Ok(Ok(link)) => match link.clone() {
                Some(link) => Ok((tool, link)),
                None => Err(self.not_served()),
            },
            Ok(Err(_)) | Err(_) => Err(self.not_served()),
        }
    }

    fn not_served(&self) -> Refusal {
        let servers: Vec<_> = self
            .tools
            .iter()
            .filter_map(|tool| tool.spec.as_ref())
            .map(|spec| spec.server.as_str())
            .collect();
        let name = servers.first().copied().unwrap_or_default();
        Refusal::new(Code::NotReadyEntry, format!("mcp {:?} is not linked", servers.join(", ")))
            .hint(format!("keikoctl mcp describe {name}"))
    }
}

/// Sends one message to an agent and waits until its task is over or needs somebody.
pub(super) async fn agent(
    service: &Service,
    request: Request<CallAgentRequest>,
) -> Result<CallAgentResponse> {
    let identity = Identity::of(&request)?.clone();
    let trace = request.extensions().get::<TraceContext>().map(TraceContext::to_header);
    let asked = request.into_inner();
    let key = ObjectKey::parse(Kind::Agent, &asked.namespace, &asked.name)?;
    require_on(&identity, Permission::AgentCall, &key)?;
    if asked.text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::new(
            Code::LimitExceeded,
            format!("the text has {} bytes, at most {TEXT_BYTES_MAX}", asked.text.len()),
        ));
    }
    let begun = Instant::now();
    let spec = find_agent(service, key.clone()).await?.spec.unwrap_or_default();
    let message_id = match asked.message_id.as_str() {
        "" => uuid::Uuid::now_v7().to_string(),
        given => given.to_owned(),
    };
    let result =
        send(service, &key, &spec, asked.text, message_id, trace, deadline(asked.timeout_ms));
    let result = result.await;
    let took = begun.elapsed();
    let outcome = match &result {
        Ok(answer) if answer.failed => CallOutcome::Error,
        Ok(_) => CallOutcome::Ok,
        Err(refusal) => outcome_of(refusal),
    };
    service.metrics.called("agent", outcome, took);
    let answer = result?;
    Ok(CallAgentResponse {
        agent: key.name,
        text: answer.text,
        task_state: answer.task_state.unwrap_or_default(),
        failed: answer.failed,
        answer: answer.raw.to_string(),
        duration_ms: millis(took),
    })
}

async fn find_agent(service: &Service, key: ObjectKey) -> Result<Agent> {
    let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &key, None);
    match service.control.read_local(query).await?? {
        Object { object: Some(Inner::Agent(agent)) } => Ok(agent),
        _ => Err(super::super::control::unexpected()),
    }
}

/// Sends, and once more if it surely did not arrive.
async fn send(
    service: &Service,
    key: &ObjectKey,
    spec: &AgentSpec,
    text: String,
    message_id: String,
    trace: Option<String>,
    deadline: Instant,
) -> Result<a2a::AgentOutcome> {
    let Some(interface) = convert::callable(spec) else {
        return Err(Refusal::new(
            Code::NotReadyEntry,
            format!("agent {:?} has no interface that Keiko can call", key.name),
        ));
    };
    let headers = service.reach.headers(&interface.url, &spec.headers, spec.grant.as_ref())?;
    let mut attempt = 1;
    loop {
        let input = a2a::Input::Text(text.clone());
        let call = a2a::Call { input, message_id: message_id.clone(), trace: trace.clone() };
        let sent = a2a::call(service.reach.http(), &interface, call, &headers, deadline).await;
        let error = match sent {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let unreachable = error.refusal.code == Code::PeerUnreachable;
        let last = attempt == ATTEMPTS_MAX || Instant::now() + AGAIN_AFTER >= deadline;
        if !(error.surely_not_run && unreachable) || last {
            return Err(error.refusal);
        }
        attempt += 1;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// The link is of no use any more, whatever became of the call. A call that only took too long
/// says nothing of the link: others are served over it.
fn is_link_fault(error: &CallError, link: &Link) -> bool {
    link.is_lost() || matches!(error.refusal.code, Code::PeerUnreachable | Code::ChildFailed)
}

fn outcome_of(refusal: &Refusal) -> CallOutcome {
    match refusal.code.class() {
        Class::OutcomeUnknown => CallOutcome::Unknown,
        _ => CallOutcome::Refused,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
