//! Killed with SIGKILL under load: nothing that was acknowledged is lost, and whoever asks again
//! gets the same answer.
//!
//! Writers over the unix socket send three kinds of writes, each with a request id, and note what
//! was acknowledged. The daemon is killed in the middle. After its restart the journal must hold
//! each acknowledged request at its revision; what was in flight is sent again under its old id,
//! and so are some that were acknowledged.

use keiko_client::Client;
use keiko_client::proto::v1 as wire;
use keiko_tests::journal::{connect, journal};
use keiko_tests::report::Dice;
use keiko_tests::{DEADLINE, Node, Plan, fake, full, heavy_time, measure, seed};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

const KILLS_CI: u32 = 15;
const KILLS_FULL: u32 = 200;
const WRITERS: u64 = 12;
/// Agents that one writer renews in turn.
const AGENTS: u64 = 4;
/// What one write may take; the client gives up on a daemon that was killed.
const PATIENCE: Duration = Duration::from_millis(1000);
/// However slow the machine is.
const TIME_MAX: Duration = Duration::from_secs(300);
const TIME_MAX_FULL: Duration = Duration::from_secs(3600);

/// A write that can be sent again.
#[derive(Clone, Debug)]
enum Write {
    Token { name: String },
    Revoke { id: String },
    Agent { name: String, url: String, step: u64 },
}

/// What was acknowledged.
#[derive(Clone, Debug, PartialEq)]
struct Acknowledged {
    revision: u64,
    /// What else the reply said.
    what: String,
}

/// What a writer knows.
#[derive(Default)]
struct Notes {
    acknowledged: Vec<(Uuid, Write, Acknowledged)>,
    in_flight: Vec<(Uuid, Write)>,
    tokens: Vec<String>,
}

async fn send(client: &Client, id: Uuid, write: &Write) -> keiko_client::Result<Acknowledged> {
    let revision = |write: Option<wire::WriteInfo>| write.unwrap_or_default().revision;
    match write.clone() {
        Write::Token { name } => {
            let message = wire::CreateAgentTokenRequest { name, ..Default::default() };
            let call = |client: Client, request| async move {
                client.security().create_agent_token(request).await
            };
            let made = client.write(Some(id), message, call).await?;
            Ok(Acknowledged { revision: revision(made.write), what: made.id })
        }
        Write::Revoke { id: token } => {
            let message = wire::RevokeTokenRequest { id: token, ..Default::default() };
            let call = |client: Client, request| async move {
                client.security().revoke_token(request).await
            };
            let revoked = client.write(Some(id), message, call).await?;
            Ok(Acknowledged { revision: revision(revoked.write), what: String::new() })
        }
        Write::Agent { name, url, step } => {
            let labels = BTreeMap::from([("step".to_owned(), step.to_string())]);
            let message = wire::RegisterAgentRequest { name, url, labels, ..Default::default() };
            let call = |client: Client, request| async move {
                client.registry().register_agent(request).await
            };
            let made = client.write(Some(id), message, call).await?;
            let what = format!("{:?}", made.object);
            Ok(Acknowledged { revision: revision(made.write), what })
        }
    }
}

/// Writes until the daemon is gone.
async fn writer(
    client: Client,
    mut dice: Dice,
    me: u64,
    url: String,
    stop: Arc<AtomicBool>,
) -> Notes {
    let mut notes = Notes::default();
    // Short: what breaks off is sent again after the restart, under the same id.
    let client = client.within(PATIENCE);
    while !stop.load(Ordering::Relaxed) {
        let write = match (dice.below(4), notes.tokens.pop()) {
            (0 | 1, Some(id)) => Write::Revoke { id },
            (2, token) => {
                notes.tokens.extend(token);
                let (name, step) = (format!("w{me}-{}", dice.below(AGENTS)), dice.below(1 << 20));
                Write::Agent { name, url: url.clone(), step }
            }
            (_, token) => {
                notes.tokens.extend(token);
                Write::Token { name: format!("w{me}") }
            }
        };
        let id = client.request_id();
        notes.in_flight.push((id, write.clone()));
        match send(&client, id, &write).await {
            Ok(reply) => {
                notes.in_flight.pop();
                if matches!(write, Write::Token { .. }) {
                    notes.tokens.push(reply.what.clone());
                }
                notes.acknowledged.push((id, write, reply));
            }
            // The kill; the id stays in flight.
            Err(_) => return notes,
        }
    }
    notes
}

/// After the restart: nothing lost, and the same answers.
async fn check(client: &Client, notes: &mut [Notes], from: u64, dice: &mut Dice) {
    let events = journal(client, from).await;
    for (id, write, reply) in notes.iter().flat_map(|notes| &notes.acknowledged) {
        if reply.revision < from {
            continue;
        }
        let found = events.get(&id.to_string());
        // A renewal that changed nothing makes no event.
        if found.is_none() && matches!(write, Write::Agent { .. }) {
            continue;
        }
        assert_eq!(found, Some(&reply.revision), "LOST: {id} {write:?} {reply:?}");
    }
    for notes in notes {
        for (id, write) in std::mem::take(&mut notes.in_flight) {
            let first = send(client, id, &write).await;
            let again = send(client, id, &write).await;
            match (first, again) {
                (Ok(first), Ok(again)) => {
                    assert_eq!(first, again, "two answers to {id} {write:?}");
                    if matches!(write, Write::Token { .. }) {
                        panic!("a token's text was shown twice: {id}");
                    }
                    if let Some(revision) = events.get(&id.to_string()) {
                        assert_eq!(first.revision, *revision, "{id} {write:?}");
                    }
                    notes.acknowledged.push((id, write, first));
                }
                // Made just now, or in flight before: told which, and never made twice.
                (Ok(made), Err(error)) if matches!(write, Write::Token { .. }) => {
                    assert_eq!(error.refusal.code, 32, "{error:?}");
                    assert!(error.refusal.message.contains(&made.what), "{error:?} {made:?}");
                    notes.tokens.push(made.what.clone());
                    notes.acknowledged.push((id, write, made));
                }
                (Err(first), Err(again)) => {
                    assert_eq!(first.refusal, again.refusal, "two answers to {id} {write:?}");
                    let fits = [30, 32].contains(&first.refusal.code);
                    assert!(fits, "{id} {write:?}: {first:?}");
                }
                (first, again) => panic!("{id} {write:?}: {first:?}, then {again:?}"),
            }
        }
        for _ in 0..3.min(notes.acknowledged.len()) {
            let pick = dice.below(notes.acknowledged.len() as u64) as usize;
            let (id, write, reply) = &notes.acknowledged[pick];
            match send(client, *id, write).await {
                Ok(again) => assert_eq!(again, *reply, "another answer to {id} {write:?}"),
                Err(error) => {
                    assert_eq!(error.refusal.code, 32, "{id} {write:?}: {error:?}");
                    assert!(error.refusal.message.contains(&reply.what), "{error:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost() {
    let mut dice = seed("durability::no_acknowledged_write_is_lost");
    let (kills_min, time_max) =
        if full() { (KILLS_FULL, TIME_MAX_FULL) } else { (KILLS_CI, TIME_MAX) };
    let agent = fake::agent::start("durable");
    let mut node = Node::start(Plan::default());
    let (start, mut kills) = (Instant::now(), 0);
    let mut all = BTreeMap::new();
    let mut notes: Vec<Notes> = (0..WRITERS).map(|_| Notes::default()).collect();
    while kills < kills_min || (!full() && start.elapsed() < heavy_time() / 2) {
        assert!(start.elapsed() < time_max, "only {kills} kills in {time_max:?}");
        let client = connect(&node).await;
        let from = client.status().await.expect("it answers").revision;
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        for me in 0..WRITERS {
            let (dice, url) = (Dice(dice.below(u64::MAX)), agent.url());
            running.push(tokio::spawn(writer(client.clone(), dice, me, url, Arc::clone(&stop))));
        }
        tokio::time::sleep(Duration::from_millis(200 + dice.below(700))).await;
        node.kill_9();
        stop.store(true, Ordering::Relaxed);
        kills += 1;
        for (notes, running) in notes.iter_mut().zip(running) {
            let new =
                tokio::time::timeout(DEADLINE, running).await.expect("it ends").expect("it ends");
            notes.acknowledged = new.acknowledged;
            notes.in_flight = new.in_flight;
            notes.tokens = new.tokens;
        }
        node.restart();
        let client = connect(&node).await;
        check(&client, &mut notes, from, &mut dice).await;
        for notes in &mut notes {
            let surely = notes
                .acknowledged
                .iter()
                .filter(|(_, write, _)| !matches!(write, Write::Agent { .. }));
            all.extend(surely.map(|(id, _, reply)| (id.to_string(), reply.revision)));
            // Tokens are few: what is left of this round goes.
            for token in notes.tokens.drain(..) {
                let _gone = send(&client, client.request_id(), &Write::Revoke { id: token }).await;
            }
        }
    }
    // Once more over the whole past: no later crash may have taken what an earlier one left.
    let events = journal(&connect(&node).await, 0).await;
    for (id, revision) in &all {
        assert_eq!(events.get(id), Some(revision), "LOST: {id}");
    }
    let writes = all.len();
    measure("kill -9 under load, nothing lost", f64::from(kills), f64::from(kills_min), "kills");
    measure("acknowledged writes under these kills", writes as f64, 0.0, "writes");
    assert!(writes > kills as usize * 10, "too little load to mean anything: {writes} writes");
    assert_eq!(node.terminate(), 0);
    let verify = ["verify", "--data-dir", &node.data().display().to_string()].map(str::to_owned);
    node.run(&verify).ok();
}

/// A harness that finds nothing proves nothing: a write that never was must be missed.
#[tokio::test]
async fn the_check_notices_a_lost_write() {
    let node = Node::start(Plan::default());
    let client = connect(&node).await;
    let write = Write::Token { name: "kept".to_owned() };
    let id = client.request_id();
    let reply = send(&client, id, &write).await.expect("it is made");
    let found = async |id: Uuid, revision: u64| {
        let reply = Acknowledged { revision, ..reply.clone() };
        let mut notes =
            [Notes { acknowledged: vec![(id, write.clone(), reply)], ..Notes::default() }];
        let client = client.clone();
        let check = tokio::spawn(async move { check(&client, &mut notes, 0, &mut Dice(1)).await });
        check.await.is_ok()
    };
    assert!(found(id, reply.revision).await, "what is there is found");
    assert!(!found(client.request_id(), reply.revision).await, "another id is missed");
    assert!(!found(id, reply.revision + 1).await, "another revision is missed");
}
