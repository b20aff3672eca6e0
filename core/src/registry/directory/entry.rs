//! An owner with its parts.

use super::{Candidate, Owner, Part};
use crate::registry::model::Kind;
use std::mem::size_of;
use std::sync::Arc;

/// An owner with its parts; either may be met first.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) namespace: Arc<str>,
    pub(super) kind: Kind,
    pub(super) name: Arc<str>,
    pub(super) owner: Option<Owner>,
    /// By name.
    pub(super) parts: Vec<Part>,
}

impl Entry {
    pub(super) fn place(&self, name: &str) -> Result<usize, usize> {
        self.parts.binary_search_by(|part| (*part.name).cmp(name))
    }

    pub(super) fn offered(&self, name: &str) -> Option<Candidate<'_>> {
        let part = &self.parts[self.place(name).ok()?];
        self.candidate(part)
    }

    pub(super) fn parts_of<'e>(
        &'e self,
        word: &'e Arc<str>,
    ) -> impl Iterator<Item = Candidate<'e>> {
        let parts = self.parts.iter().filter(move |part| part.has(word));
        parts.filter_map(|part| self.candidate(part))
    }

    fn candidate<'e>(&'e self, part: &'e Part) -> Option<Candidate<'e>> {
        Some(Candidate {
            namespace: &self.namespace,
            owner_kind: self.kind,
            owner_name: &self.name,
            owner: self.owner.as_ref()?,
            part,
        })
    }

    pub(super) fn memory(&self) -> usize {
        let parts: usize = self.parts.iter().map(Part::memory).sum();
        let spare = self.parts.capacity() - self.parts.len();
        size_of::<Self>()
            + parts
            + spare * size_of::<Part>()
            + self.owner.as_ref().map_or(0, Owner::memory)
    }
}
