//! Names of backups: when, and of which cluster. They sort by time.

use std::fmt;
use std::str::FromStr;

/// As in `20261120T081500123Z-0123456789ab`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    text: String,
    created_ms: u64,
}

/// Digits of the time: year to millisecond.
const DIGITS: [(usize, u64); 7] =
    [(4, 9999), (2, 12), (2, 31), (2, 23), (2, 59), (2, 59), (3, 999)];
/// The end of the cluster's id, where two ids of one minute differ.
const CLUSTER_CHARS: usize = 12;
const MS_PER_DAY: u64 = 86_400_000;

impl Name {
    /// When it was made.
    pub fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// The end of the id of the cluster that it is of.
    pub fn cluster(&self) -> &str {
        self.text.rsplit('-').next().unwrap_or_default()
    }

    /// True if it is of the cluster with this id.
    pub fn is_of(&self, cluster_id: &str) -> bool {
        self.cluster() == end_of(cluster_id)
    }
}

/// The name of a backup of this cluster that is made now.
pub fn name_of(created_ms: u64, cluster_id: &str) -> Name {
    let (year, month, day) = civil(created_ms / MS_PER_DAY);
    let ms = created_ms % MS_PER_DAY;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let text = format!(
        "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}{:03}Z-{}",
        ms % 1000,
        end_of(cluster_id)
    );
    Name { text, created_ms }
}

fn end_of(cluster_id: &str) -> String {
    let plain: Vec<char> = cluster_id.chars().filter(char::is_ascii_alphanumeric).collect();
    plain[plain.len().saturating_sub(CLUSTER_CHARS)..].iter().collect()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (time, cluster) = text.split_once('-').ok_or(())?;
        let is_plain = cluster.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_plain || cluster.len() > CLUSTER_CHARS || !time.is_ascii() {
            return Err(());
        }
        let (date, clock) = time.strip_suffix('Z').and_then(|t| t.split_once('T')).ok_or(())?;
        let digits = format!("{date}{clock}");
        let whole: usize = DIGITS.iter().map(|(count, _)| count).sum();
        if digits.len() != whole || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        let (mut parts, mut at) = ([0; DIGITS.len()], 0);
        for (part, (count, most)) in parts.iter_mut().zip(DIGITS) {
            *part = digits[at..at + count].parse::<u64>().map_err(drop)?;
            at += count;
            if *part > most {
                return Err(());
            }
        }
        let [year, month, day, hour, minute, second, ms] = parts;
        let days = days_of(year, month, day).ok_or(())?;
        let created_ms =
            days * MS_PER_DAY + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms;
        Ok(Self { text: text.to_owned(), created_ms })
    }
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar; after
/// Howard Hinnant's `civil_from_days`.
pub(super) fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The same back; none for what is no day since 1970.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || month == 0 || day == 0 {
        return None;
    }
    let shifted_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_when() {
        let id = "0199a1b2-0000-7000-8000-0123456789ab";
        for (ms, expect) in [
            (0, "19700101T000000000Z-0123456789ab"),
            (1_795_162_500_123, "20261120T081500123Z-0123456789ab"),
            (951_782_400_000, "20000229T000000000Z-0123456789ab"),
        ] {
            let name = name_of(ms, id);
            assert_eq!(name.to_string(), expect);
            assert_eq!(expect.parse(), Ok(name.clone()));
            assert!(name.is_of(id) && !name.is_of("c"));
        }
        for wrong in [
            "",
            "x",
            "20261120T081500123Z",
            "20260230T081500123Z-a",
            "20261120T241500123Z-a",
            "20261120T081500123Z-../a",
            "2026112T0081500123Z-a/b",
            "é0261120T081500123Z-a",
        ] {
            assert_eq!(wrong.parse::<Name>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn every_day_has_one_date() {
        for days in (0..100_000).step_by(13) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, month, day), Some(days));
        }
    }
}
