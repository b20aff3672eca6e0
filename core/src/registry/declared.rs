//! What of an agent or a server is declared by somebody, and what probes found.
//!
//! Declared: the endpoint, credentials, dependencies, lease, labels, annotations. Everything else
//! of a spec is found. The grant is neither: the law decides it.

use super::model::{metadata, metadata_mut};
use keiko_proto::v1::{AgentSpec, McpServerSpec, Object, object::Object as Inner};

/// The declared half of an agent's spec.
pub fn of_agent(spec: &AgentSpec) -> AgentSpec {
    AgentSpec {
        url: spec.url.clone(),
        headers: spec.headers.clone(),
        depends_on: spec.depends_on.clone(),
        lease: spec.lease,
        ..Default::default()
    }
}

/// The declared half of a server's spec.
pub fn of_server(spec: &McpServerSpec) -> McpServerSpec {
    McpServerSpec {
        transport: match spec.command.is_empty() {
            true => "http".to_owned(),
            false => "stdio".to_owned(),
        },
        url: spec.url.clone(),
        command: spec.command.clone(),
        headers: spec.headers.clone(),
        env: spec.env.clone(),
        depends_on: spec.depends_on.clone(),
        ..Default::default()
    }
}

/// True if nothing declared differs.
pub(super) fn same(before: &Object, after: &Object) -> bool {
    let maps =
        |object| metadata(object).map(|data| (data.labels.clone(), data.annotations.clone()));
    if maps(before).unwrap_or_default() != maps(after).unwrap_or_default() {
        return false;
    }
    match (&before.object, &after.object) {
        (Some(Inner::Agent(before)), Some(Inner::Agent(after))) => {
            before.spec.as_ref().map(of_agent) == after.spec.as_ref().map(of_agent)
        }
        (Some(Inner::McpServer(before)), Some(Inner::McpServer(after))) => {
            before.spec.as_ref().map(of_server) == after.spec.as_ref().map(of_server)
        }
        _ => false,
    }
}

/// Where it is, as people read it.
pub(super) fn endpoint(object: &Object) -> String {
    match &object.object {
        Some(Inner::Agent(agent)) => {
            agent.spec.as_ref().map(|spec| spec.url.clone()).unwrap_or_default()
        }
        Some(Inner::McpServer(server)) => {
            let spec = server.spec.clone().unwrap_or_default();
            if spec.command.is_empty() { spec.url } else { format!("{:?}", spec.command) }
        }
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => String::new(),
    }
}

/// A probe says what it saw. What was declared is not its to change.
pub(super) fn keep_declared(before: &Object, owner: &mut Object) {
    if let Some(old) = metadata(before) {
        let new = metadata_mut(owner);
        new.labels.clone_from(&old.labels);
        new.annotations.clone_from(&old.annotations);
    }
    match (&before.object, owner.object.as_mut()) {
        (Some(Inner::Agent(old)), Some(Inner::Agent(new))) => {
            let old = old.spec.as_ref().map(of_agent).unwrap_or_default();
            let new = new.spec.get_or_insert_default();
            (new.url, new.headers) = (old.url, old.headers);
            (new.depends_on, new.lease) = (old.depends_on, old.lease);
        }
        (Some(Inner::McpServer(old)), Some(Inner::McpServer(new))) => {
            let old = old.spec.as_ref().map(of_server).unwrap_or_default();
            let new = new.spec.get_or_insert_default();
            (new.transport, new.url, new.command) = (old.transport, old.url, old.command);
            (new.headers, new.env, new.depends_on) = (old.headers, old.env, old.depends_on);
        }
        _ => {}
    }
}

/// A manifest says what is declared. What probes found at the same endpoint stays.
pub(super) fn keep_found(before: &Object, owner: &mut Object) {
    match (&before.object, owner.object.as_mut()) {
        (Some(Inner::Agent(old)), Some(Inner::Agent(new))) => {
            let given = std::mem::take(new.spec.get_or_insert_default());
            let found = old.spec.clone().unwrap_or_default();
            let AgentSpec { url, headers, depends_on, lease, .. } = given;
            new.spec = Some(AgentSpec { url, headers, depends_on, lease, ..found });
        }
        (Some(Inner::McpServer(old)), Some(Inner::McpServer(new))) => {
            let given = std::mem::take(new.spec.get_or_insert_default());
            let found = old.spec.clone().unwrap_or_default();
            let McpServerSpec { transport, url, command, headers, env, depends_on, .. } = given;
            new.spec =
                Some(McpServerSpec { transport, url, command, headers, env, depends_on, ..found });
        }
        _ => {}
    }
}
