//! The node that most cases share. Names are unique per case.

use crate::node::{Node, Plan};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A ready node that ends with the test process. Never kill or stop it.
pub fn shared() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    NODE.get_or_init(|| Node::start(Plan::default()))
}

/// A name that no other case has.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
