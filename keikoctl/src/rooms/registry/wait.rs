//! `wait`: until a condition holds, an object is gone, or a path has a value.
//!
//! It follows the watch: the present comes first, so what is already so ends it at once. Whether
//! dependencies are ready is derived at reading and in no watch: that alone is read again and again.
//! What is only known live (calls, leases, probe times) can't be waited for.

mod what;

pub(crate) use what::What;

use super::flags::WaitArgs;
use super::object::{Item, KindWord};
use super::{get, state};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::time::short;
use crate::print::{Format, FormatKind, Shown};
use crate::session::Session;
use futures::future::try_join_all;
use keiko_client::Client;
use keiko_client::proto::v1::watch_response::Type;
use keiko_client::proto::v1::{GetRequest, WatchRequest};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long, if nobody says.
pub(crate) const USUAL: Duration = Duration::from_secs(30);
/// Between two readings of what no watch tells.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// One watch each.
const NAMES_MAX: usize = 100;
/// Causes of one refusal: whoever waits for more looks at the list.
const CAUSES_MAX: usize = 8;

/// Runs `wait`; without a kind every name says its own.
pub(crate) async fn run(kind: Option<KindWord>, args: &WaitArgs, session: &Session) -> Outcome {
    let what = What::parse(&args.what)?;
    let targets = targets(kind, &args.names, &args.namespace.one())?;
    let patience = session.timeout(USUAL);
    let client = session.client(USUAL).await?;
    let met = until(&client, &targets, &what, patience, session).await?;
    let printer = &session.printer;
    printer.document(&document(&met), |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => {
            met.iter().map(|met| format!("{}\n", met.target.reference())).collect()
        }
        _ => met.iter().map(|met| format!("{} {what}\n", met.target.reference())).collect(),
    })?;
    Ok(Exit::Done)
}

/// One object that is waited for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub kind: KindWord,
    pub namespace: String,
    pub name: String,
}

impl Target {
    /// `kind/name`.
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}", self.kind.word, self.name)
    }

    fn missing(&self) -> Refusal {
        let Self { kind: KindWord { word, .. }, namespace, name } = self;
        Refusal::new(Code::NotFound, format!("no {word} {name:?} in namespace {namespace}"))
            .hint(format!("keikoctl {word} list -A"))
    }
}

/// It is so.
#[derive(Debug)]
pub(crate) struct Met {
    pub target: Target,
    /// None: it is gone.
    pub item: Option<Item>,
    pub revision: u64,
}

/// Waits for all of them; refuses when one does not exist or the time is over.
pub(crate) async fn until(
    client: &Client,
    targets: &[Target],
    what: &What,
    patience: Duration,
    session: &Session,
) -> Outcome<Vec<Met>> {
    let deadline = Instant::now() + patience;
    let names: Vec<String> = targets.iter().map(Target::reference).collect();
    session.detaches();
    let progress = session.progress(format!("waiting for {}", names.join(", ")));
    let ended = try_join_all(targets.iter().map(|one| follow(client, one, what, deadline))).await;
    drop(progress);
    let (mut met, mut late) = (Vec::new(), Vec::new());
    for ended in ended? {
        match ended {
            Ended::Met(one) => met.push(one),
            Ended::Late(target, item) => late.push((target, item)),
        }
    }
    if late.is_empty() { Ok(met) } else { Err(too_late(&late, what, patience).into()) }
}

enum Ended {
    Met(Met),
    /// With what it was last.
    Late(Target, Option<Item>),
}

async fn follow(
    client: &Client,
    target: &Target,
    what: &What,
    deadline: Instant,
) -> Outcome<Ended> {
    if what.is_derived() {
        return read_again(client, target, what, deadline).await;
    }
    let request = WatchRequest {
        kind: target.kind.kind.into(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        ..WatchRequest::default()
    };
    let mut last: Option<Item> = None;
    let Ok(opened) = timeout_at(deadline, client.watch(request)).await else {
        return Ok(Ended::Late(target.clone(), last));
    };
    let mut watch = opened?;
    loop {
        let Ok(next) = timeout_at(deadline, watch.next()).await else {
            return Ok(Ended::Late(target.clone(), last));
        };
        let change = next?;
        let (kind, revision) = (change.r#type(), change.revision);
        let met = |item| Ok(Ended::Met(Met { target: target.clone(), item, revision }));
        match kind {
            Type::Resync => last = None,
            Type::Added | Type::Modified | Type::Unspecified => {
                last = change.object.map(Item);
                if last.as_ref().is_some_and(|item| what.holds(item)) {
                    return met(last);
                }
            }
            // Before the bookmark the present is not there in full.
            Type::Bookmark if last.is_some() => {}
            Type::Bookmark | Type::Deleted if *what == What::Gone => return met(None),
            Type::Bookmark => return Err(target.missing().into()),
            Type::Deleted => return Err(target.missing().cause("it was just deleted").into()),
        }
    }
}

async fn read_again(
    client: &Client,
    target: &Target,
    what: &What,
    deadline: Instant,
) -> Outcome<Ended> {
    let mut last = None;
    loop {
        let request = GetRequest {
            kind: target.kind.kind.into(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            ..GetRequest::default()
        };
        let Ok(read) = timeout_at(deadline, get::fetch(client, request)).await else {
            return Ok(Ended::Late(target.clone(), last));
        };
        let item = read?;
        if what.holds(&item) {
            let revision = item.metadata().revision;
            return Ok(Ended::Met(Met { target: target.clone(), item: Some(item), revision }));
        }
        last = Some(item);
        if timeout_at(deadline, sleep(READ_AGAIN)).await.is_err() {
            return Ok(Ended::Late(target.clone(), last));
        }
    }
}

fn too_late(late: &[(Target, Option<Item>)], what: &What, patience: Duration) -> Refusal {
    let after = short(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
    let message = match late {
        [(target, _)] => format!("{} {} within {after}", target.reference(), what.not_yet()),
        several => format!("{} of them {} within {after}", several.len(), what.not_yet()),
    };
    let mut refusal = Refusal::new(Code::WaitTimeout, message);
    for (target, item) in late.iter().take(CAUSES_MAX) {
        let last = item.as_ref().map_or_else(|| "unknown".to_owned(), state::sentence);
        refusal = refusal.cause(format!("{} is {last}", target.reference()));
    }
    if let Some((target, _)) = late.first() {
        refusal = refusal.hint(format!(
            "keikoctl {} describe {} -n {}",
            target.kind.word, target.name, target.namespace
        ));
    }
    refusal.hint("--timeout 5m waits longer")
}

fn document(met: &[Met]) -> Value {
    let items = met.iter().map(|met| {
        let Target { kind, namespace, name } = &met.target;
        let mut item = json!({"kind": kind.word, "namespace": namespace, "name": name});
        if let Some(found) = &met.item {
            item["object"] = found.json();
        }
        item
    });
    let revision = met.iter().map(|met| met.revision).max().unwrap_or(0);
    json!({"items": items.collect::<Vec<_>>(), "revision": revision})
}

/// Reads `KIND/NAME…`, or `KIND NAME…`, or with a kind `NAME…`.
fn targets(kind: Option<KindWord>, words: &[String], namespace: &str) -> Result<Vec<Target>> {
    let target = |kind: KindWord, word: &str| {
        let (namespace, name) = (namespace.to_owned(), kind.name(word)?);
        Ok(Target { kind, namespace, name })
    };
    let first = words.first().map(String::as_str).unwrap_or_default();
    let mut targets: Vec<Target> = match (kind, KindWord::read(first), first.contains('/')) {
        (Some(kind), _, _) => words.iter().map(|word| target(kind, word)).collect::<Result<_>>()?,
        (None, Some(kind), _) if words.len() > 1 => {
            words[1..].iter().map(|word| target(kind, word)).collect::<Result<_>>()?
        }
        (None, _, true) => words
            .iter()
            .map(|word| {
                let kind = word.split_once('/').and_then(|(kind, _)| KindWord::read(kind));
                target(kind.ok_or_else(|| unnamed(word))?, word)
            })
            .collect::<Result<_>>()?,
        _ => return Err(unnamed(first)),
    };
    targets.dedup();
    if targets.len() > NAMES_MAX {
        return Err(Refusal::new(Code::LimitExceeded, format!("more than {NAMES_MAX} names")));
    }
    Ok(targets)
}

fn unnamed(word: &str) -> Refusal {
    usage(format!("{word:?} is not KIND/NAME"))
        .cause("the kinds are agent, mcp, tool and skill")
        .hint("as in: keikoctl wait mcp/time agent/hello")
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::time_server;
    use super::*;

    #[test]
    fn names_in_three_forms() {
        let mcp = Some(KindWord::read("mcp").unwrap());
        for (kind, words, expect) in [
            (None, "mcp/time agent/hello", Some("mcp/time agent/hello")),
            (None, "mcp time search", Some("mcp/time mcp/search")),
            (mcp, "time mcp/search", Some("mcp/time mcp/search")),
            (mcp, "mcp", Some("mcp/mcp")),
            (mcp, "agent/hello", None),
            (None, "mcp", None),
            (None, "time", None),
            (None, "node/n1", None),
            (None, "mcp/time search", None),
        ] {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let read = targets(kind, &words, "default").ok();
            let read = read.map(|all| all.iter().map(Target::reference).collect::<Vec<_>>());
            assert_eq!(read.map(|all| all.join(" ")).as_deref(), expect, "{words:?}");
        }
    }

    #[test]
    fn a_timeout_shows_the_last_state() {
        let target = targets(None, &["mcp/time".to_owned()], "default").unwrap().remove(0);
        let late = [(target, Some(time_server()))];
        let refusal = too_late(&late, &What::Gone, Duration::from_secs(30));
        assert_eq!(refusal.message, "mcp/time did not go within 30s");
        assert_eq!(refusal.causes, ["mcp/time is ready"]);
        assert_eq!(refusal.hints[0], "keikoctl mcp describe time -n default");
    }
}
