//! What a disk does wrong when it is told to, and what it was asked to do.

use fuser::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Bytes of a file.
    Read,
    /// To write them.
    Write,
    /// To make a file or the names in a folder durable.
    Sync,
}

/// What it does instead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It answers with an error and has done nothing; after a failed sync nobody knows what is
    /// durable.
    Error(Errno),
    /// It takes its time.
    Slow(Duration),
    /// It reads this many bytes, and says so.
    Short(u64),
    /// It reads a bit of the file turned over: byte and bit.
    Flip(u64, u32),
    /// It says that it synced, and did not.
    Lie,
}

/// When it does so.
#[derive(Clone, Debug)]
pub struct Rule {
    ask: Ask,
    files: String,
    fault: Fault,
    skip: u64,
    times: u64,
}

impl Rule {
    /// At every such request for files of this name, in which `*` stands for anything.
    pub fn new(ask: Ask, files: &str, fault: Fault) -> Self {
        Self { ask, files: files.to_owned(), fault, skip: 0, times: u64::MAX }
    }

    /// Only so many times.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    /// Not before so many requests went well.
    #[must_use]
    pub fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }
}

/// The rules, and what was counted.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    /// Nothing can be changed.
    pub read_only: bool,
    given: u64,
    asked: Asked,
    /// The same since something was done wrong last.
    later: Asked,
}

type Asked = BTreeMap<(Ask, String), u64>;

impl Faults {
    /// Adds a rule; the first one that fits counts.
    pub fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Takes all rules away; what was counted stays.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.read_only = false;
    }

    /// How often something was done wrong by a rule.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// How often this was asked for files of this name.
    pub fn asked(&self, ask: Ask, files: &str) -> u64 {
        count(&self.asked, ask, files)
    }

    /// The same since something was done wrong last.
    pub fn asked_since_fault(&self, ask: Ask, files: &str) -> u64 {
        count(&self.later, ask, files)
    }

    /// Counts a request, and says what is to go wrong with it.
    pub fn meet(&mut self, ask: Ask, name: &OsStr) -> Option<Fault> {
        let name = name.to_string_lossy();
        for counts in [&mut self.asked, &mut self.later] {
            *counts.entry((ask, name.clone().into_owned())).or_default() += 1;
        }
        let fitting = |rule: &&mut Rule| rule.ask == ask && rule.times > 0;
        let rule = self.rules.iter_mut().filter(fitting).find(|rule| fits(&rule.files, &name))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        self.given += 1;
        self.later.clear();
        Some(rule.fault)
    }
}

fn count(asked: &Asked, ask: Ask, files: &str) -> u64 {
    let fits = |key: &(Ask, String)| key.0 == ask && fits(files, &key.1);
    asked.iter().filter(|(key, _)| fits(key)).map(|(_, count)| count).sum()
}

/// Whether a name is of this form.
pub fn fits(form: &str, name: &str) -> bool {
    match form.split_once('*') {
        None => form == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|name| {
            let ends = (0..=name.len()).filter(|end| name.is_char_boundary(*end));
            ends.into_iter().any(|end| fits(rest, &name[end..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (form, name, expect) in [
            ("*", "", true),
            ("*.log", "000004.log", true),
            ("*.log", "LOG", false),
            ("MANIFEST-*", "MANIFEST-000005", true),
            ("*-*.sst", "state-0000.sst", true),
            ("CURRENT", "CURRENT.dbtmp", false),
        ] {
            assert_eq!(fits(form, name), expect, "{form} {name}");
        }
    }

    #[test]
    fn a_rule_waits_and_ends() {
        let mut faults = Faults::default();
        let fault = Fault::Error(Errno::EIO);
        faults.add(Rule::new(Ask::Sync, "*.log", fault).after(1).times(2));
        let mut meet = |ask, name: &str| faults.meet(ask, name.as_ref()).is_some();
        assert!(!meet(Ask::Sync, "1.log"));
        assert!(!meet(Ask::Write, "1.log"));
        assert!(!meet(Ask::Sync, "CURRENT"));
        assert!(meet(Ask::Sync, "1.log"));
        assert!(meet(Ask::Sync, "2.log"));
        assert!(!meet(Ask::Sync, "2.log"));
        assert_eq!((faults.given(), faults.asked(Ask::Sync, "*.log")), (2, 4));
        assert_eq!(faults.asked_since_fault(Ask::Sync, "*.log"), 1);
    }
}
