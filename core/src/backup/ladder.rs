//! Which backups stay: the newest of each of the last hours, days, weeks and months that have one.

use super::name::civil;
use std::collections::BTreeSet;

const MS_PER_HOUR: u64 = 3_600_000;
const HOURS_PER_DAY: u64 = 24;

/// How many of each stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Hours that keep one.
    pub hourly: u64,
    /// Days.
    pub daily: u64,
    /// Weeks, from Monday on.
    pub weekly: u64,
    /// Months of the calendar, in UTC.
    pub monthly: u64,
}

/// How many stay, and into which of its spans a time falls.
type Rung = (u64, fn(u64) -> u64);

/// For each of these times, whether what was made then stays. The newest always does.
pub fn kept(created_ms: &[u64], ladder: Ladder) -> Vec<bool> {
    let mut newest_first: Vec<usize> = (0..created_ms.len()).collect();
    newest_first.sort_by_key(|at| std::cmp::Reverse(created_ms[*at]));
    let mut stays = vec![false; created_ms.len()];
    if let Some(newest) = newest_first.first() {
        stays[*newest] = true;
    }
    let rungs: [Rung; 4] = [
        (ladder.hourly, hour),
        (ladder.daily, day),
        (ladder.weekly, week),
        (ladder.monthly, month),
    ];
    for (count, span) in rungs {
        let mut spans = BTreeSet::new();
        for at in &newest_first {
            if spans.len() as u64 >= count {
                break;
            }
            if spans.insert(span(created_ms[*at])) {
                stays[*at] = true;
            }
        }
    }
    stays
}

fn hour(ms: u64) -> u64 {
    ms / MS_PER_HOUR
}

fn day(ms: u64) -> u64 {
    hour(ms) / HOURS_PER_DAY
}

/// 1970-01-01 was a Thursday.
fn week(ms: u64) -> u64 {
    (day(ms) + 3) / 7
}

fn month(ms: u64) -> u64 {
    let (year, month, _) = civil(day(ms));
    year * 12 + month
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(created: &[u64], ladder: [u64; 4]) -> Vec<u64> {
        let [hourly, daily, weekly, monthly] = ladder;
        let stays = kept(created, Ladder { hourly, daily, weekly, monthly });
        created.iter().zip(stays).filter(|(_, stays)| *stays).map(|(at, _)| *at).collect()
    }

    #[test]
    fn the_newest_of_each_span_stays() {
        let hour = MS_PER_HOUR;
        let day = 24 * hour;
        let check = |created: &[u64], ladder: [u64; 4], expect: &[u64]| {
            assert_eq!(left(created, ladder), expect, "{created:?} {ladder:?}");
        };
        check(&[], [1, 1, 1, 1], &[]);
        check(&[1, 5, 3], [0, 0, 0, 0], &[5]);
        check(&[1, 5, 3, hour + 1], [9, 0, 0, 0], &[5, hour + 1]);
        // Spans without a backup do not count.
        check(&[0, 5 * hour, 9 * hour], [2, 0, 0, 0], &[5 * hour, 9 * hour]);
        check(&[0, 5 * hour, day], [1, 2, 0, 0], &[5 * hour, day]);
        // Day 4 was a Monday.
        check(&[3 * day, 4 * day, 5 * day], [0, 0, 2, 0], &[3 * day, 5 * day]);
        check(&[30 * day, 31 * day, 58 * day], [0, 0, 0, 2], &[30 * day, 58 * day]);
    }

    #[test]
    fn a_year_of_hours_is_bounded() {
        let created: Vec<u64> = (0..365 * 24).map(|at| at * MS_PER_HOUR).collect();
        let left = left(&created, [24, 7, 5, 12]);
        assert!(left.len() <= 24 + 7 + 5 + 12, "{}", left.len());
        // Applied each time, it leaves the same as once at the end would, or more of the old.
        let mut stay = Vec::new();
        for at in created {
            stay.push(at);
            let stays = kept(&stay, Ladder { hourly: 24, daily: 7, weekly: 5, monthly: 12 });
            let mut next = stays.into_iter();
            stay.retain(|_| next.next() == Some(true));
        }
        assert_eq!(stay, left);
    }
}
