//! Which copies of which entries are those of the log that counts, told from several logs of which
//! each may lack or garble any entry.
//!
//! Two logs that have the same entry at one place, by term and index, are the same up to there: that
//! is what consensus keeps. So the log is followed from its end down, and a folder's copy of an entry
//! counts once that folder was found to agree at some place behind it. What a folder has where it was
//! never found to agree may be of a leader that was not followed, however good its checksum is.

use crate::store::record::LogId;

/// What one folder has of a log.
pub(super) trait Log {
    /// The term of the entry at this index, if there is a good copy.
    fn term_at(&self, index: u64) -> Option<u64>;

    /// True if this log had this entry, with a good copy now or not.
    fn had(&self, id: LogId) -> bool;
}

/// For each entry behind `base` and up to `end`, ascending, whose copy counts; or the entry of which
/// nobody has one.
pub(super) fn trace(logs: &[impl Log], base: Option<LogId>, end: LogId) -> Result<Vec<usize>, u64> {
    let first = base.map_or(0, |base| base.index + 1);
    let mut agrees = vec![false; logs.len()];
    let mut copies = Vec::new();
    let mut above = end.term;
    for index in (first..=end.index).rev() {
        let mut of_agreeing = logs.iter().zip(&agrees).filter(|(_, agrees)| **agrees);
        let term = match index == end.index {
            true => Some(end.term),
            false => of_agreeing.find_map(|(log, _)| log.term_at(index)),
        };
        // Terms never fall: what says otherwise is not one log.
        let id = LogId { term: term.filter(|term| *term <= above).ok_or(index)?, index };
        above = id.term;
        let mut copy = None;
        for (number, log) in logs.iter().enumerate() {
            let has_it = log.term_at(index) == Some(id.term);
            agrees[number] |= has_it || log.had(id);
            if has_it && copy.is_none() {
                copy = Some(number);
            }
        }
        copies.push(copy.ok_or(index)?);
    }
    if base.is_some_and(|base| base.term > above) {
        return Err(first);
    }
    copies.reverse();
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Terms by index, from 0; none: damaged. And where it ended.
    struct Held(Vec<Option<u64>>, Option<LogId>);

    impl Log for Held {
        fn term_at(&self, index: u64) -> Option<u64> {
            self.0.get(usize::try_from(index).unwrap()).copied().flatten()
        }

        fn had(&self, id: LogId) -> bool {
            self.1 == Some(id)
        }
    }

    fn id(term: u64, index: u64) -> LogId {
        LogId { term, index }
    }

    /// A digit is the term of a good copy, `x` a damaged one.
    fn log(text: &str, end: Option<LogId>) -> Held {
        let terms = text.chars().map(|one| one.to_digit(10).map(u64::from));
        Held(terms.collect(), end)
    }

    #[test]
    fn each_entry_from_whoever_has_it() {
        let check = |logs: &[&str], base: Option<LogId>, end, expect: Result<Vec<usize>, u64>| {
            let logs: Vec<Held> = logs.iter().map(|text| log(text, None)).collect();
            let name = |log: &Held| format!("{:?}", log.0);
            let names: Vec<_> = logs.iter().map(name).collect();
            assert_eq!(trace(&logs, base, end), expect, "{names:?} {base:?} {end:?}");
        };
        check(&["1111"], None, id(1, 3), Ok(vec![0; 4]));
        check(&["1x11", "11x1"], None, id(1, 3), Ok(vec![0, 1, 0, 0]));
        check(&["1x11", "11x1"], Some(id(1, 1)), id(1, 3), Ok(vec![0, 0]));
        check(&["1x11", "1xx1"], None, id(1, 3), Err(1));
        check(&["1x11", "1xx1"], Some(id(1, 1)), id(1, 3), Ok(vec![0, 0]));
        // Nothing behind the base.
        check(&["11"], Some(id(1, 1)), id(1, 1), Ok(vec![]));
        // The end itself has no good copy.
        check(&["11x", "11x"], None, id(1, 2), Err(2));
        // A shorter log agrees as far as it goes.
        check(&["1x23", "11"], None, id(3, 3), Err(1));
        check(&["1x23", "112"], None, id(3, 3), Ok(vec![0, 1, 0, 0]));
    }

    #[test]
    fn a_good_copy_of_another_log_does_not_count() {
        let check = |logs: &[Held], end, expect: Result<Vec<usize>, u64>| {
            assert_eq!(trace(logs, None, end), expect);
        };
        // The second wrote entry 1 in a term that was given up, and never had what came then.
        check(&[log("1x33", None), log("12", None)], id(3, 3), Err(1));
        check(&[log("1x33", None), log("12xx", None)], id(3, 3), Err(1));
        // It is known to have had the end: then its entry 1 is the same.
        let same = || log("12xx", Some(id(3, 3)));
        check(&[log("1x33", None), same()], id(3, 3), Ok(vec![0, 1, 0, 0]));
        // Terms that fall are no log.
        check(&[log("1x33", None), log("15xx", Some(id(3, 3)))], id(3, 3), Err(1));
    }
}
