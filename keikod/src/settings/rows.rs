//! The settings as rows for people: key, value, origin.

use super::Settings;
use super::origin::{Origin, Valued};
use crate::net::KeyExchange;
use std::fmt::Debug;
use std::path::PathBuf;

/// One setting as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key of `keiko.toml`, or the flag's name where the file has none.
    pub key: String,
    /// As the file would have it.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

impl Settings {
    /// Every setting in force, in the order of the manual page.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            row("data-dir", &self.data_dir),
            row("node.name", &self.node_name),
            row("node.advertise", &self.advertise),
            row("node.names", &self.names),
            Row { value: format!("\"{}\"", *self.api), ..row("listen.api", &self.api) },
            Row { value: format!("\"{}\"", *self.peer), ..row("listen.peer", &self.peer) },
            Row { value: format!("\"{}\"", *self.metrics), ..row("listen.metrics", &self.metrics) },
            row("socket.path", &self.socket_path),
        ];
        rows.extend(self.socket_group.as_ref().map(|group| row("socket.group", group)));
        rows.push(row("socket.uids", &self.live.socket_uids));
        rows.push(row("security.tls", &self.live.tls.clone().map(KeyExchange::as_str)));
        rows.push(row("exec.allow", &self.live.exec_allow));
        rows.extend(self.live.exec_user.as_ref().map(|user| row("exec.user", user)));
        rows.push(row::<PathBuf>("credentials.dir", &self.live.credentials_dir));
        for (name, to) in &self.live.credentials_to {
            rows.push(row(&format!("credentials.{name}.to"), to));
        }
        rows.extend([
            row("egress.allow", &self.live.egress_allow),
            row("egress.deny", &self.live.egress_deny),
            row("a2a.trusted_keys", &self.trusted_keys),
            row("consensus.heartbeat_ms", &self.heartbeat_ms),
            row("consensus.election_ms_min", &self.election_ms_min),
            row("consensus.election_ms_max", &self.election_ms_max),
            row("consensus.snapshot_entries", &self.snapshot_entries),
            row("journal.keep_days", &self.keep_days),
            row("journal.keep_bytes", &self.keep_bytes),
        ]);
        rows.extend(self.backups.rows());
        rows.push(row("log.filter", &self.live.log_filter));
        let format = self.log_format.clone().map(|format| format.as_str());
        rows.push(row("log.format", &format));
        rows
    }

    /// The keys whose values differ, also those that only one of both has.
    pub(super) fn changes(&self, other: &Self) -> Vec<String> {
        let (mine, theirs) = (self.rows(), other.rows());
        let lacks = |rows: &[Row], row: &Row| {
            !rows.iter().any(|other| other.key == row.key && other.value == row.value)
        };
        let gone = mine.iter().filter(|row| lacks(&theirs, row));
        let come = theirs.iter().filter(|row| lacks(&mine, row));
        let mut keys: Vec<String> = gone.chain(come).map(|row| row.key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

pub(super) fn row<T: Debug>(key: &str, value: &Valued<T>) -> Row {
    Row { key: key.to_owned(), value: format!("{:?}", value.value), origin: value.origin.clone() }
}
