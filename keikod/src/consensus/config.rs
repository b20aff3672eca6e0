//! The one configuration of every group.

use super::Settings;
use super::peer::faults;
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::{Config, SnapshotPolicy};
use std::sync::Arc;

/// This part of the entries between two snapshots is kept behind each, so that a follower that was
/// away for a moment needs no snapshot.
const KEEP_PART: u64 = 10;
/// A follower that lags by more than this many snapshots' distances gets a snapshot; with one, that
/// would not help.
const LAG_SNAPSHOTS_MAX: u64 = 2;
/// Entries in one message to a follower; the reader caps them by bytes as well.
const PAYLOAD_ENTRIES_MAX: u64 = 1000;
/// Proposals that may wait for the group, and that one append may merge. 1,024 callers wait at
/// most; with entries of 1 KiB that is one batch of 1 MiB.
const PROPOSALS_MAX: u64 = 1024;
/// How long a snapshot may travel and be installed: 8 GiB at 100 MB/s, doubled.
const SNAPSHOT_MS_MAX: u64 = 180_000;

/// What every group runs with. `enable_leader_restore` is off: with openraft's default, a leader
/// that comes back in its old term hands out log ids again that followers already acknowledged, and
/// the nodes diverge in silence.
///
/// A restarted voter does not remember which leader's lease it vouched for, so it refuses its vote
/// until `election_ms_max` after the start, unless it is the only voter (`Group::abstains`): a leader
/// elsewhere could still answer lease reads when the next one is elected.
pub fn raft_config(settings: &Settings) -> Result<Arc<Config>> {
    let config = Config {
        cluster_name: settings.node_name.clone(),
        heartbeat_interval: settings.heartbeat_ms,
        election_timeout_min: settings.election_ms_min,
        election_timeout_max: settings.election_ms_max,
        enable_leader_restore: Some(faults::restores_leaders()),
        enable_pre_vote: Some(true),
        allow_log_reversion: Some(false),
        max_payload_entries: PAYLOAD_ENTRIES_MAX,
        max_append_entries: Some(PROPOSALS_MAX),
        api_channel_size: Some(PROPOSALS_MAX),
        api_batch_capacity: PROPOSALS_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.snapshot_entries),
        max_in_snapshot_log_to_keep: settings.snapshot_entries / KEEP_PART,
        // However many there are, the store deletes them as one range.
        purge_batch_size: 1,
        replication_lag_threshold: settings.snapshot_entries * LAG_SNAPSHOTS_MAX,
        install_snapshot_timeout: SNAPSHOT_MS_MAX,
        ..Config::default()
    };
    let config = config.validate().map_err(|error| {
        Refusal::new(Code::ConfigInvalid, "the settings under [consensus] do not fit together")
            .cause(error)
            .hint("heartbeat_ms < election_ms_min < election_ms_max, as in 100, 300, 600")
    })?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new("unused", 1, "n1")
    }

    /// The guard that the design asks for: this switch is never on.
    #[test]
    fn a_leader_never_resumes_without_a_vote() {
        let mut settings = settings();
        for (heartbeat, min, max) in [(100, 300, 600), (250, 1000, 2000)] {
            settings.heartbeat_ms = heartbeat;
            (settings.election_ms_min, settings.election_ms_max) = (min, max);
            let config = raft_config(&settings).unwrap();
            assert_eq!(config.enable_leader_restore, Some(false));
            assert_eq!(config.enable_pre_vote, Some(true));
            assert_eq!(config.allow_log_reversion, Some(false));
        }
    }

    #[test]
    fn what_is_kept_of_the_log_follows_the_distance_of_snapshots() {
        let mut settings = settings();
        for (entries, keep, lag) in [(500_000, 50_000, 1_000_000), (1_000, 100, 2_000)] {
            settings.snapshot_entries = entries;
            let config = raft_config(&settings).unwrap();
            assert_eq!(config.snapshot_policy, SnapshotPolicy::LogsSinceLast(entries));
            let found = (config.max_in_snapshot_log_to_keep, config.replication_lag_threshold);
            assert_eq!(found, (keep, lag));
        }
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        let mut settings = settings();
        (settings.election_ms_min, settings.election_ms_max) = (600, 300);
        assert_eq!(raft_config(&settings).unwrap_err().code, Code::ConfigInvalid);
    }
}
