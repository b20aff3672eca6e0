//! One message to one agent, and patience until its task is over.

use super::card::{Binding, Interface, Version};
use super::message::{Input, compose};
use super::outcome::{AgentOutcome, Progress, read};
use crate::outbound::fault::{CallError, CallResult};
use crate::outbound::http::{Answer, Http, Request, of_status, parse_url, shown};
use crate::outbound::words;
use a2a::{JsonRpcId, JsonRpcRequest, SVC_PARAM_VERSION, methods};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use url::Url;

/// An answer; as Keiko's own messages.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What is repeated of an agent's words.
const TOLD_CHARS_MAX: usize = 500;

/// Between two looks at a task: from the first, doubled up to the second.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is said.
    pub input: Input,
    /// The same for every repetition, so that the agent can tell.
    pub message_id: String,
    /// A W3C traceparent, sent as the header of that name.
    pub trace: Option<String>,
}

/// Sends one message and waits until the task is over or needs somebody.
///
/// `interface` is one of the card's own ([`super::Card::preferred`]). If the deadline passes while
/// the agent works, the error names the task.
pub async fn call(
    http: &Http,
    interface: &Interface,
    call: Call,
    credentials: &HeaderMap,
    deadline: Instant,
) -> CallResult<AgentOutcome> {
    let client = Client::new(http, interface, &call, credentials).map_err(CallError::not_run)?;
    let message = compose(call.input, &call.message_id, &interface.version);
    let result =
        client.send(message, deadline).await.map_err(|error| error.of_effect("the message"))?;
    match read(&result) {
        Some(Progress::Done(outcome)) => Ok(outcome),
        Some(Progress::Working(task)) => client.wait(&task, deadline).await,
        None => Err(CallError::maybe_run(client.strange("it is neither a message nor a task"))),
    }
}

struct Client<'a> {
    http: &'a Http,
    interface: &'a Interface,
    url: Url,
    headers: HeaderMap,
    credentials: &'a HeaderMap,
}

impl<'a> Client<'a> {
    fn new(
        http: &'a Http,
        interface: &'a Interface,
        call: &Call,
        credentials: &'a HeaderMap,
    ) -> keiko_core::refusal::Result<Self> {
        let spoken = matches!(
            (&interface.version, &interface.binding),
            (Version::V1, Binding::JsonRpc | Binding::HttpJson) | (Version::V03, Binding::JsonRpc)
        );
        if !spoken {
            let (binding, version) = (interface.binding.as_str(), interface.version.as_str());
            return Err(Refusal::new(
                Code::CardInvalid,
                format!("Keiko does not call {binding} {version}"),
            ));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if interface.version == Version::V1 {
            let name = HeaderName::from_bytes(SVC_PARAM_VERSION.as_bytes());
            if let Ok(name) = name {
                headers.insert(name, HeaderValue::from_static("1.0"));
            }
        }
        if let Some(trace) =
            call.trace.as_deref().and_then(|trace| HeaderValue::from_str(trace).ok())
        {
            headers.insert(HeaderName::from_static("traceparent"), trace);
        }
        Ok(Self { http, interface, url: parse_url(&interface.url)?, headers, credentials })
    }

    async fn send(&self, message: Value, deadline: Instant) -> CallResult<Value> {
        if self.interface.binding == Binding::HttpJson {
            return self
                .rest(Method::POST, "message:send", Some(json!({"message": message})), deadline)
                .await;
        }
        let mut params = json!({"message": message});
        let method = if self.interface.version == Version::V03 {
            params["configuration"] = json!({"blocking": true});
            "message/send"
        } else {
            methods::SEND_MESSAGE
        };
        self.rpc(method, params, deadline).await
    }

    async fn look(&self, task: &str, deadline: Instant) -> CallResult<Value> {
        if self.interface.binding == Binding::HttpJson {
            let path = format!(
                "tasks/{}",
                url::form_urlencoded::byte_serialize(task.as_bytes()).collect::<String>()
            );
            return self.rest(Method::GET, &path, None, deadline).await;
        }
        let method =
            if self.interface.version == Version::V03 { "tasks/get" } else { methods::GET_TASK };
        self.rpc(method, json!({"id": task}), deadline).await
    }

    async fn wait(&self, task: &str, deadline: Instant) -> CallResult<AgentOutcome> {
        let mut pause = LOOK.0;
        loop {
            if Instant::now() + pause >= deadline {
                let task = words(task, TOLD_CHARS_MAX);
                let message = format!("the agent still works on the task {task}");
                let refusal = Refusal::new(Code::OutcomeUnknown, message)
                    .hint("give it more time: --timeout");
                return Err(CallError::maybe_run(refusal));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK.1);
            let result = match self.look(task, deadline).await {
                Ok(result) => result,
                // Looking has no effect, so a lost look is only looked again.
                Err(error)
                    if matches!(error.refusal.code, Code::PeerUnreachable | Code::PeerTimeout) =>
                {
                    continue;
                }
                Err(error) => {
                    let task = words(task, TOLD_CHARS_MAX);
                    let message =
                        format!("the agent took the task {task} and does not say how it ended");
                    let refusal =
                        Refusal::new(Code::OutcomeUnknown, message).cause(error.refusal.message);
                    return Err(CallError::maybe_run(refusal));
                }
            };
            match read(&result) {
                Some(Progress::Done(outcome)) => return Ok(outcome),
                Some(Progress::Working(_)) => {}
                None => return Err(CallError::maybe_run(self.strange("it is no task"))),
            }
        }
    }

    async fn rpc(&self, method: &str, mut params: Value, deadline: Instant) -> CallResult<Value> {
        if let Some(tenant) = &self.interface.tenant {
            params["tenant"] = tenant.as_str().into();
        }
        let request = JsonRpcRequest::new(JsonRpcId::Number(1), method, Some(params));
        let body = serde_json::to_vec(&request)
            .map_err(|error| CallError::not_run(self.strange(&error.to_string())))?;
        let answer =
            self.ask(Request::new(Method::POST, self.url.clone()).json(body), deadline).await?;
        let mut value = self.json(&answer)?;
        if let Some(error) = value.get("error").filter(|error| error.is_object()) {
            let refusal = self.refused(error);
            // An error of JSON-RPC is the agent's own word, whatever the status is.
            return Err(match value["jsonrpc"] == "2.0" {
                true => CallError::maybe_run(refusal),
                false => failed(&answer, refusal),
            });
        }
        if !answer.status.is_success() {
            return Err(failed(&answer, self.status(&answer)));
        }
        match value.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(CallError::maybe_run(self.strange("it has neither result nor error"))),
        }
    }

    async fn rest(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        deadline: Instant,
    ) -> CallResult<Value> {
        let mut url = self.url.clone();
        let tenant =
            self.interface.tenant.as_ref().map(|tenant| format!("{tenant}/")).unwrap_or_default();
        url.set_path(&format!("{}/{tenant}{path}", self.url.path().trim_end_matches('/')));
        let mut request = Request::new(method, url);
        if let Some(body) = body {
            request = request.json(body.to_string().into_bytes());
        }
        let answer = self.ask(request, deadline).await?;
        if answer.status.is_success() {
            return self.json(&answer);
        }
        let told = serde_json::from_slice::<Value>(&answer.body).ok();
        let error = told.as_ref().and_then(|told| told.get("error").or(Some(told)));
        let refusal = match error.filter(|error| error.get("message").is_some()) {
            Some(error) => self.refused(error),
            None => self.status(&answer),
        };
        Err(failed(&answer, refusal))
    }

    async fn ask(&self, mut request: Request, deadline: Instant) -> CallResult<Answer> {
        request.headers.extend(self.headers.clone());
        self.http.send(request.credentials(self.credentials), ANSWER_BYTES_MAX, deadline).await
    }

    fn json(&self, answer: &Answer) -> CallResult<Value> {
        serde_json::from_slice(&answer.body).map_err(|_| match answer.status.is_success() {
            true => CallError::untold(self.strange("it is not JSON")),
            false => failed(answer, self.status(answer)),
        })
    }

    fn status(&self, answer: &Answer) -> Refusal {
        of_status(answer.status, &self.url).unwrap_or_else(|| {
            let message = format!("{} answers {}", shown(&self.url), answer.status);
            Refusal::new(Code::PeerError, message)
        })
    }

    fn refused(&self, error: &Value) -> Refusal {
        let text = words(error["message"].as_str().unwrap_or("without a word"), TOLD_CHARS_MAX);
        let refusal = Refusal::new(Code::PeerError, format!("the agent refuses: {text}"));
        match error.get("code") {
            Some(code) => refusal.cause(words(&format!("its code is {code}"), TOLD_CHARS_MAX)),
            None => refusal,
        }
    }

    fn strange(&self, why: &str) -> Refusal {
        let message = format!("the answer of {} is not an answer of A2A", shown(&self.url));
        Refusal::new(Code::PeerGarbage, message).cause(why)
    }
}

/// Whoever answers with a status of 500 and above, a proxy too, does not know what became of the
/// message.
fn failed(answer: &Answer, refusal: Refusal) -> CallError {
    match answer.status.is_server_error() {
        true => CallError::untold(refusal),
        false => CallError::maybe_run(refusal),
    }
}
