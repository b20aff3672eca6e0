//! Renews the node's certificate at half of its life, without a restart.

use super::authority::{Authority, NODE_LIFE};
use super::certificate::{Certificates, Names};
use keiko_core::refusal::Result;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// Looked at often and by the wall clock: a machine that slept notices within this.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Keeps what a node shows young.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Who signs.
    pub authority: Arc<Authority>,
    /// What is swapped.
    pub certificates: Arc<Certificates>,
    /// What the certificate says.
    pub names: Names,
}

impl Renewal {
    /// Shows a fresh certificate now; called at founding and at every start.
    pub fn renew(&self) -> Result<()> {
        self.certificates.show(self.authority.issue_node(&self.names)?)
    }

    /// Renews until shutdown. A failure is logged and tried again: half of the life is left.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            if !self.is_due(SystemTime::now()) {
                continue;
            }
            match self.renew() {
                Ok(()) => {
                    tracing::info!(node = self.names.node(), "renewed the node's certificate");
                }
                Err(refusal) => tracing::error!(%refusal, "can't renew the node's certificate"),
            }
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        let other_ca = self.certificates.ca_hash().as_deref() != Some(self.authority.ca_hash());
        // A clock that went back makes a certificate of the future: nobody here would accept it.
        other_ca || self.certificates.age(now).is_none_or(|age| age >= NODE_LIFE / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::NodeCertificate;
    use super::super::seal::Keys;
    use super::*;

    #[test]
    fn due_at_half_life_and_after_founding() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(&folder.path().join("keys")).unwrap();
        let (stored, _) = Authority::create("c-1", &keys).unwrap();
        let authority = Arc::new(Authority::open(&stored, &keys).unwrap());
        let names = Names::new("n1", []);
        let certificates = Certificates::new(NodeCertificate::ephemeral(&names).unwrap()).unwrap();
        let renewal = Renewal { authority, certificates, names };
        let now = SystemTime::now();
        assert!(renewal.is_due(now), "an ephemeral certificate is replaced at once");
        renewal.renew().unwrap();
        let now = SystemTime::now();
        assert!(!renewal.is_due(now));
        assert!(renewal.is_due(now - NODE_LIFE), "the clock went back");
        assert!(!renewal.is_due(now + NODE_LIFE / 3));
        assert!(renewal.is_due(now + NODE_LIFE / 2 + Duration::from_secs(1)));
    }
}
