//! Who does not hear whom: a file that every daemon of a cluster reads (see [`super::inside`]).

use super::inside::LOOK;
use super::name;
use crate::place::Place;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Ways between nodes on which nothing gets through.
#[derive(Debug)]
pub struct Cuts {
    place: Place,
    cut: BTreeSet<(usize, usize)>,
}

impl Cuts {
    /// None.
    pub fn new() -> Self {
        let cuts = Self { place: Place::new(), cut: BTreeSet::new() };
        cuts.write();
        cuts
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.place.join("cuts")
    }

    /// What the first says does not reach the second any more. When this returns, all know it.
    pub fn one_way(&mut self, from: usize, to: usize) {
        self.change(|cut| cut.extend([(from, to)]));
    }

    /// Neither hears the other.
    pub fn both_ways(&mut self, one: usize, other: usize) {
        self.change(|cut| cut.extend([(one, other), (other, one)]));
    }

    /// It hears nobody, and nobody hears it.
    pub fn isolate(&mut self, one: usize, others: &[usize]) {
        let pairs = others.iter().flat_map(|other| [(one, *other), (*other, one)]);
        self.change(|cut| cut.extend(pairs));
    }

    /// Everybody hears everybody again.
    pub fn heal(&mut self) {
        if !self.cut.is_empty() {
            self.change(BTreeSet::clear);
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut BTreeSet<(usize, usize)>)) {
        change(&mut self.cut);
        self.write();
        std::thread::sleep(2 * LOOK);
    }

    /// Nobody sees half of it.
    fn write(&self) {
        let line = |(from, to): &(usize, usize)| format!("{} {}\n", name(*from), name(*to));
        let text: String = self.cut.iter().map(line).collect();
        let draft = self.place.join("cuts.new");
        fs::write(&draft, text).expect("a file in the place");
        fs::rename(&draft, self.path()).expect("a file in the place");
    }
}

impl Default for Cuts {
    fn default() -> Self {
        Self::new()
    }
}
