//! Names become addresses here, and only judged addresses leave.

use crate::outbound::egress::Policy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;
use std::sync::Arc;

/// The resolver of one port: rules may name ports, and reqwest tells a resolver the name only.
pub(super) struct Vetted {
    pub policy: Arc<Policy>,
    pub port: u16,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, port) = (self.policy.clone(), self.port);
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            let mut refused = None;
            let mut admitted = Vec::with_capacity(found.len());
            for address in found {
                match policy.admit(Some(host), address.ip(), port) {
                    Ok(()) => admitted.push(address),
                    Err(refusal) => refused = Some(refusal),
                }
            }
            match refused {
                Some(refusal) if admitted.is_empty() => Err(refusal.into()),
                _ => Ok(Box::new(admitted.into_iter()) as Addrs),
            }
        })
    }
}
