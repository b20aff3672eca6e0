//! Every text once: names, words, labels and versions repeat a thousand times in a fleet.

use std::collections::BTreeSet;
use std::mem::size_of;
use std::sync::Arc;

/// What an `Arc<str>` takes beside its text: two counters, and the allocator's rounding.
pub(super) const ARC_BYTES: usize = 24;

/// The texts in use.
#[derive(Debug, Default)]
pub(super) struct Words(BTreeSet<Arc<str>>);

impl Words {
    /// The one copy of a text.
    pub(super) fn take(&mut self, text: &str) -> Arc<str> {
        if let Some(word) = self.0.get(text) {
            return Arc::clone(word);
        }
        let word: Arc<str> = text.into();
        self.0.insert(Arc::clone(&word));
        word
    }

    /// Gives a copy back; the text goes with the last one.
    pub(super) fn give_back(&mut self, word: Arc<str>) {
        // One is the set's, one is this.
        if Arc::strong_count(&word) == 2 {
            self.0.remove(&*word);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn memory(&self) -> usize {
        let texts: usize = self.0.iter().map(|word| word.len() + ARC_BYTES).sum();
        texts + self.0.len() * size_of::<Arc<str>>() * 4 / 3
    }
}
