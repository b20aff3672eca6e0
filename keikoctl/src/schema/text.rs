//! A schema as people read it.

use super::{content, fields, is_found, noun};
use serde_json::Value;
use std::fmt::Write as _;

/// One field with those below it; the whole kind if `path` is empty.
pub(crate) fn explain(kind: &str, path: &str, schema: &Value) -> String {
    let mut text = format!("KIND    {kind} ({}), keiko/v1\n", noun(kind));
    if !path.is_empty() {
        let found = if is_found(schema) { ", found or kept by Keiko" } else { "" };
        let _ = writeln!(text, "FIELD   {path}: {}{found}", type_of(schema));
    }
    if let Some(words) = schema["description"].as_str() {
        let _ = writeln!(text, "\n{words}");
    }
    let rules = rules_of(schema);
    if !rules.is_empty() {
        let _ = writeln!(text, "\nRULES\n  {}", rules.join("\n  "));
    }
    let inner = content(schema);
    let required = |name: &str| {
        inner["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name))
    };
    for (title, found) in [("FIELDS", false), ("FOUND OR KEPT BY KEIKO", true)] {
        let rows: Vec<[String; 3]> = fields(schema)
            .filter(|(_, inner)| is_found(inner) == found)
            .map(|(name, inner)| {
                let must = if required(name) { " *" } else { "" };
                let words = inner["description"].as_str().unwrap_or_default();
                [format!("{name}{must}"), type_of(inner), words.to_owned()]
            })
            .collect();
        if !rows.is_empty() {
            let star = rows.iter().any(|[name, ..]| name.ends_with('*'));
            let star = if star { " (* must be there)" } else { "" };
            let _ = write!(text, "\n{title}{star}\n{}", aligned(&rows));
        }
    }
    text
}

/// All fields below, as a tree.
pub(crate) fn tree(kind: &str, path: &str, schema: &Value) -> String {
    let root = if path.is_empty() { kind.to_owned() } else { format!("{kind}.{path}") };
    let mut rows = Vec::new();
    branch(schema, 1, &mut rows);
    format!("{root}\n{}", aligned(&rows))
}

fn branch(schema: &Value, depth: usize, rows: &mut Vec<[String; 3]>) {
    for (name, inner) in fields(schema) {
        let found = if is_found(inner) { "found" } else { "" };
        rows.push([format!("{}{name}", "  ".repeat(depth - 1)), type_of(inner), found.to_owned()]);
        branch(inner, depth + 1, rows);
    }
}

fn aligned(rows: &[[String; 3]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let line = |[name, kind, words]: &[String; 3]| {
        format!("{}\n", format!("  {name:first$}  {kind:second$}  {words}").trim_end())
    };
    rows.iter().map(line).collect()
}

/// As in `list of text`.
fn type_of(schema: &Value) -> String {
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&schema["additionalProperties"]))
        }
        Some("string") => "text".to_owned(),
        Some("integer") => "integer".to_owned(),
        Some(other) => other.to_owned(),
        None => "document".to_owned(),
    }
}

fn rules_of(schema: &Value) -> Vec<String> {
    let mut rules = Vec::new();
    if let Some(value) = schema["const"].as_str() {
        rules.push(format!("always {value}"));
    }
    let one_of: Vec<&str> = alternatives(schema).collect();
    if !one_of.is_empty() {
        rules.push(format!("either {}, not both", one_of.join(" or ")));
    }
    let item = if schema["items"].is_object() { &schema["items"] } else { schema };
    if let Some(pattern) = item["pattern"].as_str() {
        rules.push(super::words_of_pattern(pattern).to_owned());
    }
    for (keyword, words) in [
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("minItems", "items at least"),
        ("maxItems", "items at most"),
        ("maxProperties", "entries at most"),
        ("maximum", "at most"),
    ] {
        if let Some(limit) = schema[keyword].as_u64().filter(|limit| *limit > 1) {
            rules.push(format!("{limit} {words}"));
        }
    }
    if let Some(limit) = schema["minimum"].as_u64().filter(|limit| *limit > 0) {
        rules.push(format!("{limit} at least"));
    }
    rules
}

/// The fields of which one must be there.
pub(crate) fn alternatives(schema: &Value) -> impl Iterator<Item = &str> {
    let choices = schema["oneOf"].as_array();
    choices.into_iter().flatten().filter_map(|choice| choice["required"][0].as_str())
}
