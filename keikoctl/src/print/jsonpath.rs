//! `-o jsonpath=EXPR`: paths into the JSON, as kubectl writes them.
//!
//! `.a.b`, `$.a`, `['a.b']`, `[0]`, `[-1]`, `[*]`, `.*`, `..a`, `[?(@.a=="x")]` with
//! `== != < <= > >=` or only a path; bare, or in braces among text with `\n` and `\t`. What is not
//! there gives nothing, as in kubectl.

use crate::fault::usage;
use keiko_core::refusal::Refusal;
use serde_json::Value;

/// Steps of one path: nobody writes so many.
const STEPS_MAX: usize = 64;

/// A template: text and paths.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Path(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Every,
    Deep,
    Filter(Vec<Self>, Option<(Comparison, Value)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        parse(text).map_err(|why| {
            usage(format!("{text:?} is not a JSON path")).cause(why).hint(
                "as in: -o jsonpath=.metadata.revision or -o 'jsonpath={.items[*].metadata.name}'",
            )
        })
    }

    /// Every value that the paths lead to.
    pub(crate) fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let paths = self.0.iter().filter_map(|piece| match piece {
            Piece::Path(steps) => Some(follow(steps, value)),
            Piece::Text(_) => None,
        });
        paths.flatten().collect()
    }

    /// The text: several values of one path stand with a blank between them.
    pub(crate) fn render(&self, value: &Value) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Path(steps) => {
                let found = follow(steps, value);
                found.into_iter().map(plain).collect::<Vec<_>>().join(" ")
            }
        });
        pieces.collect()
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn follow<'v>(steps: &[Step], value: &'v Value) -> Vec<&'v Value> {
    steps.iter().fold(vec![value], |found, step| {
        found.into_iter().flat_map(|value| step.from(value)).collect()
    })
}

impl Step {
    fn from<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => {
                let Some(items) = value.as_array() else { return Vec::new() };
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let index = if *index < 0 { length + index } else { *index };
                usize::try_from(index).ok().and_then(|index| items.get(index)).into_iter().collect()
            }
            Self::Every => children(value),
            Self::Deep => {
                let mut all = vec![value];
                let mut at = 0;
                while at < all.len() {
                    let below = children(all[at]);
                    all.extend(below);
                    at += 1;
                }
                all
            }
            Self::Filter(path, test) => {
                let fits = |item: &&Value| {
                    let found = follow(path, item);
                    match test {
                        None => !found.is_empty(),
                        Some((comparison, wanted)) => {
                            found.iter().any(|value| comparison.holds(value, wanted))
                        }
                    }
                };
                children(value).into_iter().filter(fits).collect()
            }
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

impl Comparison {
    fn holds(self, value: &Value, wanted: &Value) -> bool {
        let order = match (value, wanted) {
            (Value::Number(one), Value::Number(other)) => {
                one.as_f64().zip(other.as_f64()).and_then(|(one, other)| one.partial_cmp(&other))
            }
            (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
            (one, other) if one == other => Some(std::cmp::Ordering::Equal),
            _ => None,
        };
        match self {
            Self::Equal => order.is_some_and(|order| order.is_eq()),
            Self::NotEqual => order.is_none_or(|order| order.is_ne()),
            Self::Less => order.is_some_and(|order| order.is_lt()),
            Self::LessOrEqual => order.is_some_and(|order| order.is_le()),
            Self::Greater => order.is_some_and(|order| order.is_gt()),
            Self::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
        }
    }
}

fn parse(text: &str) -> Result<JsonPath, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if !text.contains('{') {
        return Ok(JsonPath(vec![Piece::Path(steps(text)?)]));
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            pieces.push(Piece::Text(unescape(before)));
        }
        let end = closing(after).ok_or("a closing brace is missing")?;
        let inner = after[..end].trim();
        pieces.push(match inner.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
            Some(literal) => Piece::Text(unescape(literal)),
            None if inner.starts_with("range") || inner == "end" => {
                return Err("range and end are not spoken: use [*]".to_owned());
            }
            None => Piece::Path(steps(inner)?),
        });
        rest = &after[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(unescape(rest)));
    }
    Ok(JsonPath(pieces))
}

/// Where the first brace outside of quotes closes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '}') => return Some(at),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text.trim();
    rest = rest.strip_prefix(['$', '@']).unwrap_or(rest);
    if !rest.is_empty() && !rest.starts_with(['.', '[']) {
        let (step, after) = field(rest)?;
        steps.push(step);
        rest = after;
    }
    while !rest.is_empty() {
        if steps.len() >= STEPS_MAX {
            return Err(format!("it has more than {STEPS_MAX} steps"));
        }
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Deep);
            rest = after;
            if !rest.starts_with('[') {
                let (step, after) = field(rest)?;
                steps.push(step);
                rest = after;
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() && steps.is_empty() {
                return Ok(steps);
            }
            let (step, after) = field(after)?;
            steps.push(step);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = bracket(after).ok_or("a closing bracket is missing")?;
            steps.push(subscript(after[..end].trim())?);
            rest = &after[end + 1..];
        } else {
            return Err(format!("{rest:?} does not begin with a dot or a bracket"));
        }
    }
    Ok(steps)
}

fn field(text: &str) -> Result<(Step, &str), String> {
    let end = text.find(['.', '[', ' ', '=', '!', '<', '>']).unwrap_or(text.len());
    match &text[..end] {
        "" => Err("a name is missing".to_owned()),
        "*" => Ok((Step::Every, &text[end..])),
        name => Ok((Step::Field(name.to_owned()), &text[end..])),
    }
}

/// Where the bracket closes, outside of quotes and inner brackets.
fn bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, '[') => depth += 1,
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

fn subscript(text: &str) -> Result<Step, String> {
    if text == "*" {
        return Ok(Step::Every);
    }
    if let Some(name) = quoted(text) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some(test) = text.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        return filter(test.trim());
    }
    text.parse().map(Step::Index).map_err(|_| format!("[{text}] is not understood"))
}

fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].iter().find_map(|quote| {
        let inner = text.strip_prefix(*quote)?.strip_suffix(*quote)?;
        (!inner.contains(*quote)).then_some(inner)
    })
}

fn filter(text: &str) -> Result<Step, String> {
    if !text.starts_with('@') {
        return Err("a filter begins with @".to_owned());
    }
    // The longer ones first: `<=` is not `<` and a value `=…`.
    let signs = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    for (sign, comparison) in signs {
        if let Some((path, wanted)) = text.split_once(sign) {
            let wanted = wanted.trim();
            let wanted = match quoted(wanted) {
                Some(inner) => Value::String(inner.to_owned()),
                None => serde_json::from_str(wanted)
                    .map_err(|_| format!("{wanted:?} is neither a number nor in quotes"))?,
            };
            return Ok(Step::Filter(steps(path.trim())?, Some((comparison, wanted))));
        }
    }
    Ok(Step::Filter(steps(text)?, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn renders() {
        let value = json!({
            "metadata": {"name": "a", "revision": 7, "labels": {"a.b/c": "x"}},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "since": 5},
                {"type": "Placed", "status": "False", "since": 9},
            ]},
            "empty": null, "yes": true,
        });
        for (path, expect) in [
            (".metadata.revision", "7"),
            ("$.metadata.name", "a"),
            ("metadata.name", "a"),
            ("{.metadata.name}", "a"),
            ("{.metadata.name}{\"\\t\"}{.metadata.revision}\\n", "a\t7\n"),
            ("n={.metadata.name};", "n=a;"),
            (".metadata.labels['a.b/c']", "x"),
            (".status.conditions[0].type", "Ready"),
            (".status.conditions[-1].type", "Placed"),
            (".status.conditions[9].type", ""),
            (".status.conditions[*].type", "Ready Placed"),
            (".status.conditions[?(@.type==\"Ready\")].status", "True"),
            ("{.status.conditions[?(@.type=='Placed')].status}", "False"),
            (".status.conditions[?(@.since>5)].type", "Placed"),
            (".status.conditions[?(@.since<=5)].type", "Ready"),
            (".status.conditions[?(@.type!=\"Ready\")].type", "Placed"),
            (".status.conditions[?(@.nope)].type", ""),
            ("..type", "Ready Placed"),
            (".metadata.labels.*", "x"),
            (".nothing.here", ""),
            (".empty", "null"),
            (".yes", "true"),
            (".metadata.labels", "{\"a.b/c\":\"x\"}"),
        ] {
            let read = JsonPath::parse(path).unwrap();
            assert_eq!(read.render(&value), expect, "{path}");
        }
        assert_eq!(JsonPath::parse(".").unwrap().find(&value), [&value]);
    }

    #[test]
    fn refuses() {
        for path in
            ["", " ", "[", "{.a", ".a[", ".a[x]", ".a..", "{range .a}", ".[?(x)]", ".a[?(@.b==c)]"]
        {
            assert!(JsonPath::parse(path).is_err(), "{path:?}");
        }
        assert!(JsonPath::parse(&".a".repeat(100)).is_err());
    }
}
