//! The tools that are called, read once: a call does not read and decode its tool from the disk.
//!
//! A tool is good for the revision that the directory knows it at; what was called last stays.

use super::super::Control;
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, ObjectKey};
use keiko_proto::v1::{Object, Tool, object::Object as Inner};
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Encoded bytes of all that is kept: some 4,000 tools of 4 KiB.
const BYTES_MAX: usize = 16 << 20;

/// A clone shares what is kept.
#[derive(Clone, Default)]
pub(super) struct Tools(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    clock: u64,
    bytes: usize,
    by_key: BTreeMap<ObjectKey, Row>,
}

struct Row {
    used: u64,
    revision: u64,
    bytes: usize,
    tool: Arc<Tool>,
}

impl Tools {
    /// The tool as it was changed at `revision`, or as it is by now.
    pub(super) async fn get(
        &self,
        control: &Control,
        key: &ObjectKey,
        revision: u64,
    ) -> Result<Arc<Tool>> {
        if let Some(tool) = self.lock().find(key, revision) {
            return Ok(tool);
        }
        let asked = key.clone();
        let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &asked, None);
        let Object { object: Some(Inner::Tool(tool)) } = control.read_local(query).await?? else {
            return Err(super::super::control::unexpected());
        };
        let tool = Arc::new(tool);
        self.lock().keep(key, Arc::clone(&tool));
        Ok(tool)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, key: &ObjectKey, revision: u64) -> Option<Arc<Tool>> {
        self.clock += 1;
        let row = self.by_key.get_mut(key).filter(|row| row.revision == revision)?;
        row.used = self.clock;
        Some(Arc::clone(&row.tool))
    }

    fn keep(&mut self, key: &ObjectKey, tool: Arc<Tool>) {
        let bytes = tool.encoded_len();
        let revision = tool.metadata.as_ref().map_or(0, |metadata| metadata.revision);
        self.drop_row(key);
        while self.bytes + bytes > BYTES_MAX {
            // A scan of some thousand rows costs less than the read that led here.
            let oldest = self.by_key.iter().min_by_key(|(_, row)| row.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.drop_row(&oldest);
        }
        self.bytes += bytes;
        let row = Row { used: self.clock, revision, bytes, tool };
        self.by_key.insert(key.clone(), row);
    }

    fn drop_row(&mut self, key: &ObjectKey) {
        if let Some(row) = self.by_key.remove(key) {
            self.bytes -= row.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::registry::Kind;
    use keiko_proto::v1::{Metadata, ToolSpec};

    fn tool(revision: u64, bytes: usize) -> Arc<Tool> {
        let metadata = Metadata { revision, ..Default::default() };
        let spec = ToolSpec { input_schema: "x".repeat(bytes), ..Default::default() };
        Arc::new(Tool { metadata: Some(metadata), spec: Some(spec), ..Default::default() })
    }

    #[test]
    fn it_keeps_the_newest_of_what_was_called_last() {
        let key = |name: &str| ObjectKey::parse(Kind::Tool, "", &format!("s.{name}")).unwrap();
        let mut kept = Kept::default();
        kept.keep(&key("a"), tool(7, 100));
        assert!(kept.find(&key("a"), 7).is_some() && kept.find(&key("a"), 8).is_none());
        kept.keep(&key("a"), tool(8, 100));
        assert!(kept.find(&key("a"), 7).is_none() && kept.find(&key("a"), 8).is_some());
        for round in 0..100 {
            kept.keep(&key(&format!("b{round}")), tool(1, 1 << 20));
            assert!(kept.find(&key("a"), 8).is_some(), "round {round}");
            assert!(kept.bytes <= BYTES_MAX);
        }
        assert!((10..=16).contains(&kept.by_key.len()), "{}", kept.by_key.len());
    }
}
