//! Renews the node's certificate at half of its life, and when another CA is to sign it or other CAs
//! are to stand behind it, without a restart. One that expired while the
//! node was away is shown all the same: voters renew it, and do nothing else for who shows it.

use super::authority::Authority;
use super::certificate::{Certificates, Names, NodeCertificate};
use super::file;
use super::node_key::NodeKey;
use keiko_core::refusal::{Code, Refusal, Result};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Looked at often and by the wall clock: a machine that slept notices within this.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The same after a failure with one that expired: until it is renewed, peers do nothing else for
/// this node.
const EXPIRED_EVERY: Duration = Duration::from_secs(5);
/// The same after a failure while the CA is changed: others wait for this node.
const TURNING_EVERY: Duration = Duration::from_secs(1);
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
pub struct Signer {
    /// This node itself, as soon as it holds the cluster's authority.
    pub own: watch::Receiver<Option<Arc<Authority>>>,
    /// BLAKE3 of the CAs that are to stand behind the leaf, hex, that of its signer first; empty:
    /// not known here.
    pub wanted: watch::Receiver<Vec<String>>,
    /// Until then a voter.
    pub voters: Arc<dyn RenewBy>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("own", &self.own).finish_non_exhaustive()
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
    /// Where the chain is kept for the next start: `D/node.pem`.
    pub keep: Option<PathBuf>,
}

impl Renewal {
    /// Shows a fresh certificate now.
    pub async fn renew(&self) -> Result<()> {
        let own = self.signer.own.borrow().clone();
        let certificate = match own {
            Some(authority) => authority.issue_node(&self.names, &self.key)?,
            None => {
                let asked = self.signer.voters.renew(self.key.csr()?, self.names.subjects());
                let pem = tokio::time::timeout(SIGN_DEADLINE, asked).await.map_err(|_| {
                    let text = format!("no voter signed within {} s", SIGN_DEADLINE.as_secs());
                    Refusal::new(Code::DeadlineExceeded, text)
                })??;
                NodeCertificate::from_stored(&pem, &self.key)?
            }
        };
        // Also of who signs: at its next start it may lack the key of a CA that came meanwhile.
        if let Some(path) = &self.keep {
            file::write(path, certificate.pem().as_bytes(), 0o644)?;
        }
        self.certificates.show(certificate)
    }

    /// Renews until shutdown. A failure is logged and tried again: as a rule half of the life is
    /// left.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut own, mut wanted) = (self.signer.own.clone(), self.signer.wanted.clone());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
                () = changed(&mut own) => {}
                () = changed(&mut wanted) => {}
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
                Err(refusal) => {
                    tracing::error!(
                        causes = ?refusal.causes, "can't renew the node's certificate: {refusal}"
                    );
                    if self.certificates.expires() <= SystemTime::now() {
                        look.reset_after(EXPIRED_EVERY);
                    }
                }
            }
            // A voter may not be that far itself.
            if self.is_turning() {
                look.reset_after(TURNING_EVERY);
            }
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.is_turning() || self.certificates.is_old(now)
    }

    /// True if other CAs are to stand behind the leaf than do.
    fn is_turning(&self) -> bool {
        let shown = self.certificates.ca_hashes();
        let wanted = match self.signer.own.borrow().as_ref() {
            Some(authority) => authority.bundle().hashes(),
            None => self.signer.wanted.borrow().clone(),
        };
        if wanted.is_empty() { shown.is_empty() } else { wanted != shown }
    }
}

/// Returns at the next value; never, if there is to be none.
async fn changed<T>(values: &mut watch::Receiver<T>) {
    if values.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
impl Signer {
    /// This node, and nobody else.
    pub(super) fn of(authority: Arc<Authority>) -> Self {
        let own = watch::Sender::new(Some(authority)).subscribe();
        Self { own, wanted: watch::Sender::new(Vec::new()).subscribe(), voters: Arc::new(Nobody) }
    }

    /// Somebody else.
    fn remote(voters: impl RenewBy) -> Self {
        let own = watch::Sender::new(None).subscribe();
        Self { own, wanted: watch::Sender::new(Vec::new()).subscribe(), voters: Arc::new(voters) }
    }
}

#[cfg(test)]
struct Nobody;

#[cfg(test)]
#[tonic::async_trait]
impl RenewBy for Nobody {
    async fn renew(&self, _csr: Vec<u8>, _names: Vec<String>) -> Result<String> {
        Err(Refusal::new(Code::PeerUnreachable, "there is nobody else"))
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
        let signer = Signer::of(Arc::clone(&authority));
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
    async fn one_that_expired_is_shown_and_renewed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (own, authority) = renewal(folder.path());
        let then = SystemTime::now() - 3 * NODE_LIFE;
        own.certificates
            .show(authority.issue_node_at(&own.names, &own.key, then).unwrap())
            .unwrap();
        let signer = Signer::remote(Voter(authority));
        let renewal = Renewal { signer, keep: Some(folder.path().join("node.pem")), ..own };
        let certificates = Arc::clone(&renewal.certificates);
        assert!(certificates.expires() < SystemTime::now());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(renewal.run(shutdown.clone()));
        let renewed = async {
            while certificates.expires() < SystemTime::now() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), renewed).await.expect("renewed by then");
        shutdown.cancel();
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_learner_is_signed_for_and_keeps_what_it_got() {
        let folder = tempfile::tempdir().unwrap();
        let (own, authority) = renewal(folder.path());
        let keep = folder.path().join("node.pem");
        let signer = Signer::remote(Voter(Arc::clone(&authority)));
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
