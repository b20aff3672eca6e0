//! Are the arguments what the tool's schema asks for?
//!
//! Invariants: nothing is ever fetched (a reference that leaves the document makes the schema
//! invalid); a schema has a bounded size, depth and cost; compiled schemas are bounded in number.
//! Never: changes arguments, fills in defaults, or holds up the threads that serve others.

mod reference;

use super::canonical::canonical;
use jsonschema::{PatternOptions, Validator};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use super::canonical::schema_hash;

/// Bytes of one schema in canonical form; the largest seen in the wild has 60 KiB.
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// Levels of nesting, of schema and arguments alike: a thread's stack of 2 MiB carries 64 levels
/// of validation with room to spare.
pub const DEPTH_MAX: usize = 64;

/// The compiler follows every reference on its stack: 10 KiB for each of the
/// [`reference::TARGET_LEVELS_MAX`] levels; a chain of `items` was seen to take at most 2.
const COMPILE_STACK_BYTES: usize = 16 << 20;

/// Compiled schemas that are kept: one per tool of a large fleet, some 20 KiB each.
const KEPT_MAX: usize = 1024;

/// Causes shown to the caller, and the length of each.
const CAUSES_MAX: usize = 5;
const CAUSE_CHARS_MAX: usize = 300;

/// Steps of a regular expression that backtracks: about 10 ms.
const BACKTRACK_MAX: usize = 100_000;

/// Compiled schemas by their hash, least recently used first out. Clones share them.
#[derive(Clone, Default)]
pub struct Schemas {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    by_hash: HashMap<[u8; 32], (u64, Arc<Validator>)>,
}

impl Schemas {
    /// Checks `arguments` for the tool named `tool`. `hash` is the schema's [`schema_hash`].
    ///
    /// Both were chosen by strangers and may take a while, so it is done on a thread apart.
    pub async fn check(
        &self,
        tool: &str,
        schema: &Value,
        hash: [u8; 32],
        arguments: &Value,
    ) -> Result<()> {
        let validator = self.find(hash).ok_or_else(|| schema.clone());
        let (schemas, tool, arguments) = (self.clone(), tool.to_owned(), arguments.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let validator = match validator {
                Ok(validator) => validator,
                Err(schema) => schemas.keep(hash, Arc::new(compile(&tool, &schema)?)),
            };
            fits(&tool, &validator, &arguments)
        });
        checked.await.unwrap_or_else(|error| {
            Err(Refusal::new(Code::Internal, "the check of the arguments broke off").cause(error))
        })
    }

    fn find(&self, hash: [u8; 32]) -> Option<Arc<Validator>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (used, validator) = kept.by_hash.get_mut(&hash)?;
        *used = now;
        Some(validator.clone())
    }

    fn keep(&self, hash: [u8; 32], validator: Arc<Validator>) -> Arc<Validator> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_hash.len() >= KEPT_MAX {
            // A scan of 1,024 entries costs less than the compilation that led here.
            let oldest =
                kept.by_hash.iter().min_by_key(|(_, (used, _))| *used).map(|(hash, _)| *hash);
            oldest.and_then(|hash| kept.by_hash.remove(&hash));
        }
        let now = kept.clock;
        kept.by_hash.insert(hash, (now, validator.clone()));
        validator
    }
}

fn fits(tool: &str, validator: &Validator, arguments: &Value) -> Result<()> {
    if depth(arguments) > DEPTH_MAX {
        let message =
            format!("the arguments of {tool:?} are nested deeper than {DEPTH_MAX} levels");
        return Err(Refusal::new(Code::ArgumentsInvalid, message));
    }
    let mut errors = validator.iter_errors(arguments).take(CAUSES_MAX).peekable();
    if errors.peek().is_none() {
        return Ok(());
    }
    let message = format!("the arguments do not fit the schema of {tool:?}");
    let refusal = errors.fold(Refusal::new(Code::ArgumentsInvalid, message), |refusal, error| {
        let at = error.instance_path().to_string();
        let at = if at.is_empty() { "/" } else { &at };
        refusal.cause(shorten(format!("{at}: {error}")))
    });
    Err(refusal.hint(format!("keikoctl tool describe {tool}")))
}

/// Compiles a schema, or says why it can't be used.
pub fn compile(tool: &str, schema: &Value) -> Result<Validator> {
    let invalid = |why: String| {
        Refusal::new(Code::PeerError, format!("the schema of {tool:?} can't be used"))
            .cause(shorten(why))
    };
    if !schema.is_object() && !schema.is_boolean() {
        return Err(invalid("a schema is an object".to_owned()));
    }
    if depth(schema) > DEPTH_MAX {
        return Err(invalid(format!("it is nested deeper than {DEPTH_MAX} levels")));
    }
    if canonical(schema).len() > SCHEMA_BYTES_MAX {
        return Err(invalid(format!("it is larger than {SCHEMA_BYTES_MAX} bytes")));
    }
    reference::check(schema).map_err(invalid)?;
    let build = || {
        jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_MAX))
            .build(schema)
            .map_err(|error| error.to_string())
    };
    let built = std::thread::scope(|scope| {
        let apart = std::thread::Builder::new().stack_size(COMPILE_STACK_BYTES);
        let thread = apart.spawn_scoped(scope, build).map_err(|error| error.to_string())?;
        thread.join().map_err(|_| "the compiler broke off".to_owned())?
    });
    built.map_err(invalid)
}

/// Levels of nesting, counted without recursion.
fn depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut open = vec![(value, 1)];
    while let Some((value, level)) = open.pop() {
        deepest = deepest.max(level);
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(map) => open.extend(map.values().map(|item| (item, level + 1))),
            _ => {}
        }
    }
    deepest
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(CAUSE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
