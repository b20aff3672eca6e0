//! Calling an agent.

use super::super::convert;
use super::super::find::why_not_owner;
use super::super::forward::{CALL_AGENT, To, forward, left_ms};
use super::super::home::Home;
use super::super::read::require_on;
use super::super::service::Service;
use super::resolve::is_soon;
use super::{
    AGAIN_AFTER, ATTEMPTS_MAX, LINK_WAIT_MAX, deadline, millis, not_now, outcome_of, stopped,
};
use crate::net::{Identity, Permission, TraceContext};
use crate::outbound::a2a;
use crate::rooms::registry::metrics::CallOutcome;
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::directory::Standing;
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::{
    Agent, AgentSpec, CallAgentRequest, CallAgentResponse, Object, object::Object as Inner,
};
use std::sync::Arc;
use tokio::time::Instant;
use tonic::Request;

/// Text of one message to an agent.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Sends one message to an agent and waits until its task is over or needs somebody.
pub(in super::super) async fn agent(
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
    let (begun, deadline) = (Instant::now(), deadline(asked.timeout_ms));
    service.feed.caught_up().await;
    let spec = find_agent(service, key.clone()).await?.spec.unwrap_or_default();
    admit(service, &key, deadline).await?;
    let message_id = match asked.message_id.as_str() {
        "" => uuid::Uuid::now_v7().to_string(),
        given => given.to_owned(),
    };
    let message = Message { text: asked.text, id: message_id, trace, deadline };
    let result = run(service, &identity, &key, &spec, message).await;
    let took = begun.elapsed();
    let outcome = match &result {
        Ok(answer) if answer.failed => CallOutcome::Error,
        Ok(_) => CallOutcome::Ok,
        Err(refusal) => outcome_of(refusal),
    };
    // Counted once: by the node that was asked.
    if !identity.is_remote() {
        service.metrics.called("agent", outcome, took);
    }
    Ok(CallAgentResponse { duration_ms: millis(took), ..result? })
}

async fn find_agent(service: &Service, key: ObjectKey) -> Result<Agent> {
    let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &key, None);
    match service.control.read_local(query).await?? {
        Object { object: Some(Inner::Agent(agent)) } => Ok(agent),
        _ => Err(super::super::super::control::unexpected()),
    }
}

/// Lets a call through, or says why not. Waits a little for an agent that was not asked yet.
async fn admit(service: &Service, key: &ObjectKey, deadline: Instant) -> Result<()> {
    let until = deadline.min(Instant::now() + LINK_WAIT_MAX);
    let (feed, mut changes) = (&service.feed, service.feed.changes());
    loop {
        changes.borrow_and_update();
        let refusal = {
            let directory = feed.directory();
            // The directory may be a moment behind: what was just read is there.
            let owner = directory.owner(Kind::Agent, key.namespace.as_str(), &key.name);
            let Some(owner) = owner else { return Ok(()) };
            if why_not_owner(feed.soft(), key, owner).is_none() {
                return Ok(());
            }
            let refusal = not_now(key, owner, feed.soft().block(key));
            if owner.standing != Standing::Recovering || !is_soon(owner) {
                return Err(refusal);
            }
            refusal
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Err(refusal) },
            () = tokio::time::sleep_until(until) => return Err(refusal),
        }
    }
}

struct Message {
    text: String,
    id: String,
    trace: Option<String>,
    deadline: Instant,
}

/// Sends, unless and until it is suspended.
async fn run(
    service: &Service,
    caller: &Identity,
    key: &ObjectKey,
    spec: &AgentSpec,
    message: Message,
) -> Result<CallAgentResponse> {
    let flight = service.feed.soft().begin(key);
    if flight.stop().is_cancelled() {
        return Err(stopped(service, key, true));
    }
    let sent = async {
        match keeper(service, caller, spec) {
            Some(node) => pass_on(service, caller, key, &node, message).await,
            None => send(service, key, spec, message).await.map(|outcome| answer(key, outcome)),
        }
    };
    let result = tokio::select! {
        biased;
        () = flight.stop().cancelled() => return Err(stopped(service, key, false)),
        result = sent => result,
    };
    if result.is_ok() {
        flight.answered();
    }
    result
}

fn answer(key: &ObjectKey, outcome: a2a::AgentOutcome) -> CallAgentResponse {
    CallAgentResponse {
        agent: key.name.clone(),
        text: outcome.text,
        task_state: outcome.task_state.unwrap_or_default(),
        failed: outcome.failed,
        answer: outcome.raw.to_string(),
        duration_ms: 0,
    }
}

/// The other node that the agent's credentials are bound to, if this one lacks them.
fn keeper(service: &Service, caller: &Identity, spec: &AgentSpec) -> Option<Arc<str>> {
    let home = Home::of_agent(spec);
    let node = home.elsewhere(service.control.node())?;
    if caller.is_remote() || service.fleet.peers().is_down(node) {
        return None;
    }
    let interface = convert::callable(spec)?;
    let headers = service.reach.headers(&interface.url, &spec.headers, spec.grant.as_ref());
    let lacks = headers.is_err_and(|refusal| {
        matches!(refusal.code, Code::CredentialMissing | Code::CredentialRefused)
    });
    lacks.then(|| Arc::clone(node))
}

/// Lets the node send it that has what the agent wants to see; once more if it surely did not.
async fn pass_on(
    service: &Service,
    caller: &Identity,
    key: &ObjectKey,
    node: &str,
    message: Message,
) -> Result<CallAgentResponse> {
    let Message { text, id, trace, deadline } = message;
    let trace = trace.as_deref();
    let to = To { node, method: CALL_AGENT, caller, trace, deadline };
    let mut request = CallAgentRequest {
        namespace: key.namespace.to_string(),
        name: key.name.clone(),
        text,
        timeout_ms: 0,
        message_id: id,
    };
    let mut attempt = 1;
    loop {
        request.timeout_ms = left_ms(deadline);
        let error = match forward(service.fleet.peers(), &to, &request).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let last = attempt == ATTEMPTS_MAX || Instant::now() + AGAIN_AFTER >= deadline;
        if !error.surely_not_run || last {
            return Err(error.refusal);
        }
        attempt += 1;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Sends, and once more if it surely did not arrive.
async fn send(
    service: &Service,
    key: &ObjectKey,
    spec: &AgentSpec,
    message: Message,
) -> Result<a2a::AgentOutcome> {
    let Some(interface) = convert::callable(spec) else {
        return Err(Refusal::new(
            Code::NotReadyEntry,
            format!("agent {:?} has no interface that Keiko can call", key.name),
        ));
    };
    let Message { text, id, trace, deadline } = message;
    let headers = service.reach.headers(&interface.url, &spec.headers, spec.grant.as_ref())?;
    let mut attempt = 1;
    loop {
        let input = a2a::Input::Text(text.clone());
        let call = a2a::Call { input, message_id: id.clone(), trace: trace.clone() };
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
