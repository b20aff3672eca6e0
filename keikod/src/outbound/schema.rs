//! Are the arguments what the tool's schema asks for?
//!
//! Invariants: nothing is ever fetched (a reference that leaves the document makes the schema
//! invalid); a schema has a bounded size, depth and cost; compiled schemas are bounded in number.
//! Never: changes arguments, or fills in defaults.

use super::canonical::canonical;
use jsonschema::{PatternOptions, Validator};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

pub use super::canonical::schema_hash;

/// Bytes of one schema in canonical form; the largest seen in the wild has 60 KiB.
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// Levels of nesting, of schema and arguments alike: a thread's stack of 2 MiB carries 64 levels
/// of validation with room to spare.
pub const DEPTH_MAX: usize = 64;

/// Compiled schemas that are kept: one per tool of a large fleet, some 20 KiB each.
const KEPT_MAX: usize = 1024;

/// Causes shown to the caller, and the length of each.
const CAUSES_MAX: usize = 5;
const CAUSE_CHARS_MAX: usize = 300;

/// Steps of a regular expression that backtracks: about 10 ms.
const BACKTRACK_MAX: usize = 100_000;

/// Compiled schemas by their hash, least recently used first out.
#[derive(Default)]
pub struct Schemas {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    by_hash: HashMap<[u8; 32], (u64, Arc<Validator>)>,
}

impl Schemas {
    /// Checks `arguments` for the tool named `tool`. `hash` is the schema's [`schema_hash`].
    pub fn check(
        &self,
        tool: &str,
        schema: &Value,
        hash: [u8; 32],
        arguments: &Value,
    ) -> Result<()> {
        let validator = match self.find(hash) {
            Some(validator) => validator,
            None => self.keep(hash, Arc::new(compile(tool, schema)?)),
        };
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
        let refusal =
            errors.fold(Refusal::new(Code::ArgumentsInvalid, message), |refusal, error| {
                let at = error.instance_path().to_string();
                let at = if at.is_empty() { "/" } else { &at };
                refusal.cause(shorten(format!("{at}: {error}")))
            });
        Err(refusal.hint(format!("keikoctl tool describe {tool}")))
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
    references(schema).map_err(invalid)?;
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_MAX))
        .build(schema)
        .map_err(|error| invalid(error.to_string()))
}

/// Refuses references that leave the document, that form a circle without descending into the
/// instance, or that multiply: a schema of one page may otherwise ask for 2^60 steps.
fn references(schema: &Value) -> std::result::Result<(), String> {
    let mut costs = HashMap::new();
    let mut open = HashSet::new();
    cost(schema, schema, &mut costs, &mut open)?;
    // What is only defined must be sound as well, since a reference may come from anywhere.
    let mut all = vec![schema];
    while let Some(value) = all.pop() {
        match value {
            Value::Object(map) => {
                if map.contains_key("$ref") {
                    cost(schema, value, &mut costs, &mut open)?;
                }
                all.extend(map.values());
            }
            Value::Array(items) => all.extend(items),
            _ => {}
        }
    }
    Ok(())
}

/// Subschemas that one place of the instance may have to pass.
const COST_MAX: u64 = 10_000;

/// Keywords whose subschemas judge the same place of the instance.
const IN_PLACE: [&str; 8] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

fn cost<'s>(
    root: &'s Value,
    schema: &'s Value,
    costs: &mut HashMap<&'s str, u64>,
    open: &mut HashSet<&'s str>,
) -> std::result::Result<u64, String> {
    let Value::Object(map) = schema else { return Ok(1) };
    let mut sum = 1u64;
    for keyword in IN_PLACE {
        let parts: Vec<&Value> = match map.get(keyword) {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(Value::Object(named)) if keyword == "dependentSchemas" => named.values().collect(),
            Some(single) => vec![single],
            None => continue,
        };
        for part in parts {
            sum = sum.saturating_add(cost(root, part, costs, open)?);
        }
    }
    if let Some(Value::String(reference)) = map.get("$ref") {
        sum = sum.saturating_add(cost_of_reference(root, reference, costs, open)?);
    }
    if sum > COST_MAX {
        return Err(format!("its references multiply to more than {COST_MAX} subschemas"));
    }
    Ok(sum)
}

fn cost_of_reference<'s>(
    root: &'s Value,
    reference: &'s str,
    costs: &mut HashMap<&'s str, u64>,
    open: &mut HashSet<&'s str>,
) -> std::result::Result<u64, String> {
    // Other forms (anchors, ids within the document) are left to the compiler, which is offline.
    let Some(pointer) = reference.strip_prefix('#') else {
        let within = root.get("$id").is_some() || root.get("$defs").is_some();
        return if within && !reference.contains("://") {
            Ok(1)
        } else {
            Err(format!("its reference {reference:?} leaves the document, and nothing is fetched"))
        };
    };
    if let Some(known) = costs.get(reference) {
        return Ok(*known);
    }
    let Some(target) = root.pointer(pointer) else { return Ok(1) };
    if !open.insert(reference) {
        return Err(format!("its reference {reference:?} leads back to itself"));
    }
    let sum = cost(root, target, costs, open)?;
    open.remove(reference);
    costs.insert(reference, sum);
    Ok(sum)
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
