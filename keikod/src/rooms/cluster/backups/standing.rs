//! What the notes of backups come to: what is due, and what an operator should know. Pure.

use keiko_core::cluster::{FAILED, MADE, RESTORED, UNRESTORABLE};
use keiko_proto::v1::{BackupNote, Finding};

/// A backup is late once two were due and a little more.
const LATE_SPARE_MS: u64 = 10 * 60_000;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Backup,
    Rehearsal,
}

/// The newest note of each outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::rooms::cluster) struct Standing {
    pub(super) made: Option<BackupNote>,
    pub(super) failed: Option<BackupNote>,
    pub(super) restored: Option<BackupNote>,
    pub(super) unrestorable: Option<BackupNote>,
}

fn at(note: Option<&BackupNote>) -> u64 {
    note.map_or(0, |note| note.unix_ms)
}

impl Standing {
    pub(in crate::rooms::cluster) fn of(notes: Vec<BackupNote>) -> Self {
        let mut standing = Self::default();
        for note in notes {
            let slot = match note.outcome.as_str() {
                MADE => &mut standing.made,
                FAILED => &mut standing.failed,
                RESTORED => &mut standing.restored,
                UNRESTORABLE => &mut standing.unrestorable,
                _ => continue,
            };
            *slot = Some(note);
        }
        standing
    }

    /// The first of these that is due, if any.
    pub(super) fn due(&self, now_ms: u64, every_ms: u64, rehearse_every_ms: u64) -> Option<Due> {
        let Some(made) = &self.made else { return Some(Due::Backup) };
        if made.unix_ms.saturating_add(every_ms) <= now_ms {
            return Some(Due::Backup);
        }
        let is_due = match self.rehearsed() {
            None => true,
            // A newer one may be whole.
            Some(last) if last.outcome == UNRESTORABLE => made.unix_ms > last.unix_ms,
            Some(last) => last.unix_ms.saturating_add(rehearse_every_ms) <= now_ms,
        };
        is_due.then_some(Due::Rehearsal)
    }

    /// What came of the last rehearsal.
    pub(super) fn rehearsed(&self) -> Option<&BackupNote> {
        let (good, bad) = (self.restored.as_ref(), self.unrestorable.as_ref());
        if at(bad) > at(good) { bad } else { good }
    }

    /// Whether the pieces that are there may be built upon: not before a backup that was made anew,
    /// since a rehearsal failed, is there.
    pub(super) fn is_sound(&self) -> bool {
        let broken = self.rehearsed().filter(|last| last.outcome == UNRESTORABLE);
        broken.is_none_or(|last| at(self.made.as_ref()) > last.unix_ms)
    }

    /// The name of the newest that was restored; empty if none was.
    pub(super) fn proven(&self) -> &str {
        self.restored.as_ref().map_or("", |note| note.name.as_str())
    }

    /// Why none could be made since the last one was; none if that did not happen.
    pub(super) fn failed_with(&self) -> Option<String> {
        let failed = self.failed.as_ref().filter(|note| note.unix_ms > at(self.made.as_ref()));
        failed.map(|note| note.reason.clone())
    }

    /// How old the state is that the newest holds; none if there is none.
    pub(super) fn recovery_point_ms(&self, now_ms: u64) -> Option<u64> {
        self.made.as_ref().map(|note| now_ms.saturating_sub(note.state_unix_ms))
    }

    /// What must be seen to, in words.
    pub(in crate::rooms::cluster) fn alarm(&self, now_ms: u64, every_ms: u64) -> Option<String> {
        if let Some(last) = self.rehearsed().filter(|last| last.outcome == UNRESTORABLE) {
            return Some(format!("backup {} can't be restored: {}", last.name, last.reason));
        }
        let why = self.failed_with().map(|reason| format!(": {reason}")).unwrap_or_default();
        let age_ms = self.recovery_point_ms(now_ms)?;
        let late = age_ms > every_ms.saturating_mul(2).saturating_add(LATE_SPARE_MS);
        late.then(|| format!("the newest backup is {} old{why}", span(age_ms)))
    }
}

/// What `doctor` says; `every_ms` is none where no place is named.
pub(in crate::rooms::cluster) fn finding(
    standing: &Standing,
    every_ms: Option<u64>,
    now_ms: u64,
) -> Finding {
    let found = |status: &str, message: String, remedy: &str| Finding {
        check: "backup".to_owned(),
        status: status.to_owned(),
        message,
        remedy: remedy.to_owned(),
        node: String::new(),
    };
    let Some(every_ms) = every_ms else {
        let words = "none by schedule: this node was told no place for them";
        let remedy = "[backup] place in keiko.toml, on every node";
        return found("skipped", words.to_owned(), remedy);
    };
    if let Some(words) = standing.alarm(now_ms, every_ms) {
        let remedy = "keikoctl cluster backup list; the log of the leader says more";
        return found("failed", words, remedy);
    }
    if let Some(reason) = standing.failed_with() {
        let remedy = "see to the place; it is tried again";
        return found("warning", format!("the last one failed: {reason}"), remedy);
    }
    let Some(age_ms) = standing.recovery_point_ms(now_ms) else {
        return found("warning", "none was made yet".to_owned(), "keikoctl cluster backup now");
    };
    let age = span(age_ms);
    match &standing.restored {
        None => {
            let words = format!("the newest holds what was {age} ago, and none was ever restored");
            found("warning", words, "keikoctl cluster backup rehearse")
        }
        Some(note) => {
            let ago = span(now_ms.saturating_sub(note.unix_ms));
            let took = note.took_ms;
            let words =
                format!("the newest holds what was {age} ago; restored {ago} ago in {took} ms");
            found("ok", words, "")
        }
    }
}

fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: u64 = 3_600_000;
    const REHEARSE: u64 = 24 * EVERY;

    fn note(outcome: &str, unix_ms: u64) -> BackupNote {
        let (outcome, name) = (outcome.to_owned(), format!("at-{unix_ms}"));
        BackupNote { outcome, unix_ms, state_unix_ms: unix_ms, name, ..Default::default() }
    }

    fn standing(notes: &[(&str, u64)]) -> Standing {
        Standing::of(notes.iter().map(|(outcome, at)| note(outcome, *at)).collect())
    }

    #[test]
    fn what_is_due() {
        let check = |notes: &[(&str, u64)], now: u64, expect: Option<Due>| {
            assert_eq!(standing(notes).due(now, EVERY, REHEARSE), expect, "{notes:?} at {now}");
        };
        check(&[], 1, Some(Due::Backup));
        check(&[(FAILED, 1)], 2, Some(Due::Backup));
        check(&[(MADE, 1)], 2, Some(Due::Rehearsal));
        check(&[(MADE, 1)], 1 + EVERY, Some(Due::Backup));
        check(&[(MADE, 1), (RESTORED, 2)], EVERY, None);
        let now = 2 + REHEARSE;
        check(&[(MADE, now - 1), (RESTORED, 2)], now, Some(Due::Rehearsal));
        check(&[(MADE, now - 1), (RESTORED, 3)], now, None);
        check(&[(MADE, 5), (UNRESTORABLE, 6)], 7, None);
        check(&[(MADE, 7), (UNRESTORABLE, 6)], 8, Some(Due::Rehearsal));
        check(&[(MADE, 7), (UNRESTORABLE, 6), (RESTORED, 9)], 10, None);
    }

    #[test]
    fn damage_is_not_built_upon() {
        assert!(standing(&[]).is_sound());
        assert!(standing(&[(MADE, 1), (RESTORED, 2)]).is_sound());
        assert!(!standing(&[(MADE, 1), (UNRESTORABLE, 2)]).is_sound());
        assert!(standing(&[(MADE, 3), (UNRESTORABLE, 2)]).is_sound());
        assert!(standing(&[(MADE, 1), (UNRESTORABLE, 2), (RESTORED, 3)]).is_sound());
    }

    #[test]
    fn what_doctor_says() {
        let check = |notes: &[(&str, u64)], now: u64, status: &str, words: &str| {
            let found = finding(&standing(notes), Some(EVERY), now);
            assert_eq!(found.status, status, "{notes:?}: {}", found.message);
            assert!(found.message.contains(words), "{words:?}: {}", found.message);
            assert_eq!(found.remedy.is_empty(), status == "ok");
        };
        check(&[], 1, "warning", "none was made yet");
        check(&[(FAILED, 1)], 2, "warning", "the last one failed");
        check(&[(MADE, 0)], 9_000, "warning", "9 s ago, and none was ever restored");
        check(&[(MADE, 0), (RESTORED, 0)], 300_000, "ok", "5 minutes ago");
        check(&[(MADE, 0), (RESTORED, 0)], 3 * EVERY, "failed", "3 hours old");
        check(&[(MADE, 1), (UNRESTORABLE, 2)], 3, "failed", "at-2 can't be restored");
        assert_eq!(finding(&Standing::default(), None, 1).status, "skipped");
    }
}
