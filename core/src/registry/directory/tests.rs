//! The projection against a brute-force scan, and whom it chooses.

use super::*;
use keiko_proto::v1::{
    Agent, AgentSpec, Health, McpServer, McpServerSpec, Metadata, ObjectStatus, Skill, SkillSpec,
    Tool, ToolSpec,
};
use proptest::prelude::*;

fn metadata(name: &str, label: &str) -> Option<Metadata> {
    let labels = BTreeMap::from([("team".to_owned(), label.to_owned())]);
    Some(Metadata {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: format!("uid of {name}"),
        labels,
        ..Default::default()
    })
}

fn status(state: &str) -> Option<ObjectStatus> {
    let health = Health { state: state.to_owned(), ..Default::default() };
    Some(ObjectStatus { health: Some(health), ..Default::default() })
}

fn object(inner: Inner) -> Object {
    Object { object: Some(inner) }
}

fn server(name: &str, version: &str, state: &str, label: &str) -> Object {
    let spec = McpServerSpec { version: version.to_owned(), ..Default::default() };
    object(Inner::McpServer(McpServer {
        metadata: metadata(name, label),
        spec: Some(spec),
        status: status(state),
        ..Default::default()
    }))
}

fn agent(name: &str, version: &str, state: &str, label: &str) -> Object {
    let spec = AgentSpec {
        version: version.to_owned(),
        url: format!("http://{name}"),
        ..Default::default()
    };
    object(Inner::Agent(Agent {
        metadata: metadata(name, label),
        spec: Some(spec),
        status: status(state),
        ..Default::default()
    }))
}

fn tool(server: &str, name: &str) -> Object {
    let spec = ToolSpec {
        server: server.to_owned(),
        tool_name: name.to_owned(),
        schema_hash: "0f".repeat(32),
        ..Default::default()
    };
    let metadata = metadata(&format!("{server}.{name}"), "");
    object(Inner::Tool(Tool { metadata, spec: Some(spec), ..Default::default() }))
}

fn skill(agent: &str, id: &str, tags: &[&str]) -> Object {
    let spec = SkillSpec {
        agent: agent.to_owned(),
        skill_id: id.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..Default::default()
    };
    let metadata = metadata(&format!("{agent}.{id}"), "");
    object(Inner::Skill(Skill { metadata, spec: Some(spec), ..Default::default() }))
}

fn found(directory: &Directory, capability: &str, selector: &str) -> Vec<String> {
    let (capability, selector) =
        (Capability::parse(capability).unwrap(), Selector::parse(selector).unwrap());
    let query = Query { namespace: "default", capability: &capability, selector: &selector };
    let mut names: Vec<_> = directory
        .find(&query)
        .iter()
        .map(|candidate| format!("{}/{}", candidate.kind(), candidate.name()))
        .collect();
    names.sort();
    names
}

#[test]
fn every_word_leads_to_it() {
    let mut directory = Directory::default();
    // Parts may come before their owner.
    directory.put(&tool("time", "now"));
    directory.put(&skill("poet", "write", &["text", "rhyme", "write"]));
    assert_eq!(found(&directory, "now", ""), [""; 0]);
    directory.put(&server("time", "1.4.0", "ready", "red"));
    directory.put(&agent("poet", "2.0", "ready", "blue"));
    for (capability, selector, expect) in [
        ("now", "", "tool/time.now"),
        ("time.now", "", "tool/time.now"),
        ("now@^1.2", "", "tool/time.now"),
        ("time.now@2", "", ""),
        ("now", "team=red", "tool/time.now"),
        ("now", "team=blue", ""),
        ("write", "", "skill/poet.write"),
        ("rhyme", "", "skill/poet.write"),
        ("poet.write@^2", "", "skill/poet.write"),
        ("poet.rhyme", "", ""),
        ("rhyme", "!zone", "skill/poet.write"),
        ("nothing", "", ""),
    ] {
        let expect: Vec<_> = expect.split_whitespace().collect();
        assert_eq!(found(&directory, capability, selector), expect, "{capability} {selector}");
    }
    assert!(directory.is_offered("default", "rhyme") && !directory.is_offered("other", "rhyme"));
    assert_eq!((directory.len(), directory.parts()), (2, 2));
}

#[test]
fn an_operator_counts_before_health() {
    let with = |state: &str, admin: &str| {
        let mut status = status(state).unwrap();
        admin.clone_into(&mut status.admin_state);
        Standing::of(Some(&status))
    };
    for (state, admin, expect, callable) in [
        ("ready", "", Standing::Ready, true),
        ("degraded", "", Standing::Degraded, true),
        ("cooling-down", "", Standing::CoolingDown, false),
        ("recovering", "", Standing::Recovering, false),
        ("dead", "", Standing::Dead, false),
        ("", "", Standing::Recovering, false),
        ("ready", "draining", Standing::Draining, false),
        ("ready", "suspended", Standing::Suspended, false),
        ("ready", "of-a-later-release", Standing::Suspended, false),
    ] {
        assert_eq!(with(state, admin), expect, "{state} {admin}");
        assert_eq!(expect.is_callable(), callable, "{state} {admin}");
    }
    assert_eq!(Standing::of(None), Standing::Recovering);
}

#[test]
fn the_less_loaded_of_two_is_chosen_among_the_best() {
    let mut directory = Directory::default();
    for (name, state) in
        [("a", "ready"), ("b", "ready"), ("c", "ready"), ("d", "degraded"), ("e", "dead")]
    {
        directory.put(&server(name, "1", state, ""));
        directory.put(&tool(name, "now"));
    }
    let counts = |directory: &Directory, load: &dyn Fn(&str) -> u64| {
        let capability = Capability::parse("now").unwrap();
        let selector = Selector::default();
        let query = Query { namespace: "default", capability: &capability, selector: &selector };
        let candidates = directory.find(&query);
        let mut counts = BTreeMap::<String, u32>::new();
        for round in 0..6000_u64 {
            let dice = u64::from_le_bytes(
                blake3::hash(&round.to_le_bytes()).as_bytes()[..8].try_into().unwrap(),
            );
            let at = choose(&candidates, dice, |one| load(one.owner_name)).unwrap();
            *counts.entry(candidates[at].owner_name.to_owned()).or_default() += 1;
        }
        counts
    };
    let even = counts(&directory, &|_| 0);
    assert_eq!(even.keys().collect::<Vec<_>>(), ["a", "b", "c"], "{even:?}");
    assert!(even.values().all(|count| (1800..2200).contains(count)), "{even:?}");
    // The most loaded one is never chosen, the least loaded one in two thirds of the pairs.
    let uneven = counts(&directory, &|name| u64::from(name.as_bytes()[0]));
    assert!(!uneven.contains_key("c") && (3800..4200).contains(&uneven["a"]), "{uneven:?}");
    for name in ["a", "b", "c"] {
        directory.put(&server(name, "1", "cooling-down", ""));
    }
    assert_eq!(counts(&directory, &|_| 0).keys().collect::<Vec<_>>(), ["d"]);
    directory.remove(&server("d", "1", "degraded", ""));
    let capability = Capability::parse("now").unwrap();
    let query =
        Query { namespace: "default", capability: &capability, selector: &Selector::default() };
    assert_eq!(choose(&directory.find(&query), 7, |_| 0), None);
}

#[test]
fn ten_thousand_agents_take_little_memory() {
    let mut directory = Directory::default();
    for number in 0..10_000 {
        let name = format!("agent-of-the-fleet-{number:05}");
        directory.put(&agent(&name, "1.0.3", "ready", "red"));
        directory.put(&skill(&name, "summarize", &["text", "english"]));
        directory.put(&skill(&name, &format!("special-{number}"), &["text"]));
    }
    let each = directory.memory() / directory.len();
    assert!((200..1024).contains(&each), "{each} bytes each");
}

/// What random operations work on.
fn any_object() -> impl Strategy<Value = Object> {
    let owners = prop::sample::select(vec!["a", "b", "c"]);
    let names = prop::sample::select(vec!["x", "y", "z", "x.y"]);
    let versions = prop::sample::select(vec!["1.0.0", "1.5", "2", "odd"]);
    let labels = prop::sample::select(vec!["red", "blue"]);
    let tags = prop::collection::vec(prop::sample::select(vec!["x", "y", "t", "t u"]), 0..3);
    (0..4, owners, names, versions, labels, tags).prop_map(
        |(kind, owner, name, version, label, tags)| match kind {
            0 => agent(owner, version, "ready", label),
            1 => server(owner, version, "ready", label),
            2 => tool(owner, name),
            _ => skill(owner, name, &tags),
        },
    )
}

/// The rows of the tables, as the law would hold them.
type Rows = BTreeMap<(Kind, String), Object>;

fn row(object: &Object) -> (Kind, String) {
    let kind = match object.object {
        Some(Inner::Agent(_)) | None => Kind::Agent,
        Some(Inner::McpServer(_)) => Kind::McpServer,
        Some(Inner::Tool(_)) => Kind::Tool,
        Some(Inner::Skill(_)) => Kind::Skill,
    };
    (kind, crate::registry::metadata(object).unwrap().name.clone())
}

/// The same as [`Directory::find`], by looking at every row.
fn scan(rows: &Rows, capability: &str, team: Option<&str>) -> Vec<String> {
    let capability = Capability::parse(capability).unwrap();
    let owner_of = |kind, name: &str| {
        let object = rows.get(&(kind, name.to_owned()))?;
        let labels = &crate::registry::metadata(object)?.labels;
        let version = match &object.object {
            Some(Inner::Agent(agent)) => agent.spec.as_ref()?.version.clone(),
            Some(Inner::McpServer(server)) => server.spec.as_ref()?.version.clone(),
            _ => return None,
        };
        Some((version, labels["team"].clone()))
    };
    let mut matches = Vec::new();
    for ((kind, full), object) in rows {
        let (owner, words) = match &object.object {
            Some(Inner::Tool(tool)) => {
                let spec = tool.spec.as_ref().unwrap();
                (owner_of(Kind::McpServer, &spec.server), vec![spec.tool_name.clone()])
            }
            Some(Inner::Skill(skill)) => {
                let spec = skill.spec.as_ref().unwrap();
                let mut words = spec.tags.clone();
                words.push(spec.skill_id.clone());
                (owner_of(Kind::Agent, &spec.agent), words)
            }
            _ => continue,
        };
        let Some(owner) = owner else { continue };
        let is_full = full == capability.name();
        if is_full || words.iter().any(|word| word == capability.name()) {
            matches.push((is_full, owner, format!("{kind}/{full}")));
        }
    }
    let any_full = matches.iter().any(|(is_full, ..)| *is_full);
    let mut names: Vec<_> = matches
        .into_iter()
        .filter(|(is_full, ..)| *is_full == any_full)
        .filter(|(_, (version, label), _)| {
            capability.accepts(version) && team.is_none_or(|team| team == label)
        })
        .map(|(.., name)| name)
        .collect();
    names.sort();
    names
}

proptest! {
    #[test]
    fn it_finds_what_a_scan_finds(
        steps in prop::collection::vec((prop::bool::weighted(0.6), any_object()), 0..60),
    ) {
        let (mut directory, mut rows) = (Directory::default(), Rows::new());
        for (put, object) in &steps {
            if *put {
                directory.put(object);
                rows.insert(row(object), object.clone());
            } else if let Some(known) = rows.remove(&row(object)) {
                directory.remove(&known);
            } else {
                directory.remove(object);
            }
        }
        for capability in ["x", "y", "t", "t u", "x.y", "a.x", "b.y", "a.x.y", "x@^1", "x@odd"] {
            prop_assert_eq!(found(&directory, capability, ""), scan(&rows, capability, None));
            let red = scan(&rows, capability, Some("red"));
            prop_assert_eq!(found(&directory, capability, "team=red"), red);
        }
        let owners = rows.keys().filter(|(kind, _)| matches!(kind, Kind::Agent | Kind::McpServer));
        prop_assert_eq!(directory.len(), owners.count());
        // Nothing is left of what is gone.
        for object in rows.values() {
            directory.remove(object);
        }
        prop_assert_eq!((directory.len(), directory.parts()), (0, 0));
        prop_assert!(directory.namespaces.is_empty());
        prop_assert!(directory.entries.iter().all(Option::is_none));
        // The empty text may stay.
        prop_assert!(directory.words.len() <= 1, "{:?}", directory.words);
    }
}
