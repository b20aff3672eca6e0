//! Renews the node's certificate at half of its life, without a restart.

use super::authority::Authority;
use super::certificate::{Certificates, Names, NodeCertificate};
use super::file;
use super::node_key::NodeKey;
use keiko_core::refusal::{Code, Refusal, Result};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// Looked at often and by the wall clock: a machine that slept notices within this.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// What a voter may take to sign.
const SIGN_DEADLINE: Duration = Duration::from_secs(30);

/// Asks a voter for a certificate.
#[tonic::async_trait]
pub trait RenewBy: Send + Sync + 'static {
    /// The chain in PEM, for a request in PKCS #10; `names` are the addresses and names by which
    /// the node is reached.
    async fn renew(&self, csr: Vec<u8>, names: Vec<String>) -> Result<String>;
}

/// Who signs.
#[derive(Clone)]
pub enum Signer {
    /// This node, with the cluster's authority.
    Own(Arc<Authority>),
    /// A voter: a learner holds no authority.
    Remote(Arc<dyn RenewBy>),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(authority) => f.debug_tuple("Own").field(authority).finish(),
            Self::Remote(_) => f.debug_tuple("Remote").finish(),
        }
    }
}

/// Keeps what a node shows young.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Who signs.
    pub signer: Signer,
    /// What is swapped.
    pub certificates: Arc<Certificates>,
    /// What the certificate says.
    pub names: Names,
    /// The key that it is for.
    pub key: Arc<NodeKey>,
    /// Where a chain that others signed is kept for the next start: `D/node.pem`.
    pub keep: Option<PathBuf>,
}

impl Renewal {
    /// Shows a fresh certificate now.
    pub async fn renew(&self) -> Result<()> {
        let certificate = match &self.signer {
            Signer::Own(authority) => authority.issue_node(&self.names, &self.key)?,
            Signer::Remote(voters) => {
                let asked = voters.renew(self.key.csr()?, self.names.subjects());
                let pem = tokio::time::timeout(SIGN_DEADLINE, asked).await.map_err(|_| {
                    let text = format!("no voter signed within {} s", SIGN_DEADLINE.as_secs());
                    Refusal::new(Code::DeadlineExceeded, text)
                })??;
                let certificate = NodeCertificate::from_stored(&pem, &self.key)?;
                if let Some(path) = &self.keep {
                    file::write(path, pem.as_bytes(), 0o644)?;
                }
                certificate
            }
        };
        self.certificates.show(certificate)
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
            let renewed = tokio::select! {
                () = shutdown.cancelled() => return,
                renewed = self.renew() => renewed,
            };
            match renewed {
                Ok(()) => {
                    tracing::info!(node = self.names.node(), "renewed the node's certificate");
                }
                Err(refusal) => tracing::error!(
                    causes = ?refusal.causes, "can't renew the node's certificate: {refusal}"
                ),
            }
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        let shown = self.certificates.ca_hash();
        let other_ca = match &self.signer {
            Signer::Own(authority) => shown.as_deref() != Some(authority.ca_hash()),
            Signer::Remote(_) => shown.is_none(),
        };
        other_ca || self.certificates.is_old(now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::authority::NODE_LIFE;
    use super::super::seal::Keys;
    use super::*;

    fn renewal(folder: &std::path::Path) -> (Renewal, Arc<Authority>) {
        let keys = Keys::open(&folder.join("keys")).unwrap();
        let (stored, _) = Authority::create("c-1", &keys).unwrap();
        let authority = Arc::new(Authority::open(&stored, &keys).unwrap());
        let names = Names::new("n1", []);
        let certificates = Certificates::new(NodeCertificate::ephemeral(&names).unwrap()).unwrap();
        let key = Arc::new(NodeKey::open_or_create(&folder.join("keys")).unwrap());
        let signer = Signer::Own(Arc::clone(&authority));
        (Renewal { signer, certificates, names, key, keep: None }, authority)
    }

    #[tokio::test]
    async fn due_at_half_life_and_after_founding() {
        let folder = tempfile::tempdir().unwrap();
        let (renewal, _) = renewal(folder.path());
        let now = SystemTime::now();
        assert!(renewal.is_due(now), "an ephemeral certificate is replaced at once");
        renewal.renew().await.unwrap();
        let now = SystemTime::now();
        assert!(!renewal.is_due(now));
        assert!(renewal.is_due(now - NODE_LIFE), "the clock went back");
        assert!(!renewal.is_due(now + NODE_LIFE / 3));
        assert!(renewal.is_due(now + NODE_LIFE / 2 + Duration::from_secs(1)));
        let left = renewal.certificates.expires().duration_since(now).unwrap();
        assert!(left <= NODE_LIFE && left > NODE_LIFE - Duration::from_secs(60), "{left:?}");
    }

    struct Voter(Arc<Authority>);

    #[tonic::async_trait]
    impl RenewBy for Voter {
        async fn renew(&self, csr: Vec<u8>, names: Vec<String>) -> Result<String> {
            Ok(self.0.sign_node(&csr, "n1", &names)?.pem_chain)
        }
    }

    #[tokio::test]
    async fn a_learner_is_signed_for_and_keeps_what_it_got() {
        let folder = tempfile::tempdir().unwrap();
        let (own, authority) = renewal(folder.path());
        let keep = folder.path().join("node.pem");
        let signer = Signer::Remote(Arc::new(Voter(Arc::clone(&authority))));
        let renewal = Renewal { signer, keep: Some(keep.clone()), ..own };
        assert!(renewal.is_due(SystemTime::now()));
        renewal.renew().await.unwrap();
        assert!(!renewal.is_due(SystemTime::now()));
        assert_eq!(renewal.certificates.ca_hash().as_deref(), Some(authority.ca_hash()));
        let kept = std::fs::read_to_string(keep).unwrap();
        let kept = NodeCertificate::from_stored(&kept, &renewal.key).unwrap();
        assert_eq!(kept.expires(), renewal.certificates.expires());
    }
}
