//! Maintenance windows: times in which something is expected to be down.

use super::args::{CreateWindowArgs, DeleteWindowArgs, ListWindowsArgs, WindowVerb};
use super::table::{WINDOWS, WindowRow};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::time::{duration, rfc3339};
use crate::print::{Format, FormatKind, Listing};
use crate::session::{QUICK, Session};
use jiff::Timestamp;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{DeclareWindowRequest, DeleteWindowRequest, ListWindowsRequest};
use keiko_core::refusal::Refusal;
use serde_json::json;
use std::time::Duration;

/// Runs a verb of windows.
pub(super) async fn run(verb: WindowVerb, session: &Session) -> Outcome {
    match verb {
        WindowVerb::Create(args) => create(args, session).await,
        WindowVerb::List(args) => list(&args, session).await,
        WindowVerb::Delete(args) => delete(args, session).await,
    }
}

async fn create(args: CreateWindowArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    let CreateWindowArgs { name, scope, from, lasts, reason, request } = args;
    if lasts.is_zero() {
        return Err(usage("a window that lasts for no time is none")
            .hint("as in: --for 2h")
            .into());
    }
    let starts_ms = from.map(|text| begins(&text, printer.clock.now_ms)).transpose()?;
    let message = DeclareWindowRequest {
        name,
        scope,
        // Without a time it is the server's clock that says when now is.
        starts_ms: starts_ms.unwrap_or_default(),
        ends_ms: 0,
        duration_ms: ms(lasts),
        reason,
        request_id: Vec::new(),
    };
    let client = session.client(QUICK).await?;
    let declared = client
        .write(request.id, message, |client, request| async move {
            client.coordination().declare_window(request).await
        })
        .await?;
    let revision = declared.write.unwrap_or_default().revision;
    let window = declared.window.clone().unwrap_or_default();
    let mut document = to_json("keiko.v1.DeclareWindowResponse", &declared);
    document["revision"] = json!(revision);
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("window/{}\n", window.name),
        _ => format!(
            "window/{} set for {} from {} to {} at revision {revision}\n",
            window.name,
            window.scope,
            rfc3339(window.starts_ms),
            rfc3339(window.ends_ms)
        ),
    })?;
    Ok(Exit::Done)
}

/// A time in RFC 3339, or how long from now.
fn begins(text: &str, now_ms: u64) -> Result<u64, Refusal> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return u64::try_from(time.as_millisecond())
            .map_err(|_| usage(format!("{text:?} was before there were computers")));
    }
    let from_now = duration(text).map_err(|_| {
        usage(format!("{text:?} is not a time"))
            .hint("as in: --from 2026-12-24T22:00:00Z, or --from 2h for in two hours")
    })?;
    Ok(now_ms.saturating_add(ms(from_now)))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn list(args: &ListWindowsArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let request =
        ListWindowsRequest { consistency: args.freshness.wire(), only_active: args.active };
    let listed = client
        .read(request, |client, request| async move {
            client.coordination().list_windows(request).await
        })
        .await?;
    let printer = &session.printer;
    if listed.items.is_empty() && printer.format.is_table() {
        printer.note(if args.active { "no window is active" } else { "no windows" });
        return Ok(Exit::Done);
    }
    let wanted = args.look.wanted(false);
    let rows: Vec<WindowRow> = listed.items.into_iter().map(WindowRow).collect();
    let rows = wanted.sort(WINDOWS, rows, &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &WindowRow::reference };
    printer.rows(WINDOWS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

async fn delete(args: DeleteWindowArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let DeleteWindowArgs { name, request } = args;
    let message = DeleteWindowRequest { name: name.clone(), request_id: Vec::new() };
    let client = session.client(QUICK).await?;
    let deleted = client
        .write(request.id, message, |client, request| async move {
            client.coordination().delete_window(request).await
        })
        .await?;
    let revision = deleted.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.DeleteWindowResponse", &deleted);
    document["revision"] = json!(revision);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("window/{name}\n"),
        _ => format!("window/{name} deleted at revision {revision}\n"),
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_at_a_time_or_in_a_while() {
        for (text, expect) in [
            ("1970-01-01T00:00:02Z", Some(2_000)),
            ("10s", Some(110_000)),
            ("1969-01-01T00:00:00Z", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(begins(text, 100_000).ok(), expect, "{text:?}");
        }
    }
}
