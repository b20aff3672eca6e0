//! What this node was told: flags, environment and `keiko.toml`, merged.
//!
//! Keeps every value with its [`Origin`]. A flag wins over the environment, that over the file,
//! that over the default. Some values can change while the daemon lives ([`Live`]); the others
//! hold until the next start.
//!
//! Invariants: settings that were loaded are consistent in themselves; a key that nobody knows is
//! an error that names its line. Never: touches the machine, but for [`Settings::check`], which
//! looks and leaves no trace.

mod backups;
mod check;
mod document;
mod file;
mod keys;
mod live;
mod origin;
mod rows;
pub mod values;

#[cfg(test)]
mod tests;

pub use backups::Backups;
pub use keys::{KEYS, LIVE};
pub use live::{Current, Live, Reloaded};
pub use origin::{Origin, Valued};
pub use rows::Row;
pub use values::LogFormat;

use file::File;
use keiko_core::refusal::{Code, Refusal, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where a packaged daemon keeps its data; `keikod run` wants it said.
pub const DATA_DIR_DEFAULT: &str = "/var/lib/keiko";
/// The API, on loopback until somebody decides otherwise.
pub const API_DEFAULT: SocketAddr = loopback(7340);
/// Other nodes, unless the API's port is any.
pub const PEER_PORT_DEFAULT: u16 = 7341;
/// `/metrics`, without TLS, hence on loopback.
pub const METRICS_DEFAULT: SocketAddr = loopback(7342);
/// What rmcp finds wrong with a server comes back as a refusal, and a server decides how often.
const LOG_FILTER_DEFAULT: &str = "info,openraft=error,rmcp=off";
/// A voter that hears nothing for three heartbeats may campaign.
const HEARTBEATS_PER_ELECTION: u64 = 3;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Which cluster an empty node is to become a member of.
#[derive(Clone, PartialEq, Eq)]
pub struct Join {
    /// host:port of the API of any member.
    pub address: String,
    /// A one-use token of the role node.
    pub token: String,
}

/// Never the token.
impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What the command line and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--data-dir`
    pub data_dir: Option<Valued<PathBuf>>,
    /// `--config`
    pub config: Option<Valued<PathBuf>>,
    /// `--init`
    pub init: bool,
    /// `--listen`
    pub api: Option<Valued<SocketAddr>>,
    /// `--listen-peer`
    pub peer: Option<Valued<SocketAddr>>,
    /// `--metrics-listen`
    pub metrics: Option<Valued<SocketAddr>>,
    /// `--advertise`
    pub advertise: Option<Valued<String>>,
    /// `--join` and its token
    pub join: Option<Join>,
    /// `--socket`
    pub socket_path: Option<Valued<PathBuf>>,
    /// `--node-name`
    pub node_name: Option<Valued<String>>,
    /// `--log`
    pub log_filter: Option<Valued<String>>,
}

/// Everything that this node was told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder, absolute.
    pub data_dir: Valued<PathBuf>,
    /// The file that was read, absolute.
    pub config: Option<Valued<PathBuf>>,
    /// Whether an empty data folder founds a cluster.
    pub init: bool,
    /// Which cluster an empty data folder joins.
    pub join: Option<Join>,
    /// `[node] name`, by default the machine's.
    pub node_name: Valued<String>,
    /// `[listen] api`
    pub api: Valued<SocketAddr>,
    /// `[listen] peer`: by default at the API's address, on 7341, or on any port if the API is.
    pub peer: Valued<SocketAddr>,
    /// `[node] advertise`: under which host others reach this node.
    pub advertise: Valued<String>,
    /// `[node] names`: under which other hosts clients reach it.
    pub names: Valued<Vec<String>>,
    /// `[listen] metrics`, loopback.
    pub metrics: Valued<SocketAddr>,
    /// `[socket] path`, by default `keiko.sock` in the data folder.
    pub socket_path: Valued<PathBuf>,
    /// `[socket] group`: a name or a number.
    pub socket_group: Option<Valued<String>>,
    /// `[a2a] trusted_keys`: PEM files.
    pub trusted_keys: Valued<Vec<PathBuf>>,
    /// `[consensus] heartbeat_ms`
    pub heartbeat_ms: Valued<u64>,
    /// `[consensus] election_ms_min`
    pub election_ms_min: Valued<u64>,
    /// `[consensus] election_ms_max`
    pub election_ms_max: Valued<u64>,
    /// `[consensus] snapshot_entries`
    pub snapshot_entries: Valued<u64>,
    /// `[journal] keep_days`
    pub keep_days: Valued<u64>,
    /// `[journal] keep_bytes`, per group.
    pub keep_bytes: Valued<u64>,
    /// `[backup]`
    pub backups: Backups,
    /// `[log] format`
    pub log_format: Valued<LogFormat>,
    /// The part that a reload takes over, as it was at the start.
    pub live: Live,
}

impl Settings {
    /// Reads the file that the flags name and merges.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`], with file and line where there is one.
    pub fn load(flags: &Flags) -> Result<Self> {
        let config = flags.config.clone().map(|path| path.map(|path| absolute(&path)));
        let file = File::load(config.as_deref().map(PathBuf::as_path))?;
        let data_dir = Valued::first(flags.data_dir.clone(), None, || DATA_DIR_DEFAULT.into());
        let data_dir = data_dir.map(|path| absolute(&path));
        let socket = flags.socket_path.clone().map(|path| path.map(|path| absolute(&path)));
        let live = Live::merge(&file, flags, &data_dir);
        let api = Valued::first(flags.api.clone(), file.api, || API_DEFAULT);
        let port = if api.port() == 0 { 0 } else { PEER_PORT_DEFAULT };
        let beside = SocketAddr::new(api.ip(), port);
        let settings = Self {
            init: flags.init,
            join: flags.join.clone(),
            peer: Valued::first(flags.peer.clone(), file.peer, || beside),
            advertise: Valued::first(flags.advertise.clone(), file.advertise, || {
                values::advertise_default(api.ip())
            }),
            names: Valued::first(None, file.names, Vec::new),
            node_name: Valued::first(
                flags.node_name.clone(),
                file.node_name,
                values::node_name_default,
            ),
            api,
            metrics: Valued::first(flags.metrics.clone(), file.metrics, || METRICS_DEFAULT),
            socket_path: Valued::first(socket, file.socket_path, || data_dir.join("keiko.sock")),
            socket_group: file.socket_group,
            trusted_keys: Valued::first(None, file.trusted_keys, Vec::new),
            heartbeat_ms: Valued::first(None, file.heartbeat_ms, || 100),
            election_ms_min: Valued::first(None, file.election_ms_min, || 300),
            election_ms_max: Valued::first(None, file.election_ms_max, || 600),
            snapshot_entries: Valued::first(None, file.snapshot_entries, || 500_000),
            keep_days: Valued::first(None, file.keep_days, || 30),
            keep_bytes: Valued::first(None, file.keep_bytes, || 8 << 30),
            backups: file.backups.or_default(),
            log_format: Valued::first(None, file.log_format, || LogFormat::Auto),
            data_dir,
            config,
            live,
        };
        settings.check_timing()?;
        Ok(settings)
    }

    /// Elections that start before a heartbeat can arrive never end.
    fn check_timing(&self) -> Result<()> {
        let least = *self.heartbeat_ms * HEARTBEATS_PER_ELECTION;
        if *self.election_ms_min < least {
            return Err(Refusal::new(
                Code::ConfigInvalid,
                format!(
                    "consensus.election_ms_min is {} ms ({}), with heartbeats each {} ms ({})",
                    *self.election_ms_min,
                    self.election_ms_min.origin,
                    *self.heartbeat_ms,
                    self.heartbeat_ms.origin
                ),
            )
            .cause(format!("an election may begin only after {HEARTBEATS_PER_ELECTION} heartbeats"))
            .hint(format!("set election_ms_min = {least} and election_ms_max = {}", least * 2)));
        }
        if self.election_ms_max.value <= self.election_ms_min.value {
            return Err(Refusal::new(
                Code::ConfigInvalid,
                format!(
                    "consensus.election_ms_max is {} ms ({}), not above election_ms_min, {} ms ({})",
                    *self.election_ms_max,
                    self.election_ms_max.origin,
                    *self.election_ms_min,
                    self.election_ms_min.origin
                ),
            )
            .cause("voters that wait equally long split the vote again and again")
            .hint(format!("set election_ms_max = {}", *self.election_ms_min * 2)));
        }
        Ok(())
    }
}

/// The same file wherever the process goes.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod fuzz;
