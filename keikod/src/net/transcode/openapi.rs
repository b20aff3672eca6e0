//! The OpenAPI 3.1 document, from the same annotations and descriptors as the calls.

use super::fields::enum_words;
use super::route::{Payload, Route};
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Query parameters reach this deep: no request has messages within messages within messages.
const DEPTH_MAX: usize = 3;

/// The whole document.
pub(super) fn document(pool: &DescriptorPool, routes: &[Route]) -> Value {
    let mut schemas = Schemas { pool, done: BTreeMap::new() };
    let mut ordered: Vec<_> = routes.iter().collect();
    ordered.sort_by_key(|route| (route.pattern.clone(), route.verb.to_string()));
    let mut paths = Map::new();
    for route in ordered {
        let operation = operation(&mut schemas, route);
        let path = paths.entry(route.pattern.clone()).or_insert_with(|| json!({}));
        path[route.verb.as_str().to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Keiko", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    })
}

fn operation(schemas: &mut Schemas<'_>, route: &Route) -> Value {
    let method = &route.method;
    let in_path: Vec<_> = route.template.fields().collect();
    let mut parameters: Vec<_> = in_path
        .iter()
        .filter_map(|name| super::fields::find(&method.input(), name))
        .map(|field| {
            json!({"name": field.name(), "in": "path", "required": true,
                "schema": schemas.parameter(&field)})
        })
        .collect();
    if route.payload == Payload::None {
        schemas.query(&method.input(), "", DEPTH_MAX, &in_path, &mut parameters);
    }
    let output = schemas.reference(&method.output());
    let content = if method.is_server_streaming() {
        json!({"application/jsonl": {"schema": output}, "text/event-stream": {"schema": output}})
    } else {
        json!({"application/json": {"schema": output}})
    };
    let mut operation = json!({
        "operationId": format!("{}_{}", method.parent_service().name(), method.name()),
        "tags": [method.parent_service().name()],
        "parameters": parameters,
        "responses": {
            "200": {"description": "done", "content": content},
            "default": {"description": "refused", "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
        },
    });
    if let Some(summary) = comment(method) {
        operation["summary"] = summary.into();
    }
    if route.payload == Payload::Whole {
        let schema = schemas.reference(&method.input());
        operation["requestBody"] =
            json!({"required": false, "content": {"application/json": {"schema": schema}}});
    }
    operation
}

/// What the proto says above the method.
fn comment(method: &MethodDescriptor) -> Option<String> {
    let file = method.parent_file();
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let place = info.location.iter().find(|place| place.path == method.path())?;
    let lines: Vec<_> = place.leading_comments().lines().map(str::trim).collect();
    Some(lines.join(" ").trim().to_owned()).filter(|text| !text.is_empty())
}

/// Collects the schemas that are reached.
struct Schemas<'p> {
    pool: &'p DescriptorPool,
    done: BTreeMap<String, Value>,
}

impl Schemas<'_> {
    fn finish(mut self) -> Value {
        self.done.insert(
            "Error".to_owned(),
            json!({
                "type": "object",
                "required": ["code", "message", "causes", "hints", "retryable"],
                "properties": {
                    "code": {"type": "string", "pattern": "^KEIKO-[0-9]{4}$"},
                    "message": {"type": "string"},
                    "causes": {"type": "array", "items": {"type": "string"}},
                    "hints": {"type": "array", "items": {"type": "string"}},
                    "retryable": {"type": "boolean"},
                    "request_id": {"type": "string"},
                    "trace_id": {"type": "string"},
                },
            }),
        );
        json!(self.done)
    }

    fn reference(&mut self, message: &MessageDescriptor) -> Value {
        let name = short(message.full_name());
        if !self.done.contains_key(&name) {
            // Entered first: a message may hold itself.
            self.done.insert(name.clone(), Value::Null);
            let schema = self.message(message);
            self.done.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    fn message(&mut self, message: &MessageDescriptor) -> Value {
        if self.flag(&message.options(), "keiko.v1.inline") {
            let shapes: Vec<_> = message.fields().map(|field| self.field(&field)).collect();
            return json!({"oneOf": shapes});
        }
        let properties: Map<_, _> = message
            .fields()
            .map(|field| (field.json_name().to_owned(), self.field(&field)))
            .collect();
        json!({"type": "object", "properties": properties})
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if let Kind::Message(entry) = field.kind()
            && field.is_map()
        {
            let value = self.field(&entry.map_entry_value_field());
            return json!({"type": "object", "additionalProperties": value});
        }
        let one = if self.flag(&field.options(), "keiko.v1.json_document") {
            json!({"description": "a JSON document"})
        } else {
            self.kind(field)
        };
        if field.is_list() { json!({"type": "array", "items": one}) } else { one }
    }

    fn kind(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Message(message) => self.reference(&message),
            Kind::Enum(kinds) => self.enumeration(&kinds),
            Kind::Bytes if field.name() == super::fields::REQUEST_ID => {
                json!({"type": "string", "format": "uuid"})
            }
            kind => scalar(&kind),
        }
    }

    fn enumeration(&mut self, kinds: &EnumDescriptor) -> Value {
        let name = short(kinds.full_name());
        let values: Vec<_> = kinds.values().map(|value| value.name().to_owned()).collect();
        self.done.insert(name.clone(), json!({"type": "string", "enum": values}));
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// In paths and queries an enum goes by its word in any form.
    fn parameter(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Enum(kinds) => json!({"type": "string", "examples": enum_words(&kinds)}),
            _ if field.is_list() => json!({"type": "array", "items": self.kind(field)}),
            _ => self.kind(field),
        }
    }

    fn query(
        &mut self,
        message: &MessageDescriptor,
        prefix: &str,
        depth: usize,
        in_path: &[&str],
        parameters: &mut Vec<Value>,
    ) {
        for field in message.fields() {
            let name = format!("{prefix}{}", field.json_name());
            if prefix.is_empty() && in_path.contains(&field.name()) {
                continue;
            }
            match field.kind() {
                Kind::Message(inner) if !field.is_map() && !field.is_list() && depth > 1 => {
                    self.query(&inner, &format!("{name}."), depth - 1, &[], parameters);
                }
                Kind::Message(_) => {}
                _ => parameters
                    .push(json!({"name": name, "in": "query", "schema": self.parameter(&field)})),
            }
        }
    }

    fn flag(&self, options: &prost_reflect::DynamicMessage, name: &str) -> bool {
        self.pool
            .get_extension_by_name(name)
            .is_some_and(|extension| options.get_extension(&extension).as_bool() == Some(true))
    }
}

fn scalar(kind: &Kind) -> Value {
    match kind {
        Kind::String => json!({"type": "string"}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Float | Kind::Double => json!({"type": "number"}),
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => {
            json!({"type": "integer", "minimum": 0})
        }
        _ => json!({"type": "integer"}),
    }
}

fn short(full_name: &str) -> String {
    full_name.trim_start_matches("keiko.v1.").to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::route::table;
    use super::*;
    use keiko_proto::json::pool;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    found.push(target.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn complete_and_closed() {
        let routes = table(pool()).unwrap();
        let document = document(pool(), &routes);
        let mut found = Vec::new();
        references(&document, &mut found);
        for target in found {
            let pointer = target.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some_and(Value::is_object), "{target}");
        }
        for route in routes {
            let verb = route.verb.as_str().to_ascii_lowercase();
            let operation = &document["paths"][&route.pattern][verb];
            assert!(operation["summary"].is_string() || comment(&route.method).is_none());
            assert!(operation["operationId"].is_string(), "{}", route.path);
        }
        let get = &document["paths"]["/v1/objects/{kind}/{namespace}/{name}"]["get"];
        let names: Vec<_> = get["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["kind", "namespace", "name", "at.revision", "at.unixMs", "consistency"]);
        let object = &document["components"]["schemas"]["Object"];
        assert_eq!(object["oneOf"].as_array().unwrap().len(), 4);
        let init = &document["paths"]["/v1/cluster:init"]["post"];
        assert!(init["summary"].as_str().unwrap().starts_with("Founds a cluster"));
    }
}
