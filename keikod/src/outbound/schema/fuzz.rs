//! Schemas that servers declare and arguments that callers send: all of them strangers.

use super::{CAUSES_MAX, compile, fits, hash_of_hex, schema_hash};
use crate::fuzz::{check_refusal_of_peer, mutate};
use crate::outbound::canonical::canonical;
use keiko_core::hash::hex;
use keiko_core::refusal::Code;
use serde_json::{Value, json};

const SCHEMAS: [&str; 7] = [
    r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"zone":{"type":"string","minLength":1},"n":{"type":"array","items":{"minimum":1.5}}},"required":["zone"],"additionalProperties":false}"#,
    r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},{"type":"null"}]},"b":{"type":"object","properties":{"next":{"$ref":"#/$defs/a"}}}},"$ref":"#/$defs/a"}"##,
    r##"{"properties":{"node":{"$ref":"#"}},"if":{"required":["a"]},"then":{"maxProperties":2},"else":{"not":{"const":7}}}"##,
    r#"{"type":"string","pattern":"^(a+)+$","format":"date-time","enum":["a","b"]}"#,
    r#"{"patternProperties":{"^x-":{"type":"integer","multipleOf":0.1}},"dependentSchemas":{"a":{"minProperties":2}},"propertyNames":{"maxLength":5},"unevaluatedProperties":false}"#,
    r#"{"items":{"oneOf":[{"type":"integer"},{"type":"string"}]},"uniqueItems":true,"contains":{"const":1},"prefixItems":[true]}"#,
    r#"{"$schema":"http://json-schema.org/draft-04/schema#","id":"http://a.test/","definitions":{"x":{"exclusiveMinimum":true,"minimum":0}}}"#,
];

const WORDS: &[&str] = &[
    "\"$ref\":\"#\"",
    "\"$ref\":\"#/$defs/a\"",
    "\"$ref\":\"http://a.test/\"",
    "\"$dynamicRef\":\"#a\"",
    "\"$id\":\"x\"",
    "\"allOf\":[{},{}]",
    "\"pattern\":\"(a|a)*$\"",
    "\"pattern\":\"\\\\p{L}{1,9}\"",
    "\"pattern\":\"(?=a)b\\\\1\"",
    "\"type\":[\"null\"]",
    "\"minimum\":1e308",
    "\"multipleOf\":0",
    "\"items\":",
    "\"not\":",
    "\"maxLength\":-1",
    "\"$anchor\":\"a\"",
    "true",
    "false",
    ",",
    "{}",
];

fn arguments() -> Vec<Value> {
    let deep = (0..40).fold(json!(1), |inner, _| json!({"node": inner, "next": null}));
    vec![
        json!({}),
        json!({"zone": "a".repeat(40) + "!", "n": [1, 2.5, -0.0], "x-a": 0.3}),
        json!(["a".repeat(60), 1, 1, null, {"a": 7}]),
        deep,
    ]
}

/// In bounded time it is known whether a schema can be used, and whether anything fits it.
#[test]
fn any_schema() {
    let arguments = arguments();
    mutate::run("schemas", &SCHEMAS, WORDS, |bytes| {
        let Ok(schema) = serde_json::from_slice::<Value>(bytes) else { return };
        let validator = match compile("t", &schema) {
            Ok(validator) => validator,
            Err(why) => return check_refusal_of_peer(&why, &[Code::PeerSchema]),
        };
        for arguments in &arguments {
            let Err(why) = fits("t", &validator, arguments) else { continue };
            check_refusal_of_peer(&why, &[Code::ArgumentsInvalid]);
            assert!((1..=CAUSES_MAX).contains(&why.causes.len()), "{why:?}");
        }
    });
}

/// The canonical form is JSON, stands for itself, and gives the same hash.
#[test]
fn any_canonical_form() {
    let corpus = [
        r#"{"b":[1,2.50,-0,1e21,1E-7],"a":{"\u20ac":"\u000f","😀":"\\\""},"":null}"#,
        "9007199254740993",
        "-1.5e300",
        "5e-324",
        "[0.1,123456789012345680000]",
    ];
    mutate::run(
        "canonical json",
        &corpus,
        &["e", "E+", ".", "-", "\\u", "\"", ":", ","],
        |bytes| {
            let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
            let text = canonical(&value);
            assert!(text.len() <= 64 + 24 * bytes.len(), "{} bytes of {}", text.len(), bytes.len());
            let again: Value = serde_json::from_str(&text).expect("it is JSON");
            assert_eq!(canonical(&again), text, "it stands for itself");
            let hash = schema_hash(&value);
            assert_eq!(schema_hash(&again), hash);
            assert_eq!(hash_of_hex(&hex(&hash)), Some(hash));
        },
    );
}
