//! Which node runs the command of a server.
//!
//! It is the one over whose socket the server was registered, until another one takes it over: of
//! those that ask, the first. Whether a node may run the command, it decides itself.

use super::condition::{PLACED, finish, merge};
use super::model::{Place, metadata, status, status_mut};
use super::{put, query};
use crate::cluster;
use crate::house::Emit;
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::txn::Txn;
use keiko_proto::v1::{Condition, Object, actor::Who, object::Object as Inner};

/// True for a server with a command.
pub(super) fn runs_command(object: &Object) -> bool {
    matches!(&object.object, Some(Inner::McpServer(server))
        if server.spec.as_ref().is_some_and(|spec| !spec.command.is_empty()))
}

/// The node that runs the command of a server; `None` for what has none, and for a server that no
/// node has taken yet. What was registered before there were several nodes says it by its grant.
pub fn host(object: &Object) -> Option<String> {
    if !runs_command(object) {
        return None;
    }
    let placed = status(object).map(|status| status.node.clone());
    let granted = || put::grant_of(object).map(|grant| grant.node);
    placed.filter(|node| !node.is_empty()).or_else(granted).filter(|node| !node.is_empty())
}

/// Where a server runs once it is declared: what the entry says itself is ignored. `before` is what
/// was there at the same endpoint.
pub(super) fn settle(stamp: &Stamp, before: Option<&Object>, owner: &mut Object, refresh: bool) {
    let node = match stamp.actor.who.as_ref() {
        _ if !runs_command(owner) => String::new(),
        Some(Who::Socket(peer)) if !refresh => peer.node.clone(),
        Some(Who::Socket(_) | Who::Node(_) | Who::Person(_) | Who::Token(_)) | None => {
            before.and_then(status).map(|status| status.node.clone()).unwrap_or_default()
        }
    };
    status_mut(owner).node = node;
}

/// Another node takes a server over. True if that changed it.
pub(super) fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    asked: Place,
    emit: Emit<'_>,
) -> Result<(bool, Object)> {
    let Place { server: key, uid, from, to, reason } = asked;
    let mut object = query::find(txn, stamp.group, &key).ok_or_else(|| key.not_found())?;
    if metadata(&object).is_none_or(|metadata| metadata.uid != uid) {
        return refuse(
            Code::RevisionConflict,
            format!("{} was deleted and made anew", key.subject()),
        );
    }
    if !runs_command(&object) {
        return refuse(Code::InvalidArgument, format!("{} has no command", key.subject()));
    }
    let host = host(&object).unwrap_or_default();
    if host != from {
        return refuse(
            Code::RevisionConflict,
            format!("{} runs on {host:?} by now, not on {from:?}", key.subject()),
        );
    }
    if host == to.as_str() {
        return Ok((false, object));
    }
    check_nodes(txn, stamp, &from, to.as_str())?;
    let before = object.clone();
    let status = status_mut(&mut object);
    status.node = to.to_string();
    let condition = Condition {
        r#type: PLACED.to_owned(),
        status: "True".to_owned(),
        reason: "TakenOver".to_owned(),
        message: reason,
        since_ms: stamp.unix_ms,
    };
    status.conditions.retain(|known| known.r#type != PLACED);
    merge(&mut status.conditions, condition);
    Ok(finish(txn, stamp, &key, &before, object, "placed", emit))
}

/// Who is to run it takes what is new, and who ran it can't any more.
fn check_nodes(store: &dyn Store, stamp: &Stamp, from: &str, to: &str) -> Result<()> {
    let Some(taker) = cluster::member(store, stamp.group, to) else {
        return Err(
            Refusal::new(Code::NotFound, format!("no node {to:?}")).hint("keikoctl node list")
        );
    };
    if taker.admin_state == cluster::DRAINING {
        return refuse(
            Code::NotReadyEntry,
            format!("node {to} is being drained and takes nothing new"),
        );
    }
    let holder = cluster::member(store, stamp.group, from);
    if holder.is_some_and(|holder| holder.down_since_ms == 0) {
        return refuse(Code::NotReadyEntry, format!("node {from} runs it and is not down"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
