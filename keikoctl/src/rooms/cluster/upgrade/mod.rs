//! `cluster upgrade`: what it takes, and that it is done.
//!
//! Nothing is installed from here: a release comes onto a machine as any other program. What can be
//! done from afar is a command of its own, and the plan names it. Without `--plan` it waits for the
//! one thing that nobody types: the feature level, which the leader raises by itself.

mod plan;

use super::args::UpgradeArgs;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::table::{Grid, Heading};
use crate::print::{Cell, Format, FormatKind, Printer, Role};
use crate::session::{PATIENT, Session};
use keiko_client::Client;
use keiko_client::proto::v1::{BackupHeader, DiagnoseRequest, Finding, NodeInfo, StatusResponse};
use keiko_core::refusal::{Code, Refusal, Result};
use plan::{Plan, Remark, Seen, Target};
use prost::Message as _;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// As `cluster backup` writes it: a name, two numbers, and then the header.
const BACKUP_MAGIC: &[u8; 8] = b"KEIKOBAK";
/// The header of a backup is below 2 MiB.
const HEADER_BYTES_MAX: u64 = 4 << 20;
/// The leader looks four times a second.
const LOOK: Duration = Duration::from_millis(200);

/// Runs `cluster upgrade`.
pub(super) async fn run(args: &UpgradeArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let backup = args.backup.as_deref().map(header).transpose()?;
    let client = session.client(PATIENT).await?;
    match args.plan {
        true => show(args, backup.as_ref(), &client, session).await,
        false => finish(args, &client, session).await,
    }
}

fn target(args: &UpgradeArgs, nodes: &[NodeInfo]) -> Target {
    let said = Target { release: args.release.clone(), level: args.level };
    Target::of(said, nodes, env!("CARGO_PKG_VERSION"))
}

async fn show(
    args: &UpgradeArgs,
    backup: Option<&BackupHeader>,
    client: &Client,
    session: &Session,
) -> Outcome {
    let progress = session.progress("asking every node how it is");
    let findings = diagnosis(client).await;
    let status = client.status().await?;
    drop(progress);
    let seen = Seen { status: &status, findings: &findings, backup };
    let plan = Plan::make(target(args, &status.nodes), &seen);
    if !plan.blockers.is_empty() {
        return Err(refused("the upgrade can't be begun", &plan.blockers).into());
    }
    let printer = &session.printer;
    printer.document(&document(&plan, &status), |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => {
            plan.steps.iter().map(|step| format!("node/{}\n", step.node.name)).collect()
        }
        _ => human(&plan, &status, printer),
    })?;
    if !plan.steps.is_empty() {
        printer.note("plan again after each node: what is done is left out");
    }
    Ok(Exit::Done)
}

/// What is worth a word without this, is worth one with it; what can't be asked is said.
async fn diagnosis(client: &Client) -> Vec<Finding> {
    let asked = client
        .read(DiagnoseRequest { all_nodes: true }, |client, request| async move {
            client.cluster().diagnose(request).await
        })
        .await;
    match asked {
        Ok(found) => found.items,
        Err(error) => vec![Finding {
            check: "diagnosis".to_owned(),
            status: "failed".to_owned(),
            message: error.refusal.message.clone(),
            remedy: "keikoctl doctor".to_owned(),
            node: String::new(),
        }],
    }
}

fn refused(message: &str, blockers: &[Remark]) -> Refusal {
    let refusal = Refusal::new(Code::UpgradeRefused, message);
    let refusal = blockers.iter().fold(refusal, |refusal, remark| refusal.cause(&remark.message));
    blockers.iter().fold(refusal, |refusal, remark| match refusal.hints.contains(&remark.remedy) {
        true => refusal,
        false => refusal.hint(&*remark.remedy),
    })
}

/// Waits until the level is what all voters understand; refused while a node is left.
async fn finish(args: &UpgradeArgs, client: &Client, session: &Session) -> Outcome {
    let deadline = Instant::now() + session.timeout(PATIENT);
    let progress = session.progress("waiting until the feature level has risen");
    let mut first = None;
    loop {
        let status = client.status().await?;
        let target = target(args, &status.nodes);
        let is_known = target != Target::default();
        let plan = Plan::make(target, &Seen { status: &status, findings: &[], backup: None });
        let left: Vec<_> = plan.steps.iter().filter(|_| is_known).map(left).collect();
        let blockers: Vec<Remark> = plan.blockers.iter().cloned().chain(left).collect();
        if !blockers.is_empty() {
            return Err(refused("the upgrade is not done", &blockers).into());
        }
        let before = *first.get_or_insert(plan.level);
        if plan.level >= plan.understood || args.dry_run {
            drop(progress);
            return done(&plan, before, &status, session);
        }
        if Instant::now() + LOOK > deadline {
            return Err(slow(&plan).into());
        }
        sleep(LOOK).await;
    }
}

fn left(step: &plan::Step) -> Remark {
    let NodeInfo { name, version, feature_level, admin_state, .. } = &step.node;
    let what = if admin_state.is_empty() { "" } else { ", and is draining" };
    Remark {
        node: name.clone(),
        message: format!("{name} runs {version}, understands feature level {feature_level}{what}"),
        remedy: "what is left: keikoctl cluster upgrade --plan".to_owned(),
    }
}

fn slow(plan: &Plan) -> Refusal {
    let (level, understood) = (plan.level, plan.understood);
    let message = format!("the feature level is {level} still, all voters understand {understood}");
    Refusal::new(Code::WaitTimeout, message)
        .cause("the leader raises it at its next look, with an entry")
        .hint("keikoctl cluster status shows whether writes are taken")
}

fn done(plan: &Plan, before: u32, status: &StatusResponse, session: &Session) -> Outcome {
    let releases = releases(status);
    let document = json!({
        "releases": releases,
        "level": {"before": before, "now": plan.level, "understood": plan.understood},
        "nodes": status.nodes.iter().map(|node| &node.name).collect::<Vec<_>>(),
    });
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => {
            status.nodes.iter().map(|node| format!("node/{}\n", node.name)).collect()
        }
        _ => {
            let (count, level) = (status.nodes.len(), plan.level);
            let nodes =
                if count == 1 { "1 node runs".to_owned() } else { format!("{count} nodes run") };
            let rises = match plan.understood {
                understood if understood > level => format!("; it rises to {understood} by itself"),
                _ if level > before => format!("; it was {before}"),
                _ => String::new(),
            };
            format!("{nodes} {}, feature level {level}{rises}\n", releases.join(", "))
        }
    })?;
    Ok(Exit::Done)
}

/// Each release that a node runs, once.
fn releases(status: &StatusResponse) -> Vec<&str> {
    let mut releases: Vec<&str> = status.nodes.iter().map(|node| node.version.as_str()).collect();
    releases.sort_unstable();
    releases.dedup();
    releases
}

/// What a backup says of itself. Whether all of it is whole, `keikod verify` finds out.
fn header(path: &Path) -> Result<BackupHeader> {
    let invalid = |why: String| {
        Refusal::new(Code::BackupInvalid, format!("{} is no backup of Keiko", path.display()))
            .cause(why)
            .hint("a backup is made by: keikoctl cluster backup FILE")
    };
    let mut file = File::open(path).map_err(|error| invalid(error.to_string()))?;
    let mut head = [0; 16];
    file.read_exact(&mut head).map_err(|error| invalid(error.to_string()))?;
    let (magic, numbers) = head.split_at(BACKUP_MAGIC.len());
    if magic != BACKUP_MAGIC {
        return Err(invalid("it begins otherwise".to_owned()));
    }
    let length = numbers[4..].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    let mut bytes = Vec::new();
    let read = file.take(length.min(HEADER_BYTES_MAX)).read_to_end(&mut bytes);
    read.map_err(|error| invalid(error.to_string()))?;
    BackupHeader::decode(&bytes[..]).map_err(|error| invalid(error.to_string()))
}

fn document(plan: &Plan, status: &StatusResponse) -> Value {
    let remark = |remark: &Remark| json!({"node": remark.node, "message": remark.message, "remedy": remark.remedy});
    let command = |command: &plan::Command| json!({"do": command.what, "on": command.on, "line": command.line});
    let step = |step: &plan::Step| {
        let NodeInfo { name, state, version, feature_level, .. } = &step.node;
        json!({
            "node": name,
            "state": state,
            "release": version,
            "level": feature_level,
            "commands": step.commands.iter().map(command).collect::<Vec<_>>(),
        })
    };
    json!({
        "cluster": status.cluster.as_ref().map_or("", |cluster| &cluster.id),
        "leader": status.leader,
        "releases": releases(status),
        "release": plan.target.release.clone().unwrap_or_default(),
        "level": {
            "now": plan.level,
            "understood": plan.understood,
            "after": plan.level_after(),
        },
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
        "done": plan.done,
        "warnings": plan.warnings.iter().map(remark).collect::<Vec<_>>(),
    })
}

fn human(plan: &Plan, status: &StatusResponse, printer: &Printer) -> String {
    let head = head(plan, status).lay_out(&printer.style, printer.width(), false);
    if plan.steps.is_empty() {
        return format!(
            "{head}\nnothing is left to be done on any node; then: keikoctl cluster upgrade\n"
        );
    }
    let grid = steps(plan).lay_out(&printer.style, printer.width(), true);
    format!("{head}\n{grid}")
}

fn head(plan: &Plan, status: &StatusResponse) -> Grid {
    let id = status.cluster.as_ref().map_or("", |cluster| &cluster.id);
    let to = plan.target.release.as_deref().unwrap_or("a newer one");
    let (now, after) = (plan.level, plan.level_after());
    let level = match (after > now, &plan.target.level) {
        (true, _) => format!(
            "{now} -> {after}, once the last voter understands it; from then on no older release starts"
        ),
        (false, None) => format!("{now}, and that of the new release once the last voter has it"),
        (false, Some(_)) => format!("{now}, and stays"),
    };
    let mut rows = vec![
        vec![Cell::text("cluster"), Cell::text(id)],
        vec![Cell::text("leader"), Cell::text(&status.leader)],
        vec![Cell::text("release"), Cell::text(format!("{} -> {to}", releases(status).join(", ")))],
        vec![Cell::text("level"), Cell::text(level)],
    ];
    if !plan.done.is_empty() {
        rows.push(vec![Cell::text("done"), Cell::text(plan.done.join(", "))]);
    }
    for Remark { message, remedy, .. } in &plan.warnings {
        let words = format!("{message}: {remedy}");
        rows.push(vec![Cell::text("warning"), Cell::role(Role::Warn, words)]);
    }
    Grid { headings: vec![Heading::default(), Heading::default()], rows, ..Grid::default() }
}

fn steps(plan: &Plan) -> Grid {
    let heading = |title: &str| Heading { title: title.to_owned(), ..Heading::default() };
    let headings = ["NODE", "STATE", "DO", "ON", "COMMAND"].map(heading).to_vec();
    let row = |step: &plan::Step, command: &plan::Command| {
        let on = if command.on.is_empty() {
            Cell::role(Role::Muted, "-")
        } else {
            Cell::text(&command.on)
        };
        let (node, state) = (Cell::text(&step.node.name), Cell::text(&step.node.state));
        vec![node, state, Cell::text(command.what), on, Cell::text(&command.line)]
    };
    let rows = plan
        .steps
        .iter()
        .flat_map(|step| step.commands.iter().map(move |command| row(step, command)));
    Grid { headings, rows: rows.collect(), ..Grid::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_says_what_it_is_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.backup");
        let said =
            BackupHeader { cluster_id: "c".into(), created_unix_ms: 7, ..Default::default() };
        let encoded = said.encode_to_vec();
        let length = u32::try_from(encoded.len()).unwrap().to_be_bytes();
        let parts = [&BACKUP_MAGIC[..], &[0, 0, 0, 1][..], &length[..], &encoded[..], &b"more"[..]];
        let whole = parts.concat();
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(header(&path).unwrap(), said);
        for bytes in [&whole[..10], &b"something else, long enough"[..]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(header(&path).unwrap_err().code, Code::BackupInvalid);
        }
        assert!(header(&folder.path().join("none")).is_err());
    }

    #[test]
    fn what_blocks_is_told_once() {
        let remark = |message: &str| Remark {
            node: String::new(),
            message: message.into(),
            remedy: "look".into(),
        };
        let refusal = refused("no", &[remark("one"), remark("two")]);
        assert_eq!(refusal.causes, ["one", "two"]);
        assert_eq!(refusal.hints, ["look"]);
    }
}
