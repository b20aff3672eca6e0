//! Soft state: leases, pressure, latency, suspension.

use super::row::Latency;
use super::*;
use keiko_core::registry::Kind;

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(Kind::Agent, "", name).unwrap()
}

fn met(ttl_ms: u64, grace_ms: u64) -> Met {
    let lease = Some(Lease { ttl_ms, grace_ms });
    Met { uid: "one".into(), generation: 7, lease, suspended: false }
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

#[tokio::test(start_paused = true)]
async fn a_lease_lives_by_its_heartbeats() {
    let (soft, poet) = (Soft::default(), key("poet"));
    let seconds = |seconds| tokio::time::advance(Duration::from_secs(seconds));
    soft.meet(&poet, &met(10_000, 5_000), false);
    seconds(9).await;
    assert_eq!(soft.block(&poet), None);
    assert_eq!(soft.beat(&poet, Readiness::Ready, "", None), 10_000);
    seconds(9).await;
    assert_eq!(soft.block(&poet), None);
    seconds(1).await;
    assert_eq!(soft.block(&poet), Some(Block::LeaseEnded));
    // Its place in the wheel is where the lease first ended; it is looked up anew there.
    assert_eq!(soft.take_due(Instant::now(), 10), [poet.clone()]);
    soft.beat(&poet, Readiness::NotReady, "no model", None);
    assert_eq!(soft.block(&poet), Some(Block::NotReady("no model".into())));
    soft.beat(&poet, Readiness::Draining, "", None);
    assert_eq!(soft.block(&poet), Some(Block::Draining));

    // What was there before this process has the grace on top.
    let old = key("old");
    soft.meet(&old, &met(10_000, 5_000), true);
    seconds(14).await;
    assert_eq!(soft.block(&old), None);
    // Meeting it again changes nothing; registering it again is as good as a heartbeat.
    soft.meet(&old, &met(10_000, 5_000), true);
    seconds(1).await;
    assert_eq!(soft.block(&old), Some(Block::LeaseEnded));
    soft.meet(&old, &Met { generation: 8, ..met(10_000, 5_000) }, false);
    assert_eq!(soft.block(&old), None);
    // A new leader knows of no heartbeats.
    seconds(100).await;
    soft.grant_all();
    assert_eq!(soft.block(&old), None);
    assert_eq!(
        soft.pulse(&old).unwrap().lease.unwrap().0 - Instant::now(),
        Duration::from_secs(15)
    );
}

#[tokio::test(start_paused = true)]
async fn pressure_is_what_is_scarcest() {
    for (load, calls, expect) in [
        (None, 0, 0),
        (None, 2, 2000),
        (load(1, 3, 4, 0), 0, 1000),
        (load(0, 1, 4, 0), 2, 500),
        (load(0, 1, 4, 900), 2, 900),
        (load(0, 0, 0, 5000), 0, 1000),
        (load(u32::MAX, u32::MAX, 1, 0), 0, 2 * u64::from(u32::MAX) * 1000),
    ] {
        let (soft, poet) = (Soft::default(), key("poet"));
        let begun: Vec<_> = (0..calls).map(|_| soft.begin(&poet)).collect();
        soft.beat(&poet, Readiness::Ready, "", load);
        assert_eq!(soft.pressure(&poet), expect, "{load:?} {calls}");
        drop(begun);
        // What it said is not believed for ever.
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(soft.pressure(&poet), 0, "{load:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_believed_at_once_and_forgotten_slowly() {
    let mut latency = Latency::default();
    let ms = Duration::from_millis;
    let begun = Instant::now();
    latency.observe(begun, ms(10));
    assert_eq!(latency.micros(), 10_000);
    latency.observe(begun + ms(10), ms(1000));
    assert_eq!(latency.micros(), 1_000_000);
    latency.observe(begun + ms(10_010), ms(0));
    assert_eq!(latency.micros(), 500_000);
    latency.observe(begun + ms(1_000_000), ms(7));
    assert_eq!(latency.micros(), 7_000);

    let (soft, slow, fast) = (Soft::default(), key("slow"), key("fast"));
    let call = soft.begin(&slow);
    assert_eq!(soft.calls(&slow), (1, 0));
    tokio::time::advance(ms(500)).await;
    call.answered();
    assert_eq!(soft.calls(&slow), (0, 500_000));
    soft.begin(&fast).answered();
    assert!(soft.cost(&slow) > soft.cost(&fast));
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(soft.cost(&slow), soft.cost(&fast));
}

#[tokio::test]
async fn suspension_ends_what_runs_and_what_begins() {
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
