//! A document against the schema of its kind, in words that lead to the fault.
//!
//! What was typed is not repeated, but for names: a secret that was put into the wrong place must
//! not end in a log of a pipeline.

use super::node::Node;
use super::problem::{Place, Problems, SHOWN_MAX};
use crate::schema;
use jsonschema::error::{TypeKind, ValidationErrorKind as Fault};
use jsonschema::{ValidationError, Validator};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::Value;

/// The schemas, ready to check.
pub(super) struct Checker {
    kinds: Vec<(&'static str, &'static Value, Validator)>,
}

impl Checker {
    pub(super) fn new() -> Result<Self> {
        let kinds = schema::DECLARED_KINDS.iter().map(|kind| {
            let schema = schema::of(kind);
            let validator = jsonschema::draft202012::new(schema).map_err(|error| {
                Refusal::new(Code::Internal, format!("the schema of {kind} is none")).cause(error)
            })?;
            Ok((*kind, schema, validator))
        });
        Ok(Self { kinds: kinds.collect::<Result<_>>()? })
    }

    /// The schema of a kind.
    pub(super) fn schema(&self, kind: &str) -> Option<&'static Value> {
        self.kinds.iter().find(|(known, ..)| *known == kind).map(|(_, schema, _)| *schema)
    }

    /// Notes what does not fit; true if all does.
    pub(super) fn check(
        &self,
        kind: &str,
        node: &Node,
        value: &Value,
        place: &Place,
        problems: &mut Problems,
    ) -> bool {
        let Some((_, schema, validator)) = self.kinds.iter().find(|(known, ..)| *known == kind)
        else {
            return false;
        };
        let mut fits = true;
        for error in validator.iter_errors(value) {
            fits = false;
            if problems.is_full() {
                problems.add(place, "");
                break;
            }
            explain(&error, node, schema, place, problems);
        }
        if !fits {
            problems.hint(format!("keikoctl explain {kind} --recursive shows every field"));
        }
        fits
    }
}

fn explain(
    error: &ValidationError<'_>,
    node: &Node,
    schema: &Value,
    place: &Place,
    problems: &mut Problems,
) {
    let (here, path) = node.follow(error.instance_path().as_str());
    let shown = if path.is_empty() { "the manifest" } else { &path };
    let join =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let spot = here.spot;
    match error.kind() {
        Fault::AdditionalProperties { unexpected } => {
            unknown(unexpected, here, schema, &path, place, problems);
        }
        Fault::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            problems.add(&place.at(spot), format!("{} is missing", join(name)));
        }
        Fault::OneOfNotValid { .. } => {
            let names: Vec<&str> = schema::alternatives(below(schema, &path)).collect();
            problems.add(&place.at(spot), format!("{shown} has neither {}", names.join(" nor ")));
        }
        Fault::OneOfMultipleValid { .. } => {
            let names: Vec<&str> = schema::alternatives(below(schema, &path)).collect();
            problems.add(&place.at(spot), format!("{shown} has both {}", names.join(" and ")));
        }
        Fault::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => plain_type(&one.to_string()),
                TypeKind::Multiple(_) => "something else",
            };
            problems.add(&place.at(spot), format!("{shown} is {}, not {wanted}", here.word()));
            if wanted == "text" && ["a number", "true or false"].contains(&here.word()) {
                problems.hint("numbers and truth become text by quotes: version: \"1.0\"");
            }
        }
        Fault::Constant { expected_value } => {
            problems.add(&place.at(spot), format!("{shown} is not {expected_value}"));
        }
        Fault::Pattern { pattern } => {
            let words = schema::words_of_pattern(pattern);
            problems.add(&place.at(spot), format!("{shown} has another form: it is {words}"));
        }
        Fault::PropertyNames { .. } => {
            problems.add(&place.at(spot), format!("{shown} has a name that is none"));
        }
        Fault::MaxLength { limit } | Fault::MaxItems { limit } | Fault::MaxProperties { limit } => {
            problems.add(&place.at(spot), format!("{shown} is too long: {limit} at most"));
        }
        Fault::MinLength { .. } | Fault::MinItems { .. } => {
            problems.add(&place.at(spot), format!("{shown} is empty"));
        }
        Fault::Minimum { limit } => {
            problems.add(&place.at(spot), format!("{shown} is too small: {limit} at least"));
        }
        Fault::Maximum { limit } => {
            problems.add(&place.at(spot), format!("{shown} is too large: {limit} at most"));
        }
        Fault::UniqueItems => {
            problems.add(&place.at(spot), format!("{shown} has an item twice"));
        }
        _ => problems.add(&place.at(spot), format!("{shown}: {}", error.masked())),
    }
}

/// Fields that no kind has, or not there.
fn unknown(
    names: &[String],
    here: &Node,
    schema: &Value,
    path: &str,
    place: &Place,
    problems: &mut Problems,
) {
    for name in names.iter().take(SHOWN_MAX) {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let meant = schema::meant(schema, path, name)
            .map(|meant| format!("; did you mean {meant}?"))
            .unwrap_or_default();
        problems.add(&place.at(here.spot_of(name)), format!("there is no field {full}{meant}"));
    }
    if path.starts_with("spec.headers") || path.starts_with("spec.env") {
        problems.hint("values stay on the node: credential names a file of its credentials folder");
    }
}

fn below<'s>(schema: &'s Value, path: &str) -> &'s Value {
    path.split('.').filter(|name| !name.is_empty()).fold(schema, |schema, name| {
        let name = name.split('[').next().unwrap_or(name);
        schema::field(schema, name).unwrap_or(&Value::Null)
    })
}

fn plain_type(word: &str) -> &'static str {
    match word {
        "string" => "text",
        "array" => "a list",
        "object" => "a map",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "something else",
    }
}
