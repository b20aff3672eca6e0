//! A command runs, and credentials go out, only for whom it was registered: a grant is the actor of
//! the entry that made it, and moves neither to another endpoint nor to other credentials.

use super::objects::{self, ObjectChange};
use super::{Check, ensure};
use crate::sim::oracle::Step;
use keiko_proto::v1::{self as wire, actor::Who, object::Object as Inner};

/// What of an owner a grant is for.
struct Granted {
    grant: Option<wire::Grant>,
    endpoint: (String, Vec<String>),
    credentials: Vec<wire::CredentialRef>,
}

pub(super) fn step(step: &Step<'_>) -> Check {
    let actor = step.entry.as_ref().and_then(|entry| entry.actor.clone()).unwrap_or_default();
    let own = match &actor.who {
        Some(Who::Socket(peer)) => Some(wire::Grant { node: peer.node.clone(), uid: peer.uid }),
        Some(Who::Token(_) | Who::Node(_)) | None => None,
    };
    for ObjectChange { before, after, .. } in objects::changes(step) {
        let Some(after) = after.as_ref().and_then(granted) else { continue };
        if after.grant.is_none() || after.grant == own {
            continue;
        }
        // Nobody else's but the one that was there, and only for what it was given.
        let stays = before.as_ref().and_then(granted).is_some_and(|before| {
            before.grant == after.grant
                && before.endpoint == after.endpoint
                && before.credentials == after.credentials
        });
        ensure(stays, || format!("{actor:?} leaves {:?} at {:?}", after.grant, after.endpoint))?;
    }
    Ok(())
}

fn granted(object: &wire::Object) -> Option<Granted> {
    match &object.object {
        Some(Inner::Agent(agent)) => agent.spec.clone().map(|spec| Granted {
            grant: spec.grant,
            endpoint: (spec.url, Vec::new()),
            credentials: spec.headers,
        }),
        Some(Inner::McpServer(server)) => server.spec.clone().map(|spec| Granted {
            grant: spec.grant,
            endpoint: (spec.url, spec.command),
            credentials: [spec.headers, spec.env].concat(),
        }),
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => None,
    }
}
