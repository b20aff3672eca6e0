//! Makes actions happen: one log, the replay of it, and the nodes that apply it in their own way.

use super::action::Action;
use super::check::{Check, Checks, Class};
use super::node::{Node, Rounded, level_of};
use super::oracle::{Logged, Oracle};
use super::{Invariant, Report, Settings, Violation, layout};
use keiko_core::features;
use keiko_core::house::{Halt, Round};
use keiko_core::id::GroupId;
use keiko_core::store::{MemoryStore, Space};
use std::collections::BTreeSet;

/// Groups at the edges of what a group can be, beside an ordinary one.
const GROUPS: [GroupId; 4] = [GroupId::CONTROL, GroupId(1), GroupId(0x00FF), GroupId(0xFFFF)];

/// Entries of one round when a node catches up in the end.
const CATCH_UP: usize = 7;

/// Everything that there is.
pub(super) struct World {
    pub(super) group: GroupId,
    log: Vec<Logged>,
    pub(super) oracle: Oracle,
    pub(super) nodes: Vec<Node>,
    checks: Checks,
    invariants: BTreeSet<Invariant>,
    report: Report,
}

impl World {
    /// The seed chooses the group and which nodes begin with an older release.
    pub(super) fn new(seed: u64, settings: &Settings) -> Self {
        let group = GROUPS[(seed % 4) as usize];
        let is_older = |number: usize| number > 0 && (seed / 4).is_multiple_of(number as u64 + 1);
        let everywhere = settings.fault.filter(|fault| fault.is_everywhere());
        let node = |number: usize| {
            let level = features::LEVEL - u32::from(is_older(number));
            // The last node has the bug: it is the one that may begin with an older release.
            let is_last = number + 1 == settings.nodes;
            let fault = everywhere.or_else(|| settings.fault.filter(|_| is_last));
            Node::new(number as u8, group, level, fault)
        };
        Self {
            group,
            log: Vec::new(),
            oracle: Oracle::new(group, everywhere),
            nodes: (0..settings.nodes).map(node).collect(),
            checks: Checks::default(),
            invariants: settings.invariants.iter().copied().collect(),
            report: Report::default(),
        }
    }

    /// The index of the log's last entry.
    pub(super) fn log_end(&self) -> u64 {
        self.log.len() as u64
    }

    /// Makes one thing happen, and looks whether everything still holds.
    pub(super) fn act(&mut self, action: &Action) -> Result<(), Violation> {
        match action {
            Action::Commit(bytes) => self.commit(bytes),
            Action::Blank => {
                self.report.count("blank", "committed");
                self.log.push(Logged::Blank);
                self.oracle.skip();
                Ok(())
            }
            Action::Future(bytes) => self.future(bytes),
            Action::Apply { node, entries } => self.apply(*node, *entries),
            Action::Crash { node, batches } => {
                self.report.count("node", "crashed");
                self.nodes[*node].crash(*batches);
                self.agree(*node)
            }
            Action::Snapshot { node } => {
                self.report.count("node", "took a snapshot");
                self.nodes[*node].take_snapshot();
                Ok(())
            }
            Action::Install { from, to } => self.install(*from, *to),
            Action::Upgrade { node } => {
                self.report.count("node", "upgraded");
                self.nodes[*node].upgrade();
                Ok(())
            }
            Action::Look => {
                self.report.count("look", "taken");
                let (oracle, group) = (&self.oracle, self.group);
                self.checks.look(&oracle.store, group);
                Ok(())
            }
        }
    }

    fn commit(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let (checks, report) = (&mut self.checks, &mut self.report);
        let invariants = &self.invariants;
        let looked = self.oracle.apply(bytes, |step| checks.step(step, invariants, report));
        // What every node stops at is no part of a log that anybody can follow.
        let Some(looked) = looked else { return Ok(()) };
        self.log.push(Logged::Entry(bytes.to_vec()));
        match looked {
            Some((invariant, what)) => Err(self.violation(invariant, what)),
            None => Ok(()),
        }
    }

    /// Nodes of this release stop, and what stands before in the round is not harmed.
    fn future(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let level = level_of(bytes);
        if level <= features::LEVEL {
            return Ok(());
        }
        self.report.count("future", "met");
        let index = self.log_end() + 1;
        let expect = Halt::FeatureLevel { index, level, known: features::LEVEL };
        for node in 0..self.nodes.len() {
            let Node { store, applied, .. } = &self.nodes[node];
            let mut round = Round::new(store, self.group);
            let mut twin = Round::new(store, self.group);
            for (logged, index) in self.log.iter().zip(1..).skip(*applied as usize) {
                if let Logged::Entry(bytes) = logged {
                    let answers = (round.apply(index, bytes), twin.apply(index, bytes));
                    debug_assert!(answers.0 == answers.1, "the law is deterministic");
                }
            }
            let halt = round.apply(index, bytes);
            let same = round.into_writes() == twin.into_writes();
            self.raise(Invariant::Levels, || match halt == Err(expect) && same {
                true => Ok(()),
                false => Err(format!("node {node} does not stop at level {level}: {halt:?}")),
            })?;
        }
        Ok(())
    }

    fn apply(&mut self, number: usize, entries: usize) -> Result<(), Violation> {
        let before = self.nodes[number].head();
        let level = self.nodes[number].level;
        match self.nodes[number].apply(&self.log, entries) {
            Rounded::Stopped(index) => {
                self.report.count("node", "stopped");
                let after = self.nodes[number].head();
                self.raise(Invariant::Levels, || match before == after {
                    true => Ok(()),
                    false => Err(format!("node {number} wrote, and then stopped at {index}")),
                })
            }
            Rounded::Applied(answers) => {
                self.report.count("node", "applied a round");
                for (index, applied) in answers {
                    self.same_answer(number, level, index, &applied.reply)?;
                }
                self.agree(number)
            }
        }
    }

    /// A node answers as the replay did.
    fn same_answer(
        &self,
        number: usize,
        level: u32,
        index: u64,
        reply: &[u8],
    ) -> Result<(), Violation> {
        let Logged::Entry(bytes) = &self.log[index as usize - 1] else { return Ok(()) };
        self.raise(Invariant::Levels, || match level_of(bytes) <= level {
            true => Ok(()),
            false => Err(format!("node {number} of level {level} read the newer entry {index}")),
        })?;
        if self.oracle.replies[index as usize] == reply {
            return Ok(());
        }
        let what = || Err(format!("node {number} answers entry {index} in another way"));
        match self.checks.class_of(index) {
            Class::Unreadable => self.raise(Invariant::Totality, what)?,
            Class::Retried | Class::Stolen => self.raise(Invariant::Deduplication, what)?,
            Class::Malformed | Class::Outside | Class::New => {}
        }
        self.raise(Invariant::Agreement, what)
    }

    /// A node has the head that the replay had at its index.
    fn agree(&self, number: usize) -> Result<(), Violation> {
        let node = &self.nodes[number];
        self.raise(Invariant::Agreement, || {
            let (head, expect) = (node.head(), self.oracle.heads[node.applied as usize]);
            match head == expect {
                true => Ok(()),
                false => Err(format!("node {number} has {head:?}, the replay {expect:?}")),
            }
        })
    }

    fn install(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        let Some(snapshot) = self.nodes[from].snapshot().cloned() else { return Ok(()) };
        if from == to || !self.nodes[to].install(snapshot) {
            return Ok(());
        }
        self.report.count("node", "installed a snapshot");
        self.agree(to)?;
        self.untouched(to)?;
        match self.nodes[to].applied == self.log_end() {
            true => self.same_rows(to),
            false => Ok(()),
        }
    }

    fn untouched(&self, number: usize) -> Result<(), Violation> {
        self.raise(Invariant::Snapshots, || {
            match self.nodes[number].neighbours_untouched(number as u8) {
                true => Ok(()),
                false => Err(format!("node {number} lost rows of another group")),
            }
        })
    }

    /// A node that is as far as the replay has the same rows, however it came there.
    fn same_rows(&self, number: usize) -> Result<(), Violation> {
        let node = &self.nodes[number];
        let invariant = match node.installed {
            true => Invariant::Snapshots,
            false => Invariant::Agreement,
        };
        self.raise(invariant, || {
            let differing = Space::ALL
                .iter()
                .find_map(|space| difference(&self.oracle.store, &node.store, self.group, *space));
            match differing {
                None => Ok(()),
                Some(what) => Err(format!("node {number} has other rows than the replay: {what}")),
            }
        })
    }

    /// Lets every node catch up, and looks at all that is to be looked at in the end.
    pub(super) fn finish(&mut self) -> Result<Report, Violation> {
        for number in 0..self.nodes.len() {
            self.nodes[number].upgrade();
            while self.nodes[number].applied < self.log_end() {
                self.apply(number, CATCH_UP)?;
            }
            self.same_rows(number)?;
            self.untouched(number)?;
        }
        let found = self.checks.finish(&self.oracle, self.group, &self.invariants);
        if let Some((invariant, what)) = found {
            return Err(self.violation(invariant, what));
        }
        let head = self.oracle.head();
        (self.report.revision, self.report.hash) = (head.revision, head.hash);
        Ok(std::mem::take(&mut self.report))
    }

    fn raise(&self, invariant: Invariant, check: impl FnOnce() -> Check) -> Result<(), Violation> {
        match self.invariants.contains(&invariant) {
            true => check().map_err(|what| self.violation(invariant, what)),
            false => Ok(()),
        }
    }

    fn violation(&self, invariant: Invariant, what: String) -> Violation {
        Violation { invariant, index: self.log_end(), what }
    }
}

/// The first row that differs.
fn difference(
    expect: &MemoryStore,
    found: &MemoryStore,
    group: GroupId,
    space: Space,
) -> Option<String> {
    let (expect, found) = (layout::all(expect, group, space), layout::all(found, group, space));
    let at = (0..expect.len().max(found.len())).find(|at| expect.get(*at) != found.get(*at))?;
    let show = |row: Option<&keiko_core::store::Pair>| {
        row.map_or_else(
            || "nothing".to_owned(),
            |(key, value)| format!("{} = {} bytes", keiko_core::hash::hex(key), value.len()),
        )
    };
    Some(format!("{space:?} row {at}: {} instead of {}", show(found.get(at)), show(expect.get(at))))
}
