//! Calling a tool.

use super::super::forward::{CALL_TOOL, To, forward, left_ms};
use super::super::link::Link;
use super::super::live::InFlight;
use super::super::service::Service;
use super::super::supervise::Supervised;
use super::resolve::{Offer, Route, Wanted};
use super::{AGAIN_AFTER, ATTEMPTS_MAX, deadline, millis, outcome_of, stopped};
use crate::net::{Identity, Permission, Resource, TraceContext};
use crate::outbound::{CallError, mcp};
use crate::rooms::registry::metrics::CallOutcome;
use keiko_core::id::Name;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::capability::Capability;
use keiko_proto::v1::{CallToolRequest, CallToolResponse};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Request;

/// How long a call waits until the supervisor took a lost link back.
const TAKE_BACK_MAX: Duration = Duration::from_secs(1);

pub(in super::super) async fn tool(
    service: &Service,
    request: Request<CallToolRequest>,
) -> Result<CallToolResponse> {
    let identity = Identity::of(&request)?.clone();
    let trace = request.extensions().get::<TraceContext>().map(TraceContext::to_header);
    let asked = request.into_inner();
    let namespace = Name::parse_namespace(&asked.namespace)?;
    let capability = Capability::parse(&asked.name)?;
    let resource = Resource::object("tool", namespace.as_str(), capability.name());
    identity.require(Permission::ToolCall, &resource)?;
    let begun = Instant::now();
    service.feed.caught_up().await;
    let passed_on = identity.is_remote();
    let (feed, fleet) = (&service.feed, &service.fleet);
    let called = Call {
        service,
        wanted: Wanted { feed, fleet, namespace, capability, passed_on },
        caller: &identity,
        arguments: arguments(&asked.arguments)?,
        trace,
        deadline: deadline(asked.timeout_ms),
        asked,
    };
    called.check().await?;
    let result = called.run().await;
    let took = begun.elapsed();
    let outcome = match &result {
        Ok(answer) if answer.is_error => CallOutcome::Error,
        Ok(_) => CallOutcome::Ok,
        Err(refusal) => outcome_of(refusal),
    };
    // Counted once: by the node that was asked.
    if !passed_on {
        service.metrics.called("tool", outcome, took);
    }
    Ok(CallToolResponse { duration_ms: millis(took), ..result? })
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
    service: &'s Service,
    wanted: Wanted<'s>,
    caller: &'s Identity,
    arguments: Value,
    trace: Option<String>,
    deadline: Instant,
    asked: CallToolRequest,
}

/// What one attempt came to.
enum Attempt {
    Answered(CallToolResponse),
    /// Whether another may follow.
    Failed(Refusal, bool),
}

impl Call<'_> {
    /// Checks the arguments against the schema, before anything is sent.
    async fn check(&self) -> Result<()> {
        let Service { control, feed, schemas, .. } = self.service;
        let offer = self.wanted.any()?;
        let tool = feed.tools().get(control, &offer.tool, offer.revision).await?;
        let Some(spec) = &tool.spec else { return Ok(()) };
        let (schema, hash) = (&spec.input_schema, &spec.schema_hash);
        schemas.check_text(&offer.tool.name, schema, hash, &self.arguments).await
    }

    async fn run(&self) -> Result<CallToolResponse> {
        let (mut attempt, mut failed) = (1, Vec::new());
        loop {
            let (offer, route) = self.wanted.find(self.deadline, &failed).await?;
            let attempted = match route {
                Route::Here(supervised, link) => self.attempt(&offer, &supervised, &link).await,
                Route::There(node) => {
                    let attempted = self.pass_on(&offer, &node).await;
                    failed.push(node);
                    attempted
                }
            };
            match attempted {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Failed(refusal, may_repeat) => {
                    if !may_repeat || attempt == ATTEMPTS_MAX || Instant::now() >= self.deadline {
                        return Err(refusal);
                    }
                }
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, offer: &Offer, supervised: &Supervised, link: &Arc<Link>) -> Attempt {
        let flight = self.service.feed.soft().begin(&offer.server);
        if flight.stop().is_cancelled() {
            return Attempt::Failed(stopped(self.service, &offer.server, true), false);
        }
        let call =
            link.call(&offer.own_name, &self.arguments, self.trace.as_deref(), self.deadline);
        let result = tokio::select! {
            biased;
            () = flight.stop().cancelled() => {
                let refusal = stopped(self.service, &offer.server, offer.repeatable);
                return Attempt::Failed(refusal, false);
            }
            result = call => result,
        };
        match result {
            Ok(outcome) => {
                flight.answered();
                Attempt::Answered(answer(offer, &outcome))
            }
            Err(error) => self.failed(offer, supervised, link, flight, error).await,
        }
    }

    /// Lets the node that runs the server call it.
    async fn pass_on(&self, offer: &Offer, node: &str) -> Attempt {
        let flight = self.service.feed.soft().begin(&offer.server);
        if flight.stop().is_cancelled() {
            return Attempt::Failed(stopped(self.service, &offer.server, true), false);
        }
        // Just this tool: another one of the same name may be elsewhere.
        let request = CallToolRequest {
            name: offer.tool.name.clone(),
            timeout_ms: left_ms(self.deadline),
            ..self.asked.clone()
        };
        let to = To {
            node,
            method: CALL_TOOL,
            caller: self.caller,
            trace: self.trace.as_deref(),
            deadline: self.deadline,
        };
        let result = tokio::select! {
            biased;
            () = flight.stop().cancelled() => {
                let refusal = stopped(self.service, &offer.server, offer.repeatable);
                return Attempt::Failed(refusal, false);
            }
            result = forward(self.service.fleet.peers(), &to, &request) => result,
        };
        let error = match result {
            Ok(answer) => {
                flight.answered();
                return Attempt::Answered(answer);
            }
            Err(error) => error,
        };
        // As with a link: that it was suspended is the reason, whatever was first.
        self.service.feed.caught_up().await;
        if flight.stop().is_cancelled() {
            let surely_not_run = error.surely_not_run || offer.repeatable;
            return Attempt::Failed(stopped(self.service, &offer.server, surely_not_run), false);
        }
        // That node is about to end, or has just begun.
        let turned_away = matches!(error.refusal.code, Code::Draining | Code::NotReady);
        let surely_not_run = error.surely_not_run || turned_away;
        if surely_not_run {
            // It takes this one a moment to know that the other is down.
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        let silent = error.refusal.code == Code::OutcomeUnknown;
        // That node says that the server is not there: it may be elsewhere by now.
        let home = self.service.feed.soft().home(&offer.server);
        let moved = error.refusal.code == Code::NotReadyEntry
            && home.node().is_none_or(|home| **home != *node);
        let may_repeat = surely_not_run || moved || (silent && offer.repeatable);
        Attempt::Failed(error.refusal, may_repeat)
    }

    async fn failed(
        &self,
        offer: &Offer,
        supervised: &Supervised,
        link: &Arc<Link>,
        flight: InFlight,
        error: CallError,
    ) -> Attempt {
        // Who suspends a server closes its link too: what was first is chance, the reason is not.
        self.service.feed.caught_up().await;
        if flight.stop().is_cancelled() {
            let surely_not_run = error.surely_not_run || offer.repeatable;
            return Attempt::Failed(stopped(self.service, &offer.server, surely_not_run), false);
        }
        let lost = is_link_fault(&error, link);
        match lost {
            true => drop(flight),
            false => flight.answered(),
        }
        let is_live =
            |live: &Option<Arc<Link>>| live.as_ref().is_some_and(|live| Arc::ptr_eq(live, link));
        if lost && is_live(&supervised.link.borrow()) {
            supervised.again.notify_one();
            // Until the supervisor took the lost link back, it would be found again.
            let mut live = supervised.link.clone();
            let gone = live.wait_for(|live| !is_live(live));
            let _waited = tokio::time::timeout(TAKE_BACK_MAX, gone).await;
        }
        let silent = lost || error.refusal.code == Code::OutcomeUnknown;
        let may_repeat = (lost && error.surely_not_run) || (silent && offer.repeatable);
        Attempt::Failed(error.refusal, may_repeat)
    }
}

fn answer(offer: &Offer, outcome: &mcp::CallOutcome) -> CallToolResponse {
    let structured = outcome.structured.as_ref();
    CallToolResponse {
        tool: offer.tool.name.clone(),
        content: outcome.content.to_string(),
        structured_content: structured.map(ToString::to_string).unwrap_or_default(),
        is_error: outcome.is_error,
        duration_ms: 0,
    }
}

/// The link is of no use any more, whatever became of the call. A call that only took too long
/// says nothing of the link: others are served over it.
fn is_link_fault(error: &CallError, link: &Link) -> bool {
    link.is_lost() || matches!(error.refusal.code, Code::PeerUnreachable | Code::ChildFailed)
}
