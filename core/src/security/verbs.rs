//! What a verb of keikoctl needs: so that one can ask in the words that one would type.
//!
//! A row is a verb of a noun with the permission that its call asks for, and of which kind the
//! resource is. What lies in no namespace is asked for as a whole.

use super::permission::Permission as P;
use crate::refusal::{Code, Refusal, Result};

/// Nouns, verbs, the permission, and the resource's kind.
type Row = (&'static [&'static str], &'static [&'static str], P, &'static str);

/// What is declared in the registry: the kind is the noun itself.
const DECLARED: &[&str] = &["agent", "mcp", "tool", "skill"];
const LOOK: &[&str] = &["list", "get", "describe", "watch", "wait", "history", "export"];
const CHANGE: &[&str] = &["create", "apply", "edit", "put", "delete", "remove"];
/// Stands for the noun in the column of the kind.
const SAME: &str = "";

const ROWS: &[Row] = &[
    (DECLARED, LOOK, P::RegistryRead, SAME),
    (DECLARED, &["diff", "explain", "impact", "probe"], P::RegistryRead, SAME),
    (&["agent", "mcp"], &["register", "suspend", "resume", "drain"], P::RegistryWrite, SAME),
    (
        &["agent", "mcp"],
        &["apply", "create", "edit", "delete", "heartbeat"],
        P::RegistryWrite,
        SAME,
    ),
    (&["tool"], &["call"], P::ToolCall, SAME),
    (&["agent"], &["call"], P::AgentCall, SAME),
    (&["mcp"], &["logs"], P::McpLogs, SAME),
    (&["mcp"], &["exec"], P::McpExec, SAME),
    (&["agent"], &["token"], P::SecurityWrite, "token"),
    (&["node"], LOOK, P::ClusterRead, "cluster"),
    (&["node"], &["drain", "resume"], P::ClusterOperate, "cluster"),
    (&["node"], &["remove", "delete"], P::ClusterAdmin, "cluster"),
    (&["node"], &["join"], P::ClusterJoin, "node"),
    (&["cluster"], &["status", "get", "describe"], P::ClusterRead, "cluster"),
    (&["cluster"], &["transfer-leader"], P::ClusterOperate, "cluster"),
    (&["ca"], &["list"], P::ClusterRead, "cluster"),
    (&["ca"], &["rotate"], P::ClusterAdmin, "cluster"),
    (&["cluster"], &["backup"], P::ClusterAdmin, "cluster"),
    (&["cluster"], &["init", "join"], P::ClusterInit, "cluster"),
    (&["token"], &["list", "create", "revoke", "delete"], P::SecurityWrite, "token"),
    (&["role", "binding", "person"], LOOK, P::SecurityRead, SAME),
    (&["role", "binding", "person"], CHANGE, P::SecurityWrite, SAME),
    (&["security"], &["unused"], P::SecurityRead, "person"),
    (&["event", "audit"], &["list", "get", "tail", "watch"], P::JournalRead, "journal"),
    (&["metric"], &["get", "list", "query"], P::MetricsRead, "metrics"),
    (&["lock", "barrier", "session", "window"], LOOK, P::LockRead, SAME),
    (&["lock"], &["acquire", "release", "run", "elect"], P::LockWrite, SAME),
    (&["barrier"], &["arrive"], P::LockWrite, SAME),
    (&["session"], &["open", "keep", "close"], P::LockWrite, SAME),
    (&["window"], CHANGE, P::LockWrite, SAME),
];

/// The permission that a verb of a noun needs, and of which kind its resource is.
pub fn meant(verb: &str, noun: &str) -> Result<(P, &'static str)> {
    let nouns = || ROWS.iter().flat_map(|(nouns, ..)| nouns.iter().copied());
    let Some(noun) = nouns().find(|known| *known == noun) else {
        return Err(Refusal::new(Code::InvalidArgument, format!("there is no noun {noun:?}"))
            .cause(format!("the nouns are {}", distinct(nouns())))
            .hint("or ask for a permission: keikoctl can-i registry.write agent/team-a/hello"));
    };
    let of_noun = ROWS.iter().filter(|(nouns, ..)| nouns.contains(&noun));
    match of_noun.clone().find(|(_, verbs, ..)| verbs.contains(&verb)) {
        Some((_, _, permission, SAME)) => Ok((*permission, noun)),
        Some((_, _, permission, kind)) => Ok((*permission, kind)),
        None => {
            let verbs = of_noun.flat_map(|(_, verbs, ..)| verbs.iter().copied());
            Err(Refusal::new(Code::InvalidArgument, format!("{noun} has no verb {verb:?}"))
                .cause(format!("the verbs of {noun} are {}", distinct(verbs))))
        }
    }
}

fn distinct(words: impl Iterator<Item = &'static str>) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for word in words {
        if !distinct.contains(&word) {
            distinct.push(word);
        }
    }
    distinct.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_one_would_type() {
        for (verb, noun, expect) in [
            ("register", "agent", Some((P::RegistryWrite, "agent"))),
            ("list", "tool", Some((P::RegistryRead, "tool"))),
            ("call", "tool", Some((P::ToolCall, "tool"))),
            ("call", "agent", Some((P::AgentCall, "agent"))),
            ("call", "mcp", None),
            ("drain", "node", Some((P::ClusterOperate, "cluster"))),
            ("drain", "mcp", Some((P::RegistryWrite, "mcp"))),
            ("create", "token", Some((P::SecurityWrite, "token"))),
            ("create", "binding", Some((P::SecurityWrite, "binding"))),
            ("list", "audit", Some((P::JournalRead, "journal"))),
            ("fly", "agent", None),
            ("list", "", None),
        ] {
            assert_eq!(meant(verb, noun).ok(), expect, "{verb} {noun}");
        }
        let refusal = meant("fly", "agent").unwrap_err();
        assert!(refusal.causes[0].contains("list, get"), "{}", refusal.causes[0]);
    }

    #[test]
    fn a_verb_of_a_noun_needs_one_thing() {
        for (at, (nouns, verbs, ..)) in ROWS.iter().enumerate() {
            for (other_nouns, other_verbs, ..) in &ROWS[at + 1..] {
                let same_noun = nouns.iter().any(|noun| other_nouns.contains(noun));
                let same_verb = verbs.iter().find(|verb| other_verbs.contains(verb));
                assert!(!same_noun || same_verb.is_none(), "{nouns:?} {same_verb:?}");
            }
        }
    }
}
