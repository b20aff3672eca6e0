//! `probe`: looks now, and says what it saw: a card of trust for an entry or for any endpoint.

use super::flags::ProbeArgs;
use super::lines::Lines;
use super::object::KindWord;
use super::state;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Cell, Format, FormatKind, Printer, Role};
use crate::session::Session;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{ProbeRequest, ProbeResponse};
use keiko_core::refusal::Refusal;
use serde_json::{Value, json};
use std::time::Duration;

/// A cold far side takes ten seconds to its first answer.
const USUAL: Duration = Duration::from_secs(30);
/// The node keeps the deadline of a probe; this much later it must have said so.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// Names of parts that people read at a glance.
const NAMED_MAX: usize = 8;

/// Runs `probe`.
pub(crate) async fn run(kind: KindWord, args: &ProbeArgs, session: &Session) -> Outcome {
    let patience = session.timeout(USUAL);
    let is_url = args.target.contains("://");
    let (name, url) = if is_url {
        (String::new(), args.target.clone())
    } else {
        (kind.name(&args.target)?, String::new())
    };
    let request = ProbeRequest {
        kind: kind.kind.into(),
        namespace: args.namespace.one(),
        timeout_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1),
        name,
        url,
    };
    let subject =
        if is_url { args.target.clone() } else { format!("{}/{}", kind.word, request.name) };
    let client = session.client(USUAL).await?.within(patience + ANSWER_GRACE);
    let progress = session.progress(format!("probing {subject}"));
    let seen = client
        .read(request, |client, request| async move { client.registry().probe(request).await })
        .await;
    drop(progress);
    let seen = seen?;
    session.printer.document(&document(&seen), |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{subject}\n"),
        _ => card(&subject, kind, &seen, printer),
    })?;
    Ok(if seen.ok { Exit::Done } else { Exit::EndedBadly })
}

/// Every field that scripts ask for is always there.
fn document(seen: &ProbeResponse) -> Value {
    let mut json = to_json("keiko.v1.ProbeResponse", seen);
    json["ok"] = json!(seen.ok);
    json["failureClass"] = json!(seen.failure_class);
    json["protocolVersion"] = json!(seen.protocol_version);
    json["provides"] = json!(seen.provides);
    json["leftOut"] = json!(seen.left_out);
    json["latencyMs"] = json!(seen.latency_ms);
    if let Some(refusal) = &seen.refusal {
        let Refusal { code, message, causes, hints } = Refusal::from_wire(refusal.clone());
        json["refusal"] = json!({
            "code": code.to_string(), "message": message, "causes": causes, "hints": hints,
            "retryable": code.retryable(),
        });
    }
    json
}

fn card(subject: &str, kind: KindWord, seen: &ProbeResponse, printer: &Printer) -> String {
    let mut lines = Lines::default();
    lines.add("probed", subject);
    lines.cell(
        "verdict",
        match (seen.ok, seen.left_out.is_empty()) {
            (true, true) => Cell::role(Role::Good, "well"),
            (true, false) => Cell::role(Role::Warn, "well, but not all of it can be used"),
            (false, _) => Cell::role(Role::Bad, format!("not well: {}", class(seen))),
        },
    );
    let health = seen.health.clone().unwrap_or_default();
    lines.cell("state", Cell::role(state::role(&health.state), &health.state));
    lines.add("calls itself", format!("{} {}", seen.title, seen.version).trim());
    lines.add("protocol", &seen.protocol_version);
    lines.cell("latency", state::took(seen.latency_ms.saturating_mul(1000)));
    let part = if kind.word == "agent" { "skills" } else { "tools" };
    if seen.ok {
        lines.add(part, some(&seen.provides));
    }
    for left_out in &seen.left_out {
        lines.add("left out", left_out);
    }
    if let Some(refusal) = &seen.refusal {
        let Refusal { code, message, causes, hints } = Refusal::from_wire(refusal.clone());
        lines.add("error", format!("{code}: {message}"));
        for cause in causes {
            lines.add("cause", cause);
        }
        for hint in hints {
            lines.add("hint", hint);
        }
    }
    lines.lay_out(printer)
}

fn class(seen: &ProbeResponse) -> &str {
    if seen.failure_class.is_empty() { "unknown" } else { &seen.failure_class }
}

fn some(names: &[String]) -> String {
    let more = if names.len() > NAMED_MAX { ", …" } else { "" };
    match names.len() {
        0 => "none".to_owned(),
        count => {
            let first: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
            format!("{count}: {}{more}", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::ColorChoice;
    use keiko_client::proto::v1::Kind;
    use keiko_core::refusal::Code;

    fn printer() -> Printer {
        let format = Format::Plain(FormatKind::Table);
        Printer::new(format, ColorChoice::Never, false, false, false)
    }

    #[test]
    fn a_card_says_what_was_seen() {
        let mcp = KindWord::of(Kind::McpServer);
        let well = ProbeResponse {
            ok: true,
            protocol_version: "2026-07-28".into(),
            title: "Time\u{1b}[31m".into(),
            version: "1.2.0".into(),
            provides: vec!["now".into(), "convert".into()],
            latency_ms: 12,
            ..ProbeResponse::default()
        };
        assert_eq!(
            card("https://a/mcp", mcp, &well, &printer()),
            "probed         https://a/mcp\n\
             verdict        well\n\
             calls itself   Time\\x1b[31m 1.2.0\n\
             protocol       2026-07-28\n\
             latency        12ms\n\
             tools          2: now, convert\n"
        );
        let refusal = Refusal::new(Code::PeerTimeout, "no answer").cause("10 s").hint("wait");
        let ill = ProbeResponse {
            failure_class: "timeout".into(),
            refusal: Some(refusal.to_wire()),
            ..ProbeResponse::default()
        };
        assert_eq!(
            card("mcp/time", mcp, &ill, &printer()),
            "probed    mcp/time\n\
             verdict   not well: timeout\n\
             error     KEIKO-0053: no answer\n\
             cause     10 s\n\
             hint      wait\n"
        );
        assert_eq!(document(&ill)["refusal"]["code"], "KEIKO-0053");
        assert_eq!(document(&ill)["ok"], false);
    }
}
