//! An agent as a client declares it that has nothing to say but its metadata.

use keiko_proto::v1 as wire;

/// Nobody is there: a declaration asks nobody, and a node finds out and looks again once a minute.
const URL: &str = "http://127.0.0.1:9/";

/// The agent.
pub fn agent(metadata: wire::Metadata) -> wire::Agent {
    wire::Agent {
        api_version: "keiko/v1".to_owned(),
        kind: "Agent".to_owned(),
        metadata: Some(metadata),
        spec: Some(wire::AgentSpec { url: URL.to_owned(), ..Default::default() }),
        status: None,
    }
}

/// Its declaration, whatever is there.
pub fn apply(metadata: wire::Metadata) -> wire::ApplyRequest {
    let object = wire::object::Object::Agent(agent(metadata));
    wire::ApplyRequest { object: Some(wire::Object { object: Some(object) }), ..Default::default() }
}
