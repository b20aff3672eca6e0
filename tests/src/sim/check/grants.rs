//! A command runs, and credentials go out, only for whom it was registered: a grant is the actor of
//! the entry that made it, and moves neither to another endpoint nor to other credentials. And a
//! command runs on the node at whose socket it was registered, until another one takes it over from
//! a node that is down or gone.

use super::objects::{self, ObjectChange};
use super::{Check, ensure};
use crate::sim::layout::{NODES, rows};
use crate::sim::oracle::Step;
use keiko_core::store::Space;
use keiko_proto::v1::{
    self as wire, actor::Who, entry::Room, object::Object as Inner, registry_op::Op,
};
use prost::Message as _;

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
        Some(Who::Token(_) | Who::Node(_) | Who::Person(_)) | None => None,
    };
    let socket = own.as_ref().map(|grant| grant.node.as_str());
    for ObjectChange { before, after, .. } in objects::changes(step) {
        placed(step, socket, before.as_ref(), after.as_ref())?;
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

fn placed(
    step: &Step<'_>,
    socket: Option<&str>,
    before: Option<&wire::Object>,
    after: Option<&wire::Object>,
) -> Check {
    let (before, after) = (before.and_then(server), after.and_then(server));
    let Some((command, node)) = after else { return Ok(()) };
    let stood = before.is_some_and(|(_, stood)| stood == node);
    if stood || node.is_empty() {
        return Ok(());
    }
    ensure(!command.is_empty(), || format!("node {node} runs what has no command"))?;
    let room = step.entry.as_ref().and_then(|entry| entry.room.as_ref());
    let Some(Room::Registry(wire::RegistryOp { op: Some(Op::PlaceServer(place)) })) = room else {
        return ensure(socket == Some(node), || {
            format!("node {node} runs {command:?}, registered at {socket:?}")
        });
    };
    let nodes = rows(step.store, step.group, Space::State, NODES);
    let is_up = |name: &str| {
        let nodes = nodes.iter().filter_map(|(_, row)| wire::Node::decode(&row[1..]).ok());
        nodes.filter(|known| known.name == name).map(|known| known.down_since_ms == 0).next()
    };
    // Nobody is no member either: what ran nowhere is free.
    ensure(place.to == node && is_up(&place.from) != Some(true) && is_up(node).is_some(), || {
        format!("node {node} takes {command:?} over from {:?}", place.from)
    })
}

/// The command of a server, and the node that runs it.
fn server(object: &wire::Object) -> Option<(&[String], &str)> {
    let Some(Inner::McpServer(server)) = &object.object else { return None };
    let command = server.spec.as_ref().map(|spec| spec.command.as_slice());
    let node = server.status.as_ref().map(|status| status.node.as_str());
    Some((command.unwrap_or_default(), node.unwrap_or_default()))
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
