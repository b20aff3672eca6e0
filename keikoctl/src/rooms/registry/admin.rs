//! `suspend`, `drain` and `resume`: what an operator decides about calls.

use super::dry_run::{self, Preview};
use super::flags::{AdminArgs, DryRunBy, HoldArgs};
use super::object::{Item, KindWord};
use super::wait::{self, Target, What};
use super::{get, state};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::object::Object as Any;
use keiko_client::proto::v1::{GetRequest, Object, SetAdminStateRequest, SetAdminStateResponse};
use keiko_core::refusal::{Code, Refusal};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Calls may take minutes: a drain has as much patience, if nobody says.
const DRAIN: Duration = Duration::from_secs(120);
/// Calls under way are known live only, so they are asked for.
const LOOK: Duration = Duration::from_millis(200);

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Running calls end, new ones are refused.
    Suspend,
    /// New calls are refused.
    Drain,
    /// In use.
    Resume,
}

impl Act {
    /// As the call wants it.
    fn state(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Drain => "draining",
            Self::Resume => "",
        }
    }

    /// In a sentence.
    fn word(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Drain => "draining",
            Self::Resume => "resumed",
        }
    }
}

/// Runs `suspend` and `drain`.
pub(crate) async fn hold(kind: KindWord, act: Act, args: &HoldArgs, session: &Session) -> Outcome {
    run(kind, act, &args.admin, &args.reason, session).await
}

/// Runs `resume`.
pub(crate) async fn resume(kind: KindWord, args: &AdminArgs, session: &Session) -> Outcome {
    run(kind, Act::Resume, args, "", session).await
}

async fn run(
    kind: KindWord,
    act: Act,
    args: &AdminArgs,
    reason: &str,
    session: &Session,
) -> Outcome {
    let target = Target { kind, namespace: args.namespace.one(), name: kind.name(&args.name)? };
    let client = session.client(QUICK).await?;
    let request = SetAdminStateRequest {
        kind: kind.kind.into(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        state: act.state().to_owned(),
        reason: reason.to_owned(),
        request_id: Vec::new(),
        dry_run: args.dry_run.at_server(),
    };
    if let Some(by) = args.dry_run.by() {
        return preview(&client, &target, by, request, session).await;
    }
    let mut made = client
        .write(args.request.id, request, |client, request| async move {
            client.registry().set_admin_state(request).await
        })
        .await?;
    let waited = args.patience.or(act == Act::Drain);
    if waited {
        let object = match act {
            Act::Suspend | Act::Drain => idle(&client, &target, act, session).await?,
            Act::Resume => ready(&client, &target, session).await?,
        };
        made.object = object.or(made.object);
    }
    show(&made, &target, act, waited, session)
}

fn show(
    made: &SetAdminStateResponse,
    target: &Target,
    act: Act,
    waited: bool,
    session: &Session,
) -> Outcome {
    let item = Item(made.object.clone().unwrap_or(Object { object: None }));
    let written = made.write.unwrap_or_default().revision;
    let revision = if made.changed { written } else { item.metadata().revision };
    let mut document = to_json("keiko.v1.SetAdminStateResponse", made);
    document["changed"] = json!(made.changed);
    document["revision"] = json!(revision);
    let reference = target.reference();
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{reference}\n"),
        _ => format!("{reference} {} revision {revision}\n", words(act, made.changed, waited)),
    })?;
    Ok(Exit::Done)
}

fn words(act: Act, changed: bool, waited: bool) -> &'static str {
    match (act, changed, waited) {
        (Act::Suspend, true, _) => "suspended at",
        (Act::Suspend, false, _) => "was suspended already, at",
        (Act::Drain, _, true) => "drained: no call is under way, at",
        (Act::Drain, true, false) => "draining at",
        (Act::Drain, false, false) => "was draining already, at",
        (Act::Resume, true, _) => "resumed at",
        (Act::Resume, false, _) => "was in use already, at",
    }
}

/// Waits until no call is under way; gives back how the object is then.
async fn idle(
    client: &Client,
    target: &Target,
    act: Act,
    session: &Session,
) -> Outcome<Option<Object>> {
    let patience = session.timeout(DRAIN);
    let deadline = Instant::now() + patience;
    let reference = target.reference();
    let progress = session.progress(format!("{reference}: waiting for its calls to end"));
    session.detaches();
    let ended = loop {
        let item = get::fetch(client, request(target)).await?;
        let calls = item.live().map_or(0, |live| live.calls_in_flight);
        if calls == 0 {
            break Ok(Some(item.0));
        }
        progress.say(&format!("{reference}: {} under way", several(calls)));
        if Instant::now() + LOOK > deadline {
            break Err(busy(target, act, &item, calls));
        }
        sleep(LOOK).await;
    };
    drop(progress);
    Ok(ended?)
}

fn busy(target: &Target, act: Act, item: &Item, calls: u32) -> Refusal {
    let (reference, word) = (target.reference(), target.kind.word);
    let refusal = Refusal::new(
        Code::WaitTimeout,
        format!("{reference} still works: {} under way", several(calls)),
    )
    .cause(format!("{reference} is {}", state::sentence(item)));
    let name = format!("{} -n {}", target.name, target.namespace);
    let refusal = match act {
        Act::Drain => refusal.hint(format!("keikoctl {word} suspend {name} ends them")),
        Act::Suspend | Act::Resume => refusal,
    };
    refusal.hint(format!("keikoctl {word} resume {name} lets calls in again"))
}

fn several(calls: u32) -> String {
    if calls == 1 { "1 call is".to_owned() } else { format!("{calls} calls are") }
}

async fn ready(client: &Client, target: &Target, session: &Session) -> Outcome<Option<Object>> {
    let patience = session.timeout(wait::USUAL);
    let targets = std::slice::from_ref(target);
    let met = wait::until(client, targets, &What::ready(), patience, session).await?;
    Ok(met.into_iter().next().and_then(|met| met.item).map(|item| item.0))
}

fn request(target: &Target) -> GetRequest {
    GetRequest {
        kind: target.kind.kind.into(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        ..GetRequest::default()
    }
}

async fn preview(
    client: &Client,
    target: &Target,
    by: DryRunBy,
    asked: SetAdminStateRequest,
    session: &Session,
) -> Outcome {
    let before = get::fetch(client, request(target)).await?;
    let act = match asked.state.as_str() {
        "suspended" => Act::Suspend,
        "draining" => Act::Drain,
        _ => Act::Resume,
    };
    let after = match by {
        DryRunBy::Client => Some(with(before.0.clone(), asked.state, asked.reason)),
        DryRunBy::Server => {
            let said = client
                .write(None, asked, |client, request| async move {
                    client.registry().set_admin_state(request).await
                })
                .await?;
            said.object
        }
    };
    let after = after.map(Item);
    let same = after.as_ref().is_some_and(|after| decided(after) == decided(&before));
    let preview = Preview {
        by,
        reference: target.reference(),
        change: if same { "unchanged" } else { act.word() },
        before: Some(before),
        after,
        notes: Vec::new(),
    };
    dry_run::show(&preview, session)
}

/// What an operator decided, and why.
fn decided(item: &Item) -> (String, String) {
    let status = item.status().cloned().unwrap_or_default();
    (status.admin_state, status.admin_reason)
}

fn with(mut object: Object, state: String, reason: String) -> Object {
    let status = match &mut object.object {
        Some(Any::Agent(agent)) => Some(agent.status.get_or_insert_default()),
        Some(Any::McpServer(server)) => Some(server.status.get_or_insert_default()),
        _ => None,
    };
    if let Some(status) = status {
        (status.admin_state, status.admin_reason) = (state, reason);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::time_server;
    use super::*;

    #[test]
    fn another_reason_is_another_decision() {
        let held = |state: &str, reason: &str| {
            Item(with(time_server().0, state.to_owned(), reason.to_owned()))
        };
        let suspended = held("suspended", "repairs");
        for (state, reason, same) in [
            ("suspended", "repairs", true),
            ("suspended", "key leaked", false),
            ("draining", "repairs", false),
            ("", "", false),
        ] {
            let after = held(state, reason);
            assert_eq!(decided(&after) == decided(&suspended), same, "{state} {reason}");
        }
        assert_eq!(decided(&held("", "")), decided(&time_server()));
    }
}
