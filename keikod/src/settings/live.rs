//! The settings that change while the daemon lives, taken over on SIGHUP.
//!
//! Invariants: what [`Current::live`] gives is always a whole, valid set; a file that can't be
//! read or is not valid changes nothing. Never: tells anyone. Readers take the set at each use,
//! so that the next decision is made under the new rules.

use super::file::File;
use super::keys;
use super::origin::Valued;
use super::{Flags, LOG_FILTER_DEFAULT, Settings};
use crate::net::KeyExchange;
use arc_swap::ArcSwap;
use keiko_core::refusal::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a reload takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// `[log] filter`
    pub log_filter: Valued<String>,
    /// `[socket] uids`: who but root and the daemon's own user may use the socket.
    pub socket_uids: Valued<Vec<u32>>,
    /// `[security] tls`: which key exchange the ports 7340 and 7341 take.
    pub tls: Valued<KeyExchange>,
    /// `[exec] allow`: leading words of commands.
    pub exec_allow: Valued<Vec<Vec<String>>>,
    /// `[exec] user`
    pub exec_user: Option<Valued<String>>,
    /// `[credentials] dir`, by default `credentials` in the data folder. It stays what it was at
    /// the start: children are kept out of it from then on.
    pub credentials_dir: Valued<PathBuf>,
    /// `[credentials.NAME] to`
    pub credentials_to: BTreeMap<String, Valued<Vec<String>>>,
    /// `[egress] allow`
    pub egress_allow: Valued<Vec<String>>,
    /// `[egress] deny`
    pub egress_deny: Valued<Vec<String>>,
}

impl Live {
    pub(super) fn merge(file: &File, flags: &Flags, data_dir: &Path) -> Self {
        let filter = file.log_filter.clone();
        Self {
            log_filter: Valued::first(flags.log_filter.clone(), filter, || {
                LOG_FILTER_DEFAULT.to_owned()
            }),
            socket_uids: Valued::first(None, file.socket_uids.clone(), Vec::new),
            tls: Valued::first(None, file.tls.clone(), || KeyExchange::Prefer),
            exec_allow: Valued::first(None, file.exec_allow.clone(), Vec::new),
            exec_user: file.exec_user.clone(),
            credentials_dir: Valued::first(None, file.credentials_dir.clone(), || {
                data_dir.join("credentials")
            }),
            credentials_to: file.credentials_to.clone(),
            egress_allow: Valued::first(None, file.egress_allow.clone(), Vec::new),
            egress_deny: Valued::first(None, file.egress_deny.clone(), Vec::new),
        }
    }

    /// `[credentials.NAME] to` as [`crate::exec::Credentials::new`] takes it.
    pub fn credentials_to(&self) -> BTreeMap<String, Vec<String>> {
        self.credentials_to.iter().map(|(name, to)| (name.clone(), to.value.clone())).collect()
    }
}

/// The settings in force.
#[derive(Debug)]
pub struct Current {
    flags: Flags,
    start: Settings,
    live: ArcSwap<Live>,
}

/// What a reload did.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// What holds from now on.
    pub live: Arc<Live>,
    /// Keys whose new value is now in force.
    pub changed: Vec<String>,
    /// Keys that the file changed and that hold only from the next start on.
    pub needs_restart: Vec<String>,
}

impl Current {
    /// Loads what the flags say.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load(flags: Flags) -> Result<Self> {
        let start = Settings::load(&flags)?;
        let live = ArcSwap::from_pointee(start.live.clone());
        Ok(Self { flags, start, live })
    }

    /// What held at the start and holds until the end.
    pub fn settings(&self) -> &Settings {
        &self.start
    }

    /// What holds now.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Reads the file again and takes over what can be.
    ///
    /// # Errors
    /// As [`Settings::load`]; then nothing has changed.
    pub fn reload(&self) -> Result<Reloaded> {
        let mut fresh = Settings::load(&self.flags)?;
        let before = Settings { live: (*self.live()).clone(), ..self.start.clone() };
        let (changed, needs_restart) =
            before.changes(&fresh).into_iter().partition(|key| keys::is_live(key));
        fresh.live.credentials_dir = self.start.live.credentials_dir.clone();
        let live = Arc::new(fresh.live);
        self.live.store(Arc::clone(&live));
        Ok(Reloaded { live, changed, needs_restart })
    }
}
