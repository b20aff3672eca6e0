//! What `--for` says: a condition, that it is gone, or a path.

use super::super::list;
use super::super::object::Item;
use crate::fault::usage;
use crate::print::Shown;
use crate::print::jsonpath::JsonPath;
use keiko_core::refusal::Result;

/// Made when an object is read.
const DERIVED: &str = "DependenciesReady";

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A condition has that status.
    Condition { name: String, status: String },
    /// It is not there.
    Gone,
    /// A path leads to that value, or to any.
    Path { text: String, path: JsonPath, value: Option<String> },
}

impl What {
    /// The condition Ready.
    pub(crate) fn ready() -> Self {
        Self::Condition { name: "Ready".into(), status: "True".into() }
    }

    /// Reads what `--for` says.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            usage(format!("{text:?} is nothing to wait for"))
                .hint("--for condition=Ready[=False]")
                .hint("--for delete")
                .hint("--for jsonpath=.status.health.state=ready")
        };
        if text == "delete" {
            return Ok(Self::Gone);
        }
        match text.split_once('=') {
            Some(("condition", rest)) => {
                let (name, status) = rest.split_once('=').unwrap_or((rest, "True"));
                let known = ["True", "False", "Unknown"];
                let status = known.into_iter().find(|known| known.eq_ignore_ascii_case(status));
                match (name, status) {
                    ("", _) | (_, None) => Err(malformed()),
                    (name, Some(status)) => {
                        Ok(Self::Condition { name: name.to_owned(), status: status.to_owned() })
                    }
                }
            }
            Some(("jsonpath", "")) => Err(malformed()),
            Some(("jsonpath", rest)) => {
                let (path, value) = match list::sign(rest) {
                    Some(at) => (&rest[..at], Some(rest[at..].trim_start_matches('=').to_owned())),
                    None => (rest, None),
                };
                if path.contains("status.live") {
                    return Err(usage("what is only known live is not in a watch")
                        .cause("status.live is the knowledge of one node at one moment")
                        .hint("keikoctl agent drain NAME waits until no call is under way"));
                }
                let (text, path) = (path.to_owned(), JsonPath::parse(path)?);
                Ok(Self::Path { text, path, value })
            }
            _ => Err(malformed()),
        }
    }

    /// True if it is so.
    pub(crate) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Condition { name, status } => {
                item.condition(name).is_some_and(|condition| condition.status == *status)
            }
            Self::Gone => false,
            Self::Path { path, value: Some(value), .. } => path.render(&item.json()) == *value,
            Self::Path { path, value: None, .. } => {
                path.find(&item.json()).iter().any(|found| !found.is_null())
            }
        }
    }

    /// True if no watch tells it.
    pub(super) fn is_derived(&self) -> bool {
        match self {
            Self::Condition { name, .. } => name.eq_ignore_ascii_case(DERIVED),
            Self::Path { text, .. } => text.contains(DERIVED),
            Self::Gone => false,
        }
    }

    pub(super) fn not_yet(&self) -> String {
        match self {
            Self::Condition { name, status } if status == "True" => format!("did not get {name}"),
            Self::Condition { name, status } => format!("did not get {name}={status}"),
            Self::Gone => "did not go".to_owned(),
            Self::Path { text, value: None, .. } => format!("did not get {text}"),
            Self::Path { text, value: Some(value), .. } => format!("did not get {text}={value}"),
        }
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Condition { name, status } if status == "True" => write!(f, "is {name}"),
            Self::Condition { name, status } => write!(f, "is {name}={status}"),
            Self::Gone => write!(f, "is gone"),
            Self::Path { text, value: None, .. } => write!(f, "has {text}"),
            Self::Path { text, value: Some(value), .. } => write!(f, "has {text}={value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::table::tests::time_server;
    use super::*;

    #[test]
    fn what_is_waited_for() {
        for (text, expect) in [
            ("condition=Ready", Some(true)),
            ("condition=ready=true", Some(true)),
            ("condition=Ready=False", Some(false)),
            ("condition=DependenciesReady", Some(false)),
            ("delete", Some(false)),
            ("jsonpath=.status.health.state=ready", Some(true)),
            ("jsonpath={.status.health.state}=dead", Some(false)),
            ("jsonpath=.status.health.failureClass", Some(false)),
            ("jsonpath=.status.conditions[?(@.type==\"Ready\")].status=True", Some(true)),
            ("jsonpath=.status.live.callsInFlight=0", None),
            ("condition=", None),
            ("condition=Ready=Maybe", None),
            ("jsonpath=", None),
            ("ready", None),
        ] {
            let what = What::parse(text).ok();
            assert_eq!(what.map(|what| what.holds(&time_server())), expect, "{text}");
        }
    }
}
