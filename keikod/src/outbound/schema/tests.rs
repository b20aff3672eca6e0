use super::*;
use keiko_core::hash::hex;
use serde_json::json;

async fn check(schemas: &Schemas, schema: &Value, arguments: &Value) -> Result<()> {
    let hash = hex(&schema_hash(schema));
    schemas.check_text("t", &schema.to_string(), &hash, arguments).await
}

async fn causes(schema: Value, arguments: Value) -> Vec<String> {
    match check(&Schemas::default(), &schema, &arguments).await {
        Ok(()) => Vec::new(),
        Err(refusal) => {
            assert_eq!(refusal.code, Code::ArgumentsInvalid, "{refusal:?}");
            refusal.causes
        }
    }
}

#[tokio::test]
async fn causes_name_the_place() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"zone": {"type": "string"}, "n": {"type": "array", "items": {"minimum": 1}}},
        "required": ["zone"], "additionalProperties": false
    });
    assert!(causes(schema.clone(), json!({"zone": "UTC"})).await.is_empty());
    for (arguments, expect) in [
        (json!({}), "/: \"zone\" is a required property"),
        (json!({"zone": 1}), "/zone: 1 is not of type \"string\""),
        (json!({"zone": "", "n": [1, 0]}), "/n/1: 0 is less than the minimum of 1"),
    ] {
        assert_eq!(causes(schema.clone(), arguments).await, [expect]);
    }
    let all = causes(json!({"items": {"type": "null"}}), json!([1, 2, 3, 4, 5, 6, 7])).await;
    assert_eq!(all.len(), CAUSES_MAX);
    let long = causes(json!({"type": "null"}), json!("x".repeat(10_000))).await;
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
    for n in 1..30 {
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
        (json!({"$defs": bomb, "$ref": "#/$defs/d29"}), "multiply"),
        (json!({"properties": {"x": {"$ref": "#/$defs/d29"}}, "$defs": bomb}), "multiply"),
        (deep, "nested deeper"),
        (json!({"description": "x".repeat(SCHEMA_BYTES_MAX)}), "larger than"),
    ] {
        let refusal = compile("t", &schema).err().unwrap_or_else(|| panic!("{why}"));
        assert_eq!(refusal.code, Code::PeerSchema);
        assert!(refusal.causes[0].contains(why), "{why}: {:?}", refusal.causes);
    }
}

/// Definitions that lead from one to the next, each wrapped into what `wrap` makes of it.
fn chain(links: usize, wrap: impl Fn(Value) -> Value) -> Value {
    let name = |n: usize| json!({"$ref": format!("#/$defs/d{n}")});
    let mut defs: serde_json::Map<_, _> =
        (1..links).map(|n| (format!("d{n}"), wrap(name(n - 1)))).collect();
    defs.insert("d0".to_owned(), json!({"type": "array"}));
    json!({"$ref": format!("#/$defs/d{}", links - 1), "$defs": defs})
}

#[test]
fn what_can_not_be_counted_is_refused() {
    let check = |schema: Value, why: &str| {
        let refusal = compile("t", &schema).err().unwrap_or_else(|| panic!("{why}: {schema}"));
        assert!(refusal.causes[0].contains(why), "{why}: {:?}", refusal.causes);
    };
    check(chain(5_000, |next| next), "lead on");
    check(chain(5_000, |next| json!({"items": next})), "levels of nesting");
    check(chain(reference::LEVELS_MAX + 1, |next| next), "lead on");
    // Counted from its end, as its definitions come in turn, it is as long.
    check(
        json!({"x": chain(100, |next| next)["$defs"], "$defs": chain(100, |next| next)["$defs"]}),
        "lead on",
    );
    check(json!({"$ref": "#a", "$defs": {"a": {"$anchor": "a"}}}), "not of the form");
    check(json!({"$ref": "#/%zz"}), "not of the form");
    check(json!({"$ref": "#/$defs/absent"}), "nowhere");
    check(json!({"allOf": [{"type": "null"}], "not": {"$ref": "#/allOf/00"}}), "nowhere");
    check(json!({"$ref": "#/$defs/%61", "$defs": {"a": {"$ref": "#/$defs/a"}}}), "itself");
    check(json!({"$dynamicRef": "#a"}), "$dynamicRef");
    check(json!({"items": {"$recursiveRef": "#"}}), "$recursiveRef");
    check(json!({"dependencies": {"a": {"$ref": "#"}}}), "itself");
    check(json!({"items": {"$id": "a", "items": {"$ref": "#"}}}), "inner id");
    check(json!({"items": {"$id": "a"}, "not": {"$ref": "a"}}), "nothing is fetched");
    let draft4 = "http://json-schema.org/draft-04/schema#";
    check(json!({"$schema": draft4, "items": {"id": "a", "items": {"$ref": "#"}}}), "inner id");
    for schema in [
        json!({"$ref": "#/$defs/A%3CB%3E", "$defs": {"A<B>": {"type": "null"}}}),
        json!({"$id": "http://example.com/a", "items": {"$ref": "#"}}),
        json!({"items": {"$ref": "#"}, "examples": [{"id": "a"}]}),
        json!({"properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}}}),
    ] {
        assert!(compile("t", &schema).is_ok(), "{schema}");
    }
}

#[test]
fn the_longest_and_deepest_fit_a_stack() {
    // As much as the threads have on which checks run.
    let apart = std::thread::Builder::new().stack_size(2 << 20);
    let checks = || {
        let long =
            compile("t", &chain(reference::TARGET_LEVELS_MAX / 3, |next| json!({"items": next})));
        let validator = long.unwrap();
        assert!(fits("t", &validator, &json!([[[]]])).is_ok());
        // In place as long as may be, and again at each level of the arguments.
        let mut schema = chain(reference::LEVELS_MAX / 2 - 1, |next| json!({"anyOf": [next]}));
        schema["$defs"]["d0"] = json!({"type": "array", "items": {"$ref": "#"}});
        let mut deep = json!(1);
        for _ in 1..DEPTH_MAX {
            deep = json!([deep]);
        }
        let validator = compile("t", &schema).unwrap();
        assert!(fits("t", &validator, &deep).is_err());
    };
    apart.spawn(checks).unwrap().join().unwrap();
}

#[tokio::test]
async fn what_is_recursive_in_the_instance_is_welcome() {
    let tree = json!({
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "n": {"type": "integer"}}
    });
    assert!(causes(tree.clone(), json!({"children": [{"children": [], "n": 1}]})).await.is_empty());
    assert_eq!(causes(tree.clone(), json!({"children": [{"n": "x"}]})).await.len(), 1);
    let mut deep = json!({});
    for _ in 0..DEPTH_MAX {
        deep = json!({"children": [deep]});
    }
    assert!(causes(tree, deep).await.is_empty(), "too deep has no causes, only its message");
}

#[tokio::test]
async fn backtracking_ends() {
    let evil = json!({"pattern": "^(?=(a+)+$)(a+)+$"});
    let begun = std::time::Instant::now();
    let _ = causes(evil, json!(format!("{}b", "a".repeat(60)))).await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn the_least_used_is_dropped() {
    let schemas = Schemas::default();
    let check = async |n: usize| {
        check(&schemas, &json!({"minimum": n}), &json!(n)).await.unwrap();
    };
    check(0).await;
    for n in 1..KEPT_MAX {
        check(n).await;
    }
    check(0).await;
    check(KEPT_MAX).await;
    let kept = schemas.kept.lock().unwrap();
    assert_eq!(kept.by_hash.len(), KEPT_MAX);
    assert!(kept.by_hash.contains_key(&schema_hash(&json!({"minimum": 0}))));
    assert!(!kept.by_hash.contains_key(&schema_hash(&json!({"minimum": 1}))));
}

#[tokio::test]
async fn what_was_compiled_is_not_read_again_and_judges_no_other() {
    let schemas = Schemas::default();
    let number = json!({"type": "number"});
    let hash = hex(&schema_hash(&number));
    assert_eq!(hash_of_hex(&hash), Some(schema_hash(&number)));
    let check = async |schema: &str, hash: &str, arguments: Value| {
        schemas.check_text("t", schema, hash, &arguments).await.map_err(|refusal| refusal.code)
    };
    let unread = "this is not read";
    assert_eq!(check(unread, &hash, json!(1)).await, Err(Code::PeerSchema));
    assert_eq!(check(&number.to_string(), &hash, json!(1)).await, Ok(()));
    assert_eq!(check(unread, &hash, json!(1)).await, Ok(()));
    assert_eq!(check(unread, &hash, json!("x")).await, Err(Code::ArgumentsInvalid));
    // A hash that is not the schema's is no way to be judged by another one later on.
    let other = hex(&schema_hash(&json!({"type": "null"})));
    assert_eq!(check("true", &other, json!(1)).await, Ok(()));
    assert_eq!(check(r#"{"type":"null"}"#, &other, json!(1)).await, Err(Code::ArgumentsInvalid));
    for odd in ["", "x", &hash[1..], &"zz".repeat(32)] {
        assert_eq!(check(&number.to_string(), odd, json!("x")).await, Err(Code::ArgumentsInvalid));
    }
}
