use super::*;
use serde_json::json;

fn causes(schema: Value, arguments: Value) -> Vec<String> {
    let hash = schema_hash(&schema);
    match Schemas::default().check("t", &schema, hash, &arguments) {
        Ok(()) => Vec::new(),
        Err(refusal) => {
            assert_eq!(refusal.code, Code::ArgumentsInvalid, "{refusal:?}");
            refusal.causes
        }
    }
}

#[test]
fn causes_name_the_place() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"zone": {"type": "string"}, "n": {"type": "array", "items": {"minimum": 1}}},
        "required": ["zone"], "additionalProperties": false
    });
    assert!(causes(schema.clone(), json!({"zone": "UTC"})).is_empty());
    for (arguments, expect) in [
        (json!({}), "/: \"zone\" is a required property"),
        (json!({"zone": 1}), "/zone: 1 is not of type \"string\""),
        (json!({"zone": "", "n": [1, 0]}), "/n/1: 0 is less than the minimum of 1"),
    ] {
        assert_eq!(causes(schema.clone(), arguments), [expect]);
    }
    let all = causes(json!({"items": {"type": "null"}}), json!([1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(all.len(), CAUSES_MAX);
    let long = causes(json!({"type": "null"}), json!("x".repeat(10_000)));
    assert!(long[0].chars().count() <= CAUSE_CHARS_MAX + 1);
}

#[test]
fn an_unusable_schema_is_named() {
    let mut deep = json!({});
    for _ in 0..DEPTH_MAX {
        deep = json!({"not": deep});
    }
    let mut bomb = serde_json::Map::new();
    bomb.insert("d0".to_owned(), json!({}));
    for n in 1..60 {
        let before = json!({"$ref": format!("#/$defs/d{}", n - 1)});
        bomb.insert(format!("d{n}"), json!({"allOf": [before, before]}));
    }
    for (schema, why) in [
        (json!([]), "a schema is an object"),
        (json!({"type": 1}), "is not valid"),
        (json!({"$ref": "http://example.com/s.json"}), "nothing is fetched"),
        (json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), "nothing is fetched"),
        (json!({"$ref": "other.json"}), "nothing is fetched"),
        (json!({"$id": "http://example.com/a.json", "$ref": "b.json"}), "b.json"),
        (json!({"$ref": "#"}), "leads back to itself"),
        (
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            "leads back to itself",
        ),
        (json!({"$defs": bomb, "$ref": "#/$defs/d59"}), "multiply"),
        (json!({"properties": {"x": {"$ref": "#/$defs/d59"}}, "$defs": bomb}), "multiply"),
        (deep, "nested deeper"),
        (json!({"description": "x".repeat(SCHEMA_BYTES_MAX)}), "larger than"),
    ] {
        let refusal = compile("t", &schema).err().unwrap_or_else(|| panic!("{why}"));
        assert_eq!(refusal.code, Code::PeerError);
        assert!(refusal.causes[0].contains(why), "{why}: {:?}", refusal.causes);
    }
}

#[test]
fn what_is_recursive_in_the_instance_is_welcome() {
    let tree = json!({
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "n": {"type": "integer"}}
    });
    assert!(causes(tree.clone(), json!({"children": [{"children": [], "n": 1}]})).is_empty());
    assert_eq!(causes(tree.clone(), json!({"children": [{"n": "x"}]})).len(), 1);
    let mut deep = json!({});
    for _ in 0..DEPTH_MAX {
        deep = json!({"children": [deep]});
    }
    assert!(causes(tree, deep)[0..].is_empty(), "too deep has no causes, only its message");
}

#[test]
fn backtracking_ends() {
    let evil = json!({"pattern": "^(?=(a+)+$)(a+)+$"});
    let begun = std::time::Instant::now();
    let _ = causes(evil, json!(format!("{}b", "a".repeat(60))));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn the_least_used_is_dropped() {
    let schemas = Schemas::default();
    let check = |n: usize| {
        let schema = json!({"minimum": n});
        schemas.check("t", &schema, schema_hash(&schema), &json!(n)).unwrap();
    };
    check(0);
    for n in 1..KEPT_MAX {
        check(n);
    }
    check(0);
    check(KEPT_MAX);
    let kept = schemas.kept.lock().unwrap();
    assert_eq!(kept.by_hash.len(), KEPT_MAX);
    assert!(kept.by_hash.contains_key(&schema_hash(&json!({"minimum": 0}))));
    assert!(!kept.by_hash.contains_key(&schema_hash(&json!({"minimum": 1}))));
}
