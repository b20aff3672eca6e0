//! What one node says of the cluster, over its socket; it answers without a leader, too.

use crate::http;
use crate::node::Node;
use serde_json::Value;
use std::fmt;

/// `GET /v1/status`, as far as it is of use here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Empty: none is known.
    pub leader: String,
    /// While there is none.
    pub last_leader: String,
    /// The term.
    pub term: u64,
    /// Who may vote.
    pub voters: usize,
    /// Of which so many answer.
    pub reachable: usize,
    /// That is enough.
    pub has_quorum: bool,
    /// The revision here.
    pub revision: u64,
    /// Everybody, as this node sees them.
    pub members: Vec<Member>,
    /// What needs an operator.
    pub alarms: Vec<String>,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Never another node's.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// leader, follower, candidate, learner, joining, down, waiting.
    pub state: String,
    /// voter, learner, or empty.
    pub role: String,
    /// draining, or empty.
    pub admin_state: String,
    /// How far it has applied.
    pub applied: u64,
    /// Of its state there.
    pub state_hash: String,
    /// Where others reach it.
    pub peer_address: String,
    /// True for the node that was asked.
    pub is_answering: bool,
}

impl View {
    /// Asks a node.
    pub fn ask(node: &Node) -> Result<Self, String> {
        let answer = http::get(&node.socket(), "/v1/status").map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(answer.text);
        }
        serde_json::from_str(&answer.text)
            .map(|value| Self::of(&value))
            .map_err(|error| error.to_string())
    }

    /// Reads the document; a field at its default is left out of it.
    pub fn of(value: &Value) -> Self {
        let quorum = &value["quorum"];
        let alarms = value["alarms"].as_array().into_iter().flatten();
        Self {
            leader: text(&value["leader"]),
            last_leader: text(&value["lastLeader"]),
            term: number(&value["term"]),
            voters: count(&quorum["voters"]),
            reachable: count(&quorum["reachable"]),
            has_quorum: quorum["ok"] == true,
            revision: number(&value["revision"]),
            members: value["nodes"].as_array().into_iter().flatten().map(Member::of).collect(),
            alarms: alarms.map(text).collect(),
        }
    }

    /// The row of the node that was asked.
    pub fn own(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.is_answering)
    }

    /// The row of a node.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

impl Member {
    fn of(value: &Value) -> Self {
        Self {
            id: number(&value["id"]),
            name: text(&value["name"]),
            state: text(&value["state"]),
            role: text(&value["role"]),
            admin_state: text(&value["adminState"]),
            applied: number(&value["appliedIndex"]),
            state_hash: text(&value["stateHash"]),
            peer_address: text(&value["peerAddress"]),
            is_answering: value["answering"] == true,
        }
    }

    /// How far it has applied, and what that made of its state.
    pub fn state_of(&self) -> (u64, String) {
        (self.applied, self.state_hash.clone())
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leader, term, voters, reachable, members, .. } = self;
        write!(f, "leader {leader:?} in term {term}, {reachable} of {voters} voters;")?;
        for Member { name, state, role, applied, .. } in members {
            write!(f, " {name} {state} {role} at {applied};")?;
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn count(value: &Value) -> usize {
    usize::try_from(number(value)).unwrap_or(usize::MAX)
}
