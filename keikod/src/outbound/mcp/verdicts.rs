//! Which schemas of a server can be used, so that each is compiled once and not at every look.
//!
//! Keeps the verdicts on the schemas of the last list, by their hash. Invariant: as many as one
//! list has. Never: keeps a compiled schema, or holds up the threads that serve others.

use super::tools::{LeftOut, Listed, Tool};
use crate::outbound::schema::{compile, schema_hash};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Compiling the schemas of one list: a thousand common ones take half a second.
const COMPILE_MAX: Duration = Duration::from_secs(5);

/// What stands against a schema, if anything.
type Verdict = Option<String>;

/// The verdicts on one server's schemas.
#[derive(Default)]
pub(super) struct Verdicts {
    by_hash: HashMap<[u8; 32], Verdict>,
}

impl Verdicts {
    /// Leaves out the tools whose arguments could never be checked. An output schema that can't be
    /// used is dropped, for a call does not need it.
    pub(super) async fn sift(verdicts: &Arc<Mutex<Self>>, listed: Listed) -> Result<Listed> {
        let verdicts = Arc::clone(verdicts);
        let sifted = tokio::task::spawn_blocking(move || {
            let known = std::mem::take(&mut *lock(&verdicts));
            let mut judge = Judge { known, now: Self::default(), begun: Instant::now() };
            let sifted = judge.sift(listed);
            *lock(&verdicts) = judge.now;
            sifted
        });
        sifted.await.map_err(|error| {
            Refusal::new(Code::Internal, "the look at the schemas broke off").cause(error)
        })
    }
}

fn lock(verdicts: &Mutex<Verdicts>) -> std::sync::MutexGuard<'_, Verdicts> {
    verdicts.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Judge {
    known: Verdicts,
    now: Verdicts,
    begun: Instant,
}

impl Judge {
    fn sift(&mut self, listed: Listed) -> Listed {
        let Listed { tools, mut left_out } = listed;
        let kept = tools.into_iter().filter_map(|tool| self.keep(tool, &mut left_out)).collect();
        Listed { tools: kept, left_out }
    }

    fn keep(&mut self, mut tool: Tool, left_out: &mut LeftOut) -> Option<Tool> {
        if let Some(why) = self.judge(&tool.name, &tool.input_schema) {
            left_out.add(&tool.name, &format!("its schema can't be used: {why}"));
            return None;
        }
        if let Some(schema) = tool.output_schema.take() {
            let why = self.judge(&tool.name, &schema);
            if let Some(why) = &why {
                tracing::debug!(tool = tool.name, "its output schema is not kept: {why}");
            }
            tool.output_schema = why.is_none().then_some(schema);
        }
        Some(tool)
    }

    fn judge(&mut self, tool: &str, schema: &Value) -> Verdict {
        let hash = schema_hash(schema);
        if let Some(verdict) = self.now.by_hash.get(&hash) {
            return verdict.clone();
        }
        let verdict = match self.known.by_hash.remove(&hash) {
            Some(verdict) => verdict,
            None if self.begun.elapsed() > COMPILE_MAX => {
                // Not remembered: the next look goes on from here.
                return Some("the schemas before it took too long".to_owned());
            }
            None => compile(tool, schema).err().map(|refusal| refusal.causes.join("; ")),
        };
        self.now.by_hash.insert(hash, verdict.clone());
        verdict
    }
}
