//! `doctor`: what is wrong here, on the way to the daemon, and on every node, each with a remedy.
//!
//! Here: files, endpoint, socket, terminal, both releases, both clocks. Over all members: what one
//! says otherwise than the rest. On each node: what its daemon finds out by itself (`Diagnose`). It
//! works without a daemon, and then says what it tried. The report is always printed; a check that
//! failed ends the command with 9.

mod members;

use crate::context::{self, Surroundings, Way};
use crate::exit::Exit;
use crate::fault::{Fault, Outcome, Stop};
use crate::print::table::{Grid, Heading};
use crate::print::{Cell, Format, FormatKind, Printer, Role, escape};
use crate::session::{QUICK, Session};
use crate::settings::Files;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    DiagnoseRequest, Finding, ListNodesRequest, NodeInfo, StatusResponse,
};
use keiko_client::{Client, Endpoint};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A second is what tables show; a minute ahead is where request ids would be refused.
const CLOCK_OK_MS: u64 = 1_000;
const CLOCK_BAD_MS: u64 = 60_000;
/// A node measures its disk while it is asked, and asks the others.
const DIAGNOSIS: Duration = Duration::from_secs(20);
/// Narrower, and tables are cut.
const WIDTH_MIN: usize = 60;

/// Runs `doctor`.
pub(crate) async fn run(session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let around = Surroundings::of_process();
    let progress = session.progress("looking around");
    let mut report = Report::default();
    let files_are_good = report.files(&around);
    report.terminal(&session.printer);
    match context::way(&session.globals, &around) {
        Ok(way) => report.daemon(way, &around, session).await,
        Err(Stop::Refused(fault))
            if files_are_good || fault.refusal.code != Code::ContextInvalid =>
        {
            report.refused("endpoint", *fault);
        }
        Err(Stop::Refused(_)) => report.skipped("endpoint", "the files that say it can't be used"),
        Err(stop) => return Err(stop),
    }
    drop(progress);
    report.print(&session.printer)
}

#[derive(Default)]
struct Report(Vec<Finding>);

impl Report {
    fn add(&mut self, check: &str, status: &str, message: impl Into<String>, remedy: &str) {
        self.0.push(Finding {
            check: check.to_owned(),
            status: status.to_owned(),
            message: message.into(),
            remedy: remedy.to_owned(),
            // Of this command, and not of a node.
            node: String::new(),
        });
    }

    fn ok(&mut self, check: &str, message: impl Into<String>) {
        self.add(check, "ok", message, "");
    }

    fn skipped(&mut self, check: &str, message: impl Into<String>) {
        self.add(check, "skipped", message, "");
    }

    fn refused(&mut self, check: &str, fault: Fault) {
        let Refusal { code, message, causes, hints } = fault.refusal;
        let words: Vec<String> = std::iter::once(message).chain(causes).collect();
        self.add(check, "failed", format!("{code}: {}", words.join(": ")), &hints.join("; "));
    }

    /// The files of settings; false if one can't be used.
    fn files(&mut self, around: &Surroundings) -> bool {
        let files = match Files::read(around) {
            Ok(files) => files,
            Err(refusal) => {
                self.refused("settings", refusal.into());
                return false;
            }
        };
        if let Some(path) = &files.foreign {
            let message = format!("{} belongs to another user and is not read", path.display());
            self.add("settings", "warning", message, "make it yours, or go elsewhere");
        }
        let read: Vec<String> = files.paths().map(|path| path.display().to_string()).collect();
        self.ok(
            "settings",
            match read.is_empty() {
                true => "no files: everything is at its default".to_owned(),
                false => format!("read {}", read.join(", ")),
            },
        );
        for chosen in files.contexts().into_values() {
            let check = format!("context {}", chosen.name);
            for path in [&chosen.context.token_file, &chosen.context.ca].into_iter().flatten() {
                if let Err(refusal) = context::read(path) {
                    self.refused(&check, refusal.into());
                }
            }
            if let Some(path) = &chosen.context.token_file
                && let Ok(file) = path.metadata()
                && file.mode() & 0o077 != 0
            {
                let message = format!(
                    "{} can be read by others (mode {:o})",
                    path.display(),
                    file.mode() & 0o777
                );
                self.add(&check, "warning", message, &format!("chmod 600 {}", path.display()));
            }
        }
        true
    }

    fn terminal(&mut self, printer: &Printer) {
        let term = context::set("TERM").unwrap_or_else(|| "not set".to_owned());
        let color = if printer.style.is_colored() { "colour" } else { "no colour" };
        match printer.width() {
            None => {
                self.ok("terminal", "stdout is no terminal: nothing is cut, nothing is coloured");
            }
            Some(width) if width < WIDTH_MIN => {
                let message = format!("{width} columns (TERM {term}): tables are cut");
                self.add("terminal", "warning", message, "make the window wider, or use -o yaml");
            }
            Some(width) => self.ok("terminal", format!("{width} columns, {color}, TERM {term}")),
        }
    }

    async fn daemon(&mut self, way: Way, around: &Surroundings, session: &Session) {
        self.ok("endpoint", format!("{} from {}", way.endpoint, way.origin));
        let endpoint = way.endpoint.clone();
        if let Endpoint::Unix(path) = &endpoint {
            self.socket(path);
        }
        let started = Instant::now();
        let (client, identity) = match session.client_by(way, around, QUICK).await {
            Ok(connected) => connected,
            Err(stop) => return self.stopped("connection", stop),
        };
        let who = context::who(&endpoint, &identity);
        self.ok("connection", format!("as {who}, in {} ms", started.elapsed().as_millis()));
        let asked = (unix_ms(), Instant::now());
        let status = match client.status().await {
            Ok(status) => status,
            Err(error) if error.refusal.code == Code::PermissionDenied as u32 => {
                return self.skipped("node", format!("{who} may not see the cluster's status"));
            }
            Err(error) => return self.stopped("status", error.into()),
        };
        self.compare(&status, asked);
        let nodes = self.members(&client).await;
        self.0.extend(members::compare(&nodes, status.server_unix_ms));
        let patient = client.within(session.timeout(DIAGNOSIS));
        self.diagnosis(&patient, &nodes, &status.node).await;
        self.group(&nodes);
    }

    fn stopped(&mut self, check: &str, stop: Stop) {
        if let Stop::Refused(fault) = stop {
            self.refused(check, *fault);
        }
    }

    fn socket(&mut self, path: &Path) {
        match path.metadata() {
            Ok(file) if file.file_type().is_socket() => {
                let words = format!(
                    "{}, uid {}, mode {:o}",
                    path.display(),
                    file.uid(),
                    file.mode() & 0o777
                );
                match file.mode() & 0o002 {
                    0 => self.ok("socket", words),
                    _ => self.add(
                        "socket",
                        "failed",
                        format!("{words}: anybody may write to it"),
                        &format!("chmod 600 {}", path.display()),
                    ),
                }
            }
            Ok(_) => {
                let message = format!("{} is no socket", path.display());
                self.add(
                    "socket",
                    "failed",
                    message,
                    "keikoctl context show --origin tells who names it",
                );
            }
            Err(error) => {
                let message = format!("{}: {error}", path.display());
                self.add(
                    "socket",
                    "failed",
                    message,
                    "start its daemon: keikoctl dev, or keikod run --data-dir D",
                );
            }
        }
    }

    /// Releases and clocks.
    fn compare(&mut self, status: &StatusResponse, (before_ms, asked): (u64, Instant)) {
        let own = env!("CARGO_PKG_VERSION");
        match status.version.as_str() {
            theirs if theirs == own => self.ok("release", format!("both {own}")),
            theirs => {
                let message = format!("keikoctl {own}, keikod {theirs}");
                self.add("release", "warning", message, "install the same release on both sides");
            }
        }
        let trip_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        let away = status.server_unix_ms.abs_diff(before_ms.saturating_add(trip_ms / 2));
        let message = format!(
            "the daemon's is {away} ms away from this machine's (± {} ms)",
            trip_ms / 2 + 1
        );
        let away = away.saturating_sub(trip_ms);
        if away <= CLOCK_OK_MS {
            return self.ok("clocks", message);
        }
        let verdict = if away <= CLOCK_BAD_MS { "warning" } else { "failed" };
        self.add("clocks", verdict, message, "set both by NTP: timedatectl set-ntp true");
    }

    async fn members(&mut self, client: &Client) -> Vec<NodeInfo> {
        let listed = client
            .read(ListNodesRequest {}, |client, request| async move {
                client.cluster().list_nodes(request).await
            })
            .await;
        match listed {
            Ok(listed) => listed.items,
            Err(error) => {
                // What the one that answers says of itself is worth as much.
                self.stopped("members", error.into());
                Vec::new()
            }
        }
    }

    /// What every node finds out by itself. `answering` finds what carries no name.
    async fn diagnosis(&mut self, client: &Client, nodes: &[NodeInfo], answering: &str) {
        let found = client
            .read(DiagnoseRequest { all_nodes: true }, |client, request| async move {
                client.cluster().diagnose(request).await
            })
            .await;
        match found {
            Ok(mut found) => {
                for finding in found.items.iter_mut().filter(|finding| finding.node.is_empty()) {
                    answering.clone_into(&mut finding.node);
                }
                let silent = members::silent(nodes, &found.items);
                self.0.extend(found.items.into_iter().chain(silent));
            }
            Err(error) if error.refusal.code == Code::UnknownMethod as u32 => {
                self.skipped("node", "this keikod knows no diagnosis");
            }
            Err(error) => self.stopped("node", error.into()),
        }
    }

    /// What belongs to one node stands together, in the order of the members.
    fn group(&mut self, nodes: &[NodeInfo]) {
        self.0.sort_by_key(|finding| match finding.node.as_str() {
            "" => (0, 0),
            name => match nodes.iter().position(|node| node.name == name) {
                Some(place) => (1, place),
                None => (2, 0),
            },
        });
    }

    fn count(&self, status: &str) -> usize {
        self.0.iter().filter(|finding| finding.status == status).count()
    }

    fn verdict(&self) -> &'static str {
        match (self.count("failed"), self.count("warning")) {
            (0, 0) => "ok",
            (0, _) => "warning",
            _ => "failed",
        }
    }

    fn print(&self, printer: &Printer) -> Outcome {
        match &printer.format {
            Format::Plain(FormatKind::Name) => {
                let line = |finding: &Finding| format!("check/{}\n", escape::line(&finding.check));
                let names = self.0.iter().map(line);
                printer.data(&names.collect::<String>())?;
            }
            _ => printer.document(&self.json(), |printer| self.human(printer))?,
        }
        let (failed, warnings) = (self.count("failed"), self.count("warning"));
        printer
            .note(&format!("{} checks: {failed} failed, {warnings} with a warning", self.0.len()));
        Ok(if failed == 0 { Exit::Done } else { Exit::EndedBadly })
    }

    fn json(&self) -> Value {
        let item = |finding: &Finding| {
            let mut item = to_json("keiko.v1.Finding", finding);
            item["remedy"] = json!(finding.remedy);
            item["node"] = json!(finding.node);
            item
        };
        json!({"items": self.0.iter().map(item).collect::<Vec<_>>(), "verdict": self.verdict()})
    }

    /// A table, with the remedy below what needs one, and a title above what is a node's.
    fn human(&self, printer: &Printer) -> String {
        let heading = |title: &str| Heading { title: title.to_owned(), ..Heading::default() };
        let row = |finding: &Finding| {
            let role = match finding.status.as_str() {
                "ok" => Role::Good,
                "failed" => Role::Bad,
                "warning" => Role::Warn,
                _ => Role::Muted,
            };
            vec![
                Cell::text(&finding.check),
                Cell::role(role, &finding.status),
                Cell::text(&finding.message),
            ]
        };
        let grid = Grid {
            headings: ["CHECK", "STATUS", "MESSAGE"].map(heading).into(),
            rows: self.0.iter().map(row).collect(),
            floors: Vec::new(),
        };
        let table = grid.lay_out(&printer.style, None, true);
        let mut lines = table.lines();
        let mut text = format!("{}\n", lines.next().unwrap_or_default());
        let mut node = "";
        for (line, finding) in lines.zip(&self.0) {
            // Writing to a String can't fail.
            if finding.node != node {
                node = &finding.node;
                let title = format!("node/{}", escape::line(node));
                let _ = writeln!(text, "\n{}", printer.style.paint(Role::Title, &title));
            }
            let _ = writeln!(text, "{line}");
            if !finding.remedy.is_empty() {
                let _ = writeln!(text, "  remedy: {}", escape::line(&finding.remedy));
            }
        }
        text
    }
}

fn unix_ms() -> u64 {
    // A clock before 1970 counts as 1970: the comparison tells.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_releases_are_compared() {
        let check = |away_ms: i64, version: &str, expect: [&str; 2]| {
            let mut report = Report::default();
            let server_unix_ms = unix_ms().saturating_add_signed(away_ms);
            let status =
                StatusResponse { server_unix_ms, version: version.into(), ..Default::default() };
            report.compare(&status, (unix_ms(), Instant::now()));
            let found: Vec<&str> = report.0.iter().map(|finding| &*finding.status).collect();
            assert_eq!(found, expect, "{:?}", report.0);
        };
        let own = env!("CARGO_PKG_VERSION");
        check(0, own, ["ok", "ok"]);
        check(5_000, own, ["ok", "warning"]);
        check(-5_000, own, ["ok", "warning"]);
        check(3_600_000, own, ["ok", "failed"]);
        check(0, "0.0.1", ["warning", "ok"]);
    }

    #[test]
    fn the_verdict_is_the_worst() {
        let mut report = Report::default();
        assert_eq!(report.verdict(), "ok");
        report.ok("a", "x");
        report.add("b", "warning", "x", "do");
        assert_eq!(report.verdict(), "warning");
        report.add("c", "failed", "x", "do");
        assert_eq!(report.verdict(), "failed");
        assert_eq!(report.json()["items"][0]["remedy"], "");
        assert_eq!(report.json()["items"][0]["node"], "");
    }

    #[test]
    fn what_is_of_one_node_stands_together() {
        let named = |name: &str| NodeInfo { name: name.into(), ..NodeInfo::default() };
        let mut report = Report::default();
        for node in ["n2", "", "n1", "n9", "n2", ""] {
            report.add("x", "ok", "y", "");
            report.0.last_mut().unwrap().node = node.to_owned();
        }
        report.group(&[named("n1"), named("n2")]);
        let order: Vec<&str> = report.0.iter().map(|finding| &*finding.node).collect();
        assert_eq!(order, ["", "", "n1", "n2", "n2", "n9"]);
        let format = Format::Plain(FormatKind::Table);
        let never = crate::print::ColorChoice::Never;
        let printer = Printer::new(format, never, false, true, false);
        let text = report.human(&printer);
        assert_eq!(text.matches("node/").count(), 3, "{text}");
        assert!(text.starts_with("CHECK   STATUS   MESSAGE\nx       ok       y\n"), "{text}");
        assert!(text.contains("\n\nnode/n2\nx       ok       y\nx "), "{text}");
    }
}
