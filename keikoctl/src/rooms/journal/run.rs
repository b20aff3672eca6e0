//! Reads the journal.

use super::args::{EventVerb, GetArgs, TailArgs};
use super::table::{COLUMNS, Row};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::time::Clock;
use crate::print::{Format, FormatKind, Listing, Shown};
use crate::rooms::registry::object::KindWord;
use crate::session::{QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::tail_response::Item;
use keiko_client::proto::v1::{GetEventsRequest, Resync, TailRequest};
use keiko_client::{Client, Tail};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::timeout;

/// Without `--from`: a screen full of what happened last.
const LAST_REVISIONS: u64 = 20;
/// Some revisions have no event, so more of them are looked at than events are wanted.
const REVISIONS_PER_EVENT: u64 = 4;
/// Events that become one table or document; more are read as they come, with `-o jsonl`.
const ITEMS_MAX: usize = 100_000;
/// Rows that are laid out together when they come faster than people read.
const ROWS_TOGETHER: usize = 500;
const TOGETHER: Duration = Duration::from_millis(100);

/// Runs a verb of events.
pub(crate) async fn run(verb: EventVerb, session: &Session) -> Outcome {
    match verb {
        EventVerb::Tail(args) => tail(args, session).await,
        EventVerb::Get(args) => get(args, session).await,
    }
}

fn name(row: &Row) -> String {
    format!("event/{}", row.0.revision)
}

async fn get(args: GetArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let found = client
        .read(GetEventsRequest { revision: args.revision }, |client, request| async move {
            client.journal().get_events(request).await
        })
        .await?;
    let printer = &session.printer;
    let rows: Vec<Row> = found.items.into_iter().map(Row).collect();
    let wanted = args.look.wanted(false);
    let listing = Listing { revision: found.revision, name: &name };
    printer.rows(COLUMNS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

async fn tail(args: TailArgs, session: &Session) -> Outcome {
    let format = &session.printer.format;
    let streams = matches!(format, Format::Plain(FormatKind::Jsonl));
    let follows_as_rows = args.follow && format.is_table();
    if args.follow && !streams && !follows_as_rows && !format.is_json() {
        return Err(usage("what goes on for ever is a table or lines of JSON")
            .hint("-o jsonl, or no -o at all")
            .into());
    }
    if args.follow && args.limit.is_some() && args.from.is_none() {
        return Err(usage("--limit with --follow needs --from: what is counted begins there")
            .hint("add --from 0, or leave --limit away")
            .into());
    }
    let newest = newest(&args);
    let client = session.client(QUICK).await?;
    let request = TailRequest {
        from_revision: from(&args, &client).await?,
        only_new: false,
        limit: args.limit.filter(|_| newest.is_none()).unwrap_or(0),
        follow: args.follow,
        types: args.types.clone(),
        subject: args.subject.clone(),
    };
    let tail = client.tail(request).await?;
    if args.follow {
        session.detaches();
        if let Some(words) = subject_without_namespace(&args.subject) {
            session.printer.note(&words);
        }
    }
    match (streams || args.follow, follows_as_rows) {
        (_, true) => rows_as_they_come(tail, &args, session).await,
        (true, false) if newest.is_none() => lines(tail, session).await,
        _ => together(tail, &args, session).await,
    }
}

async fn from(args: &TailArgs, client: &Client) -> Outcome<u64> {
    match args.from {
        Some(revision) => Ok(revision),
        None => Ok((client.status().await?.revision + 1).saturating_sub(looked_at(args))),
    }
}

/// Revisions that are looked at where nobody says from where. Not each of them has an event.
fn looked_at(args: &TailArgs) -> u64 {
    args.limit.unwrap_or(0).saturating_mul(REVISIONS_PER_EVENT).max(LAST_REVISIONS)
}

/// How many are shown of those at the end. From a revision on it is the first ones that count, and
/// the server counts them.
fn newest(args: &TailArgs) -> Option<usize> {
    let limit = args.limit.filter(|_| args.from.is_none())?;
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// What to say of `agent/hello`: a subject has its namespace in the middle, and `agent/team-a` is
/// everything below a namespace.
fn subject_without_namespace(subject: &str) -> Option<String> {
    let (kind, name) = subject.split_once('/')?;
    KindWord::read(kind).filter(|_| !name.is_empty() && !name.contains('/'))?;
    Some(format!(
        "{subject} is everything in the namespace {name}; one of them: --subject {kind}/default/{name}"
    ))
}

/// Why there is nothing to show.
fn nothing(args: &TailArgs) -> String {
    let what = match args.types.is_empty() && args.subject.is_empty() {
        true => "no events",
        false => "no such events",
    };
    match args.from {
        None => format!("{what} in the last {} revisions; --from 0 looks at all", looked_at(args)),
        Some(0) => format!("{what} among those that are kept"),
        Some(revision) => format!("{what} from revision {revision} on"),
    }
}

/// One object for each line, as they come.
async fn lines(mut tail: Tail, session: &Session) -> Outcome {
    while let Some(item) = tail.next().await? {
        match item {
            Item::Event(event) => session.printer.json_line(Row(event).json())?,
            Item::Resync(resync) => session.printer.json_line(resync_line(&resync))?,
            Item::Bookmark(_) => {}
        }
    }
    Ok(Exit::Done)
}

/// A table that grows.
async fn rows_as_they_come(mut tail: Tail, args: &TailArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    let wanted = args.look.wanted(false);
    let kind = match printer.format {
        Format::Plain(kind) => kind,
        Format::Path(_) => FormatKind::Table,
    };
    let mut with_headings = !args.look.no_headers;
    let (mut rows, mut floors) = (Vec::new(), Vec::new());
    let mut ended = false;
    while !ended {
        // What comes together is laid out together; what comes alone is a line of its own.
        let patience = if rows.is_empty() { Duration::MAX } else { TOGETHER };
        let full = match timeout(patience, tail.next()).await {
            Ok(item) => {
                match item? {
                    Some(Item::Event(event)) => rows.push(Row(event)),
                    Some(Item::Resync(resync)) => printer.note(&missed(&resync)),
                    Some(Item::Bookmark(_)) => {}
                    None => ended = true,
                }
                ended || rows.len() >= ROWS_TOGETHER
            }
            Err(_) => true,
        };
        if full && !rows.is_empty() {
            let clock = Clock::now(printer.clock.utc);
            let mut grid = wanted.grid(COLUMNS, &rows, kind, &clock)?;
            grid.floors = floors;
            printer.data(&grid.lay_out(&printer.style, printer.width(), with_headings))?;
            floors = grid.natural_widths(with_headings);
            with_headings = false;
            rows.clear();
        }
    }
    Ok(Exit::Done)
}

/// One table or document.
async fn together(mut tail: Tail, args: &TailArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    let newest = newest(args);
    let mut rows = VecDeque::new();
    let mut revision = 0;
    while let Some(item) = tail.next().await? {
        match item {
            Item::Event(event) => {
                revision = revision.max(event.revision);
                rows.push_back(Row(event));
                if newest.is_some_and(|newest| rows.len() > newest) {
                    rows.pop_front();
                }
            }
            Item::Bookmark(bookmark) => revision = revision.max(bookmark.revision),
            Item::Resync(resync) => printer.note(&missed(&resync)),
        }
        if rows.len() >= ITEMS_MAX {
            printer.note("there is more: -o jsonl shows all of it");
            break;
        }
    }
    let wanted = args.look.wanted(false);
    let rows = wanted.sort(COLUMNS, rows.into(), &printer.clock)?;
    if rows.is_empty()
        && let Some(words) = subject_without_namespace(&args.subject)
    {
        printer.note(&words);
    }
    if rows.is_empty() && printer.format.is_table() {
        printer.note(&nothing(args));
        return Ok(Exit::Done);
    }
    let listing = Listing { revision, name: &name };
    printer.rows(COLUMNS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

fn missed(resync: &Resync) -> String {
    format!(
        "events before revision {} are no longer kept; it goes on at {}",
        resync.oldest_revision, resync.revision
    )
}

fn resync_line(resync: &Resync) -> Value {
    let mut line = serde_json::json!({"type": "RESYNC"});
    if let (Some(line), Value::Object(fields)) =
        (line.as_object_mut(), to_json("keiko.v1.Resync", resync))
    {
        line.extend(fields);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn args(line: &str) -> TailArgs {
        let words = "keikoctl event tail".split(' ').chain(line.split_whitespace());
        match Cli::try_parse_from(words).map(|cli| cli.verb) {
            Ok(Verb::Event(EventVerb::Tail(args))) => args,
            Ok(_) => panic!("{line} is another verb"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn an_empty_tail_says_where_it_looked() {
        for (line, expect) in [
            ("", "no events in the last 20 revisions; --from 0 looks at all"),
            ("--limit 3", "no events in the last 20 revisions; --from 0 looks at all"),
            (
                "--limit 50 --type x",
                "no such events in the last 200 revisions; --from 0 looks at all",
            ),
            ("--from 0 --subject x", "no such events among those that are kept"),
            ("--from 7 --type x", "no such events from revision 7 on"),
        ] {
            assert_eq!(nothing(&args(line)), expect, "{line}");
        }
    }

    #[test]
    fn a_subject_without_a_namespace_is_told() {
        for (subject, expect) in [
            ("agent/hello", true),
            ("mcp/team-a", true),
            ("agent/default/hello", false),
            ("agent", false),
            ("agent/", false),
            ("cluster/x", false),
            ("", false),
        ] {
            assert_eq!(subject_without_namespace(subject).is_some(), expect, "{subject}");
        }
    }

    #[test]
    fn without_a_beginning_the_newest_count() {
        assert_eq!(newest(&args("--limit 3")), Some(3));
        assert_eq!(newest(&args("--limit 3 --from 1")), None);
        assert_eq!(newest(&args("")), None);
    }
}
