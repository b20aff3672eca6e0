//! What a schema's references may multiply to, counted before it is compiled.
//!
//! Invariants: only `#` and `#/…` are followed, for only they lead to a place that can be told from
//! the document alone; whatever else could refer is refused. Never: recurses deeper than
//! [`LEVELS_MAX`].

use crate::net::decode;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Subschemas that one place of the instance may have to pass.
const COST_MAX: u64 = 10_000;

/// Levels of what judges the same place of the instance, references included: each is a level of
/// the stack, here and in the validator. Real schemas have under ten.
pub(super) const LEVELS_MAX: usize = 64;

/// Levels of nesting in all places that references lead to, each place counted once: the compiler
/// may go through one after the other without coming back. 200 types of 7 levels.
pub(super) const TARGET_LEVELS_MAX: usize = 1536;

/// Keywords whose subschemas judge the same place of the instance.
const IN_PLACE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];

/// References whose target depends on how one came to them.
const DYNAMIC: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

type Counted<T> = std::result::Result<T, String>;

/// Refuses references that leave the document, that form a circle without descending into the
/// instance, or that multiply: a schema of one page may otherwise ask for 2^60 steps.
pub(super) fn check(schema: &Value) -> Counted<()> {
    let mut walk =
        Walk { root: schema, known: HashMap::new(), open: HashSet::new(), target_levels: 0 };
    walk.cost(schema, 1)?;
    // What is only defined must be sound as well, since a reference may come from anywhere.
    let (mut refers, mut draft4) = (false, false);
    let mut ids = Vec::new();
    let mut all = vec![schema];
    while let Some(value) = all.pop() {
        match value {
            Value::Object(map) => {
                if let Some(dynamic) = DYNAMIC.iter().find(|name| text(value, name).is_some()) {
                    return Err(format!("its {dynamic} can't be followed: write $ref"));
                }
                if text(value, "$ref").is_some() {
                    refers = true;
                    walk.cost(value, 1)?;
                }
                draft4 |= text(value, "$schema").is_some_and(|uri| uri.contains("draft-04"));
                if !std::ptr::eq(value, schema) {
                    let keywords = ["$id", "id"].into_iter();
                    ids.extend(keywords.filter_map(|name| Some((name, text(value, name)?))));
                }
                all.extend(map.values());
            }
            Value::Array(items) => all.extend(items),
            _ => {}
        }
    }
    // Below an inner id, references count from there and not from the document. Draft 4 spells it
    // `id`, which in all others is no keyword and a likely word in an example.
    match ids.into_iter().find(|(name, _)| *name == "$id" || draft4) {
        Some((_, id)) if refers => {
            Err(format!("its inner id {id:?} changes where its references lead to"))
        }
        _ => Ok(()),
    }
}

fn text<'s>(schema: &'s Value, keyword: &str) -> Option<&'s str> {
    schema.get(keyword)?.as_str()
}

/// What a schema asks of one place of the instance.
#[derive(Clone, Copy)]
struct Cost {
    subschemas: u64,
    levels: usize,
}

struct Walk<'s> {
    root: &'s Value,
    /// By where they are, as one place has many names.
    known: HashMap<*const Value, Cost>,
    open: HashSet<*const Value>,
    target_levels: usize,
}

impl<'s> Walk<'s> {
    /// `level` counts from where this judging of one place began.
    fn cost(&mut self, schema: &'s Value, level: usize) -> Counted<Cost> {
        let mut sum = Cost { subschemas: 1, levels: 1 };
        let Value::Object(map) = schema else { return Ok(sum) };
        if level > LEVELS_MAX {
            return Err(too_deep());
        }
        let mut add = |part: Cost| {
            sum.subschemas = sum.subschemas.saturating_add(part.subschemas);
            sum.levels = sum.levels.max(part.levels + 1);
        };
        for keyword in IN_PLACE {
            match map.get(keyword) {
                Some(Value::Array(items)) => {
                    for part in items {
                        add(self.cost(part, level + 1)?);
                    }
                }
                Some(Value::Object(named)) if keyword.starts_with("depend") => {
                    for part in named.values() {
                        add(self.cost(part, level + 1)?);
                    }
                }
                Some(single) => add(self.cost(single, level + 1)?),
                None => {}
            }
        }
        if let Some(Value::String(reference)) = map.get("$ref") {
            add(self.cost_of_reference(reference, level + 1)?);
        }
        if sum.subschemas > COST_MAX {
            return Err(format!("its references multiply to more than {COST_MAX} subschemas"));
        }
        // A target that was counted before was not counted down from here.
        if sum.levels > LEVELS_MAX { Err(too_deep()) } else { Ok(sum) }
    }

    fn cost_of_reference(&mut self, reference: &'s str, level: usize) -> Counted<Cost> {
        let target = self.target(reference)?;
        let place = std::ptr::from_ref(target);
        if let Some(known) = self.known.get(&place) {
            return Ok(*known);
        }
        if !self.open.insert(place) {
            return Err(format!("its reference {reference:?} leads back to itself"));
        }
        let cost = self.cost(target, level)?;
        self.open.remove(&place);
        self.target_levels += super::depth(target);
        if self.target_levels > TARGET_LEVELS_MAX {
            return Err(format!(
                "its references lead through more than {TARGET_LEVELS_MAX} levels of nesting"
            ));
        }
        self.known.insert(place, cost);
        Ok(cost)
    }

    fn target(&self, reference: &str) -> Counted<&'s Value> {
        let Some(fragment) = reference.strip_prefix('#') else {
            return Err(format!(
                "its reference {reference:?} leaves the document, and nothing is fetched"
            ));
        };
        // Generators write `%XX` for the brackets of generic types.
        let pointer = decode(fragment).filter(|text| text.is_empty() || text.starts_with('/'));
        let Some(pointer) = pointer else {
            return Err(format!("its reference {reference:?} is not of the form #/…"));
        };
        let target = self.root.pointer(&pointer);
        target.ok_or_else(|| format!("its reference {reference:?} leads nowhere"))
    }
}

fn too_deep() -> String {
    format!("its references lead on for more than {LEVELS_MAX} levels")
}
