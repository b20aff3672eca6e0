//! Are the arguments what the tool's schema asks for?
//!
//! Invariants: nothing is ever fetched (a reference that leaves the document makes the schema
//! invalid); a schema has a bounded size, depth and cost; compiled schemas are bounded in number.
//! Never: changes arguments, fills in defaults, or holds up the threads that serve others.

mod reference;

use super::canonical::canonical;
use super::words;
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

/// Regular expressions of one schema, and what each may grow to when it is compiled: 16 MiB in all,
/// while one of 20 bytes could ask for as much as it likes.
const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 256 << 10;

/// A schema up to here is looked through for costly words at each call: less than 2 µs.
const PLAIN_BYTES_MAX: usize = 8 << 10;

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
    /// Checks `arguments` for the tool named `tool`. `schema` is a text of JSON and `hash` its
    /// [`schema_hash`] in hex, both as the entry keeps them: what was compiled before is neither
    /// read nor hashed again.
    ///
    /// All three were chosen by strangers and may take a while, so it is done on a thread apart.
    ///
    /// # Errors
    /// [`Code::ArgumentsInvalid`] with where they do not fit, [`Code::PeerSchema`] for a schema
    /// that can't be used.
    pub async fn check_text(
        &self,
        tool: &str,
        schema: &str,
        hash: &str,
        arguments: &Value,
    ) -> Result<()> {
        let known = hash_of_hex(hash).and_then(|hash| self.find(hash));
        if let Some(validator) = known.as_ref().filter(|_| is_plain(schema)) {
            return fits(tool, validator, arguments);
        }
        let known = known.ok_or_else(|| schema.to_owned());
        let (schemas, tool, arguments) = (self.clone(), tool.to_owned(), arguments.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let validator = match known {
                Ok(validator) => validator,
                Err(text) => schemas.learn(&tool, &text)?,
            };
            fits(&tool, &validator, &arguments)
        });
        checked.await.unwrap_or_else(|error| {
            Err(Refusal::new(Code::Internal, "the check of the arguments broke off").cause(error))
        })
    }

    /// Kept under the hash that it has, whatever the entry says: one tool's schema never judges
    /// the arguments of another.
    fn learn(&self, tool: &str, text: &str) -> Result<Arc<Validator>> {
        let schema: Value = serde_json::from_str(text)
            .map_err(|error| unusable(tool, format!("it is not JSON: {error}")))?;
        let validator = Arc::new(compile(tool, &schema)?);
        Ok(self.keep(schema_hash(&schema), validator))
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
        refusal.cause(words(&format!("{at}: {error}"), CAUSE_CHARS_MAX))
    });
    Err(refusal.hint(format!("keikoctl tool describe {tool}")))
}

/// Compiles a schema, or says why it can't be used.
pub fn compile(tool: &str, schema: &Value) -> Result<Validator> {
    let invalid = |why: String| unusable(tool, why);
    if !schema.is_object() && !schema.is_boolean() {
        return Err(invalid("a schema is an object".to_owned()));
    }
    if depth(schema) > DEPTH_MAX {
        return Err(invalid(format!("it is nested deeper than {DEPTH_MAX} levels")));
    }
    if canonical(schema).len() > SCHEMA_BYTES_MAX {
        return Err(invalid(format!("it is larger than {SCHEMA_BYTES_MAX} bytes")));
    }
    if patterns(schema) > PATTERNS_MAX {
        return Err(invalid(format!("it has more than {PATTERNS_MAX} regular expressions")));
    }
    reference::check(schema).map_err(invalid)?;
    let build = || {
        jsonschema::options()
            .offline()
            .with_pattern_options(
                PatternOptions::fancy_regex()
                    .backtrack_limit(BACKTRACK_MAX)
                    .size_limit(PATTERN_BYTES_MAX)
                    .dfa_size_limit(PATTERN_BYTES_MAX),
            )
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

fn unusable(tool: &str, why: String) -> Refusal {
    Refusal::new(Code::PeerSchema, format!("the schema of {tool:?} can't be used"))
        .cause(words(&why, CAUSE_CHARS_MAX))
}

/// Undoes [`hex`](keiko_core::hash::hex).
fn hash_of_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut hash = [0; 32];
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(hash)
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

/// Regular expressions, and what looks like one: the keywords may also be names of properties.
fn patterns(schema: &Value) -> usize {
    let (mut count, mut open) = (0, vec![schema]);
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                count += usize::from(map.get("pattern").is_some_and(Value::is_string));
                count +=
                    map.get("patternProperties").and_then(Value::as_object).map_or(0, |p| p.len());
                open.extend(map.values());
            }
            _ => {}
        }
    }
    count
}

/// True if a check takes time in proportion to the arguments alone: nothing in the schema sends it
/// over them again. Then it is not worth a thread of its own, which costs more than the check.
fn is_plain(schema: &str) -> bool {
    const COSTLY: &[&str] = &[
        "Ref",
        "$ref",
        "Of\"",
        "\"not\"",
        "\"if\"",
        "attern",
        "dependent",
        "uniqueItems",
        "contains",
    ];
    schema.len() <= PLAIN_BYTES_MAX && !COSTLY.iter().any(|word| schema.contains(word))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod fuzz;
