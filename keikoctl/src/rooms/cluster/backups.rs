//! The backups by schedule: what there is, one now, and a rehearsal now.

use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::time::{Clock, short};
use crate::print::{Cell, Column, Format, FormatKind, Listing, Role, Shown, When};
use crate::rooms::registry::flags::Look;
use crate::session::{Interrupt, PATIENT, QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    BackupInfo, BackupNote, ListBackupsRequest, ListBackupsResponse, MakeBackupRequest,
    RehearseRestoreRequest,
};
use keiko_core::cluster::{FAILED, MADE, UNRESTORABLE};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};

const GOES_ON: &str = "detached; the node goes on with it: keikoctl cluster backup list";

impl Shown for BackupInfo {
    fn json(&self) -> Value {
        to_json("keiko.v1.BackupInfo", self)
    }
}

const BACKUPS: &[Column<BackupInfo>] = &[
    Column::new("NAME", |info: &BackupInfo, _| Cell::text(&info.name)),
    Column::new("AGE", |info: &BackupInfo, clock| Cell::age(clock, info.created_unix_ms)),
    Column::new("REVISION", |info: &BackupInfo, _| Cell::number(info.revision)),
    Column::new("BYTES", |info: &BackupInfo, _| Cell::number(info.bytes)),
    Column::new("RESTORED", restored),
    Column::new("TOOK", |info: &BackupInfo, _| took(info.restore_took_ms)).spare(),
    Column::new("NODE", |info: &BackupInfo, _| Cell::text(&info.node)).when(When::Wide),
    Column::new("CLUSTER", |info: &BackupInfo, _| Cell::text(&info.cluster_id)).when(When::Wide),
    Column::new("REASON", |info: &BackupInfo, _| Cell::text(&info.restore_failure))
        .when(When::Wide)
        .flexible(),
];

/// Whether it ever was, and when last.
fn restored(info: &BackupInfo, clock: &Clock) -> Cell {
    match (info.restore_failure.is_empty(), info.restored_unix_ms) {
        (false, _) => Cell::role(Role::Bad, "failed"),
        (true, 0) => Cell::role(Role::Warn, "never"),
        (true, at) => Cell { role: Role::Good, ..Cell::age(clock, at) },
    }
}

fn took(ms: u64) -> Cell {
    match ms {
        0 => Cell::role(Role::Muted, "-"),
        ms => Cell { text: format!("{ms}ms"), role: Role::Plain, key: Some(ms) },
    }
}

/// `cluster backup list`.
pub(super) async fn list(look: &Look, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let listed = client
        .read(ListBackupsRequest {}, |client, request| async move {
            client.cluster().list_backups(request).await
        })
        .await?;
    let printer = &session.printer;
    match &printer.format {
        Format::Plain(
            FormatKind::Table
            | FormatKind::Wide
            | FormatKind::Csv
            | FormatKind::Name
            | FormatKind::Jsonl,
        ) => {
            let wanted = look.wanted(false);
            let rows = wanted.sort(BACKUPS, listed.items.clone(), &printer.clock)?;
            let name = |info: &BackupInfo| info.name.clone();
            let listing = Listing { revision: 0, name: &name };
            printer.rows(BACKUPS, &wanted, &rows, !look.no_headers, listing)?;
        }
        _ => printer.document(&document(&listed), |_| String::new())?,
    }
    if printer.format.is_table() {
        for line in summary(&listed) {
            printer.note(&line);
        }
    }
    Ok(Exit::Done)
}

/// The JSON, with what scripts ask for always there.
fn document(listed: &ListBackupsResponse) -> Value {
    let mut document = to_json("keiko.v1.ListBackupsResponse", listed);
    document["place"] = json!(listed.place);
    document["recoveryPointMs"] = json!(listed.recovery_point_ms);
    document["recoveryTimeMs"] = json!(listed.recovery_time_ms);
    for list in ["items", "notes"] {
        if document[list].is_null() {
            document[list] = json!([]);
        }
    }
    document
}

/// What the rows do not say.
fn summary(listed: &ListBackupsResponse) -> Vec<String> {
    if listed.place.is_empty() {
        return vec!["none by schedule: [backup] place in keiko.toml names where".to_owned()];
    }
    let every = short(listed.every_ms);
    let mut lines = vec![format!("in {}, one every {every}", listed.place)];
    let note = |outcome: &str| listed.notes.iter().find(|note| note.outcome == outcome);
    if note(MADE).is_some() {
        let point = short(listed.recovery_point_ms);
        let time = match listed.recovery_time_ms {
            0 => "no restore was rehearsed yet".to_owned(),
            ms => format!("recovery time: {ms} ms, as rehearsed"),
        };
        lines.push(format!("recovery point: {point} ago; {time}"));
    }
    let made_ms = note(MADE).map_or(0, |note| note.unix_ms);
    if let Some(failed) = note(FAILED).filter(|failed| failed.unix_ms > made_ms) {
        lines.push(format!("the last one failed: {}", failed.reason));
    }
    lines
}

/// `cluster backup now`.
pub(super) async fn make(session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(PATIENT).await?;
    session.on_interrupt(Interrupt::Detaches(GOES_ON.to_owned()));
    let progress = session.progress("making a backup");
    let made = client
        .once(MakeBackupRequest {}, |client, request| async move {
            client.cluster().make_backup(request).await
        })
        .await?;
    drop(progress);
    show(&made, session, |note| {
        format!(
            "{}: revision {}, {} bytes, {} of them new, in {} ms\n",
            note.name, note.revision, note.bytes, note.new_bytes, note.took_ms
        )
    })?;
    Ok(Exit::Done)
}

/// `cluster backup rehearse`.
pub(super) async fn rehearse(session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(PATIENT).await?;
    session.on_interrupt(Interrupt::Detaches(GOES_ON.to_owned()));
    let progress = session.progress("restoring the newest backup into a folder of its own");
    let note = client
        .once(RehearseRestoreRequest {}, |client, request| async move {
            client.cluster().rehearse_restore(request).await
        })
        .await?;
    drop(progress);
    if note.outcome == UNRESTORABLE {
        let message = format!("backup {} can't be restored", note.name);
        return Err(Refusal::new(Code::BackupInvalid, message)
            .cause(&note.reason)
            .hint("the next backup writes every piece anew: keikoctl cluster backup now")
            .into());
    }
    show(&note, session, |note| {
        format!(
            "{}: restored to revision {} in {} ms; the state is the one that was backed up\n",
            note.name, note.revision, note.took_ms
        )
    })?;
    Ok(Exit::Done)
}

fn show(
    note: &BackupNote,
    session: &Session,
    human: impl Fn(&BackupNote) -> String,
) -> Outcome<()> {
    let document = to_json("keiko.v1.BackupNote", note);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", note.name),
        _ => human(note),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_it_was_ever_restored() {
        let clock = Clock { now_ms: 1_000_000, utc: false };
        for (failure, at, expect) in [("", 0, "never"), ("", 940_000, "1m"), ("x", 1, "failed")] {
            let info = BackupInfo {
                restore_failure: failure.to_owned(),
                restored_unix_ms: at,
                ..BackupInfo::default()
            };
            assert_eq!(restored(&info, &clock).text, expect);
        }
    }

    #[test]
    fn what_the_rows_do_not_say() {
        let mut listed = ListBackupsResponse::default();
        assert!(summary(&listed)[0].contains("[backup] place"));
        assert_eq!(document(&listed)["items"], json!([]));
        listed.place = "/b".to_owned();
        listed.every_ms = 3_600_000;
        let note = |outcome: &str, unix_ms| BackupNote {
            outcome: outcome.to_owned(),
            unix_ms,
            reason: "no room".to_owned(),
            ..BackupNote::default()
        };
        listed.notes = vec![note(MADE, 1), note(FAILED, 2)];
        let lines = summary(&listed).join("\n");
        assert!(lines.contains("no restore was rehearsed yet"), "{lines}");
        assert!(lines.contains("the last one failed: no room"), "{lines}");
    }
}
