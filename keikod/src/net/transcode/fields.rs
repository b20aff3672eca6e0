//! Puts text of paths and queries into the fields of a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use keiko_core::refusal::{Code, Refusal, Result};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};
use std::str::FromStr;
use uuid::Uuid;

/// The field that names a request, in whichever message has one.
pub(super) const REQUEST_ID: &str = "request_id";

/// Three times the longest name of a field.
const NAME_BYTES_COMPARED: usize = 64;

/// Sets the field at a dotted path, as in `at.revision`. A repeated field gets one more.
pub(super) fn set(message: &mut DynamicMessage, path: &str, text: &str) -> Result<()> {
    let (head, rest) = match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    };
    let descriptor = message.descriptor();
    let field = find(&descriptor, head).ok_or_else(|| unknown(&descriptor, head))?;
    let Some(rest) = rest else {
        let value = read(&field, text)?;
        match message.get_field_mut(&field) {
            Value::List(items) => items.push(value),
            slot => *slot = value,
        }
        return Ok(());
    };
    match message.get_field_mut(&field) {
        Value::Message(inner) => set(inner, rest, text),
        Value::Map(entries) => {
            let Kind::Message(entry) = field.kind() else { return Err(not_a_message(head)) };
            if !matches!(entry.map_entry_key_field().kind(), Kind::String) {
                return Err(not_a_message(head));
            }
            let value = read(&entry.map_entry_value_field(), text)?;
            entries.insert(MapKey::String(rest.to_owned()), value);
            Ok(())
        }
        _ => Err(not_a_message(head)),
    }
}

/// A field by its name in the proto or in JSON.
pub(super) fn find(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name))
}

fn unknown(descriptor: &MessageDescriptor, name: &str) -> Refusal {
    let known: Vec<_> = descriptor.fields().map(|field| field.json_name().to_owned()).collect();
    let refusal = Refusal::new(Code::InvalidArgument, format!("there is no parameter {name:?}"));
    // A name comes from anybody, and to compare a long one takes long.
    let like = |known: &str| match name.len() {
        ..=NAME_BYTES_COMPARED => strsim::jaro_winkler(known, name),
        _ => 0.0,
    };
    match known.iter().max_by(|a, b| like(a).total_cmp(&like(b))) {
        Some(near) if like(near) > 0.8 => refusal.hint(format!("did you mean {near:?}?")),
        Some(_) => refusal.hint(format!("known are: {}", known.join(", "))),
        None => refusal.hint("this call takes none"),
    }
}

fn not_a_message(name: &str) -> Refusal {
    Refusal::new(Code::InvalidArgument, format!("the parameter {name:?} has no parts"))
}

/// One value of a field, read from text.
fn read(field: &FieldDescriptor, text: &str) -> Result<Value> {
    let malformed = |expect: &str| {
        Refusal::new(
            Code::InvalidArgument,
            format!("{} can't be {text:?}: it takes {expect}", field.json_name()),
        )
    };
    Ok(match field.kind() {
        Kind::String => Value::String(text.to_owned()),
        Kind::Bool => match text {
            "" | "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => return Err(malformed("true or false")),
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            number(text).map(Value::I32).ok_or_else(|| malformed("a number"))?
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            number(text).map(Value::I64).ok_or_else(|| malformed("a number"))?
        }
        Kind::Uint32 | Kind::Fixed32 => {
            number(text).map(Value::U32).ok_or_else(|| malformed("a number from 0"))?
        }
        Kind::Uint64 | Kind::Fixed64 => {
            number(text).map(Value::U64).ok_or_else(|| malformed("a number from 0"))?
        }
        Kind::Float => number(text).map(Value::F32).ok_or_else(|| malformed("a number"))?,
        Kind::Double => number(text).map(Value::F64).ok_or_else(|| malformed("a number"))?,
        Kind::Enum(kinds) => match enum_number(&kinds, text) {
            Some(number) => Value::EnumNumber(number),
            None => return Err(malformed(&enum_words(&kinds).join(", "))),
        },
        Kind::Bytes if field.name() == REQUEST_ID && Uuid::parse_str(text).is_ok() => {
            let id = Uuid::parse_str(text).map_err(|_| malformed("a UUID"))?;
            Value::Bytes(id.as_bytes().to_vec().into())
        }
        Kind::Bytes => match BASE64.decode(text) {
            Ok(bytes) => Value::Bytes(bytes.into()),
            Err(_) => return Err(malformed("base64")),
        },
        Kind::Message(_) => return Err(malformed("its parts, each with a dot")),
    })
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A value's name without what all names of its enum begin with, lower case, with dashes.
fn word(kinds: &EnumDescriptor, name: &str) -> String {
    let mut prefix = String::new();
    for (index, letter) in kinds.name().char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix.push('_');
    name.strip_prefix(&prefix).unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

/// The words by which an enum's values go in paths and queries, but for "unspecified".
pub(super) fn enum_words(kinds: &EnumDescriptor) -> Vec<String> {
    kinds
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| word(kinds, value.name()))
        .collect()
}

/// `KIND_MCP_SERVER`, `mcp-server`, `mcp_servers`, `McpServer` and `2` all mean the same.
fn enum_number(kinds: &EnumDescriptor, text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return kinds.get_value(number).map(|value| value.number());
    }
    let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let asked = plain(text);
    kinds
        .values()
        .find(|value| {
            let short = plain(&word(kinds, value.name()));
            asked == plain(value.name()) || asked == short || asked == format!("{short}s")
        })
        .map(|value| value.number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_proto::json::{dynamic_to_json, pool};

    fn message(name: &str, pairs: &[(&str, &str)]) -> Result<serde_json::Value> {
        let mut message = DynamicMessage::new(pool().get_message_by_name(name).unwrap());
        for (path, text) in pairs {
            set(&mut message, path, text)?;
        }
        Ok(dynamic_to_json(&message))
    }

    #[test]
    fn kinds_in_any_form() {
        for text in ["mcp-server", "mcp-servers", "MCP_SERVER", "KIND_MCP_SERVER", "McpServer", "2"]
        {
            let got = message("keiko.v1.GetRequest", &[("kind", text)]).unwrap();
            assert_eq!(got, serde_json::json!({"kind": "KIND_MCP_SERVER"}), "{text}");
        }
        for text in ["", "mcp", "servers", "99", "-1"] {
            let refusal = message("keiko.v1.GetRequest", &[("kind", text)]).unwrap_err();
            assert!(refusal.message.contains("agent, mcp-server, tool, skill"), "{refusal}");
        }
    }

    #[test]
    fn nested_repeated_and_mapped() {
        let get = [("at.revision", "5"), ("consistency", "stale"), ("name", "a b")];
        assert_eq!(
            message("keiko.v1.GetRequest", &get).unwrap(),
            serde_json::json!({"name": "a b", "at": {"revision": 5}, "consistency": "CONSISTENCY_STALE"})
        );
        let tail = [("types", "a"), ("types", "b"), ("follow", ""), ("fromRevision", "7")];
        assert_eq!(
            message("keiko.v1.TailRequest", &tail).unwrap(),
            serde_json::json!({"fromRevision": 7, "follow": true, "types": ["a", "b"]})
        );
        let labels = [("labels.team", "red")];
        assert_eq!(
            message("keiko.v1.RegisterAgentRequest", &labels).unwrap(),
            serde_json::json!({"labels": {"team": "red"}})
        );
    }

    #[test]
    fn a_request_id_is_a_uuid_or_base64() {
        let id = Uuid::now_v7();
        let name = "keiko.v1.DeleteRequest";
        let text = message(name, &[("request_id", &id.to_string())]).unwrap();
        let coded = message(name, &[("requestId", &BASE64.encode(id.as_bytes()))]).unwrap();
        assert_eq!(text, coded);
    }

    #[test]
    fn what_does_not_fit_says_so() {
        let check = |pair: (&str, &str), expect: &str| {
            let refusal = message("keiko.v1.GetRequest", &[pair]).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidArgument);
            let all = format!("{refusal} {:?}", refusal.hints);
            assert!(all.contains(expect), "{all}");
        };
        check(("nmae", "x"), "did you mean \\\"name\\\"?");
        check(("zzzzz", "x"), "known are");
        check(("at", "5"), "with a dot");
        check(("name.x", "5"), "no parts");
        check(("at.revision", "-5"), "a number from 0");
        check(("at.nothing", "5"), "no parameter");
    }
}
