//! A document as it was typed: each value with its line and column.
//!
//! JSON is read as the YAML that it is. What a document may cost is bounded: depth, aliases and
//! what they unfold to.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::fmt;

/// 10,000 objects of 40 values each, twice over for their keys.
const NODES_MAX: usize = 1_000_000;
/// Objects of one file, each a document of its own.
const DOCUMENTS_MAX: usize = 10_000;
/// What all aliases of a file may unfold to.
const UNFOLDED_BYTES_MAX: usize = 32 << 20;
const DEPTH_MAX: usize = 32;

/// Where in a file; lines and columns count from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    pub line: u64,
    pub column: u64,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub spot: Spot,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// Keys with their own places, in order.
    Map(Vec<(String, Spot, Node)>),
}

/// Why a file is no YAML.
#[derive(Debug)]
pub(super) struct Malformed {
    pub spot: Option<Spot>,
    pub why: String,
}

/// Every document of a text. Empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Malformed> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_documents: DOCUMENTS_MAX + 1,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_recorded_anchor_bytes: UNFOLDED_BYTES_MAX,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let spot = error.location().map(|at| Spot { line: at.line(), column: at.column() });
        Malformed { spot: spot.filter(|spot| spot.line > 0), why: reason(&error.to_string()) }
    })
}

/// The first line, without the place that is said anyhow.
fn reason(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let cut = line.find(" at line ").unwrap_or(line.len());
    let line = &line[..cut];
    // What it goes on with is meant for programmers.
    if let Some(rest) = line.strip_prefix("duplicate mapping key") {
        let key = rest.strip_prefix(": ").and_then(|rest| rest.rsplit_once(", set "));
        let key = key.map_or("a key", |(key, _)| key);
        let key: String = key.chars().take(100).collect();
        return format!("{key} stands here twice; another document begins with ---");
    }
    line.chars().take(200).collect()
}

impl Node {
    /// As plain JSON. A field without a value is not there.
    pub(super) fn json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(value) => Value::Number(value.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::json).collect(),
            Content::Map(entries) => {
                let given = entries.iter().filter(|e| !matches!(e.2.content, Content::Null));
                let entries = given.map(|(key, _, value)| (key.clone(), value.json()));
                Value::Object(Map::from_iter(entries))
            }
        }
    }

    /// A field of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|(key, ..)| key == name).map(|(_, _, value)| value)
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where the key of a field stands, or the value of an item.
    pub(super) fn spot_of(&self, step: &str) -> Spot {
        let found = match &self.content {
            Content::Map(entries) => entries.iter().find(|(key, ..)| key == step).map(|e| e.1),
            Content::List(items) => {
                step.parse::<usize>().ok().and_then(|at| items.get(at)).map(|item| item.spot)
            }
            _ => None,
        };
        found.unwrap_or(self.spot)
    }

    /// What a JSON pointer leads to, as far as it goes, and how that reads: `spec.headers[0]`.
    pub(super) fn follow(&self, pointer: &str) -> (&Self, String) {
        let (mut here, mut path) = (self, String::new());
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let below = match &here.content {
                Content::List(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)),
                _ => here.get(&step),
            };
            if matches!(here.content, Content::List(_)) {
                path.push_str(&format!("[{step}]"));
            } else {
                let dot = if path.is_empty() { "" } else { "." };
                path.push_str(&format!("{dot}{step}"));
            }
            let Some(below) = below else { break };
            here = below;
        }
        (here, path)
    }

    /// What it is, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "true or false",
            Content::Number(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(from)?;
        let spot = Spot { line: referenced.line(), column: referenced.column() };
        Ok(Self { spot, content: value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Content, D::Error> {
        Content::deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value);
        number.map(Content::Number).ok_or_else(|| E::custom("this is no number that JSON has"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map: Vec<(String, Spot, Node)> = Vec::new();
        while let Some(Spanned { value: key, referenced, .. }) =
            entries.next_key::<Spanned<String>>()?
        {
            let spot = Spot { line: referenced.line(), column: referenced.column() };
            map.push((key, spot, entries.next_value()?));
        }
        Ok(Content::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn knows_where_everything_stands() {
        let text = "kind: Agent\nmetadata:\n  name: a\n  labels: {team: red}\n---\n# nothing\n---\n\
                    spec:\n  command:\n    - /x\n    - 7\n";
        let read = documents(text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].get("metadata").unwrap().get("name").unwrap().spot.line, 3);
        assert_eq!(read[0].spot_of("metadata"), Spot { line: 2, column: 1 });
        let (seven, path) = read[1].follow("/spec/command/1");
        assert_eq!((seven.spot, path.as_str()), (Spot { line: 11, column: 7 }, "spec.command[1]"));
        assert_eq!(seven.word(), "a number");
        assert_eq!(read[1].json(), json!({"spec": {"command": ["/x", 7]}}));
    }

    #[test]
    fn json_is_yaml() {
        for text in [
            "{\"a\": [1, true, null, \"x\\n\"], \"b\": 1.5}",
            "{\n\t\"a\": [1, true, null, \"x\\n\"],\n\t\"b\": 1.5\n}\n",
        ] {
            let read = documents(text).unwrap();
            assert_eq!(read[0].json(), json!({"a": [1, true, null, "x\n"], "b": 1.5}), "{text}");
        }
    }

    #[test]
    fn text_stays_text() {
        let read = documents("a: yes\nb: on\nc: '7'\nd: 1.20.3\ne: ~\n").unwrap();
        assert_eq!(read[0].json(), json!({"a": "yes", "b": "on", "c": "7", "d": "1.20.3"}));
    }

    #[test]
    fn what_is_malformed_has_a_place() {
        for (text, line) in [
            ("a: [1, 2\nb: 3\n", 2),
            ("a: 1\n  b: 2\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: \"open\n", 1),
            ("a: {{ .Values.name }}\n", 1),
        ] {
            let malformed = documents(text).unwrap_err();
            let spot = malformed.spot.unwrap_or_default();
            assert!(spot.line >= line, "{text:?}: {malformed:?}");
            assert!(
                !malformed.why.is_empty() && !malformed.why.contains(" line "),
                "{malformed:?}"
            );
        }
    }

    #[test]
    fn two_documents_need_a_line_between_them() {
        let malformed = documents("kind: Agent\nkind: Agent\n").unwrap_err();
        assert_eq!(malformed.why, "kind stands here twice; another document begins with ---");
    }

    #[test]
    fn a_few_bytes_do_not_become_gigabytes() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(documents(&bomb).is_err());
        let deep = format!("a: {}1{}\n", "[".repeat(1000), "]".repeat(1000));
        assert!(documents(&deep).is_err());
    }
}
