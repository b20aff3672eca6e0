//! The server's certificate: of the expected cluster, or no connection.
//!
//! A server sends its own certificate and that of its CA. With a hash, the CA certificate in the
//! chain must have that hash and then is the one root of trust; with a certificate, that is.

use crate::error::{Error, Result, code};
use crate::identity::Trust;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

pub(crate) fn settings(trust: Trust) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::new(code::INTERNAL, "TLS 1.3 is not there").cause(error))?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Hash(hash) => Arc::new(ByHash { hash, provider }),
        Trust::Authority(der) => by_authority(&CertificateDer::from(der), &provider)
            .map_err(|error| Error::new(code::INVALID_ARGUMENT, "the CA is bad").cause(error))?,
    };
    // The one place that names it: the verifier above is stricter than the default, not laxer.
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Turns what TLS says into what a person can act upon.
pub(crate) fn refusal(error: &std::io::Error) -> Option<Error> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match inner {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::new(code::WRONG_CLUSTER, "the server's certificate is not of this cluster")
                .cause(inner)
                .hint("check the endpoint, the token, or the file of --ca")
        }
        _ => Error::new(code::UNREACHABLE, "the TLS handshake failed").cause(inner),
    })
}

type Roots = std::result::Result<Arc<WebPkiServerVerifier>, rustls::Error>;

fn by_authority(certificate: &CertificateDer<'_>, provider: &Arc<CryptoProvider>) -> Roots {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned())?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

#[derive(Debug)]
struct ByHash {
    hash: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByHash {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let root = intermediates
            .iter()
            .find(|certificate| *blake3::hash(certificate).as_bytes() == self.hash)
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        by_authority(root, &self.provider)?.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
