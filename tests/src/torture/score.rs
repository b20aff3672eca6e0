//! What a round reached, and how long the cluster was without a leader.

use super::end::Ended;
use super::faults::{Fault, Struck};
use super::history::{Call, Nanos, Op, Outcome};
use super::load::Noted;
use super::{NANOS_OF_MS, Settings, answered};
use crate::report::{measure, say};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A write has to be accepted again within this time after a leader was killed.
const GAP_MAX: Duration = Duration::from_secs(2);
/// Behind a kill, a silence that begins later has another reason.
const AFTER_KILL_MS: u64 = 1000;

/// The numbers of one round or of several.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Strikes that killed somebody.
    pub kills: u32,
    /// Processes that were killed.
    pub processes: u32,
    /// How often each fault was.
    pub faults: BTreeMap<Fault, u32>,
    /// Acknowledged writes.
    pub acknowledged: usize,
    /// Swaps that came too late.
    pub refused: usize,
    /// Writes that nobody answered, and those of them that took effect.
    pub in_doubt: (usize, usize),
    /// Reads that were checked: linearizable, and by the lease.
    pub reads: (usize, usize),
    /// Writes that were sent more than once, and acknowledged.
    pub repeated: usize,
    /// Changes that watchers were shown.
    pub shown: usize,
    /// How long nothing was acknowledged when the leader was killed.
    pub gaps: Vec<Duration>,
    /// How often each code was met.
    pub codes: BTreeMap<u32, u64>,
    /// How long it took.
    pub took: Duration,
}

impl Score {
    pub(super) fn of(
        settings: &Settings,
        struck: &[Struck],
        noted: &Noted,
        ended: &Ended,
        took: Duration,
    ) -> Self {
        let mut score = Self { took, codes: noted.codes.clone(), ..Self::default() };
        for one in struck {
            score.kills += u32::from(one.killed > 0);
            score.processes += one.killed;
            *score.faults.entry(one.fault).or_default() += 1;
        }
        debug_assert!(score.kills >= settings.kills, "it ended too early");
        for op in answered(&noted.ops) {
            match (op.call, op.outcome) {
                (Call::Read { lease: false }, _) => score.reads.0 += 1,
                (Call::Read { lease: true }, _) => score.reads.1 += 1,
                (_, Outcome::Refused) => score.refused += 1,
                (Call::Write { .. } | Call::Swap { .. }, _) => {
                    score.acknowledged += 1;
                    score.repeated += usize::from(op.tries > 1);
                }
            }
        }
        let in_doubt = noted.ops.iter().filter(|op| op.is_in_doubt()).count();
        score.in_doubt = (in_doubt, ended.done_in_doubt);
        score.shown = ended.watched.iter().map(|watched| watched.shown.len()).sum();
        score.gaps = gaps(struck, &noted.ops);
        score
    }

    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.processes += other.processes;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.in_doubt.0 += other.in_doubt.0;
        self.in_doubt.1 += other.in_doubt.1;
        self.reads.0 += other.reads.0;
        self.reads.1 += other.reads.1;
        self.repeated += other.repeated;
        self.shown += other.shown;
        self.gaps.extend(other.gaps);
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self.took += other.took;
    }

    /// In so many of a hundred cases the gap is no longer than this.
    pub fn gap(&self, percent: usize) -> Duration {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        let at = (gaps.len() * percent).div_ceil(100).saturating_sub(1);
        gaps.get(at).copied().unwrap_or_default()
    }

    /// Of the leaders that were killed, how many percent had a successor in time.
    pub fn in_time_percent(&self) -> f64 {
        let in_time = self.gaps.iter().filter(|gap| **gap <= GAP_MAX).count();
        100.0 * in_time as f64 / self.gaps.len().max(1) as f64
    }

    /// Past the test's capture: what was reached must be seen in a green run.
    pub fn say(&self, title: &str) {
        say(&format!("{title}:\n{self}"));
    }

    /// Below that, there was too little load to mean anything.
    pub fn acknowledged_min(kills: u32) -> f64 {
        f64::from(kills) * 50.0
    }

    /// Into the table of `./x test`, against the least that would do.
    pub fn measure(&self, kills_min: u32) {
        let (kills, acknowledged) = (f64::from(self.kills), self.acknowledged as f64);
        measure("torture: strikes that killed, nothing lost", kills, kills_min.into(), "kills");
        measure(
            "torture: acknowledged writes",
            acknowledged,
            Self::acknowledged_min(kills_min),
            "writes",
        );
        measure(
            "torture: reads, none of them stale",
            (self.reads.0 + self.reads.1) as f64,
            0.0,
            "",
        );
        if !self.gaps.is_empty() {
            let what = "torture: leaders killed, a write accepted again within 2 s";
            measure(what, self.in_time_percent(), 99.0, "%");
        }
    }
}

/// For each leader that was killed, the longest silence that began shortly afterwards.
fn gaps(struck: &[Struck], ops: &[Op]) -> Vec<Duration> {
    let mut acknowledged: Vec<Nanos> =
        ops.iter().filter(|op| op.acknowledged().is_some()).map(|op| op.returned).collect();
    acknowledged.sort_unstable();
    let mut gaps = Vec::new();
    for (at, one) in struck.iter().enumerate().filter(|(_, one)| one.lost_leader) {
        let next = struck.get(at + 1).map_or(u64::MAX, |next| next.at);
        let begins = next.min(one.at + AFTER_KILL_MS * NANOS_OF_MS);
        let first = acknowledged.partition_point(|returned| *returned <= one.at);
        let mut from = one.at;
        let mut longest = None;
        for returned in &acknowledged[first..] {
            if from >= begins {
                break;
            }
            // What ends behind the next strike may be due to that.
            if *returned <= next {
                longest = longest.max(Some(returned - from));
            }
            from = *returned;
        }
        gaps.extend(longest.map(Duration::from_nanos));
    }
    gaps
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |gap: Duration| gap.as_millis();
        let Self { kills, processes, acknowledged, refused, in_doubt, reads, .. } = self;
        writeln!(f, "  {kills} strikes killed {processes} processes, in {:.0?}", self.took)?;
        writeln!(f, "  strikes: {:?}", self.faults)?;
        writeln!(
            f,
            "  writes: {acknowledged} acknowledged ({} after a repetition), {refused} too late, {} \
             in doubt, of which {} took effect",
            self.repeated, in_doubt.0, in_doubt.1
        )?;
        writeln!(f, "  reads checked: {} linearizable, {} by the lease", reads.0, reads.1)?;
        writeln!(f, "  changes that watchers were shown: {}", self.shown)?;
        writeln!(
            f,
            "  leader killed {} times, no write accepted for: p50 {} ms, p99 {} ms; within {} s: \
             {:.1} %",
            self.gaps.len(),
            ms(self.gap(50)),
            ms(self.gap(99)),
            GAP_MAX.as_secs(),
            self.in_time_percent()
        )?;
        let codes = self.codes.iter().map(|(code, count)| format!("{code:04}: {count}"));
        write!(f, "  refusals by code: {}", codes.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(returned_ms: u64) -> Op {
        let returned = returned_ms * NANOS_OF_MS;
        Op {
            client: 1,
            node: 0,
            key: 0,
            call: Call::Write { value: returned_ms },
            invoked: 0,
            returned,
            outcome: Outcome::Written { revision: returned_ms },
            request_id: None,
            tries: 1,
        }
    }

    #[test]
    fn a_gap_is_the_silence_behind_a_kill() {
        let struck = |at_ms: u64, lost_leader| Struck {
            fault: Fault::KillLeader,
            at: at_ms * NANOS_OF_MS,
            whom: vec![0],
            killed: 1,
            lost_leader,
        };
        let ops: Vec<Op> = [10, 95, 110, 900, 910, 920, 3000, 9000].map(write).into();
        let check = |struck: &[Struck], expect: &[u64]| {
            let found: Vec<u64> =
                gaps(struck, &ops).iter().map(|gap| gap.as_millis() as u64).collect();
            assert_eq!(found, expect, "{struck:?}");
        };
        check(&[struck(100, true)], &[2080]);
        check(&[struck(100, true), struck(950, false)], &[790]);
        check(&[struck(100, false)], &[]);
        check(&[struck(5000, true)], &[4000]);
        check(&[struck(10_000, true)], &[]);
        let score =
            Score { gaps: [1, 2, 3, 4].map(Duration::from_secs).into(), ..Score::default() };
        assert_eq!(
            (score.gap(50), score.gap(99)),
            (Duration::from_secs(2), Duration::from_secs(4))
        );
        assert!((score.in_time_percent() - 50.0).abs() < 1e-9);
    }
}
