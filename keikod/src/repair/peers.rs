//! From members that serve: the node trades a token that names it, and is another one from then on.
//!
//! Its old id is gone by an entry before anything here is moved, so that what it promised under that
//! one, and may have forgotten, binds nobody. It has no vote until it follows the log.

use super::Repaired;
use super::aside::{ALL, set_aside};
use crate::lifecycle::{Listeners, Membership};
use crate::net::NodeKey;
use crate::node::introduction;
use crate::rooms::cluster::Joining;
use crate::settings::{Join, Settings};
use keiko_core::refusal::{Code, Refusal, Result};
use std::path::Path;

/// In the folder of keys.
const KEY: &str = "node.key";

pub(super) fn repair(settings: &Settings, join: &Join) -> Result<Repaired> {
    let data_dir = &settings.data_dir.value;
    let name = &settings.node_name.value;
    if join.token.is_empty() {
        return Err(Refusal::new(Code::InvalidArgument, "a token is missing: --token")
            .hint(format!("on a member that serves: keikoctl node repair {name}")));
    }
    check_name(data_dir, name)?;
    // Held until the end: the members are told these ports.
    let listeners = Listeners::bind(data_dir, *settings.api, *settings.peer, *settings.metrics)?;
    let key = node_key(data_dir)?;
    let (names, node) = introduction(settings, &listeners.addresses, &key);
    let joining = Joining { join, node, names: names.subjects(), key: &key, data_dir };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Refusal::new(Code::Internal, "can't start the runtime").cause(error))?;
    let answer = runtime.block_on(joining.ask())?;
    let set_aside = set_aside(data_dir, ALL)?;
    let Membership { cluster_id, node_id, name, .. } = joining.keep(answer)?;
    Ok(Repaired { node: name, node_id, cluster_id, set_aside, pieces: None })
}

/// Refuses the folder of another node; a note that can't be read says nothing.
fn check_name(data_dir: &Path, name: &str) -> Result<()> {
    match Membership::read(data_dir) {
        Ok(Some(noted)) if noted.name != name => Err(Refusal::new(
            Code::ConfigInvalid,
            format!("this is the folder of node {}, and it was told to be {name}", noted.name),
        )
        .hint(format!("--node-name {}, and a token for that one", noted.name))),
        _ => Ok(()),
    }
}

/// A key that can't be used is worth nothing: the cluster learns the new one.
fn node_key(data_dir: &Path) -> Result<NodeKey> {
    let keys = data_dir.join("keys");
    match NodeKey::open_or_create(&keys) {
        Err(refusal) if refusal.code == Code::KeyMaterial => {
            set_aside(&keys, &[KEY])?;
            NodeKey::open_or_create(&keys)
        }
        opened => opened,
    }
}
