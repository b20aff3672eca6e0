//! `--watch`: redraws on a terminal, appends lines of JSON in a pipe and on a terminal that can't
//! move its cursor.
//!
//! There every item of the watch is a line, BOOKMARK and RESYNC too: who reads them can resume
//! by revision.

use super::list::Fields;
use super::object::{Item, KindWord};
use super::table;
use crate::fault::{Outcome, usage};
use crate::print::columns::Wanted;
use crate::print::time::Clock;
use crate::print::{Format, FormatKind, Printer, Shown, is_dumb};
use crate::session::Session;
use keiko_client::Client;
use keiko_client::proto::v1::watch_response::Type;
use keiko_client::proto::v1::{WatchRequest, WatchResponse};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ages move on once a second; what changed is drawn at most four times a second.
const REDRAW: Duration = Duration::from_millis(250);
const REDRAWS_PER_AGE: u32 = 4;

/// What is watched, and how it looks.
pub(crate) struct Subject {
    pub kind: KindWord,
    pub namespace: String,
    /// Empty: every name.
    pub name: String,
    pub selector: String,
    pub fields: Fields,
    pub wanted: Wanted,
    pub with_headings: bool,
}

/// Watches until the caller has enough.
pub(crate) async fn run(subject: Subject, client: &Client, session: &Session) -> Outcome {
    let printer = &session.printer;
    let redraws = match &printer.format {
        Format::Plain(FormatKind::Table | FormatKind::Wide) => printer.is_terminal && !is_dumb(),
        Format::Plain(FormatKind::Json | FormatKind::Jsonl) => false,
        _ => {
            return Err(usage("a watch is a table or lines of JSON")
                .hint("-o jsonl, or no -o at all")
                .into());
        }
    };
    let request = WatchRequest {
        kind: subject.kind.kind.into(),
        namespace: subject.namespace.clone(),
        label_selector: subject.selector.clone(),
        after_revision: 0,
        name: subject.name.clone(),
    };
    let mut watch = client.watch(request).await?;
    session.detaches();
    let mut known = Known::default();
    let mut tick = tokio::time::interval(REDRAW);
    let (mut dirty, mut ticks) = (false, 0);
    if redraws {
        // What stands on the screen goes up into what can be scrolled back to.
        printer.data(&"\n".repeat(printer.height().unwrap_or_default()))?;
    }
    loop {
        let next = watch.next();
        tokio::pin!(next);
        let item = loop {
            tokio::select! {
                item = &mut next => break item?,
                _ = tick.tick(), if redraws => {
                    ticks += 1;
                    if dirty || (known.synced && ticks % REDRAWS_PER_AGE == 0) {
                        draw(&subject, &known, printer)?;
                        dirty = false;
                    }
                }
            }
        };
        let Some(item) = known.take(item, &subject.fields) else { continue };
        if redraws {
            dirty = known.synced;
        } else {
            printer.json_line(line(&item))?;
        }
    }
}

/// What is there now, by namespace and name.
#[derive(Default)]
struct Known {
    items: BTreeMap<(String, String), Item>,
    synced: bool,
}

impl Known {
    /// Notes an item; none if `--field` hides it. What fits no longer counts as deleted.
    fn take(&mut self, mut item: WatchResponse, fields: &Fields) -> Option<WatchResponse> {
        match item.r#type() {
            Type::Bookmark => {
                self.synced = true;
                return Some(item);
            }
            Type::Resync => {
                *self = Self::default();
                return Some(item);
            }
            Type::Unspecified | Type::Added | Type::Modified | Type::Deleted => {}
        }
        let object = Item(item.object.clone()?);
        let key = (object.metadata().namespace.clone(), object.metadata().name.clone());
        if item.r#type() == Type::Deleted {
            let was_there = self.items.remove(&key).is_some();
            return (was_there || fields.is_empty()).then_some(item);
        }
        if fields.fit(&object) {
            let before = self.items.insert(key, object);
            if !fields.is_empty() {
                item.set_type(if before.is_some() { Type::Modified } else { Type::Added });
            }
            return Some(item);
        }
        self.items.remove(&key)?;
        item.set_type(Type::Deleted);
        Some(item)
    }
}

fn line(item: &WatchResponse) -> Value {
    let mut line = json!({"type": item.r#type().as_str_name().trim_start_matches("TYPE_")});
    if let Some(object) = &item.object {
        line["object"] = Item(object.clone()).json();
    }
    line["revision"] = json!(item.revision);
    line
}

fn draw(subject: &Subject, known: &Known, printer: &Printer) -> Outcome<()> {
    let clock = Clock::now(printer.clock.utc);
    let columns = table::columns(subject.kind.kind);
    let items: Vec<Item> = known.items.values().cloned().collect();
    let items = subject.wanted.sort(columns, items, &clock)?;
    let Format::Plain(kind) = printer.format else { return Ok(()) };
    let grid = subject.wanted.grid(columns, &items, kind, &clock)?;
    let text = grid.lay_out(&printer.style, printer.width(), subject.with_headings);
    printer.data(&frame(&text, printer.height().unwrap_or(usize::MAX)))
}

/// A screen: home, then row by row over what was there, then clear the rest, so that nothing
/// flickers. A row that is too long ends at the margin: wrapped, it would push the others down.
pub(crate) fn frame(text: &str, height: usize) -> String {
    let rows = text.lines().take(height.saturating_sub(1));
    let rows: String = rows.map(|row| format!("\u{1b}[2K{row}\n")).collect();
    format!("\u{1b}[?7l\u{1b}[H{rows}\u{1b}[J\u{1b}[?7h")
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::time_server;
    use super::*;

    fn change(kind: Type) -> WatchResponse {
        WatchResponse { r#type: kind.into(), object: Some(time_server().0), revision: 7 }
    }

    #[test]
    fn lines_say_what_happened() {
        let added = line(&change(Type::Added)).to_string();
        assert!(added.starts_with("{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"keiko/v1\""));
        assert!(added.ends_with(",\"revision\":7}"), "{added}");
        let bookmark = WatchResponse { r#type: Type::Bookmark.into(), object: None, revision: 9 };
        assert_eq!(line(&bookmark).to_string(), "{\"type\":\"BOOKMARK\",\"revision\":9}");
    }

    #[test]
    fn a_frame_wraps_nothing_and_leaves_wrapping_on() {
        let drawn = frame("a\nb\nc\n", 3);
        assert_eq!(drawn, "\u{1b}[?7l\u{1b}[H\u{1b}[2Ka\n\u{1b}[2Kb\n\u{1b}[J\u{1b}[?7h");
    }

    #[test]
    fn a_field_hides_and_deletes() {
        let mut known = Known::default();
        let fits = Fields::parse(&["metadata.name=time".into()]).unwrap();
        let not = Fields::parse(&["metadata.name=other".into()]).unwrap();
        let shown = |item: Option<WatchResponse>| item.map(|item| item.r#type());
        assert_eq!(shown(known.take(change(Type::Added), &not)), None);
        assert_eq!(shown(known.take(change(Type::Modified), &fits)), Some(Type::Added));
        assert_eq!(shown(known.take(change(Type::Modified), &not)), Some(Type::Deleted));
        assert_eq!(shown(known.take(change(Type::Deleted), &not)), None);
        assert_eq!(
            shown(known.take(change(Type::Deleted), &Fields::default())),
            Some(Type::Deleted)
        );
    }
}
