//! What the words alone do not say: what a manifest declares, what it must have, and the bounds of
//! the law.

use keiko_core::limits::{
    COMMAND_WORDS_MAX, CREDENTIAL_NAME_BYTES_MAX, CREDENTIALS_MAX, DEPENDS_MAX, LABEL_CHARS_MAX,
    LABELS_MAX, LEASE_GRACE_MS_MAX, LEASE_TTL_MS_MAX, LEASE_TTL_MS_MIN, NAME_CHARS_MAX,
    URL_CHARS_MAX,
};
use serde_json::{Value, json};

const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const LABEL: &str = "^[-A-Za-z0-9_./]*$";
const URL: &str = "^https?://[!-~]+$";
const ABSOLUTE: &str = "^/";
const NEED: &str = "^((agent|mcp)/[a-z0-9]([-a-z0-9]*[a-z0-9])?|(tool|skill)/[a-z0-9]([-a-z0-9]*[a-z0-9])?\\.[-A-Za-z0-9_./:]+)$";
const CREDENTIAL: &str = "^[^./\\\\][^/\\\\]*$";

/// What a pattern asks for, for people.
const PATTERNS: &[(&str, &str)] = &[
    (NAME, "lower-case letters, digits and inner hyphens"),
    (LABEL, "letters, digits, hyphens, dots, slashes and underscores"),
    (URL, "an http or https URL"),
    (ABSOLUTE, "the absolute path of a program on the node"),
    (NEED, "KIND/NAME, as in mcp/time or tool/time.now"),
    (CREDENTIAL, "the plain name of a file in the node's credentials folder"),
];

/// What a manifest has a say in; everything else is read only.
const DECLARED: &[(&str, &[&str])] = &[
    ("", &["apiVersion", "kind", "metadata", "spec"]),
    ("metadata", &["name", "namespace", "labels", "annotations", "revision"]),
];
const DECLARED_SPEC: &[(&str, &[&str])] = &[
    ("Agent", &["url", "headers", "dependsOn", "lease"]),
    ("McpServer", &["url", "command", "headers", "env", "dependsOn"]),
    ("Tool", &[]),
    ("Skill", &[]),
];

/// What a pattern asks for, in words.
pub(crate) fn words_of_pattern(pattern: &str) -> &'static str {
    let known = PATTERNS.iter().find(|(known, _)| *known == pattern);
    known.map_or("another form", |(_, words)| words)
}

/// Lays the rules of a kind over the shape that its words have.
pub(super) fn lay_over(kind: &'static str, schema: &mut Value) {
    for (path, names) in DECLARED {
        close(at(schema, path), names);
    }
    let spec = DECLARED_SPEC.iter().find(|(known, _)| *known == kind);
    close(at(schema, "spec"), spec.map_or(&[], |(_, names)| names));
    for (path, rule) in common(kind).into_iter().chain(of_spec(kind)) {
        lay(at(schema, path), rule);
    }
}

fn close(schema: &mut Value, declared: &[&str]) {
    let Some(properties) = schema["properties"].as_object_mut() else { return };
    for (name, inner) in properties {
        if !declared.contains(&name.as_str()) {
            inner["readOnly"] = json!(true);
        }
    }
}

fn lay(schema: &mut Value, rule: Value) {
    let (Some(schema), Value::Object(rule)) = (schema.as_object_mut(), rule) else { return };
    schema.extend(rule);
}

/// `spec.headers[].name`: `[]` goes to the items.
fn at<'s>(schema: &'s mut Value, path: &str) -> &'s mut Value {
    path.split('.').filter(|name| !name.is_empty()).fold(schema, |schema, step| {
        match step.strip_suffix("[]") {
            Some(name) => &mut schema["properties"][name]["items"],
            None => &mut schema["properties"][step],
        }
    })
}

fn common(kind: &str) -> Vec<(&'static str, Value)> {
    let about = match kind {
        "Agent" => "An agent that speaks A2A.",
        "McpServer" => "An MCP server: at a URL, or a command that the node runs.",
        "Tool" => "What an MCP server can do. It comes with its server: no manifest has it.",
        _ => "What an agent can do. It comes with its agent: no manifest has it.",
    };
    let name_rule = match kind {
        "Agent" | "McpServer" => json!({
            "description": "What it is called in its namespace.",
            "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": NAME,
        }),
        "Tool" => json!({"description": "SERVER.TOOL"}),
        _ => json!({"description": "AGENT.SKILL"}),
    };
    let key = json!({"minLength": 1, "maxLength": LABEL_CHARS_MAX, "pattern": LABEL});
    let value = json!({"type": "string", "maxLength": LABEL_CHARS_MAX, "pattern": LABEL});
    vec![
        ("", json!({"description": about, "required": ["apiVersion", "kind", "metadata", "spec"]})),
        ("apiVersion", json!({"description": "The version of this form.", "const": "keiko/v1"})),
        ("kind", json!({"description": "What it is.", "const": kind})),
        (
            "metadata",
            json!({"description": "What it is called, and by what it is found.",
            "required": ["name"]}),
        ),
        ("metadata.name", name_rule),
        (
            "metadata.namespace",
            json!({
                "description": "Where its name counts; without one, that of the command.",
                "maxLength": NAME_CHARS_MAX, "pattern": NAME,
            }),
        ),
        (
            "metadata.labels",
            json!({
                "description": "By what selectors find it.",
                "maxProperties": LABELS_MAX, "propertyNames": key, "additionalProperties": value,
            }),
        ),
        (
            "metadata.annotations",
            json!({
                "description": "What programs and people keep beside it. No selector looks at them.",
                "maxProperties": LABELS_MAX,
            }),
        ),
        (
            "metadata.revision",
            json!({
                "description": "The revision that last changed it. In a manifest: refused if it was declared anew since then.",
            }),
        ),
        ("metadata.createdMs", json!({"description": "When it was made, in Unix milliseconds."})),
        (
            "metadata.updatedMs",
            json!({"description": "When it last changed, in Unix milliseconds."}),
        ),
        ("status", json!({"description": "How it is, as probes and the law say."})),
        ("status.conditions", json!({"description": "What is so, since when, and why."})),
    ]
}

fn of_spec(kind: &str) -> Vec<(&'static str, Value)> {
    match kind {
        "Agent" => agent(),
        "McpServer" => server(),
        "Tool" => vec![("spec", json!({"description": "What the server says of it."}))],
        _ => vec![("spec", json!({"description": "What the agent's card says of it."}))],
    }
}

fn agent() -> Vec<(&'static str, Value)> {
    let mut rules = vec![
        ("spec", json!({"description": "Where it is, and what it needs.", "required": ["url"]})),
        (
            "spec.url",
            json!({
                "description": "Where it is: its own address, or that of its card.",
                "maxLength": URL_CHARS_MAX, "pattern": URL,
            }),
        ),
        ("spec.lease", json!({"required": ["ttlMs"]})),
        ("spec.lease.ttlMs", json!({"minimum": LEASE_TTL_MS_MIN, "maximum": LEASE_TTL_MS_MAX})),
        ("spec.lease.graceMs", json!({"maximum": LEASE_GRACE_MS_MAX})),
    ];
    rules.extend(needs());
    rules.extend(credentials(
        "spec.headers",
        "spec.headers[]",
        ["spec.headers[].name", "spec.headers[].credential"],
    ));
    rules
}

fn server() -> Vec<(&'static str, Value)> {
    let mut rules = vec![
        (
            "spec",
            json!({
                "description": "Where it is or how it is run, and what it needs.",
                "oneOf": [{"required": ["url"]}, {"required": ["command"]}],
            }),
        ),
        (
            "spec.url",
            json!({
                "description": "Where it is, if it speaks HTTP.",
                "maxLength": URL_CHARS_MAX, "pattern": URL,
            }),
        ),
        (
            "spec.command",
            json!({
                "description": "What the node runs, if it speaks over its standard streams: an absolute path and its arguments.",
                "minItems": 1, "maxItems": COMMAND_WORDS_MAX,
                "prefixItems": [{"type": "string", "pattern": ABSOLUTE}],
            }),
        ),
    ];
    rules.extend(needs());
    rules.extend(credentials(
        "spec.headers",
        "spec.headers[]",
        ["spec.headers[].name", "spec.headers[].credential"],
    ));
    rules.extend(credentials(
        "spec.env",
        "spec.env[]",
        ["spec.env[].name", "spec.env[].credential"],
    ));
    rules
}

fn needs() -> Vec<(&'static str, Value)> {
    vec![
        ("spec.dependsOn", json!({"uniqueItems": true, "maxItems": DEPENDS_MAX})),
        ("spec.dependsOn[]", json!({"pattern": NEED})),
    ]
}

fn credentials(
    list: &'static str,
    item: &'static str,
    [name, credential]: [&'static str; 2],
) -> Vec<(&'static str, Value)> {
    let what = if list.ends_with("env") {
        "Variables of the command, each from a credential of the node."
    } else {
        "Headers of every request, each from a credential of the node."
    };
    let plain = json!({
        "minLength": 1, "maxLength": CREDENTIAL_NAME_BYTES_MAX, "pattern": CREDENTIAL,
    });
    vec![
        (list, json!({"description": what, "maxItems": CREDENTIALS_MAX})),
        (item, json!({"required": ["name", "credential"]})),
        (name, plain.clone()),
        (credential, plain),
    ]
}
