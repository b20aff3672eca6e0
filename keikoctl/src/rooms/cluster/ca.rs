//! `cluster ca`: which authorities count, and another one in the place of the one that is. The steps
//! are the cluster's; here they are begun, ended, looked at and waited for.

use super::args::{CaListArgs, CaRotateArgs, CaVerb};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::{Cell, Column, Format, FormatKind, Listing, Role, Shown, When, escape};
use crate::rooms::registry::flags::DryRunBy;
use crate::session::{PATIENT, QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    AuthorityInfo, ListAuthoritiesRequest, ListAuthoritiesResponse, RotateAuthorityRequest,
};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A few beats of every member.
const LOOK: Duration = Duration::from_millis(200);

/// An authority as a row.
struct Row(AuthorityInfo);

impl Shown for Row {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.AuthorityInfo", &self.0);
        json["nodes"] = json!(self.0.nodes);
        json
    }
}

impl Row {
    fn reference(&self) -> String {
        self.0.hash.clone()
    }
}

/// As many digits as tell them apart.
const HASH_SHOWN: usize = 16;

const COLUMNS: &[Column<Row>] = &[
    Column::new("CA", |row: &Row, _| Cell::text(row.0.hash.get(..HASH_SHOWN).unwrap_or_default())),
    Column::new("STATE", |row: &Row, _| state(&row.0)),
    Column::new("NODES", |row: &Row, _| Cell::text(row.0.nodes.join(","))).flexible(),
    Column::new("COUNTS-UNTIL", |row: &Row, clock| match row.0.until_ms {
        0 => Cell::default(),
        until_ms if until_ms <= clock.now_ms => Cell::role(Role::Warn, "now"),
        until_ms => Cell::until(clock, until_ms),
    }),
    Column::new("EXPIRES", |row: &Row, clock| match row.0.expires_ms {
        0 => Cell::default(),
        expires_ms => Cell::until(clock, expires_ms),
    }),
    Column::new("KEY", |row: &Row, _| Cell::text(&row.0.key_id)).when(When::Wide),
    Column::new("HASH", |row: &Row, _| Cell::text(&row.0.hash)).when(When::Wide),
];

fn state(info: &AuthorityInfo) -> Cell {
    let role = match info.state.as_str() {
        "signs" => Role::Good,
        "former" => Role::Muted,
        _ => Role::Warn,
    };
    Cell::role(role, &info.state)
}

/// Runs a verb of the authority.
pub(super) async fn run(verb: CaVerb, session: &Session) -> Outcome {
    match verb {
        CaVerb::List(args) => list(&args, session).await,
        CaVerb::Rotate(args) => rotate(args, session).await,
    }
}

async fn list(args: &CaListArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let listed = all(&client).await?;
    let printer = &session.printer;
    let is_grid = matches!(
        printer.format,
        Format::Plain(FormatKind::Table | FormatKind::Wide | FormatKind::Csv | FormatKind::Name)
    );
    if !is_grid {
        // With how far it is, which is of no row.
        printer.document(&document(&listed), |_| String::new())?;
        return Ok(Exit::Done);
    }
    let words = standing(&listed);
    let wanted = args.look.wanted(false);
    let revision = listed.revision;
    let rows: Vec<Row> = listed.items.into_iter().map(Row).collect();
    let rows = wanted.sort(COLUMNS, rows, &printer.clock)?;
    let listing = Listing { revision, name: &Row::reference };
    printer.rows(COLUMNS, &wanted, &rows, !args.look.no_headers, listing)?;
    if printer.format.is_table() && !words.is_empty() {
        printer.note(&words);
    }
    Ok(Exit::Done)
}

/// The JSON, with what scripts ask for always there.
fn document(listed: &ListAuthoritiesResponse) -> Value {
    let mut document = to_json("keiko.v1.ListAuthoritiesResponse", listed);
    let rows = listed.items.iter().map(|item| Row(item.clone()).json());
    document["items"] = rows.collect();
    document["step"] = json!(listed.step);
    document["waitsFor"] = json!(listed.waits_for);
    document["revision"] = json!(listed.revision);
    document
}

async fn all(client: &Client) -> Outcome<ListAuthoritiesResponse> {
    let call =
        |client: Client, request| async move { client.cluster().list_authorities(request).await };
    Ok(client.read(ListAuthoritiesRequest {}, call).await?)
}

/// How far it is, in words; empty: nothing is under way.
fn standing(listed: &ListAuthoritiesResponse) -> String {
    let retires = listed.items.iter().any(|item| item.state == "retiring");
    let step = match listed.step.as_str() {
        "wanted" => "the leader makes the next one",
        "trust" => "every node begins to trust the next one",
        "renew" => "every node takes a certificate of the next one",
        _ if retires => "what the one before signed still counts",
        _ => return String::new(),
    };
    match listed.waits_for.is_empty() {
        true => step.to_owned(),
        false => format!("{step}; it waits for {}", escape::line(&listed.waits_for.join(", "))),
    }
}

async fn rotate(args: CaRotateArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    let CaRotateArgs { overlap, finish, patience, dry_run, request } = args;
    if overlap.is_some_and(|overlap| overlap.as_millis() == 0) {
        return Err(usage("an overlap of no time cuts everybody off")
            .hint("to do that: keikoctl cluster ca rotate --wait, and then --finish")
            .into());
    }
    if dry_run.by() == Some(DryRunBy::Client) {
        return Err(usage("only the cluster knows whether a rotation is under way")
            .hint("--dry-run=server")
            .into());
    }
    let overlap_ms =
        overlap.map_or(0, |overlap| u64::try_from(overlap.as_millis()).unwrap_or(u64::MAX));
    let is_dry = dry_run.at_server();
    let message =
        RotateAuthorityRequest { overlap_ms, finish, request_id: Vec::new(), dry_run: is_dry };
    let client = session.client(PATIENT).await?;
    let call =
        |client: Client, request| async move { client.cluster().rotate_authority(request).await };
    let begun = client.write(request.id, message, call).await?;
    let waits = patience.or(false) && !is_dry;
    let revision = begun.write.unwrap_or_default().revision;
    if waits {
        settled(&client, finish, revision, session).await?;
    }
    let mut document = to_json("keiko.v1.RotateAuthorityResponse", &begun);
    document["revision"] = json!(revision);
    let words = match (is_dry, finish, waits) {
        (true, ..) => "nothing was changed: it would be taken".to_owned(),
        (false, false, false) => format!("another CA is on its way, revision {revision}"),
        (false, false, true) => format!("another CA signs, revision {revision}"),
        (false, true, false) => format!("the overlap ends, revision {revision}"),
        (false, true, true) => format!("one CA counts, revision {revision}"),
    };
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => String::new(),
        _ => format!("{words}\n"),
    })?;
    if !is_dry {
        printer.note("to see how far it is: keikoctl cluster ca list");
    }
    Ok(Exit::Done)
}

/// Waits until every node shows the next one; after an end, until no other one counts. A member that
/// does not know yet what was asked for at this revision says nothing of it.
async fn settled(client: &Client, finish: bool, asked: u64, session: &Session) -> Outcome<()> {
    let deadline = Instant::now() + session.timeout(PATIENT);
    let progress = session.progress("changing the CA");
    session.detaches();
    loop {
        let listed = all(client).await?;
        let retires = listed.items.iter().any(|item| item.state == "retiring");
        if listed.revision >= asked && listed.step.is_empty() && !(finish && retires) {
            return Ok(());
        }
        let words = standing(&listed);
        progress.say(&words);
        if Instant::now() + LOOK > deadline {
            return Err(Refusal::new(Code::WaitTimeout, "the rotation is not there yet")
                .cause(words)
                .hint("it goes on by itself: keikoctl cluster ca list")
                .hint("to wait for no node that is away: keikoctl cluster ca rotate --finish")
                .into());
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_said() {
        let listed = |step: &str, state: &str, waits_for: &[&str]| ListAuthoritiesResponse {
            step: step.into(),
            items: vec![AuthorityInfo { state: state.into(), ..AuthorityInfo::default() }],
            waits_for: waits_for.iter().map(|name| (*name).to_owned()).collect(),
            ..ListAuthoritiesResponse::default()
        };
        assert_eq!(standing(&listed("", "signs", &[])), "");
        assert_eq!(
            standing(&listed("trust", "signs", &["n2", "n3"])),
            "every node begins to trust the next one; it waits for n2, n3"
        );
        assert_eq!(
            standing(&listed("", "retiring", &[])),
            "what the one before signed still counts"
        );
    }
}
