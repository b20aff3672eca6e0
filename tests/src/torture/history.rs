//! What clients asked, what they were told, and when.
//!
//! One clock for all of them, that of this process: an operation that returned before another was
//! invoked came before it. Never: guesses an outcome; what was not answered is unknown for ever.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufWriter, Result, Write as _};
use std::path::Path;
use uuid::Uuid;

/// Nanoseconds since the run began.
pub type Nanos = u64;

/// Which register: the agents `k-0`, `k-1` …
pub type Key = u32;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Puts a value there, whatever is there. No two calls of a run have the same value.
    Write {
        /// The new one.
        value: u64,
    },
    /// Puts a value there if nothing was put there since `expected`.
    Swap {
        /// What the client saw last.
        expected: u64,
        /// The new one.
        value: u64,
    },
    /// Asks a quorum, or trusts the leader's lease. Neither may be stale.
    Read {
        /// By the lease.
        lease: bool,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged.
    Written {
        /// At which it is.
        revision: u64,
    },
    /// Of a swap: something else is there.
    Refused,
    /// Of a read.
    Seen(Seen),
    /// It took effect, will take effect, or never does.
    Unknown,
}

/// What a read showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// None: nothing was there.
    pub value: Option<u64>,
    /// The revision that put it there.
    pub generation: u64,
    /// The revision of the state that was read.
    pub revision: u64,
}

/// One operation, from its first try to its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Who asked.
    pub client: u32,
    /// The node that answered, or that was asked last; from 0.
    pub node: u32,
    /// About what.
    pub key: Key,
    /// What.
    pub call: Call,
    /// Before it was sent.
    pub invoked: Nanos,
    /// When the answer was there; of an unknown outcome, when the client gave up.
    pub returned: Nanos,
    /// What came of it.
    pub outcome: Outcome,
    /// Of a write, the same over all tries.
    pub request_id: Option<Uuid>,
    /// How often it was sent.
    pub tries: u32,
}

impl Op {
    /// The revision of an acknowledged write.
    pub fn acknowledged(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Written { revision } => Some(revision),
            Outcome::Refused | Outcome::Seen(_) | Outcome::Unknown => None,
        }
    }

    /// The value that it puts there, if it does.
    pub fn value(&self) -> Option<u64> {
        match self.call {
            Call::Write { value } | Call::Swap { value, .. } => Some(value),
            Call::Read { .. } => None,
        }
    }

    /// True for a write of any kind of which nobody can tell.
    pub fn is_in_doubt(&self) -> bool {
        self.outcome == Outcome::Unknown && self.value().is_some()
    }

    fn json(&self) -> Value {
        let call = match self.call {
            Call::Write { value } => json!({"write": value}),
            Call::Swap { expected, value } => json!({"swap": value, "expected": expected}),
            Call::Read { lease } => json!({"read": if lease { "lease" } else { "linearizable" }}),
        };
        let outcome = match self.outcome {
            Outcome::Written { revision } => json!({"revision": revision}),
            Outcome::Refused => json!("refused"),
            Outcome::Unknown => json!("unknown"),
            Outcome::Seen(seen) => json!({
                "value": seen.value, "generation": seen.generation, "revision": seen.revision,
            }),
        };
        json!({
            "client": self.client, "node": self.node, "key": self.key, "call": call,
            "invoked_ns": self.invoked, "returned_ns": self.returned, "outcome": outcome,
            "request_id": self.request_id.map(|id| id.to_string()), "tries": self.tries,
        })
    }
}

/// Writes a history, one operation a line, in the order in which they were invoked.
pub fn save(path: &Path, ops: &[Op]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut sorted: Vec<&Op> = ops.iter().collect();
    sorted.sort_by_key(|op| op.invoked);
    let mut file = BufWriter::new(fs::File::create(path)?);
    for op in sorted {
        writeln!(file, "{}", op.json())?;
    }
    file.flush()
}
