//! `[backup]`: where backups go, how often, and which stay. The same on every node: whoever leads
//! makes them.

use super::document::Document;
use super::origin::Valued;
use super::rows::{Row, row};
use super::values;
use keiko_core::backup::Ladder;
use keiko_core::limits::BACKUP_PLACE_CHARS_MAX;
use keiko_core::refusal::Result;

/// From a minute to thirty days.
const EVERY_MINUTES: (u64, u64) = (1, 30 * 24 * 60);
/// To a year.
const REHEARSE_HOURS: (u64, u64) = (1, 365 * 24);
/// Manifests are read one by one: four rungs of a hundred are 400.
const KEEP: (u64, u64) = (0, 100);

/// What is in force.
#[derive(Clone, Debug)]
pub struct Backups {
    /// `[backup] place`: an absolute path, or `s3://BUCKET/PREFIX`. Without it none is made.
    pub place: Option<Valued<String>>,
    /// `[backup] every_minutes`
    pub every_minutes: Valued<u64>,
    /// `[backup] rehearse_hours`
    pub rehearse_hours: Valued<u64>,
    /// `[backup] keep_hourly`
    pub keep_hourly: Valued<u64>,
    /// `[backup] keep_daily`
    pub keep_daily: Valued<u64>,
    /// `[backup] keep_weekly`
    pub keep_weekly: Valued<u64>,
    /// `[backup] keep_monthly`
    pub keep_monthly: Valued<u64>,
}

/// Only what the file says.
#[derive(Debug, Default)]
pub(super) struct Given {
    place: Option<Valued<String>>,
    every_minutes: Option<Valued<u64>>,
    rehearse_hours: Option<Valued<u64>>,
    keep_hourly: Option<Valued<u64>>,
    keep_daily: Option<Valued<u64>>,
    keep_weekly: Option<Valued<u64>>,
    keep_monthly: Option<Valued<u64>>,
}

impl Given {
    pub(super) fn parse(document: &Document<'_>) -> Result<Self> {
        let bounded = |key: &str, bounds: (u64, u64)| {
            document.parsed(&["backup", key], |number| values::within(number, bounds.0, bounds.1))
        };
        Ok(Self {
            place: document.parsed(&["backup", "place"], place)?,
            every_minutes: bounded("every_minutes", EVERY_MINUTES)?,
            rehearse_hours: bounded("rehearse_hours", REHEARSE_HOURS)?,
            keep_hourly: bounded("keep_hourly", KEEP)?,
            keep_daily: bounded("keep_daily", KEEP)?,
            keep_weekly: bounded("keep_weekly", KEEP)?,
            keep_monthly: bounded("keep_monthly", KEEP)?,
        })
    }

    pub(super) fn or_default(self) -> Backups {
        let or = |given: Option<Valued<u64>>, default: u64| Valued::first(None, given, || default);
        Backups {
            place: self.place,
            every_minutes: or(self.every_minutes, 60),
            rehearse_hours: or(self.rehearse_hours, 24),
            keep_hourly: or(self.keep_hourly, 24),
            keep_daily: or(self.keep_daily, 7),
            keep_weekly: or(self.keep_weekly, 5),
            keep_monthly: or(self.keep_monthly, 12),
        }
    }
}

fn place(text: String) -> std::result::Result<String, String> {
    let is_bucket = text.strip_prefix("s3://").is_some_and(|rest| !rest.is_empty());
    let is_line =
        !text.contains(char::is_control) && text.chars().count() <= BACKUP_PLACE_CHARS_MAX;
    match is_line && (is_bucket || values::absolute(&text).is_ok()) {
        true => Ok(text),
        false => Err("expected an absolute path, or s3://BUCKET/PREFIX".to_owned()),
    }
}

impl Backups {
    /// Between two backups.
    pub fn every_ms(&self) -> u64 {
        self.every_minutes.value * 60_000
    }

    /// Between two rehearsals of a restore.
    pub fn rehearse_every_ms(&self) -> u64 {
        self.rehearse_hours.value * 3_600_000
    }

    /// Which stay.
    pub fn ladder(&self) -> Ladder {
        Ladder {
            hourly: self.keep_hourly.value,
            daily: self.keep_daily.value,
            weekly: self.keep_weekly.value,
            monthly: self.keep_monthly.value,
        }
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.place.iter().map(|place| row("backup.place", place)).collect();
        rows.extend([
            row("backup.every_minutes", &self.every_minutes),
            row("backup.rehearse_hours", &self.rehearse_hours),
            row("backup.keep_hourly", &self.keep_hourly),
            row("backup.keep_daily", &self.keep_daily),
            row("backup.keep_weekly", &self.keep_weekly),
            row("backup.keep_monthly", &self.keep_monthly),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, expect) in [
            ("/var/backups/keiko", true),
            ("s3://bucket/prefix", true),
            ("s3://", false),
            ("backups", false),
            ("", false),
            ("/a\nb", false),
        ] {
            assert_eq!(place(text.to_owned()).is_ok(), expect, "{text:?}");
        }
    }
}
