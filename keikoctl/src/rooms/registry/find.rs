//! `find`: who offers a capability, the best first.

use super::flags::FindArgs;
use super::state;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::columns::When::Wide;
use crate::print::{Cell, Column, Listing, Role, Shown};
use crate::session::{QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{Candidate, FindRequest};
use keiko_core::refusal::{Code, Refusal};
use keiko_core::selector::Selector;
use serde_json::Value;

/// Runs `find`.
pub(crate) async fn run(args: &FindArgs, session: &Session) -> Outcome {
    // The server knows it too; here it costs no call.
    Selector::parse(&args.selector)?;
    let request = FindRequest {
        capability: bare(&args.capability).to_owned(),
        namespace: args.namespace.one(),
        label_selector: args.selector.clone(),
        one: args.one,
        limit: args.limit.unwrap_or(0),
    };
    let client = session.client(QUICK).await?;
    let found = client
        .read(request, |client, request| async move { client.registry().find(request).await })
        .await?;
    if found.items.is_empty() {
        return Err(nobody(args).into());
    }
    let printer = &session.printer;
    let items: Vec<Offer> = found.items.into_iter().map(Offer).collect();
    let shown = items.len();
    let wanted = args.look.wanted(false);
    let items = wanted.sort(COLUMNS, items, &printer.clock)?;
    let listing = Listing { revision: found.revision, name: &Offer::reference };
    printer.rows(COLUMNS, &wanted, &items, !args.look.no_headers, listing)?;
    let total = usize::try_from(found.total).unwrap_or(usize::MAX);
    if !args.one && total > shown && printer.format.is_table() {
        printer.note(&format!("{shown} of {total}"));
    }
    Ok(Exit::Done)
}

/// The capability without its kind: `-o name` prints one.
fn bare(text: &str) -> &str {
    let kinds = ["tool/", "skill/"];
    kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text)
}

fn nobody(args: &FindArgs) -> Refusal {
    let words = format!("nobody offers {:?}", args.capability);
    let refusal = Refusal::new(Code::NotFound, words);
    let refusal = if args.selector.is_empty() {
        refusal
    } else {
        refusal.cause(format!("nobody with the labels {}", args.selector))
    };
    refusal.hint("keikoctl tool list -A").hint("keikoctl skill list -A -o wide")
}

/// Who offers it.
struct Offer(Candidate);

impl Offer {
    fn reference(&self) -> String {
        format!("{}/{}", self.0.kind, self.0.name)
    }

    /// A lease that ended, or an agent that says so itself, is not in its health yet.
    fn state(&self) -> &str {
        let callable = ["ready", "degraded"].contains(&self.0.state.as_str());
        if callable && !self.0.routable { "not-callable" } else { &self.0.state }
    }
}

impl Shown for Offer {
    /// Every field is always there: scripts ask for `url` also where there is none.
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.Candidate", &self.0);
        let Candidate { version, url, pressure, calls_in_flight, call_latency_us, .. } = &self.0;
        json["version"] = version.as_str().into();
        json["routable"] = self.0.routable.into();
        json["url"] = url.as_str().into();
        json["pressure"] = (*pressure).into();
        json["callsInFlight"] = (*calls_in_flight).into();
        json["callLatencyUs"] = (*call_latency_us).into();
        json
    }
}

const COLUMNS: &[Column<Offer>] = &[
    Column::new("NAME", |offer: &Offer, _| Cell::text(offer.reference())),
    Column::new("OWNER", |offer: &Offer, _| Cell::text(&offer.0.owner)),
    Column::new("VERSION", |offer: &Offer, _| Cell::text(&offer.0.version)),
    Column::new("STATE", |offer: &Offer, _| {
        let role = if offer.0.routable { state::role(&offer.0.state) } else { Role::Bad };
        Cell::role(role, offer.state())
    }),
    Column::new("LOAD", |offer: &Offer, _| state::share(offer.0.pressure)),
    Column::new("CALLS", |offer: &Offer, _| Cell::number(offer.0.calls_in_flight.into())),
    Column::new("LATENCY", |offer: &Offer, _| state::took(offer.0.call_latency_us)),
    Column::new("NAMESPACE", |offer: &Offer, _| Cell::text(&offer.0.namespace)).when(Wide),
    Column::new("URL", |offer: &Offer, _| Cell::text(&offer.0.url)).when(Wide).flexible(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::columns::Wanted;
    use crate::print::time::Clock;
    use crate::print::{FormatKind, Style};

    fn offer(name: &str, state: &str, routable: bool) -> Offer {
        Offer(Candidate {
            kind: "tool".into(),
            namespace: "default".into(),
            name: format!("{name}.now"),
            owner: format!("mcp/{name}"),
            version: "1.2.0".into(),
            state: state.into(),
            routable,
            pressure: 375,
            calls_in_flight: 3,
            call_latency_us: 12_500,
            ..Candidate::default()
        })
    }

    #[test]
    fn candidates_in_columns() {
        let clock = Clock { now_ms: 0, utc: false };
        let offers = [offer("a", "ready", true), offer("b", "ready", false)];
        let grid = Wanted::default().grid(COLUMNS, &offers, FormatKind::Table, &clock).unwrap();
        assert_eq!(
            grid.lay_out(&Style::plain(), None, true),
            "NAME         OWNER   VERSION   STATE          LOAD   CALLS   LATENCY\n\
             tool/a.now   mcp/a   1.2.0     ready          38%        3   12ms\n\
             tool/b.now   mcp/b   1.2.0     not-callable   38%        3   12ms\n"
        );
        assert_eq!(offers[1].json()["url"], "");
        assert_eq!(offers[1].json()["routable"], false);
    }

    #[test]
    fn a_kind_in_front_is_no_part_of_the_capability() {
        for (text, expect) in
            [("tool/time.now@^1", "time.now@^1"), ("skill/x", "x"), ("now", "now")]
        {
            assert_eq!(bare(text), expect);
        }
    }
}
