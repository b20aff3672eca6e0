//! The check at every start: does the store still hold what was called durable?

use super::note::{Groups, Note};
use super::record::{LogId, Vote};
use super::{Database, damage};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Refusal, Result};
use std::collections::BTreeSet;
use std::fmt::Display;

impl Database {
    /// Opens the note, or makes the first one, and refuses a store that is below it.
    pub fn checked_note(&self) -> Result<Note> {
        let path = self.folder().durable();
        match Note::open(&path, true)? {
            Some(note) => {
                self.check_note(&note.groups)?;
                Ok(note)
            }
            None if self.groups()?.is_empty() => Note::create(&path),
            None => Err(damage(&path, "the durable note is missing beside a log")),
        }
    }

    /// Refuses a store whose votes or logs end below the note, and a log whose unapplied part is
    /// damaged. What was applied before is checked whenever it is read.
    pub fn check_note(&self, noted: &Groups) -> Result<()> {
        let mut groups: BTreeSet<GroupId> = self.groups()?.into_iter().collect();
        groups.extend(noted.keys());
        for group in groups {
            let noted = noted.get(&group).copied().unwrap_or_default();
            self.check_vote(group, noted.vote)?;
            self.check_end(group, noted.last)?;
            self.check_tail(group)?;
        }
        Ok(())
    }

    fn check_vote(&self, group: GroupId, noted: Option<Vote>) -> Result<()> {
        let vote = self.vote(group)?;
        match (vote, noted) {
            (_, None) => Ok(()),
            (Some(vote), Some(noted)) if vote.follows(noted) => Ok(()),
            (vote, Some(noted)) => Err(self.below(group, "vote", noted, vote)),
        }
    }

    fn check_end(&self, group: GroupId, noted: Option<LogId>) -> Result<()> {
        let Some(noted) = noted else {
            return Ok(());
        };
        let end = self.log_end(group)?;
        if end.is_none_or(|end| end.index < noted.index || end.term < noted.term) {
            return Err(self.below(group, "log", noted, end));
        }
        let at_note = self.scan_log(group, noted.index..noted.index.saturating_add(1)).next();
        match at_note.transpose()? {
            Some(record) if record.id != noted => {
                Err(self.below(group, "log", noted, Some(record.id)))
            }
            _ => Ok(()),
        }
    }

    /// The part of the log that the state does not hold yet.
    fn check_tail(&self, group: GroupId) -> Result<()> {
        let applied = self.applied(group)?.map(|applied| applied.last.index);
        if let Some(purged) = self.purged(group)?
            && Some(purged.index) > applied
        {
            let cause = format!("group {group}'s log is purged up to {purged}, its state is older");
            return Err(self.damage(cause));
        }
        let mut before: Option<LogId> = None;
        for record in self.scan_log(group, applied.unwrap_or(0)..u64::MAX) {
            let id = record?.id;
            let follows = match before {
                Some(before) => id.index == before.index + 1 && id.term >= before.term,
                None => id.index <= applied.map_or(0, |applied| applied + 1),
            };
            if !follows {
                return Err(
                    self.damage(format!("group {group}'s log has a hole before entry {id}"))
                );
            }
            before = Some(id);
        }
        Ok(())
    }

    fn below<T: Display>(&self, group: GroupId, what: &str, noted: T, found: Option<T>) -> Refusal {
        let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
        let path = self.folder().durable();
        self.damage(format!(
            "{} says that the {what} of group {group} was durable up to {noted}; the store has {found}",
            path.display()
        ))
    }
}
