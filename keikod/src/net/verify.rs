//! Whose certificate counts in a handshake, in both directions.
//!
//! Rustls asks of a server whether its host's name is in the certificate, and of a client whether
//! its certificate holds now. Here a node is its SPIFFE id, which who dials compares; and a client
//! whose certificate expired gets through the handshake, because only after it can it be told so,
//! and because it is all that a node has to ask for the next one with.
//!
//! Between members there is more: a member is known by its key, which is pinned in the members' table.
//! A certificate for that key counts whichever CA signed it, so that one that was away while the CA
//! was changed comes back; one for another key counts for no member, whoever signed it. Where no key
//! is known yet (somebody just joined), the CA decides.
//!
//! Invariants: nothing counts that neither a CA that counts nor a pinned key stands for; who lets a
//! client in asks itself whether the certificate still holds.

use super::authority::hash_of;
use super::certificate::Certificates;
use super::spiffe::{Claim, Subject};
use super::tls;
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::fmt::Debug;
use std::sync::Arc;

type Checked<T> = std::result::Result<T, rustls::Error>;

/// By which key a member is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// Nothing is known of such a member; it may have joined since.
    Unknown,
    /// BLAKE3 of its public key, hex.
    Key(String),
    /// It is no member, or no longer.
    Gone,
}

/// Where the keys of members are pinned.
pub trait Pins: Debug + Send + Sync + 'static {
    /// By which key the node of this name is known.
    fn pin(&self, name: &str) -> Pinned;
}

/// Who counts as a node of this cluster.
#[derive(Clone, Debug)]
pub(super) struct Members {
    /// Which CAs count stands behind what is shown.
    pub(super) certificates: Arc<Certificates>,
    pub(super) pins: Arc<dyn Pins>,
    pub(super) cluster_id: Arc<str>,
}

impl Members {
    fn roots(&self) -> Arc<RootCertStore> {
        let none = || Arc::new(RootCertStore::empty());
        self.certificates.trust().map_or_else(none, |trust| Arc::clone(&trust.roots))
    }

    /// What the pinned key makes of what the CA said.
    fn judge(&self, leaf: &CertificateDer<'_>, signed: Checked<()>) -> Checked<()> {
        let Ok(Claim { subject: Subject::Node(name), cluster_id, key_hash, .. }) = Claim::of(leaf)
        else {
            return signed;
        };
        if *cluster_id != *self.cluster_id {
            return signed;
        }
        match (self.pins.pin(&name), signed) {
            (Pinned::Key(pinned), _) if pinned != key_hash => Err(
                rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure),
            ),
            (Pinned::Key(_), Err(rustls::Error::InvalidCertificate(why))) if is_of_signer(&why) => {
                Ok(())
            }
            (_, signed) => signed,
        }
    }
}

/// Takes a server that may be believed; who it is, is asked afterwards.
#[derive(Debug)]
pub(super) enum Servers {
    /// A member.
    Members(Members),
    /// The CA is the one of the chain with this hash: for a node that knows no more.
    Hashed(String),
}

impl Servers {
    fn roots(&self, chain: &[CertificateDer<'_>]) -> Checked<Arc<RootCertStore>> {
        let hash = match self {
            Self::Members(members) => return Ok(members.roots()),
            Self::Hashed(hash) => hash,
        };
        let ca = chain.iter().find(|certificate| hash_of(certificate) == *hash);
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let mut roots = RootCertStore::empty();
        roots.add(ca.ok_or_else(unknown)?.clone().into_owned())?;
        Ok(Arc::new(roots))
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Checked<ServerCertVerified> {
        let roots = self.roots(intermediates)?;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots,
            intermediates,
            now,
            tls::provider().signature_verification_algorithms.all,
        );
        match self {
            Self::Hashed(_) => signed?,
            Self::Members(members) => members.judge(end_entity, signed)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Checked<HandshakeSignatureValid> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Checked<HandshakeSignatureValid> {
        let algorithms = &tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Takes a client that the CA signed for, also one whose certificate expired since. All but that is
/// left to rustls.
#[derive(Debug)]
pub(super) struct Clients(Arc<dyn ClientCertVerifier>);

impl Clients {
    /// Where showing one is `optional`, who shows none gets through, too.
    pub(super) fn of(
        roots: Arc<RootCertStore>,
        optional: bool,
    ) -> Result<Arc<dyn ClientCertVerifier>> {
        let strict = WebPkiClientVerifier::builder_with_provider(roots, tls::provider());
        let strict = if optional { strict.allow_unauthenticated() } else { strict };
        let strict = strict.build().map_err(|error| {
            Refusal::new(Code::KeyMaterial, "the cluster's CA can't be used").cause(error)
        })?;
        Ok(Arc::new(Self(strict)))
    }
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Checked<ClientCertVerified> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now);
        match verified {
            // As in its last second: everything else about it must be right.
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after,
                ..
            })) => self.0.verify_client_cert(end_entity, intermediates, not_after),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Checked<HandshakeSignatureValid> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Checked<HandshakeSignatureValid> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes a client that is a member, also one whose certificate expired.
#[derive(Debug)]
pub(super) struct MemberClients(pub(super) Members);

impl ClientCertVerifier for MemberClients {
    /// None: a node has one certificate, and shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Checked<ClientCertVerified> {
        let general = |refusal: Refusal| rustls::Error::General(refusal.to_string());
        let by_authority = Clients::of(self.0.roots(), false).map_err(general)?;
        let signed = by_authority.verify_client_cert(end_entity, intermediates, now);
        self.0.judge(end_entity, signed.map(drop))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Checked<HandshakeSignatureValid> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Checked<HandshakeSignatureValid> {
        let algorithms = &tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// True if all that is wrong is who signed.
fn is_of_signer(why: &CertificateError) -> bool {
    matches!(why, CertificateError::UnknownIssuer | CertificateError::BadSignature)
}

/// True if the certificate is right but for the clock.
pub(super) fn is_of_time(why: &CertificateError) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(why, Expired | NotValidYet | ExpiredContext { .. } | NotValidYetContext { .. })
}
