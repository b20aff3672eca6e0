//! The tables: what a run of looks makes of the health. And what holds for every run.

use super::super::model::Kind;
use super::*;
use crate::refusal::Refusal;
use proptest::prelude::*;

const START_MS: u64 = 1_000_000;

fn failed(class: FailureClass) -> Seen {
    Seen::Failed { class, message: class.as_str().to_owned() }
}

fn lost() -> Seen {
    Seen::Lost { class: FailureClass::Protocol, message: "the session ended".to_owned() }
}

fn incomplete() -> Seen {
    Seen::Incomplete { class: FailureClass::Schema, message: "1 tool is left out".to_owned() }
}

fn told(health: Option<wire::Health>) -> String {
    let Some(health) = health else { return String::new() };
    let flaps = if health.flapping { "!" } else { "" };
    format!("{}/{}{flaps}", health.state, health.failure_class)
}

/// Each step: after how many milliseconds, what is seen, what is told.
fn check(mut tracker: Tracker, steps: &[(u64, Seen, &str)]) -> Tracker {
    let mut now_ms = START_MS;
    for (index, (after_ms, seen, expect)) in steps.iter().enumerate() {
        now_ms += after_ms;
        let got = told(tracker.see(now_ms, seen.clone()));
        assert_eq!(got, *expect, "step {index}: {seen:?}");
    }
    tracker
}

fn ready() -> Tracker {
    check(Tracker::new(START_MS), &[(0, Seen::Well, "ready/")])
}

#[test]
fn the_first_look_decides_at_once() {
    use FailureClass::{ExecRefused, Timeout};
    check(Tracker::new(0), &[(0, Seen::Well, "ready/")]);
    check(Tracker::new(0), &[(0, incomplete(), "degraded/schema")]);
    check(Tracker::new(0), &[(0, failed(Timeout), "cooling-down/timeout")]);
    check(Tracker::new(0), &[(0, failed(ExecRefused), "dead/exec-refused")]);
}

#[test]
fn one_soft_failure_is_noise_and_one_hard_one_is_not() {
    use FailureClass::{CommandEnded, Timeout, Unreachable};
    check(ready(), &[(15_000, failed(Timeout), ""), (1000, Seen::Well, "")]);
    check(
        ready(),
        &[
            (15_000, failed(Timeout), ""),
            (1000, failed(Timeout), "cooling-down/timeout"),
            (250, Seen::Well, "ready/"),
        ],
    );
    check(ready(), &[(15_000, failed(Unreachable), "cooling-down/unreachable")]);
    check(ready(), &[(15_000, failed(CommandEnded), "cooling-down/command-ended")]);
    check(ready(), &[(15_000, lost(), "cooling-down/protocol")]);
}

#[test]
fn another_class_is_believed_when_it_is_seen_twice() {
    use FailureClass::{Timeout, Unreachable};
    let tracker = check(ready(), &[(1, failed(Unreachable), "cooling-down/unreachable")]);
    check(
        tracker,
        &[
            (500, failed(Timeout), ""),
            (500, failed(Unreachable), ""),
            (500, failed(Timeout), ""),
            (500, failed(Timeout), "cooling-down/timeout"),
            (500, failed(Timeout), ""),
        ],
    );
}

#[test]
fn degraded_is_whole_again_after_two_looks() {
    check(
        ready(),
        &[
            (15_000, incomplete(), "degraded/schema"),
            (15_000, Seen::Well, ""),
            (1000, incomplete(), ""),
            (15_000, Seen::Well, ""),
            (1000, Seen::Well, "ready/"),
        ],
    );
}

#[test]
fn who_fell_often_passes_three_times_and_then_is_held_back() {
    let tracker = check(
        ready(),
        &[
            (1000, lost(), "cooling-down/protocol"),
            (1000, Seen::Well, "ready/"),
            (1000, lost(), "cooling-down/protocol"),
            (1000, Seen::Well, "ready/"),
            (1000, lost(), "cooling-down/protocol"),
            (1000, Seen::Well, "recovering/protocol"),
            (1000, Seen::Well, ""),
            (1000, Seen::Well, "ready/"),
            (1000, lost(), "recovering/protocol!"),
            (1000, Seen::Well, ""),
            (1000, lost(), ""),
        ],
    );
    let fallen = tracker.penalty(START_MS + 11_000);
    assert!((4500..=5000).contains(&fallen), "{fallen}");
    // Held until it is below 1500 …
    let mut up = tracker.clone();
    let told_at = (0..240).find(|second| {
        up.see(START_MS + 12_000 + second * 1000, Seen::Well).is_some_and(|health| {
            assert_eq!((health.state.as_str(), health.flapping), ("ready", false));
            true
        })
    });
    assert!(matches!(told_at, Some(90..=110)), "{told_at:?}");
    // … or for two minutes, if it never comes back.
    let mut down = tracker;
    let told_at = (0..240).find(|second| {
        down.see(START_MS + 12_000 + second * 1000, failed(FailureClass::Unreachable)).is_some_and(
            |health| {
                assert_eq!((health.state.as_str(), health.flapping), ("cooling-down", false));
                true
            },
        )
    });
    assert!(matches!(told_at, Some(118..=120)), "{told_at:?}");
}

#[test]
fn ten_failures_in_ten_minutes_are_death_and_one_pass_is_life() {
    use FailureClass::Unreachable;
    let mut tracker = ready();
    let mut now_ms = START_MS;
    let mut states = Vec::new();
    for dice in 0..40 {
        states.extend(tracker.see(now_ms, failed(Unreachable)).map(|health| health.state));
        if tracker.state() == State::Dead {
            break;
        }
        now_ms = tracker.due(now_ms, dice);
    }
    assert_eq!(states, ["cooling-down", "dead"]);
    let span_ms = now_ms - START_MS;
    assert!((600_000..=660_000).contains(&span_ms) && tracker.failures() >= 10, "{span_ms}");
    let next_ms = tracker.due(now_ms, 7) - now_ms;
    assert!((240_000..=360_000).contains(&next_ms), "{next_ms}");
    assert_eq!(told(tracker.see(now_ms + next_ms, Seen::Well)), "ready/");
}

#[test]
fn asks_ever_more_seldom_and_starts_over_after_half_a_minute() {
    let dice = [0, 1, 77, u64::MAX];
    let within = |tracker: &Tracker, low: u64, high: u64| {
        for dice in dice {
            let after = tracker.due(START_MS, dice) - START_MS;
            assert!((low..=high).contains(&after), "{low} ≤ {after} ≤ {high}");
        }
    };
    let mut tracker = Tracker::new(START_MS);
    within(&tracker, 0, 0);
    for (low, high) in [(200, 300), (400, 600), (800, 1200), (1600, 2400), (3200, 4800)] {
        tracker.see(START_MS, failed(FailureClass::Unreachable));
        within(&tracker, low, high);
    }
    for _ in 0..20 {
        tracker.see(START_MS, failed(FailureClass::Unreachable));
    }
    within(&tracker, 48_000, 60_000);
    // Up for less than half a minute: it goes on where it was.
    tracker.see(START_MS, Seen::Well);
    within(&tracker, 12_000, 18_000);
    tracker.see(START_MS + 29_000, lost());
    within(&tracker, 48_000, 60_000);
    tracker.see(START_MS + 30_000, Seen::Well);
    tracker.see(START_MS + 60_000, lost());
    within(&tracker, 200, 300);
}

#[test]
fn a_resumed_tracker_says_nothing_that_was_said() {
    let health = |state: &str, class: &str, flapping| wire::Health {
        state: state.to_owned(),
        failure_class: class.to_owned(),
        flapping,
        ..Default::default()
    };
    let resumed = |health: &wire::Health| Tracker::resumed(health, START_MS);
    check(resumed(&health("ready", "", false)), &[(0, Seen::Well, "")]);
    check(
        resumed(&health("cooling-down", "timeout", false)),
        &[(0, failed(FailureClass::Timeout), ""), (250, Seen::Well, "ready/")],
    );
    check(resumed(&health("recovering", "", false)), &[(0, Seen::Well, "ready/")]);
    check(resumed(&health("recovering", "timeout", true)), &[(0, Seen::Well, "")]);
    check(resumed(&health("who knows", "", false)), &[(0, Seen::Well, "ready/")]);
    assert_eq!(told(Some(resumed(&health("dead", "timeout", false)).health())), "dead/timeout");
}

#[test]
fn a_crash_loop_and_a_flapping_peer_are_told_a_few_times_an_hour() {
    // Up for a second, then lost; it comes back whenever it is asked to.
    let (mut tracker, mut now_ms, mut told) = (ready(), START_MS, 0);
    while now_ms < START_MS + 3_600_000 {
        now_ms += 1000;
        told += u32::from(tracker.see(now_ms, lost()).is_some());
        now_ms = tracker.due(now_ms, now_ms);
        told += u32::from(tracker.see(now_ms, Seen::Well).is_some());
    }
    assert!(told < 30, "crash loop: {told}");
    assert!(tracker.health().flapping);
    // Two seconds up, two seconds down, looked at every second.
    let (mut tracker, mut told) = (ready(), 0);
    for second in 1..3600 {
        let seen = if second % 4 < 2 { Seen::Well } else { failed(FailureClass::Unreachable) };
        told += u32::from(tracker.see(START_MS + second * 1000, seen).is_some());
    }
    assert!(told < 30, "flapping: {told}");
    assert_eq!((tracker.state(), tracker.health().flapping), (State::Recovering, true));
}

#[test]
fn words_are_a_closed_set() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(*state));
    }
    for class in FailureClass::ALL {
        assert_eq!(FailureClass::parse(class.as_str()), Some(*class));
        let camel: String = class.as_str().split('-').map(capital).collect();
        assert_eq!(class.condition_reason(), camel);
    }
    for code in Code::ALL {
        FailureClass::of(&Refusal::new(*code, "any"));
    }
    let health = |state: &str, class: &str| wire::Health {
        state: state.to_owned(),
        failure_class: class.to_owned(),
        ..Default::default()
    };
    assert_eq!(super::check(&health("ready", "")), Ok(State::Ready));
    for (state, class) in [("well", ""), ("", ""), ("dead", "Timeout")] {
        assert!(super::check(&health(state, class)).is_err(), "{state} {class}");
    }
    let reason = |kind, state: &str, class: &str| {
        let condition = ready_condition(kind, &health(state, class));
        format!("{} {}", condition.status, condition.reason)
    };
    assert_eq!(reason(Kind::McpServer, "ready", ""), "True Linked");
    assert_eq!(reason(Kind::Agent, "degraded", "schema"), "True CardFetched");
    assert_eq!(reason(Kind::Agent, "cooling-down", "old-era"), "False OldEra");
    assert_eq!(reason(Kind::McpServer, "recovering", ""), "False NotProbed");
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let class = prop::sample::select(FailureClass::ALL);
    prop_oneof![
        4 => Just(Seen::Well),
        1 => Just(incomplete()),
        3 => class.prop_map(failed),
        1 => Just(lost()),
    ]
}

proptest! {
    #[test]
    fn never_says_the_same_twice_and_always_finds_back(
        steps in prop::collection::vec((0_u64..90_000, any_seen()), 0..120),
        dice in any::<u64>(),
    ) {
        let (mut tracker, mut now_ms) = (Tracker::new(START_MS), START_MS);
        let mut said = None;
        for (after_ms, seen) in steps {
            now_ms += after_ms;
            if let Some(health) = tracker.see(now_ms, seen) {
                let now = Some((health.state, health.failure_class, health.flapping));
                prop_assert_ne!(&said, &now);
                said = now;
            }
            prop_assert!(tracker.penalty(now_ms) <= 6000);
            let due_ms = tracker.due(now_ms, dice);
            prop_assert!(due_ms >= now_ms && due_ms - now_ms <= 360_000);
            let health = tracker.health();
            prop_assert!(super::check(&health).is_ok());
            let callable = tracker.state().is_callable();
            prop_assert!(!(health.flapping && callable));
        }
        // It answers from now on.
        let well_ms = now_ms;
        while tracker.state() != State::Ready {
            prop_assert!(now_ms <= well_ms + 180_000, "{tracker:?}");
            tracker.see(now_ms, Seen::Well);
            now_ms = tracker.due(now_ms, dice).max(now_ms + 1);
        }
    }
}
