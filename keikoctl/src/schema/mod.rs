//! The schema of each kind, as JSON Schema 2020-12: from the words themselves and their comments,
//! with the rules of the law laid over.
//!
//! One schema serves editors, `explain`, and the check of manifests before anything is sent.
//! A field that is `readOnly` is found by probes or kept by Keiko: a manifest may have it, as
//! `get -o yaml` prints it, and it has no effect.

mod rules;
mod text;

use keiko_client::proto::json::pool;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(crate) use rules::words_of_pattern;
pub(crate) use text::{alternatives, explain, tree};

/// Every kind, as manifests name it.
pub(crate) const KINDS: [&str; 4] = ["Agent", "McpServer", "Tool", "Skill"];
/// What a manifest may declare; the others come with these.
pub(crate) const DECLARED_KINDS: [&str; 2] = ["Agent", "McpServer"];

/// The kind that a word means: as in manifests in any case, or the noun.
pub(crate) fn kind_of(word: &str) -> Option<&'static str> {
    let plain: String = word.chars().filter(|character| !"-_".contains(*character)).collect();
    match plain.to_ascii_lowercase().as_str() {
        "agent" => Some("Agent"),
        "mcp" | "mcpserver" => Some("McpServer"),
        "tool" => Some("Tool"),
        "skill" => Some("Skill"),
        _ => None,
    }
}

/// The noun of a kind.
pub(crate) fn noun(kind: &str) -> &'static str {
    match kind {
        "Agent" => "agent",
        "McpServer" => "mcp",
        "Tool" => "tool",
        _ => "skill",
    }
}

static SCHEMAS: LazyLock<BTreeMap<&str, Value>> =
    LazyLock::new(|| KINDS.into_iter().map(|kind| (kind, build(kind))).collect());

/// The schema of a kind, complete in itself.
pub(crate) fn of(kind: &'static str) -> &'static Value {
    SCHEMAS.get(kind).expect("invariant: callers name one of the kinds")
}

fn build(kind: &'static str) -> Value {
    let descriptor = pool()
        .get_message_by_name(&format!("keiko.v1.{kind}"))
        .expect("invariant: every kind is one of our messages");
    let mut schema = message(&descriptor);
    rules::lay_over(kind, &mut schema);
    let mut document = Map::new();
    document.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    document.insert("$id".into(), json!(format!("urn:keiko:v1:{kind}")));
    document.insert("title".into(), json!(kind));
    if let Value::Object(rest) = schema {
        document.extend(rest);
    }
    Value::Object(document)
}

fn message(descriptor: &MessageDescriptor) -> Value {
    let properties: Map<String, Value> = descriptor
        .fields()
        .map(|field| (field.json_name().to_owned(), described(&field)))
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn described(field: &FieldDescriptor) -> Value {
    let mut schema = Map::new();
    if let Some(comment) = comment(field) {
        schema.insert("description".into(), json!(comment));
    }
    if let Value::Object(rest) = shape(field) {
        schema.extend(rest);
    }
    Value::Object(schema)
}

fn shape(field: &FieldDescriptor) -> Value {
    if let Kind::Message(entry) = field.kind()
        && field.is_map()
    {
        let value = shape(&entry.map_entry_value_field());
        return json!({"type": "object", "additionalProperties": value});
    }
    let one = match field.kind() {
        _ if is_document(field) => json!({}),
        Kind::Message(inner) => message(&inner),
        kind => scalar(&kind),
    };
    if field.is_list() { json!({"type": "array", "items": one}) } else { one }
}

fn scalar(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Float | Kind::Double => json!({"type": "number"}),
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => {
            json!({"type": "integer", "minimum": 0})
        }
        Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 => json!({"type": "integer"}),
        _ => json!({"type": "string"}),
    }
}

/// True if the text holds a JSON document, which is shown as it is.
fn is_document(field: &FieldDescriptor) -> bool {
    pool()
        .get_extension_by_name("keiko.v1.json_document")
        .is_some_and(|mark| field.options().get_extension(&mark).as_bool() == Some(true))
}

/// What the proto says above the field.
fn comment(field: &FieldDescriptor) -> Option<String> {
    let file = field.parent_file();
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let place = info.location.iter().find(|place| place.path == field.path())?;
    let lines: Vec<_> = place.leading_comments().lines().map(str::trim).collect();
    Some(lines.join(" ").trim().to_owned()).filter(|text| !text.is_empty())
}

/// The schema of a field: through lists to their items, through maps to their values.
pub(crate) fn field<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let inner = content(schema);
    inner["properties"]
        .get(name)
        .or_else(|| Some(&inner["additionalProperties"]).filter(|values| values.is_object()))
}

/// What a list holds, or the schema itself.
pub(crate) fn content(schema: &Value) -> &Value {
    schema.get("items").unwrap_or(schema)
}

/// The names of the fields that are there, in order.
pub(crate) fn fields(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let properties = content(schema)["properties"].as_object();
    properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

/// True if a manifest has no say in it.
pub(crate) fn is_found(schema: &Value) -> bool {
    schema["readOnly"] == true
}

/// What was probably meant by a field that is not there: a neighbour, or the same word elsewhere.
pub(crate) fn meant(kind_schema: &Value, at: &str, word: &str) -> Option<String> {
    let mut here = kind_schema;
    for name in at.split('.').filter(|name| !name.is_empty()) {
        here = field(here, name.split('[').next().unwrap_or(name))?;
    }
    let names = fields(here).map(|(name, _)| name);
    if let Some(near) = nearest(word, names) {
        return Some(near.to_owned());
    }
    let mut elsewhere = Vec::new();
    paths(kind_schema, "", &mut elsewhere);
    let same = |path: &&String| path.rsplit('.').next() == Some(word);
    elsewhere.iter().find(same).cloned()
}

/// The word that looks most like this one, if any does.
pub(crate) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let word = word.to_ascii_lowercase();
    let score = |name: &str| strsim::jaro_winkler(&word, &name.to_ascii_lowercase());
    names
        .map(|name| (score(name), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, name)| name)
}

fn paths(schema: &Value, prefix: &str, found: &mut Vec<String>) {
    for (name, inner) in fields(schema) {
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        found.push(path.clone());
        paths(inner, &path, found);
    }
}

#[cfg(test)]
mod tests;
