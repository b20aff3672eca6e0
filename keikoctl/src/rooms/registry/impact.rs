//! `impact`: what breaks if an object does, in the order in which it breaks.

use super::flags::ImpactArgs;
use super::object::KindWord;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Cell, Column, Listing, Shown};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{Affected, ImpactRequest, ImpactResponse};
use serde_json::{Value, json};

/// Names that a sentence gives.
const NAMED_MAX: usize = 5;

/// Runs `impact`.
pub(crate) async fn run(kind: KindWord, args: &ImpactArgs, session: &Session) -> Outcome {
    let name = kind.name(&args.name)?;
    let client = session.client(QUICK).await?;
    let found = ask(&client, kind, &args.namespace.one(), &name).await?;
    let printer = &session.printer;
    if found.items.is_empty() && printer.format.is_table() {
        printer.note(&format!("nothing depends on {}/{name}", kind.word));
        return Ok(Exit::Done);
    }
    let items: Vec<Broken> = found.items.into_iter().map(Broken).collect();
    let wanted = args.look.wanted(false);
    let items = wanted.sort(COLUMNS, items, &printer.clock)?;
    let listing = Listing { revision: found.revision, name: &Broken::reference };
    printer.rows(COLUMNS, &wanted, &items, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

/// Asks what breaks.
pub(crate) async fn ask(
    client: &Client,
    kind: KindWord,
    namespace: &str,
    name: &str,
) -> Outcome<ImpactResponse> {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let request = ImpactRequest { kind: kind.kind.into(), namespace, name };
    let found = client
        .read(request, |client, request| async move { client.registry().impact(request).await })
        .await?;
    Ok(found)
}

/// As in `3 need it: mcp/a, agent/b, agent/c`; empty if nothing does.
pub(crate) fn sentence(found: &ImpactResponse) -> String {
    let count = found.items.len();
    if count == 0 {
        return String::new();
    }
    let names = found.items.iter().take(NAMED_MAX).map(|one| format!("{}/{}", one.kind, one.name));
    let names = names.collect::<Vec<_>>().join(", ");
    let verb = if count == 1 { "needs" } else { "need" };
    let more = if count > NAMED_MAX { ", …" } else { "" };
    format!("{count} {verb} it: {names}{more}")
}

struct Broken(Affected);

impl Broken {
    fn reference(&self) -> String {
        format!("{}/{}", self.0.kind, self.0.name)
    }
}

impl Shown for Broken {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.Affected", &self.0);
        json["needs"] = json!(self.0.needs);
        json
    }
}

const COLUMNS: &[Column<Broken>] = &[
    Column::new("NAME", |broken: &Broken, _| Cell::text(broken.reference())),
    Column::new("DISTANCE", |broken: &Broken, _| Cell::number(broken.0.distance.into())),
    Column::new("NEEDS", |broken: &Broken, _| Cell::text(broken.0.needs.join(", "))).flexible(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::columns::Wanted;
    use crate::print::time::Clock;
    use crate::print::{FormatKind, Style};

    fn affected(name: &str, distance: u32, needs: &[&str]) -> Affected {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        Affected { kind: "agent".into(), name: name.into(), distance, needs, ..Affected::default() }
    }

    #[test]
    fn what_breaks_in_order() {
        let items =
            vec![affected("a", 1, &["mcp/time"]), affected("b", 2, &["agent/a", "tool/time.now"])];
        let found = ImpactResponse { items: items.clone(), revision: 7 };
        assert_eq!(sentence(&found), "2 need it: agent/a, agent/b");
        assert_eq!(sentence(&ImpactResponse::default()), "");
        let clock = Clock { now_ms: 0, utc: false };
        let broken: Vec<Broken> = items.into_iter().map(Broken).collect();
        let grid = Wanted::default().grid(COLUMNS, &broken, FormatKind::Table, &clock).unwrap();
        assert_eq!(
            grid.lay_out(&Style::plain(), None, true),
            "NAME      DISTANCE   NEEDS\n\
             agent/a          1   mcp/time\n\
             agent/b          2   agent/a, tool/time.now\n"
        );
    }
}
