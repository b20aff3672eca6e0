//! `audit list`: who did what, when, from where, allowed or refused. It is the journal, a row for
//! each thing that somebody did, and for each kind of attempt that was refused.

use super::declared_args::{AuditListArgs, AuditVerb};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::time::{Point, point};
use crate::print::{Cell, Column, Listing, Role, Shown, When};
use crate::rooms::journal::actor;
use crate::session::{QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::tail_response::Item;
use keiko_client::proto::v1::{
    Actor, Event, RefusedAttempt, TailRequest, actor::Who, event::Body, security_event,
};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Rows that become one table; the newest of more.
const ROWS_MAX: usize = 100_000;

/// Something that somebody did, or tried to.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    revision: u64,
    unix_ms: u64,
    who: Option<Actor>,
    /// A type of event, or the permission that was missing.
    what: String,
    on: String,
    from: String,
    /// The code's number; none: it was allowed.
    refused: Option<u32>,
    count: u32,
    request_id: String,
}

impl Shown for Row {
    fn json(&self) -> Value {
        let who = self.who.clone().unwrap_or_default();
        json!({
            "revision": self.revision,
            "unixMs": self.unix_ms,
            "actor": to_json("keiko.v1.Actor", &who),
            "what": self.what,
            "on": self.on,
            "from": self.from,
            "allowed": self.refused.is_none(),
            "code": self.refused.map(|number| format!("KEIKO-{number:04}")),
            "count": self.count,
            "requestId": self.request_id,
        })
    }
}

impl Row {
    fn reference(&self) -> String {
        format!("event/{}", self.revision)
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("REVISION", |row: &Row, _| Cell::number(row.revision)),
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.unix_ms)),
    Column::new("WHO", |row: &Row, _| Cell::text(actor(row.who.as_ref()))),
    Column::new("WHAT", |row: &Row, _| Cell::text(&row.what)),
    Column::new("ON", |row: &Row, _| Cell::text(&row.on)).flexible(),
    Column::new("FROM", |row: &Row, _| Cell::text(&row.from)),
    Column::new("RESULT", |row: &Row, _| match row.refused {
        None => Cell::role(Role::Good, "allowed"),
        Some(number) => Cell::role(Role::Bad, format!("KEIKO-{number:04}")),
    }),
    Column::new("TIMES", |row: &Row, _| Cell::number(row.count.into())).when(When::Wide),
    Column::new("REQUEST", |row: &Row, _| Cell::text(&row.request_id)).when(When::Wide),
];

/// Runs a verb of the audit.
pub(crate) async fn run(verb: AuditVerb, session: &Session) -> Outcome {
    match verb {
        AuditVerb::List(args) => list(&args, session).await,
    }
}

async fn list(args: &AuditListArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    let since = match &args.since {
        Some(text) => Some(point(text, printer.clock.now_ms)?),
        None => None,
    };
    let (from_revision, from_ms) = match since {
        Some(Point::Revision(revision)) => (revision, 0),
        Some(Point::UnixMs(unix_ms)) => (0, unix_ms),
        None => (0, 0),
    };
    let types = match args.refused {
        true => vec!["keiko.security.refused".to_owned()],
        false => Vec::new(),
    };
    let client = session.client(QUICK).await?;
    let request = TailRequest { from_revision, types, ..TailRequest::default() };
    let mut tail = client.tail(request).await?;
    let most = args.limit.map_or(ROWS_MAX, |limit| usize::try_from(limit).unwrap_or(ROWS_MAX));
    let (mut rows, mut revision, mut untold) = (VecDeque::new(), 0, 0_u64);
    while let Some(item) = tail.next().await? {
        match item {
            Item::Event(event) if event.unix_ms >= from_ms => {
                revision = revision.max(event.revision);
                untold += left_out(&event);
                rows.extend(done(event).into_iter().filter(|row| is_wanted(row, args)));
                while rows.len() > most {
                    rows.pop_front();
                }
            }
            Item::Event(event) => revision = revision.max(event.revision),
            Item::Bookmark(bookmark) => revision = revision.max(bookmark.revision),
            Item::Resync(resync) => printer.note(&format!(
                "events before revision {} are no longer kept",
                resync.oldest_revision
            )),
        }
    }
    if untold > 0 {
        printer.note(&format!("{untold} refused attempts more were counted, and are not told"));
    }
    let wanted = args.look.wanted(false);
    let rows = wanted.sort(COLUMNS, rows.into(), &printer.clock)?;
    if rows.is_empty() && printer.format.is_table() {
        printer.note("nothing of that kind is kept");
        return Ok(Exit::Done);
    }
    let listing = Listing { revision, name: &Row::reference };
    printer.rows(COLUMNS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

/// Attempts of a flood: how many there were is kept, and not whose.
fn left_out(event: &Event) -> u64 {
    if let Some(Body::Security(body)) = &event.body
        && let Some(security_event::Event::Refused(refused)) = &body.event
    {
        return refused.left_out.into();
    }
    0
}

/// What an event tells that somebody did: itself, or each attempt that it counts.
fn done(event: Event) -> Vec<Row> {
    let Event { revision, unix_ms, r#type, subject, actor, peer, request_id, body, .. } = event;
    if let Some(Body::Security(body)) = &body
        && let Some(security_event::Event::Refused(refused)) = &body.event
    {
        let attempt = |attempt: &RefusedAttempt| Row {
            revision,
            unix_ms,
            who: attempt.actor.clone(),
            what: match attempt.permission.as_str() {
                "" => "call".to_owned(),
                permission => permission.to_owned(),
            },
            on: attempt.resource.clone(),
            from: attempt.peer.clone(),
            refused: Some(attempt.code),
            count: attempt.count,
            request_id: String::new(),
        };
        return refused.items.iter().map(attempt).collect();
    }
    vec![Row {
        revision,
        unix_ms,
        who: actor,
        what: r#type,
        on: subject,
        from: peer,
        refused: None,
        count: 1,
        request_id,
    }]
}

fn is_wanted(row: &Row, args: &AuditListArgs) -> bool {
    let who = row.who.as_ref().and_then(|actor| actor.who.as_ref());
    let name = match who {
        Some(Who::Socket(_)) => "socket".to_owned(),
        Some(Who::Token(bearer)) => format!("token/{}", bearer.id),
        Some(Who::Node(node)) => format!("node/{node}"),
        Some(Who::Person(person)) => format!("person/{}", person.name),
        None => "nobody".to_owned(),
    };
    let of_daemon = matches!(who, Some(Who::Node(_)));
    match &args.who {
        Some(asked) => *asked == name,
        None => args.nodes || !of_daemon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;
    use keiko_client::proto::v1::{NoteRefusals, Person, SecurityEvent};
    use keiko_core::refusal::Code;

    fn args(line: &str) -> AuditListArgs {
        let words = "keikoctl audit list".split(' ').chain(line.split_whitespace());
        match Cli::try_parse_from(words).map(|cli| cli.verb) {
            Ok(Verb::Audit(AuditVerb::List(args))) => args,
            _ => panic!("{line}"),
        }
    }

    fn by(who: Who) -> Option<Actor> {
        Some(Actor { who: Some(who) })
    }

    #[test]
    fn what_an_event_says_of_who_did_what() {
        let ann = by(Who::Person(Person { name: "ann".into() }));
        let changed = Event {
            revision: 7,
            r#type: "keiko.registry.agent.registered".into(),
            subject: "agent/default/x".into(),
            actor: ann.clone(),
            peer: "192.0.2.7".into(),
            ..Event::default()
        };
        let rows = done(changed);
        let [row] = &rows[..] else { panic!("one row") };
        assert_eq!((row.from.as_str(), row.refused), ("192.0.2.7", None));
        assert!(is_wanted(row, &args("")) && is_wanted(row, &args("--who person/ann")));
        assert!(!is_wanted(row, &args("--who person/bob")));

        let attempt = RefusedAttempt {
            code: Code::PermissionDenied as u32,
            actor: ann,
            permission: "tool.call".into(),
            count: 3,
            ..RefusedAttempt::default()
        };
        let nobody = RefusedAttempt { actor: None, permission: String::new(), ..attempt.clone() };
        let note = NoteRefusals { items: vec![attempt, nobody], left_out: 0 };
        let event = security_event::Event::Refused(note);
        let body = Some(Body::Security(SecurityEvent { event: Some(event) }));
        let told = Event { actor: by(Who::Node("n1".into())), body, ..Event::default() };
        let rows = done(told);
        assert_eq!((rows[0].what.as_str(), rows[0].count), ("tool.call", 3));
        assert_eq!(rows[0].json()["code"], "KEIKO-0022");
        assert_eq!(rows[1].what, "call");
        assert!(is_wanted(&rows[1], &args("--who nobody")));
        let daemon = Event { actor: by(Who::Node("n1".into())), ..Event::default() };
        let rows = done(daemon);
        assert!(!is_wanted(&rows[0], &args("")) && is_wanted(&rows[0], &args("--nodes")));
    }
}
