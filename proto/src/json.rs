//! The JSON face of every message: the proto JSON mapping, with four differences that people want.
//!
//! - 64-bit integers are numbers: Keiko's stay below 2^53.
//! - A list's `items` are always there.
//! - A field marked `json_document` holds JSON text in the message and the document itself in JSON.
//! - A message marked `inline` is shown as the one field of it that is set.

use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    ReflectMessage, SerializeOptions,
};
use serde_json::{Map, Value};
use std::sync::LazyLock;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(crate::DESCRIPTORS).expect("invariant: built from the same sources")
});

/// Descriptors of every message and service.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The JSON of a message that is known by its type.
///
/// `name` is the message's full name, as in `keiko.v1.Agent`.
pub fn to_json<M: prost::Message>(name: &str, message: &M) -> Value {
    let descriptor =
        pool().get_message_by_name(name).expect("invariant: the caller names one of our messages");
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("invariant: the same schema on both sides");
    dynamic_to_json(&dynamic)
}

/// The JSON of any message. Fields at their default are shown only where the mapping says so.
pub fn dynamic_to_json(message: &DynamicMessage) -> Value {
    let options =
        SerializeOptions::new().stringify_64_bit_integers(false).skip_default_fields(true);
    let value = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("invariant: a message always has a JSON form");
    outward(&message.descriptor(), value)
}

/// Reads the JSON of a message. An unknown field is an error that names it.
pub fn from_json(
    descriptor: MessageDescriptor,
    value: Value,
) -> Result<DynamicMessage, serde_json::Error> {
    let value = inward(&descriptor, value);
    DynamicMessage::deserialize_with_options(
        descriptor,
        value,
        &DeserializeOptions::new().deny_unknown_fields(true),
    )
}

fn flag(options: &DynamicMessage, name: &str) -> bool {
    pool()
        .get_extension_by_name(name)
        .is_some_and(|extension| options.get_extension(&extension).as_bool() == Some(true))
}

fn is_document(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::String) && flag(&field.options(), "keiko.v1.json_document")
}

fn is_inline(message: &MessageDescriptor) -> bool {
    flag(&message.options(), "keiko.v1.inline")
}

/// Applies `change` to every value of a field: one, each of a list, or each of a map.
fn each(field: &FieldDescriptor, value: Value, change: &dyn Fn(Value) -> Value) -> Value {
    match value {
        Value::Array(items) if field.is_list() => items.into_iter().map(change).collect(),
        Value::Object(entries) if field.is_map() => {
            entries.into_iter().map(|(key, value)| (key, change(value))).collect()
        }
        other => change(other),
    }
}

fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    kind.as_message().cloned()
}

fn outward(descriptor: &MessageDescriptor, value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let mut shown = Map::new();
    if !fields.contains_key("items") && descriptor.get_field_by_name("items").is_some() {
        // A list is a list, even an empty one.
        shown.insert("items".to_owned(), Value::Array(Vec::new()));
    }
    for (name, value) in fields {
        let Some(field) = descriptor.get_field_by_json_name(&name) else {
            shown.insert(name, value);
            continue;
        };
        let value = if field.is_map() { sorted(value) } else { value };
        let value = if is_document(&field) {
            each(&field, value, &|value| match value {
                Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                other => other,
            })
        } else if let Some(inner) = message_of(&field) {
            each(&field, value, &|value| outward(&inner, value))
        } else {
            value
        };
        shown.insert(name, value);
    }
    match shown.len() {
        1 if is_inline(descriptor) => shown.into_iter().next().map_or(Value::Null, |(_, one)| one),
        _ => Value::Object(shown),
    }
}

/// A map in the order of its keys: the same message is the same text.
fn sorted(value: Value) -> Value {
    let Value::Object(mut entries) = value else { return value };
    entries.sort_keys();
    Value::Object(entries)
}

fn inward(descriptor: &MessageDescriptor, value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    if is_inline(descriptor)
        && let Some(kind) = fields.get("kind").and_then(Value::as_str)
    {
        let field = descriptor
            .fields()
            .find(|field| field.kind().as_message().is_some_and(|inner| inner.name() == kind));
        if let Some(field) = field
            && let Some(inner) = message_of(&field)
        {
            let value = inward(&inner, Value::Object(fields));
            return Value::Object(Map::from_iter([(field.json_name().to_owned(), value)]));
        }
        return Value::Object(fields);
    }
    let read = fields.into_iter().map(|(name, value)| {
        let field = descriptor
            .get_field_by_json_name(&name)
            .or_else(|| descriptor.get_field_by_name(&name));
        let value = match field {
            Some(field) if is_document(&field) => each(&field, value, &|value| match value {
                Value::Null => Value::Null,
                document => Value::String(document.to_string()),
            }),
            Some(field) => match message_of(&field) {
                Some(inner) => each(&field, value, &|value| inward(&inner, value)),
                None => value,
            },
            None => value,
        };
        (name, value)
    });
    Value::Object(read.collect())
}

#[cfg(test)]
mod fuzz;
