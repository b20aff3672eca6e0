//! What `describe` says of how an agent or a server is: its health, what the answering node knows
//! of it at this moment, and what it needs.

use super::lines::Lines;
use super::object::{Item, KindWord};
use super::{describe, get, state};
use crate::fault::{Outcome, Stop};
use crate::print::time::{Clock, rfc3339, short};
use crate::print::{Cell, Role};
use futures::future::try_join_all;
use keiko_client::Client;
use keiko_client::proto::v1::{GetRequest, Kind, Live, Load};

/// As the prober last told; only transitions are kept.
pub(super) fn health(item: &Item, clock: &Clock) -> Lines {
    let mut lines = Lines::default();
    if let Some(status) = item.status().filter(|status| !status.admin_state.is_empty()) {
        lines.cell("calls", Cell::role(state::role(&status.admin_state), &status.admin_state));
        lines.add("because", &status.admin_reason);
    }
    if let Some(health) = item.health() {
        lines.cell("health", Cell::role(state::role(&health.state), &health.state));
        lines.add("since", ago(clock, health.since_ms));
        lines.add("failure", &health.failure_class);
        lines.add("message", &health.message);
        if health.flapping {
            lines.add("flapping", "it changed too often: held back until it was quiet for a while");
        }
    }
    lines
}

/// What the answering node knows now.
pub(super) fn live(item: &Item, clock: &Clock) -> Lines {
    let mut lines = Lines::default();
    let Some(live) = item.live() else { return lines };
    lines.add(
        "callable",
        match (live.routable, live.why_not.as_str()) {
            (true, _) => "yes".to_owned(),
            (false, "") => "no".to_owned(),
            (false, why) => format!("no: {why}"),
        },
    );
    lines.add("last probe", last_probe(live, clock));
    lines.cell("next probe", state::until(clock, live.next_probe_ms));
    if live.failures > 0 {
        lines.add("failures", format!("{} in a row", live.failures));
    }
    if live.flap_penalty > 0 {
        lines.add("flap penalty", live.flap_penalty.to_string());
    }
    lines.cell("lease ends", state::until(clock, live.lease_expires_ms));
    lines.add("calls", calls(live));
    lines.add("load", live.load.as_ref().map(load).unwrap_or_default());
    lines
}

fn last_probe(live: &Live, clock: &Clock) -> String {
    if live.last_probe_ms == 0 {
        return String::new();
    }
    let took = state::took(live.probe_latency_ms.saturating_mul(1000)).text;
    let when = ago(clock, live.last_probe_ms);
    if took.is_empty() { when } else { format!("{when}, took {took}") }
}

fn calls(live: &Live) -> String {
    let took = state::took(live.call_latency_us).text;
    let each = if took.is_empty() { String::new() } else { format!(", {took} each") };
    format!("{} under way{each}", live.calls_in_flight)
}

fn load(load: &Load) -> String {
    let mut words = Vec::new();
    let figures = [
        (u64::from(load.in_flight), "running"),
        (u64::from(load.queue_length), "waiting"),
        (u64::from(load.concurrency), "at a time"),
        (u64::from(load.tokens_per_second), "tokens/s"),
    ];
    for (figure, word) in figures {
        if figure > 0 {
            words.push(format!("{figure} {word}"));
        }
    }
    if load.context_limit > 0 {
        words.push(format!("context {} of {}", load.context_used, load.context_limit));
    }
    words.join(", ")
}

fn ago(clock: &Clock, unix_ms: u64) -> String {
    match unix_ms {
        0 => String::new(),
        _ if clock.utc => rfc3339(unix_ms),
        _ => {
            let age = short(clock.now_ms.saturating_sub(unix_ms));
            format!("{} ({age} ago)", rfc3339(unix_ms))
        }
    }
}

/// Each thing that it needs, with its state if the caller may see it.
pub(super) async fn needs(client: &Client, item: &Item) -> Outcome<Vec<(String, Cell)>> {
    let namespace = &item.metadata().namespace;
    let asked = item.depends_on().iter().map(|need| async move {
        let state = describe::or_none(need_state(client, namespace, need).await)?;
        Ok::<_, Stop>((need.clone(), state.unwrap_or_else(|| Cell::role(Role::Muted, "-"))))
    });
    try_join_all(asked).await
}

async fn need_state(client: &Client, namespace: &str, need: &str) -> Outcome<Cell> {
    let missing = || Cell::role(Role::Bad, "missing");
    let Some((word, name)) = need.split_once('/') else { return Ok(missing()) };
    let Some(kind) = KindWord::read(word) else { return Ok(missing()) };
    let ask = |kind: KindWord, name: &str| {
        let request = GetRequest {
            kind: kind.kind.into(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..GetRequest::default()
        };
        get::maybe(client, request)
    };
    let Some(found) = ask(kind, name).await? else { return Ok(missing()) };
    let owner = match kind.kind {
        Kind::Tool => KindWord::of(Kind::McpServer),
        Kind::Skill => KindWord::of(Kind::Agent),
        Kind::Agent | Kind::McpServer | Kind::Unspecified => return Ok(state::cell(&found)),
    };
    // A part is as its owner is.
    let (owner_name, _) = name.split_once('.').unwrap_or((name, ""));
    Ok(ask(owner, owner_name).await?.map_or_else(missing, |owner| state::cell(&owner)))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::server;
    use super::*;
    use crate::print::{ColorChoice, Format, FormatKind, Printer};
    use keiko_client::proto::v1::{Health, ObjectStatus};

    #[test]
    fn vitals_read_as_sentences() {
        let live = Live {
            why_not: "its lease ended".into(),
            last_probe_ms: 178_000,
            probe_latency_ms: 12,
            next_probe_ms: 193_000,
            failures: 3,
            flap_penalty: 1_200,
            calls_in_flight: 2,
            call_latency_us: 850,
            load: Some(Load { in_flight: 1, concurrency: 8, ..Load::default() }),
            ..Live::default()
        };
        let status = ObjectStatus {
            health: Some(Health {
                state: "cooling-down".into(),
                failure_class: "timeout".into(),
                message: "no\u{1b}answer".into(),
                since_ms: 121_000,
                flapping: false,
            }),
            admin_state: "draining".into(),
            live: Some(live),
            ..ObjectStatus::default()
        };
        let item = server(status);
        let format = Format::Plain(FormatKind::Table);
        let printer = Printer::new(format, ColorChoice::Never, false, false, false);
        let clock = Clock { now_ms: 181_000, utc: false };
        assert_eq!(
            health(&item, &clock).lay_out(&printer),
            "calls     draining\n\
             health    cooling-down\n\
             since     1970-01-01T00:02:01.000Z (1m ago)\n\
             failure   timeout\n\
             message   no\\x1banswer\n"
        );
        assert_eq!(
            super::live(&item, &clock).lay_out(&printer),
            "callable       no: its lease ended\n\
             last probe     1970-01-01T00:02:58.000Z (3s ago), took 12ms\n\
             next probe     in 12s\n\
             failures       3 in a row\n\
             flap penalty   1200\n\
             calls          2 under way, 850us each\n\
             load           1 running, 8 at a time\n"
        );
    }
}
