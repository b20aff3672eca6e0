//! `list`: the whole list, however many pages it has.

use super::flags::ListArgs;
use super::object::{Item, KindWord};
use super::{table, watch};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::jsonpath::JsonPath;
use crate::print::time::short;
use crate::print::{Listing, Shown};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::v1::ListRequest;
use keiko_core::refusal::{Refusal, Result};
use keiko_core::selector::Selector;

/// Pages of one list: 1,000 of 1,000 items are more than a fleet has.
const PAGES_MAX: usize = 1000;

/// Runs `list`.
pub(crate) async fn run(kind: KindWord, args: &ListArgs, session: &Session) -> Outcome {
    // The server knows it too; here it costs no call.
    Selector::parse(&args.selector)?;
    let fields = Fields::parse(&args.field)?;
    let wanted = args.look.wanted(args.scope.all_namespaces);
    let client = session.client(QUICK).await?;
    if args.watch {
        let subject = watch::Subject {
            kind,
            namespace: args.scope.wire(),
            name: String::new(),
            selector: args.selector.clone(),
            fields,
            wanted,
            with_headings: !args.look.no_headers,
        };
        return watch::run(subject, &client, session).await;
    }
    let first = ListRequest {
        kind: kind.kind.into(),
        namespace: args.scope.wire(),
        label_selector: args.selector.clone(),
        consistency: args.freshness.wire(),
        ..ListRequest::default()
    };
    // What is filtered or sorted here must be there in full first.
    let at_once = args.limit.filter(|_| fields.is_empty() && wanted.sort_by.is_none());
    let mut found = fetch(&client, first, at_once).await?;
    found.items.retain(|item| fields.fit(item));
    let printer = &session.printer;
    let columns = table::columns(kind.kind);
    let mut items = wanted.sort(columns, found.items, &printer.clock)?;
    items.truncate(usize::try_from(args.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
    if found.staleness_ms > 0 {
        printer.note(&format!("as of {} ago", short(found.staleness_ms)));
    }
    if items.is_empty() && printer.format.is_table() {
        printer.note(&nothing(kind, args));
        return Ok(Exit::Done);
    }
    let listing = Listing { revision: found.revision, name: &Item::reference };
    printer.rows(columns, &wanted, &items, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

/// Why there is nothing to show.
fn nothing(kind: KindWord, args: &ListArgs) -> String {
    let place = match args.scope.wire() {
        all if all.is_empty() => "in any namespace".to_owned(),
        one => format!("in namespace {one}"),
    };
    let fit = if args.selector.is_empty() && args.field.is_empty() { "" } else { " that fit" };
    format!("no {} {place}{fit}", kind.plural())
}

/// A list as it was at one revision.
pub(crate) struct Found {
    pub items: Vec<Item>,
    pub revision: u64,
    pub staleness_ms: u64,
}

/// Every page, up to a limit.
pub(crate) async fn fetch(
    client: &Client,
    first: ListRequest,
    limit: Option<u64>,
) -> Outcome<Found> {
    let mut found = Found { items: Vec::new(), revision: 0, staleness_ms: 0 };
    let mut request = first;
    for _ in 0..PAGES_MAX {
        let there = u64::try_from(found.items.len()).unwrap_or(u64::MAX);
        let left = limit.map_or(0, |limit| limit.saturating_sub(there));
        request.limit = u32::try_from(left).unwrap_or(0);
        let page = client
            .read(request.clone(), |client, request| async move {
                client.registry().list(request).await
            })
            .await?;
        found.items.extend(page.items.into_iter().map(Item));
        found.revision = page.revision;
        found.staleness_ms = found.staleness_ms.max(page.staleness_ms);
        let enough = limit.is_some_and(|limit| found.items.len() as u64 >= limit);
        if page.next_page_token.is_empty() || enough {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(found)
}

/// `--field`: all must hold.
#[derive(Default)]
pub(crate) struct Fields(Vec<Field>);

struct Field {
    path: JsonPath,
    equal: bool,
    value: String,
}

impl Fields {
    /// Reads `PATH=VALUE` and `PATH!=VALUE`.
    pub(crate) fn parse(texts: &[String]) -> Result<Self> {
        texts.iter().map(|text| Field::parse(text)).collect::<Result<_>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the item fits them all.
    pub(crate) fn fit(&self, item: &Item) -> bool {
        if self.is_empty() {
            return true;
        }
        let json = item.json();
        self.0.iter().all(|field| (field.path.render(&json) == field.value) == field.equal)
    }
}

impl Field {
    fn parse(text: &str) -> Result<Self> {
        let malformed = || -> Refusal {
            usage(format!("{text:?} is not a field")).hint("as in: --field spec.server=time")
        };
        let (path, value) = text.split_at(sign(text).ok_or_else(malformed)?);
        let value = value.trim_start_matches('=').to_owned();
        let (path, equal) = match path.strip_suffix('!') {
            Some(path) => (path, false),
            None => (path, true),
        };
        if path.trim().is_empty() {
            return Err(malformed());
        }
        Ok(Self { path: JsonPath::parse(path)?, equal, value })
    }
}

/// Where a path ends and its value begins: the first `=` outside of a filter.
pub(super) fn sign(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        byte == b'=' && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::time_server;
    use super::*;

    #[test]
    fn an_empty_list_says_where_it_looked() {
        use crate::cli::{Cli, Verb};
        use crate::rooms::registry::AgentVerb;
        use clap::Parser;
        for (line, expect) in [
            ("-n default", "no agents in namespace default"),
            ("-n team-a -l a=b", "no agents in namespace team-a that fit"),
            ("-A --field spec.url=x", "no agents in any namespace that fit"),
            ("-A", "no agents in any namespace"),
        ] {
            let words = "keikoctl agent list".split(' ').chain(line.split(' '));
            let Ok(Verb::Agent(AgentVerb::List(args))) =
                Cli::try_parse_from(words).map(|cli| cli.verb)
            else {
                panic!("{line}");
            };
            assert_eq!(nothing(KindWord::read("agent").unwrap(), &args), expect, "{line}");
        }
    }

    #[test]
    fn fields_select() {
        for (field, expect) in [
            ("metadata.name=time", Some(true)),
            (".metadata.name==time", Some(true)),
            ("metadata.name!=time", Some(false)),
            ("metadata.revision=7", Some(true)),
            ("spec.nothing=", Some(true)),
            ("status.conditions[?(@.type==\"Ready\")].status=True", Some(true)),
            ("=x", None),
            ("metadata.name", None),
        ] {
            let fields = Fields::parse(&[field.to_owned()]).ok();
            assert_eq!(fields.map(|fields| fields.fit(&time_server())), expect, "{field}");
        }
    }
}
