//! Soft state: leases, pressure, latency, suspension, other nodes.

use super::super::super::PeerCallError;
use super::outbox::BEATS_HELD_MAX;
use super::row::{Beat, Latency};
use super::*;
use crate::net::Identity;
use keiko_core::registry::Kind;
use std::sync::atomic::{AtomicBool, Ordering};

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(Kind::Agent, "", name).unwrap()
}

fn met(ttl_ms: u64, grace_ms: u64) -> Met {
    let lease = Some(Lease { ttl_ms, grace_ms });
    Met { uid: "one".into(), generation: 7, lease, suspended: false, home: Home::Everywhere }
}

fn load(queue_length: u32, in_flight: u32, concurrency: u32, context_used: u64) -> Option<Load> {
    let context_limit = 1000;
    Some(Load {
        queue_length,
        in_flight,
        concurrency,
        context_used,
        context_limit,
        ..Default::default()
    })
}

fn beat(at: Instant, readiness: Readiness, reason: &str, load: Option<Load>) -> Beat {
    Beat { at, readiness, reason: reason.into(), load }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_lease_lives_by_its_heartbeats() {
    let (begun, mut state) = (Instant::now(), State::default());
    let lease = met(10_000, 5_000);
    assert_eq!(state.meet(begun, &lease, false), Some(begun + seconds(10)));
    let later = begun + seconds(9);
    assert_eq!(state.block(later), None);
    assert_eq!(state.beat(beat(later, Readiness::Ready, "", None)), (10_000, None));
    assert_eq!(state.block(begun + seconds(18)), None);
    let ended = begun + seconds(19);
    assert_eq!(state.block(ended), Some(Block::LeaseEnded));
    assert_eq!(state.pulse().lease, Some((ended, ended + seconds(5))));
    state.beat(beat(ended, Readiness::NotReady, "no model", None));
    assert_eq!(state.block(ended), Some(Block::NotReady("no model".into())));
    state.beat(beat(ended, Readiness::Draining, "", None));
    assert_eq!(state.block(ended), Some(Block::Draining));
}

#[test]
fn what_was_there_before_has_its_grace_on_top() {
    let (begun, mut state) = (Instant::now(), State::default());
    let lease = met(10_000, 5_000);
    assert_eq!(state.meet(begun, &lease, true), Some(begun + seconds(15)));
    assert_eq!(state.block(begun + seconds(14)), None);
    // Meeting it again changes nothing; registering it again is as good as a heartbeat.
    assert_eq!(state.meet(begun + seconds(14), &lease, true), None);
    assert_eq!(state.block(begun + seconds(15)), Some(Block::LeaseEnded));
    state.meet(begun + seconds(20), &Met { generation: 8, ..lease.clone() }, false);
    assert_eq!(state.block(begun + seconds(29)), None);
    assert_eq!(state.block(begun + seconds(30)), Some(Block::LeaseEnded));
    // A new leader knows of no heartbeats.
    state.grant_again(begun + seconds(100));
    assert_eq!(state.block(begun + seconds(114)), None);
    // Another life has a lease of its own.
    let other = Met { uid: "two".into(), ..lease };
    assert_eq!(state.meet(begun + seconds(200), &other, false), Some(begun + seconds(210)));
    state.meet(begun + seconds(300), &Met { lease: None, ..other }, false);
    assert_eq!(state.block(begun + seconds(999)), None);
}

#[test]
fn a_shorter_lease_holds_at_once() {
    let (begun, mut state) = (Instant::now(), State::default());
    let declared = |ttl_ms, generation| Met { generation, ..met(ttl_ms, 5_000) };
    state.meet(begun, &declared(60_000, 7), false);
    let (at, until) = (begun + seconds(1), begun + seconds(11));
    assert_eq!(state.meet(at, &declared(10_000, 8), false), Some(until));
    assert_eq!(state.block(begun + seconds(10)), None);
    assert_eq!(state.block(until), Some(Block::LeaseEnded));
    // A longer one holds from its declaration on, and the look that is planned will do.
    assert_eq!(state.meet(begun + seconds(2), &declared(60_000, 9), false), None);
    let ended = begun + seconds(62);
    assert_eq!(state.block(begun + seconds(61)), None);
    assert_eq!(state.block(ended), Some(Block::LeaseEnded));
    // Who comes back within the grace is looked at when the lease ends again, not at its removal.
    let until = ended + seconds(60);
    assert_eq!(state.beat(beat(ended, Readiness::Ready, "", None)), (60_000, Some(until)));
    assert_eq!(state.meet(until, &declared(60_000, 10), false), Some(until + seconds(60)));
}

#[test]
fn leases_are_looked_at_when_they_end() {
    let (soft, one, other) = (Soft::default(), key("one"), key("other"));
    soft.meet(&one, &met(10_000, 0), false);
    soft.meet(&other, &met(20_000, 0), false);
    let now = Instant::now();
    let due = |after: u64, limit: usize| {
        let keys = soft.take_due(now + seconds(after), limit);
        keys.into_iter().map(|key| key.name).collect::<Vec<_>>()
    };
    assert_eq!(due(0, 10), [""; 0]);
    assert_eq!(due(15, 10), ["one"]);
    assert_eq!(due(15, 10), [""; 0]);
    soft.plan(now + seconds(16), one.clone());
    assert_eq!(due(30, 1), ["one"]);
    assert_eq!(due(30, 1), ["other"]);
    // Each has one place, the earliest that was planned; who is gone has none.
    for after in [40, 35, 50] {
        soft.plan(now + seconds(after), one.clone());
    }
    soft.plan(now + seconds(35), other.clone());
    soft.forget(&other);
    assert_eq!(due(34, 10), [""; 0]);
    assert_eq!(due(60, 10), ["one"]);
    assert_eq!(due(60, 10), [""; 0]);
    // Whoever is marked twice is looked at once.
    for _ in 0..2 {
        soft.mark(one.clone());
    }
    assert_eq!(soft.take_marked(10), [one]);
    assert!(soft.take_marked(10).is_empty());
}

#[test]
fn pressure_is_what_is_scarcest() {
    for (load, calls, expect) in [
        (None, 0, 0),
        (None, 2, 2000),
        (load(1, 3, 4, 0), 0, 1000),
        (load(0, 1, 4, 0), 2, 500),
        (load(0, 1, 4, 900), 2, 900),
        (load(0, 0, 0, 5000), 0, 1000),
        (load(u32::MAX, u32::MAX, 1, 0), 0, 2 * u64::from(u32::MAX) * 1000),
    ] {
        let (now, mut state) = (Instant::now(), State::default());
        state.in_flight = calls;
        state.beat(beat(now, Readiness::Ready, "", load));
        assert_eq!(state.pressure(now), expect, "{load:?} {calls}");
        // What it said is not believed for ever.
        state.in_flight = 0;
        assert_eq!(state.pressure(now + seconds(61)), 0, "{load:?}");
    }
}

#[test]
fn a_slow_call_is_believed_at_once_and_forgotten_slowly() {
    let (begun, ms) = (Instant::now(), Duration::from_millis);
    let mut latency = Latency::default();
    latency.observe(begun, ms(10));
    assert_eq!(latency.micros(), 10_000);
    latency.observe(begun + ms(10), ms(1000));
    assert_eq!(latency.micros(), 1_000_000);
    latency.observe(begun + ms(10_010), ms(0));
    assert_eq!(latency.micros(), 500_000);
    latency.observe(begun + ms(1_000_000), ms(7));
    assert_eq!(latency.micros(), 7_000);

    let (mut slow, mut fast) = (State::default(), State::default());
    slow.latency.observe(begun, ms(500));
    fast.latency.observe(begun, ms(2));
    assert!(slow.cost(begun) > 5 * fast.cost(begun));
    // Who is not called for long is tried again.
    assert_eq!(slow.cost(begun + seconds(600)), fast.cost(begun + seconds(600)));
}

#[test]
fn calls_are_counted_while_they_run() {
    let (soft, poet) = (Soft::default(), key("poet"));
    let (one, other) = (soft.begin(&poet), soft.begin(&poet));
    assert_eq!(soft.calls(&poet), (2, 0));
    drop(one);
    std::thread::sleep(Duration::from_millis(2));
    other.answered();
    let (in_flight, latency) = soft.calls(&poet);
    assert!(in_flight == 0 && latency >= 2000, "{in_flight} {latency}");
    soft.forget(&poet);
    assert_eq!(soft.calls(&poet), (0, 0));
}

#[test]
fn suspension_ends_what_runs_and_what_begins() {
    let (soft, poet) = (Soft::default(), key("poet"));
    let call = soft.begin(&poet);
    assert!(!call.stop().is_cancelled());
    soft.meet(&poet, &Met { suspended: true, ..met(1000, 0) }, false);
    assert!(call.stop().is_cancelled());
    assert!(soft.begin(&poet).stop().is_cancelled());
    soft.meet(&poet, &met(1000, 0), false);
    assert!(!soft.begin(&poet).stop().is_cancelled());
    assert!(call.stop().is_cancelled());
}

#[test]
fn a_beat_that_came_elsewhere_counts_from_when_it_came() {
    let (begun, mut state) = (Instant::now(), State::default());
    state.meet(begun, &met(10_000, 5_000), false);
    let here = begun + seconds(8);
    state.beat(beat(here, Readiness::NotReady, "no model", None));
    // An older one says nothing any more, and a newer one does.
    let elsewhere = beat(begun + seconds(7), Readiness::Ready, "", None);
    assert_eq!(state.late_beat(begun + seconds(9), elsewhere), (9_000, None));
    assert_eq!(state.block(here), Some(Block::NotReady("no model".into())));
    let elsewhere = beat(begun + seconds(9), Readiness::Ready, "", None);
    assert_eq!(state.late_beat(begun + seconds(10), elsewhere), (9_000, None));
    assert_eq!(state.block(begun + seconds(18)), None);
    // One that was long on its way brings back a lease that ended meanwhile, if there is some left.
    let (ended, until) = (begun + seconds(20), begun + seconds(22));
    assert_eq!(state.block(ended), Some(Block::LeaseEnded));
    let elsewhere = beat(begun + seconds(12), Readiness::Ready, "", None);
    assert_eq!(state.late_beat(ended, elsewhere), (2_000, Some(until)));
    let elsewhere = beat(begun + seconds(13), Readiness::Ready, "", None);
    assert_eq!(state.late_beat(begun + seconds(30), elsewhere), (0, None));
}

#[test]
fn beats_are_told_to_the_others_once_and_the_newest_of_each() {
    let soft = Soft::default();
    soft.beat(&key("early"), Readiness::Ready, "", None);
    assert!(soft.drain_beats(10).is_empty(), "nobody fetched yet");
    soft.beat(&key("poet"), Readiness::Ready, "", None);
    soft.beat(&key("actor"), Readiness::NotReady, "no model", load(1, 2, 3, 4));
    soft.beat(&key("poet"), Readiness::Draining, "", None);
    soft.late_beat(&key("singer"), Readiness::Ready, "", None, seconds(1));
    let told = soft.drain_beats(1);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].name.as_str(), told[0].readiness.as_str()), ("poet", "draining"));
    let told = soft.drain_beats(10);
    assert_eq!(told.len(), 1, "what came from others is not told again");
    assert_eq!((told[0].namespace.as_str(), told[0].name.as_str()), ("default", "actor"));
    assert_eq!((told[0].reason.as_str(), told[0].load), ("no model", load(1, 2, 3, 4)));
    assert!(told[0].age_ms < 60_000);
    for number in 0..=BEATS_HELD_MAX {
        soft.beat(&key(&format!("a{number}")), Readiness::Ready, "", None);
    }
    let told = soft.drain_beats(usize::MAX);
    assert_eq!((told.len(), told[0].name.as_str()), (BEATS_HELD_MAX, "a1"));
}

/// Of node n1: n2 is down, n3 is not.
#[derive(Default)]
struct Others {
    isolated: AtomicBool,
}

#[tonic::async_trait]
impl Peers for Others {
    fn is_down(&self, node: &str) -> bool {
        node == "n2"
    }

    fn is_isolated(&self) -> bool {
        self.isolated.load(Ordering::Relaxed)
    }

    async fn call(
        &self,
        _node: &str,
        _method: &'static str,
        _caller: &Identity,
        _message: Vec<u8>,
        _timeout: Duration,
        _trace: Option<&str>,
    ) -> Result<Vec<u8>, PeerCallError> {
        Ok(Vec::new())
    }
}

#[test]
fn nobody_is_sent_to_a_node_that_is_down() {
    let others = Arc::new(Others::default());
    let soft = Soft::new("n1", Arc::clone(&others) as Arc<dyn Peers>);
    let block = |home: Home| {
        soft.meet(&key("time"), &Met { home, ..met(60_000, 0) }, false);
        soft.block(&key("time")).map(|block| block.to_string())
    };
    let alone = "another node runs it, and this node hears no other";
    for (home, reached, isolated) in [
        (Home::Everywhere, None, None),
        (Home::Nowhere, None, None),
        (Home::Bound("n2".into()), None, None),
        (Home::Hosted("n1".into()), None, None),
        (Home::Hosted("n2".into()), Some("node n2 is down"), Some(alone)),
        (Home::Hosted("n3".into()), None, Some(alone)),
    ] {
        others.isolated.store(false, Ordering::Relaxed);
        assert_eq!(block(home.clone()).as_deref(), reached, "{home:?}");
        others.isolated.store(true, Ordering::Relaxed);
        assert_eq!(block(home.clone()).as_deref(), isolated, "{home:?}");
        assert_eq!(soft.home(&key("time")), home);
    }
    assert_eq!(soft.hosted(), BTreeMap::from([("n3".into(), 1)]));
}

#[test]
fn a_node_that_is_away_explains_more_than_health_does() {
    let away = Block::NodeDown("n2".into());
    for (standing, by_node, by_lease) in [
        (Standing::Ready, true, true),
        (Standing::CoolingDown, true, false),
        (Standing::Suspended, false, false),
    ] {
        assert_eq!(away.explains(standing), by_node, "{standing:?}");
        assert_eq!(Block::LeaseEnded.explains(standing), by_lease, "{standing:?}");
    }
}
