//! From texts to manifests: everything is parsed and checked before anything is sent.

use super::check::Checker;
use super::node::{self, Content, Node};
use super::problem::{Place, Problems};
use super::source::Source;
use crate::rooms::registry::object::KindWord;
use crate::schema;
use keiko_client::proto::json::{from_json, pool, to_json};
use keiko_client::proto::v1::{Kind, Object};
use keiko_core::refusal::{Code, Refusal, Result};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A hundred times what a large fleet has by hand.
const OBJECTS_MAX: usize = 10_000;
/// The word of a document that holds others.
const LIST: &str = "List";

/// The namespace of manifests without one.
#[derive(Clone, Debug)]
pub(super) struct Namespace {
    pub name: String,
    /// Somebody typed it for this command: a manifest with another one is refused.
    pub is_typed: bool,
}

/// What names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub namespace: String,
    /// The noun: agent, mcp.
    pub noun: &'static str,
    pub name: String,
}

impl Id {
    /// `kind/name`.
    pub(super) fn reference(&self) -> String {
        format!("{}/{}", self.noun, self.name)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.noun, self.name)?;
        match self.namespace.as_str() {
            "default" => Ok(()),
            namespace => write!(f, " in {namespace}"),
        }
    }
}

/// One object as a file has it.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub id: Id,
    pub kind: KindWord,
    pub place: Place,
    /// Only what is declared.
    pub declared: Value,
    /// The same as it travels.
    pub object: Object,
    /// Zero: it does not say.
    pub revision: u64,
    pub needs: Vec<String>,
}

/// Reads and checks them all.
pub(super) fn manifests(sources: &[Source], namespace: &Namespace) -> Result<Vec<Manifest>> {
    checked(&Checker::new()?, sources, namespace)
}

/// The same with schemas that are at hand: to make them ready takes longer than most files.
pub(super) fn checked(
    checker: &Checker,
    sources: &[Source],
    namespace: &Namespace,
) -> Result<Vec<Manifest>> {
    let mut reader = Reader {
        checker,
        namespace: namespace.clone(),
        problems: Problems::default(),
        manifests: Vec::new(),
        places: BTreeMap::new(),
    };
    for source in sources {
        reader.source(source)?;
    }
    reader.problems.into_result()?;
    if reader.manifests.is_empty() {
        return Err(Refusal::new(Code::ManifestInvalid, "there is no object in these files")
            .hint("keikoctl explain McpServer shows what one is made of"));
    }
    Ok(reader.manifests)
}

struct Reader<'c> {
    checker: &'c Checker,
    namespace: Namespace,
    problems: Problems,
    manifests: Vec<Manifest>,
    places: BTreeMap<Id, Place>,
}

impl Reader<'_> {
    fn source(&mut self, source: &Source) -> Result<()> {
        let place = |spot, document| Place { file: source.name.clone(), spot, document };
        let documents = match node::documents(&source.text) {
            Ok(documents) => documents,
            Err(malformed) => {
                let place = place(malformed.spot.unwrap_or_default(), None);
                self.problems.add(&place, malformed.why);
                return Ok(());
            }
        };
        let many = documents.len() > 1;
        for (at, document) in documents.iter().enumerate() {
            let place = place(document.spot, many.then_some(at + 1));
            self.document(document, &place)?;
        }
        Ok(())
    }

    /// An object, or a list of them.
    fn document(&mut self, node: &Node, place: &Place) -> Result<()> {
        let is_list = node.get("kind").and_then(Node::text).is_none_or(|kind| kind == LIST);
        match node.get("items").map(|items| &items.content) {
            Some(Content::List(items)) if is_list => {
                for item in items {
                    self.object(item, &place.at(item.spot))?;
                }
                Ok(())
            }
            _ => self.object(node, place),
        }
    }

    fn object(&mut self, node: &Node, place: &Place) -> Result<()> {
        if self.manifests.len() >= OBJECTS_MAX {
            return Err(Refusal::new(
                Code::LimitExceeded,
                format!("there are more than {OBJECTS_MAX} objects"),
            )
            .hint("split them, and apply one part after the other"));
        }
        let Some(kind) = self.kind(node, place) else { return Ok(()) };
        let value = node.json();
        if !self.checker.check(kind, node, &value, place, &mut self.problems) {
            return Ok(());
        }
        let Some(schema) = self.checker.schema(kind) else { return Ok(()) };
        let manifest = manifest(kind, &value, schema, &self.namespace, place)?;
        self.keep(manifest, node);
        Ok(())
    }

    fn kind(&mut self, node: &Node, place: &Place) -> Option<&'static str> {
        if !matches!(node.content, Content::Map(_)) {
            self.problems.add(place, format!("a manifest is a map, not {}", node.word()));
            return None;
        }
        let Some(word) = node.get("kind") else {
            self.problems.add(place, "kind is missing");
            self.problems.hint("kind is Agent or McpServer");
            return None;
        };
        let spot = place.at(word.spot);
        let Some(word) = word.text() else {
            self.problems.add(&spot, format!("kind is {}, not text", word.word()));
            return None;
        };
        if let Some(kind) = schema::DECLARED_KINDS.iter().find(|kind| **kind == word) {
            return Some(kind);
        }
        let word: String = word.chars().take(64).collect();
        match schema::kind_of(&word) {
            Some("Tool") => self.problems.add(&spot, "a Tool comes with its McpServer"),
            Some("Skill") => self.problems.add(&spot, "a Skill comes with its Agent"),
            Some(kind) => {
                self.problems
                    .add(&spot, format!("there is no kind {word:?}; did you mean {kind}?"));
            }
            None => {
                let near = schema::nearest(&word, schema::DECLARED_KINDS.into_iter());
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                self.problems.add(&spot, format!("there is no kind {word:?}{near}"));
                self.problems.hint("kind is Agent or McpServer");
            }
        }
        None
    }

    fn keep(&mut self, manifest: Manifest, node: &Node) {
        let Namespace { name, is_typed } = &self.namespace;
        let id = manifest.id.clone();
        if *is_typed && id.namespace != *name {
            let (at, _) = node.follow("/metadata/namespace");
            self.problems.add(
                &manifest.place.at(at.spot),
                format!("metadata.namespace is {:?}, but the command says -n {name}", id.namespace),
            );
            return;
        }
        if let Some(first) = self.places.get(&id) {
            let words = format!("{id} is declared twice, first at {first}");
            self.problems.add(&manifest.place, words);
            return;
        }
        self.places.insert(id, manifest.place.clone());
        self.manifests.push(manifest);
    }
}

fn manifest(
    kind: &'static str,
    value: &Value,
    schema: &Value,
    namespace: &Namespace,
    place: &Place,
) -> Result<Manifest> {
    let mut given = declared(value, schema);
    let revision = given["metadata"].as_object_mut().and_then(|data| data.remove("revision"));
    if given["metadata"]["namespace"].as_str().is_none_or(str::is_empty) {
        given["metadata"]["namespace"] = namespace.name.clone().into();
    }
    let mut needs: Vec<String> = texts(&given["spec"]["dependsOn"]);
    needs.sort();
    if !needs.is_empty() {
        given["spec"]["dependsOn"] = needs.clone().into();
    }
    let object = object(given, place)?;
    let declared = declared_of(&object, schema);
    let text = |name: &str| declared["metadata"][name].as_str().unwrap_or_default().to_owned();
    let word = KindWord::of(if kind == "Agent" { Kind::Agent } else { Kind::McpServer });
    Ok(Manifest {
        id: Id { namespace: text("namespace"), noun: word.word, name: text("name") },
        revision: revision.and_then(|revision| revision.as_u64()).unwrap_or(0),
        kind: word,
        place: place.clone(),
        object,
        needs,
        declared,
    })
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The half of an object that a manifest would have, in the order of its words.
pub(super) fn declared_of(object: &Object, schema: &Value) -> Value {
    let mut declared = declared(&to_json("keiko.v1.Object", object), schema);
    if let Some(data) = declared["metadata"].as_object_mut() {
        data.remove("revision");
    }
    declared
}

/// Without what probes find and Keiko keeps; without what says nothing.
fn declared(value: &Value, schema: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            // A map of labels has no order of its own.
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            if schema["additionalProperties"].is_object() {
                entries.sort_by_key(|(name, _)| *name);
            }
            let kept = entries.into_iter().filter_map(|(name, value)| {
                let below = schema::field(schema, name)?;
                let kept = declared(value, below);
                let says = !matches!(&kept, Value::Null)
                    && kept.as_object().is_none_or(|map| !map.is_empty())
                    && kept.as_array().is_none_or(|list| !list.is_empty());
                (says && !schema::is_found(below)).then(|| (name.clone(), kept))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            items.iter().map(|item| declared(item, schema::content(schema))).collect()
        }
        other => other.clone(),
    }
}

fn object(given: Value, place: &Place) -> Result<Object> {
    let broken = |error: &dyn std::fmt::Display| {
        Refusal::new(Code::ManifestInvalid, "a manifest can't be used: nothing was sent")
            .cause(format!("{place}: {error}"))
    };
    let descriptor = pool()
        .get_message_by_name("keiko.v1.Object")
        .expect("invariant: Object is one of our messages");
    let message = from_json(descriptor, given).map_err(|error| broken(&error))?;
    Object::decode(message.encode_to_vec().as_slice()).map_err(|error| broken(&error))
}
