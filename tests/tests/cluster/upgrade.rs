//! From one feature level to the next, node by node in the order of the plan, while callers work:
//! none of them hears of it. Who comes late with the old release is refused.

use super::{says, status};
use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Identity, Trust};
use keiko_core::refusal::Code;
use keiko_tests::cluster::inside::LEVEL;
use keiko_tests::cluster::name;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::web::Web;
use keiko_tests::{Cluster, Ctl, DEADLINE, declaration, eventually, fake, shared_cluster};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// What one request may take, with all repetitions: two elections and their pauses.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two requests of one caller.
const PAUSE: Duration = Duration::from_millis(10);
/// Callers of each kind.
const CALLERS: usize = 2;
/// Requests of each kind, or it was no load.
const DONE_MIN: u64 = 50;
/// Where the callers write.
const NAMESPACE: &str = "upgrade";
const KINDS: [Kind; 4] = [Kind::Write, Kind::Read, Kind::Find, Kind::Call];

/// What a caller does, again and again.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Write,
    Read,
    Find,
    Call,
}

/// Callers at work, as somebody with a certificate who knows all members.
struct Load {
    shared: Arc<Shared>,
    running: Vec<JoinHandle<()>>,
}

struct Shared {
    server: String,
    stop: AtomicBool,
    done: [AtomicU64; 4],
    /// The last value that was acknowledged, of each writer.
    written: [AtomicU64; CALLERS],
    failed: Mutex<Vec<String>>,
}

impl Load {
    /// They call `echo` of this server.
    async fn start(cluster: &Cluster, server: &str) -> Self {
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            stop: AtomicBool::new(false),
            done: Default::default(),
            written: Default::default(),
            failed: Mutex::default(),
        });
        let token = cluster.token("--for operator --name upgrader");
        let identity: Identity = token.parse().expect("a token");
        let apis: Vec<Endpoint> = cluster.all().map(|number| api(cluster, number)).collect();
        let endpoint = apis[0].clone();
        let settings = keiko_client::Settings {
            endpoint,
            identity,
            trust: None,
            timeout: PATIENCE,
            fence: None,
        };
        let person = keiko_client::enroll(settings).await.expect("a certificate");
        let trust = Trust::from_pem(person.ca_pem.as_bytes()).expect("a certificate");
        let mut running = Vec::new();
        for (at, number) in
            (0..CALLERS).flat_map(|number| (0..KINDS.len()).map(move |at| (at, number)))
        {
            // Each begins at another member.
            let mut members = apis.clone();
            members.rotate_left((at + number) % apis.len());
            let settings = keiko_client::Settings {
                endpoint: Endpoint::any_of(&members).expect("members"),
                identity: person.identity(),
                trust: Some(trust.clone()),
                timeout: PATIENCE,
                fence: None,
            };
            let client = Client::with(settings).await.expect("a member answers");
            client.status().await.expect("it tells its clock");
            running.push(tokio::spawn(work(client, at, number, Arc::clone(&shared))));
        }
        Self { shared, running }
    }

    /// Waits until each kind was done a few times more: something is under way at any moment.
    fn goes_on(&self) {
        let count = || KINDS.map(|kind| self.shared.done[kind as usize].load(Ordering::Relaxed));
        let before = count();
        eventually("the load goes on", || {
            let all = count().iter().zip(before).all(|(now, before)| *now > before + 2);
            expect(all, || format!("{:?} since {before:?}", count()))
        });
    }

    /// Ends it; how much was done, of each kind.
    async fn end(self) -> Arc<Shared> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for caller in self.running {
            let ended = tokio::time::timeout(DEADLINE, caller).await;
            ended.expect("a caller ends").expect("a caller ends");
        }
        self.shared
    }
}

fn api(cluster: &Cluster, number: usize) -> Endpoint {
    let address = cluster.node(number).api();
    Endpoint::Tls { host: address.ip().to_string(), port: address.port() }
}

async fn work(client: Client, at: usize, number: usize, shared: Arc<Shared>) {
    let mut value = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        value += 1;
        let outcome = match KINDS[at] {
            Kind::Write => write(&client, number, value, &shared).await,
            Kind::Read => read(&client, number, &shared).await,
            Kind::Find => find(&client, &shared.server).await,
            Kind::Call => call(&client, &shared.server, value).await,
        };
        match outcome {
            Ok(()) => {
                shared.done[at].fetch_add(1, Ordering::Relaxed);
            }
            Err(why) => {
                let why = format!("{:?} {value} of caller {number}: {why}", KINDS[at]);
                shared.failed.lock().unwrap_or_else(PoisonError::into_inner).push(why);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn told(error: &keiko_client::Error) -> String {
    format!("{error} {:?}", error.refusal.causes)
}

async fn write(client: &Client, number: usize, value: u64, shared: &Shared) -> Result<(), String> {
    let metadata = wire::Metadata {
        name: format!("written-{number}"),
        namespace: NAMESPACE.to_owned(),
        labels: [("value".to_owned(), value.to_string())].into(),
        ..Default::default()
    };
    let message = wire::ApplyRequest { brief: true, ..declaration::apply(metadata) };
    let call = |client: Client, request| async move { client.registry().apply(request).await };
    client.write(None, message, call).await.map_err(|error| told(&error))?;
    shared.written[number].store(value, Ordering::Relaxed);
    Ok(())
}

/// What was acknowledged before is there.
async fn read(client: &Client, number: usize, shared: &Shared) -> Result<(), String> {
    let least = shared.written[number].load(Ordering::Relaxed);
    if least == 0 {
        return Ok(());
    }
    let request = wire::GetRequest {
        kind: wire::Kind::Agent.into(),
        namespace: NAMESPACE.to_owned(),
        name: format!("written-{number}"),
        consistency: wire::Consistency::Linearizable.into(),
        ..Default::default()
    };
    let call = |client: Client, request| async move { client.registry().get(request).await };
    let got = client.read(request, call).await.map_err(|error| told(&error))?;
    let found = got.object.as_ref().and_then(value_of);
    expect(found >= Some(least), || format!("{found:?} was read, {least} was acknowledged"))
}

fn value_of(object: &wire::Object) -> Option<u64> {
    match object.object.as_ref()? {
        wire::object::Object::Agent(agent) => {
            agent.metadata.as_ref()?.labels.get("value")?.parse().ok()
        }
        _ => None,
    }
}

async fn find(client: &Client, server: &str) -> Result<(), String> {
    let capability = format!("{server}.echo");
    let request = wire::FindRequest { capability, one: true, ..Default::default() };
    let call = |client: Client, request| async move { client.registry().find(request).await };
    let found = client.read(request, call).await.map_err(|error| told(&error))?;
    expect(found.items.len() == 1, || format!("{found:?}"))
}

/// The tool says that it only reads: whoever calls it may repeat that.
async fn call(client: &Client, server: &str, value: u64) -> Result<(), String> {
    let text = format!("call-{value}");
    let request = wire::CallToolRequest {
        name: format!("{server}.echo"),
        arguments: serde_json::json!({"text": text}).to_string(),
        ..Default::default()
    };
    let call = |client: Client, request| async move { client.registry().call_tool(request).await };
    let answer = client.read(request, call).await.map_err(|error| told(&error))?;
    expect(format!("{answer:?}").contains(&text), || format!("{answer:?}"))
}

// ---- the upgrade ----

/// From its next start on this node is of a release that understands this level.
fn install(cluster: &mut Cluster, number: usize, level: &str) {
    let env = &mut cluster.node_mut(number).plan.env;
    env.retain(|(variable, _)| variable != LEVEL);
    env.push((LEVEL.to_owned(), level.to_owned()));
}

/// An operator with a context that names all members.
fn operator(cluster: &Cluster) -> Ctl {
    let token = cluster.token(&format!("--for operator --name {}", unique("operator")));
    let members: Vec<String> =
        cluster.all().map(|number| cluster.node(number).api().to_string()).collect();
    let ctl = Ctl::new(None);
    let members = members.join(",");
    ctl.ok(&format!("context add here --endpoint {members} --token {token} --use"));
    ctl
}

/// The plan, once nothing is in the way any more.
fn plan(ctl: &Ctl) -> Value {
    eventually("a plan", || {
        let made = ctl.run("cluster upgrade --plan --level 2 -o json");
        expect(made.status == 0, || made.to_string()).map(|()| made.json())
    })
}

fn names_of(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().into_iter().flatten();
    steps.map(|step| step["node"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Types the lines of one step; what is done on the node's machine is done to its process.
fn follow(cluster: &mut Cluster, ctl: &Ctl, step: &Value) {
    let number = cluster.all().find(|number| step["node"] == name(*number).as_str());
    let number = number.expect("it is one of ours");
    for command in step["commands"].as_array().expect("commands") {
        let line = command["line"].as_str().expect("a line");
        match command["do"].as_str().expect("what it does") {
            "stop" => assert_eq!(cluster.node_mut(number).terminate(), 0),
            "replace" => install(cluster, number, "2"),
            "start" => cluster.restart(number),
            _ => drop(ctl.ok(line.strip_prefix("keikoctl ").expect("a command of keikoctl"))),
        }
    }
}

/// The level that the state needs, as this node has it.
fn level(ctl: &Ctl) -> u64 {
    status(ctl)["featureLevel"].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_levels_side_by_side_and_no_request_fails() {
    let web = Web::start(|asked, _| fake::mcp::http(asked, fake::mcp::Flavour::Plain));
    // Its own: who wrote at the next level can't go back.
    let mut cluster = Cluster::with(3, &[(LEVEL, "1")]);
    cluster.node(0).ctl.ok(&format!("mcp register upgraded {}", web.url()));
    crate::objects::wait_ready(&cluster.node(0).ctl, "upgraded", "True");
    let ctl = operator(&cluster);
    let load = Load::start(&cluster, "upgraded").await;
    load.goes_on();
    ctl.refused("cluster upgrade --level 2", 1, Code::UpgradeRefused);
    for left in [3, 2, 1] {
        let plan = plan(&ctl);
        let names = names_of(&plan);
        assert_eq!(names.len(), left, "{plan}");
        assert_eq!(names.last(), plan["leader"].as_str().map(str::to_owned).as_ref(), "{plan}");
        assert_eq!(plan["level"]["now"], 1, "{plan}");
        assert_eq!(plan["level"]["after"], 2, "{plan}");
        follow(&mut cluster, &ctl, &plan["steps"][0]);
        load.goes_on();
    }
    // Everybody understands it now; the leader sees that by itself.
    let done = ctl.json("cluster upgrade --level 2");
    assert_eq!(done["level"]["now"], 2, "{done}");
    assert_eq!(names_of(&plan(&ctl)), [""; 0]);
    load.goes_on();
    let shared = load.end().await;
    let failed = shared.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    for kind in KINDS {
        let count = shared.done[kind as usize].load(Ordering::Relaxed);
        assert!(count >= DONE_MIN, "{kind:?} was done {count} times");
    }
    for number in cluster.all() {
        let ctl = &cluster.node(number).ctl;
        for (writer, written) in shared.written.iter().enumerate() {
            let line = format!(
                "agent get written-{writer} -n {NAMESPACE} -o jsonpath=.metadata.labels.value"
            );
            let read = ctl.ok(&format!("{line} --consistency linearizable")).stdout;
            assert_eq!(read.trim(), written.load(Ordering::Relaxed).to_string());
        }
        eventually("the level is part of its state", || {
            expect(level(ctl) == 2, || format!("{} is at {}", name(number), level(ctl)))
        });
    }
    late(&mut cluster);
}

/// The old release comes once more: as a newcomer, and on the data of a member.
fn late(cluster: &mut Cluster) {
    let mut newcomer = cluster.newcomer("late");
    newcomer.plan.env.retain(|(variable, _)| variable != LEVEL);
    newcomer.plan.env.push((LEVEL.to_owned(), "1".to_owned()));
    newcomer.launch();
    assert_ne!(newcomer.wait_end(), 0, "{}", newcomer.log());
    says(&newcomer, &[&Code::FeatureLevel.to_string()]);
    let number = cluster.followers()[0];
    assert_eq!(cluster.node_mut(number).terminate(), 0);
    install(cluster, number, "1");
    cluster.launch(number);
    assert_ne!(cluster.node_mut(number).wait_end(), 0);
    says(cluster.node(number), &[&Code::FeatureLevel.to_string()]);
    // Its data is as it was.
    install(cluster, number, "2");
    cluster.restart(number);
    cluster.wait_whole();
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
}

#[test]
fn nothing_is_planned_while_a_node_is_away() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let away = cluster.others(leader)[0];
    let ctl = &cluster.node(leader).ctl;
    let names = eventually("a plan for all of them", || {
        let planned = ctl.run("cluster upgrade --plan -o name");
        expect(planned.status == 0, || planned.to_string()).map(|()| planned.stdout)
    });
    assert_eq!(names.lines().last(), Some(format!("node/{}", name(leader)).as_str()));
    assert_eq!(names.lines().count(), 3, "{names}");
    cluster.kill(away);
    let ctl = &cluster.node(leader).ctl;
    eventually("it is refused", || {
        let planned = ctl.run("cluster upgrade --plan");
        let words = format!("{} is down", name(away));
        let is_told = planned.status == 1 && planned.stderr.contains(&words);
        expect(is_told, || planned.to_string())
    });
    ctl.refused("cluster upgrade --plan", 1, Code::UpgradeRefused);
    cluster.restart(away);
    let ctl = &cluster.node(leader).ctl;
    ctl.ok(&format!("node drain {} --undo --wait", name(away)));
}
