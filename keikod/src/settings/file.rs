//! What a `keiko.toml` says, key by key, before it is merged with the flags.

use super::backups;
use super::document::{self, Document};
use super::origin::Valued;
use super::values::{self, LogFormat};
use crate::exec;
use crate::net::KeyExchange;
use crate::outbound::egress;
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Slower than this would outlast every client's patience; faster than the default gains nothing.
const HEARTBEAT_MS: (u64, u64) = (100, 10_000);
const ELECTION_MS: (u64, u64) = (300, 120_000);
/// More often, a small state is written all the time; at 1 KiB each, ten million are 10 GiB of log.
const SNAPSHOT_ENTRIES: (u64, u64) = (1_000, 10_000_000);
/// Ten years.
const KEEP_DAYS: (u64, u64) = (1, 3_650);
/// From 64 MiB, one memtable, to 4 TiB.
const KEEP_BYTES: (u64, u64) = (64 << 20, 4 << 40);

/// Only what is written there.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) node_name: Option<Valued<String>>,
    pub(super) advertise: Option<Valued<String>>,
    pub(super) names: Option<Valued<Vec<String>>>,
    pub(super) api: Option<Valued<SocketAddr>>,
    pub(super) peer: Option<Valued<SocketAddr>>,
    pub(super) metrics: Option<Valued<SocketAddr>>,
    pub(super) socket_path: Option<Valued<PathBuf>>,
    pub(super) socket_group: Option<Valued<String>>,
    pub(super) socket_uids: Option<Valued<Vec<u32>>>,
    pub(super) tls: Option<Valued<KeyExchange>>,
    pub(super) exec_allow: Option<Valued<Vec<Vec<String>>>>,
    pub(super) exec_user: Option<Valued<String>>,
    pub(super) credentials_dir: Option<Valued<PathBuf>>,
    pub(super) credentials_to: BTreeMap<String, Valued<Vec<String>>>,
    pub(super) egress_allow: Option<Valued<Vec<String>>>,
    pub(super) egress_deny: Option<Valued<Vec<String>>>,
    pub(super) trusted_keys: Option<Valued<Vec<PathBuf>>>,
    pub(super) heartbeat_ms: Option<Valued<u64>>,
    pub(super) election_ms_min: Option<Valued<u64>>,
    pub(super) election_ms_max: Option<Valued<u64>>,
    pub(super) snapshot_entries: Option<Valued<u64>>,
    pub(super) keep_days: Option<Valued<u64>>,
    pub(super) keep_bytes: Option<Valued<u64>>,
    pub(super) backups: backups::Given,
    pub(super) log_filter: Option<Valued<String>>,
    pub(super) log_format: Option<Valued<LogFormat>>,
}

impl File {
    /// Reads and parses; without a path nothing is written anywhere.
    pub(super) fn load(path: Option<&Path>) -> Result<Self> {
        match path {
            Some(path) => Self::parse(path, &document::read(path)?),
            None => Ok(Self::default()),
        }
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        let document = Document::parse(path, text)?;
        let bounded = |key: [&str; 2], bounds: (u64, u64)| {
            document.parsed(&key, |number| values::within(number, bounds.0, bounds.1))
        };
        let file = Self {
            node_name: document
                .parsed(&["node", "name"], |text: String| values::node_name(&text))?,
            advertise: document
                .parsed(&["node", "advertise"], |text: String| values::host(&text))?,
            names: document.parsed(&["node", "names"], values::hosts)?,
            api: document.parsed(&["listen", "api"], |text: String| values::address(&text))?,
            peer: document.parsed(&["listen", "peer"], |text: String| values::address(&text))?,
            metrics: document
                .parsed(&["listen", "metrics"], |text: String| values::loopback(&text))?,
            socket_path: document
                .parsed(&["socket", "path"], |text: String| values::absolute(&text))?,
            socket_group: document.take(&["socket", "group"])?,
            socket_uids: document.parsed(&["socket", "uids"], values::uids)?,
            tls: document
                .parsed(&["security", "tls"], |text: String| values::key_exchange(&text))?,
            exec_allow: document.take(&["exec", "allow"])?,
            exec_user: document.take(&["exec", "user"])?,
            credentials_dir: document
                .parsed(&["credentials", "dir"], |text: String| values::absolute(&text))?,
            credentials_to: credentials(&document)?,
            egress_allow: document.take(&["egress", "allow"])?,
            egress_deny: document.take(&["egress", "deny"])?,
            trusted_keys: document.parsed(&["a2a", "trusted_keys"], |paths: Vec<String>| {
                Ok(paths.iter().map(|path| document.beside(path)).collect())
            })?,
            heartbeat_ms: bounded(["consensus", "heartbeat_ms"], HEARTBEAT_MS)?,
            election_ms_min: bounded(["consensus", "election_ms_min"], ELECTION_MS)?,
            election_ms_max: bounded(["consensus", "election_ms_max"], ELECTION_MS)?,
            snapshot_entries: bounded(["consensus", "snapshot_entries"], SNAPSHOT_ENTRIES)?,
            keep_days: bounded(["journal", "keep_days"], KEEP_DAYS)?,
            keep_bytes: bounded(["journal", "keep_bytes"], KEEP_BYTES)?,
            backups: backups::Given::parse(&document)?,
            log_filter: document
                .parsed(&["log", "filter"], |text: String| values::log_filter(&text))?,
            log_format: document
                .parsed(&["log", "format"], |text: String| values::log_format(&text))?,
        };
        file.check_rules()?;
        Ok(file)
    }

    /// What the owners of the rules refuse, with the line that it stands on.
    fn check_rules(&self) -> Result<()> {
        if let Some(allow) = &self.exec_allow {
            exec::Policy::check_config(allow).map_err(|refusal| at(allow, refusal))?;
        }
        for rules in [&self.egress_allow, &self.egress_deny].into_iter().flatten() {
            let checked = egress::Policy::new(rules, &[], Vec::new());
            checked.map_err(|refusal| at(rules, refusal))?;
        }
        for (name, to) in &self.credentials_to {
            let one = BTreeMap::from([(name.clone(), to.value.clone())]);
            exec::Credentials::new("", &one).map_err(|refusal| at(to, refusal))?;
        }
        Ok(())
    }
}

fn credentials(document: &Document<'_>) -> Result<BTreeMap<String, Valued<Vec<String>>>> {
    let mut all = BTreeMap::new();
    for name in document.tables(&["credentials"]) {
        if let Some(to) = document.take(&["credentials", &name, "to"])? {
            all.insert(name, to);
        }
    }
    Ok(all)
}

fn at<T>(place: &Valued<T>, refusal: Refusal) -> Refusal {
    Refusal {
        code: Code::ConfigInvalid,
        message: format!("{}: {}", place.origin, refusal.message),
        ..refusal
    }
}
