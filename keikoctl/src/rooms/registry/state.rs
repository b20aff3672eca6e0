//! One word for how an agent or a server is, and the figures beside it.
//!
//! What says "not now" earliest wins: an operator's word, then the health, then what it needs.
//! A state is a word first, a colour second.

use super::object::Item;
use crate::print::time::{Clock, rfc3339, short};
use crate::print::{Cell, Role};
use keiko_client::proto::v1::Load;
use keiko_client::proto::v1::object::Object as Any;

/// The word; none for parts, which are as their server or agent is.
pub(super) fn word(item: &Item) -> Option<&str> {
    let status = item.status()?;
    if !status.admin_state.is_empty() {
        return Some(&status.admin_state);
    }
    if let Some(health) = &status.health {
        let lacks = health.state == "ready" && lacks(item);
        return Some(if lacks { "degraded" } else { &health.state });
    }
    Some(match item.ready()?.status.as_str() {
        "True" => "ready",
        "False" => "not-ready",
        _ => "unknown",
    })
}

/// The word in its colour.
pub(super) fn cell(item: &Item) -> Cell {
    match word(item) {
        None => Cell::role(Role::Muted, "-"),
        Some(word) => Cell::role(role(word), word),
    }
}

/// What a state means.
pub(super) fn role(word: &str) -> Role {
    match word {
        "ready" => Role::Good,
        "degraded" | "recovering" | "draining" | "unknown" => Role::Warn,
        "suspended" => Role::Muted,
        _ => Role::Bad,
    }
}

/// Why: the operator's words, the class of the failure, or that something it needs is not there.
pub(super) fn reason(item: &Item) -> String {
    let Some(status) = item.status() else { return String::new() };
    if !status.admin_state.is_empty() {
        return status.admin_reason.clone();
    }
    let health = status.health.clone().unwrap_or_default();
    match (health.failure_class.as_str(), health.flapping) {
        ("", true) => "flapping".to_owned(),
        (class, true) => format!("{class}, flapping"),
        ("", false) if lacks(item) => "dependency".to_owned(),
        (class, false) => class.to_owned(),
    }
}

/// One line of how it is, for errors and questions.
pub(super) fn sentence(item: &Item) -> String {
    let word = word(item).unwrap_or("as its owner is");
    let message = match item.status() {
        Some(status) if !status.admin_state.is_empty() => "",
        status => status.and_then(|status| status.health.as_ref()).map_or("", |h| &h.message),
    };
    let reason = reason(item);
    let words = [reason.as_str(), message];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if words.is_empty() { word.to_owned() } else { format!("{word} ({})", words.join(": ")) }
}

/// True if something that it needs is missing or does not work.
fn lacks(item: &Item) -> bool {
    item.condition("DependenciesReady").is_some_and(|condition| condition.status == "False")
}

/// The server's version, or that of the card.
pub(super) fn version(item: &Item) -> &str {
    match &item.0.object {
        Some(Any::Agent(agent)) => agent.spec.as_ref().map_or("", |spec| &spec.version),
        Some(Any::McpServer(server)) => server.spec.as_ref().map_or("", |spec| &spec.version),
        _ => "",
    }
}

/// How long something took; empty if nobody measured it.
pub(super) fn took(us: u64) -> Cell {
    let text = match us {
        0 => return Cell::default(),
        1..1000 => format!("{us}us"),
        1000..10_000 if us % 1000 >= 100 => format!("{}.{}ms", us / 1000, us % 1000 / 100),
        1000..1_000_000 => format!("{}ms", us / 1000),
        1_000_000..10_000_000 if us % 1_000_000 >= 100_000 => {
            format!("{}.{}s", us / 1_000_000, us % 1_000_000 / 100_000)
        }
        _ => short(us / 1000),
    };
    Cell { text, key: Some(us), ..Cell::default() }
}

/// How long until then: `in 12s`, or `now` if it is over.
pub(super) fn until(clock: &Clock, unix_ms: u64) -> Cell {
    let text = match unix_ms {
        0 => return Cell::default(),
        _ if clock.utc => rfc3339(unix_ms),
        _ if unix_ms <= clock.now_ms => "now".to_owned(),
        _ => format!("in {}", short(unix_ms - clock.now_ms)),
    };
    Cell { text, key: Some(unix_ms), ..Cell::default() }
}

/// Tasks that it has of those that it can run at a time: `3/8`.
pub(super) fn load(load: &Load) -> Cell {
    let has = u64::from(load.in_flight) + u64::from(load.queue_length);
    let text = match (has, load.concurrency) {
        (0, 0) => return Cell::default(),
        (has, 0) => has.to_string(),
        (has, can) => format!("{has}/{can}"),
    };
    Cell { text, key: Some(has), ..Cell::default() }
}

/// A share in thousandths, as per cent.
pub(super) fn share(thousandths: u64) -> Cell {
    let text = format!("{}%", thousandths.saturating_add(5) / 10);
    Cell { text, key: Some(thousandths), ..Cell::default() }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::server;
    use super::*;
    use keiko_client::proto::v1::{Condition, Health, ObjectStatus};

    #[test]
    fn the_earliest_no_wins() {
        for (admin, health, class, flapping, needs, expect) in [
            ("", "ready", "", false, "True", ("ready", "")),
            ("", "ready", "", false, "False", ("degraded", "dependency")),
            ("", "degraded", "schema", false, "False", ("degraded", "schema")),
            ("", "cooling-down", "timeout", false, "False", ("cooling-down", "timeout")),
            ("", "recovering", "timeout", true, "True", ("recovering", "timeout, flapping")),
            ("suspended", "ready", "", false, "True", ("suspended", "key leaked")),
            ("draining", "dead", "timeout", true, "True", ("draining", "key leaked")),
        ] {
            let status = ObjectStatus {
                conditions: vec![Condition {
                    r#type: "DependenciesReady".into(),
                    status: needs.into(),
                    ..Condition::default()
                }],
                health: Some(Health {
                    state: health.into(),
                    failure_class: class.into(),
                    flapping,
                    ..Health::default()
                }),
                admin_state: admin.into(),
                admin_reason: if admin.is_empty() { "" } else { "key leaked" }.into(),
                ..ObjectStatus::default()
            };
            let item = server(status);
            assert_eq!((word(&item).unwrap(), reason(&item).as_str()), expect);
        }
    }

    #[test]
    fn figures_are_short() {
        for (us, expect) in [
            (0, ""),
            (850, "850us"),
            (1_000, "1ms"),
            (1_250, "1.2ms"),
            (12_900, "12ms"),
            (1_250_000, "1.2s"),
            (61_000_000, "1m1s"),
        ] {
            assert_eq!(took(us).text, expect);
        }
        let clock = Clock { now_ms: 1_000, utc: false };
        for (unix_ms, expect) in [(0, ""), (900, "now"), (13_000, "in 12s")] {
            assert_eq!(until(&clock, unix_ms).text, expect);
        }
        for (in_flight, queue_length, concurrency, expect) in
            [(0, 0, 0, ""), (1, 2, 0, "3"), (1, 2, 8, "3/8"), (0, 0, 8, "0/8")]
        {
            let said = Load { in_flight, queue_length, concurrency, ..Load::default() };
            assert_eq!(load(&said).text, expect);
        }
        assert_eq!(share(375).text, "38%");
    }
}
