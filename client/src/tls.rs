//! The server's certificate: of the expected cluster, or no connection. And ours, if we have one.
//!
//! A server sends its own certificate and that of its CA. With a hash, the CA certificate in the
//! chain must have that hash and then is the one root of trust; with a certificate, that is. What
//! the server thinks of ours it says after the handshake, where the first answer should be: see
//! [`Told`].

use crate::error::{Error, Result, code};
use crate::identity::{Identity, Trust, unusable};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) fn settings(trust: Trust, identity: &Identity) -> Result<ClientConfig> {
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
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match identity.certificate()? {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unusable)?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Turns what TLS says into what a person can act upon.
pub(crate) fn refusal(error: &std::io::Error) -> Option<Error> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match inner {
        rustls::Error::InvalidCertificate(error) if is_of_time(error) => {
            Error::new(code::CERTIFICATE_INVALID, "the server's certificate does not hold now")
                .cause(inner)
                .hint("a node renews it by itself: compare the clocks of both machines")
                .hint("on the node: keikoctl doctor, and its log; a restart makes a new one")
        }
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::new(code::WRONG_CLUSTER, "the server's certificate is not of this cluster")
                .cause(inner)
                .hint("check the endpoint, the token, or the file of --ca")
                .hint("if its CA was changed since, what is of the one before counts no more: ask an admin for a token, keikoctl cluster token create")
        }
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            Error::new(code::KEY_EXCHANGE, "the server takes no key exchange that is offered here")
                .cause(inner)
                .hint("it is told [security] tls = \"require-hybrid\": use a client with X25519MLKEM768, as keikoctl is")
        }
        rustls::Error::AlertReceived(alert) if is_of_certificate(*alert) => refused(inner),
        _ => Error::new(code::UNREACHABLE, "the TLS handshake failed").cause(inner),
    })
}

fn is_of_time(error: &CertificateError) -> bool {
    use CertificateError as E;
    matches!(
        error,
        E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. }
    )
}

/// In front of what the server's TLS said of our certificate. HTTP/2 keeps of an error of its
/// stream only the text.
const REFUSED: &str = "the server refuses this client certificate: ";

fn is_of_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::CertificateRequired
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError
    )
}

fn refused(alert: impl ToString) -> Error {
    Error::new(code::CERTIFICATE_INVALID, "the server refuses this client certificate")
        .cause(alert)
        .hint("see when it ends and of which cluster it is: keikoctl context show")
        .hint("enroll anew: keikoctl context add NAME --replace --endpoint E --token T")
}

/// The refusal in the text of an error, if that is what it is.
pub(crate) fn alert_of(text: &str) -> Option<Error> {
    text.strip_prefix(REFUSED).map(refused)
}

/// A stream that says in its errors what the server's TLS thinks of our certificate.
pub(crate) struct Told<S>(pub(crate) S);

fn told(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) if is_of_certificate(*alert) => {
            io::Error::new(error.kind(), format!("{REFUSED}{error}"))
        }
        _ => error,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Told<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer).map_err(told)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Told<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes).map_err(told)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context).map_err(told)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(context, parts).map_err(told)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        use rustls::Error as E;
        for (error, expect) in [
            (E::InvalidCertificate(CertificateError::UnknownIssuer), code::WRONG_CLUSTER),
            (E::InvalidCertificate(CertificateError::NotValidForName), code::WRONG_CLUSTER),
            (E::InvalidCertificate(CertificateError::Expired), code::CERTIFICATE_INVALID),
            (E::InvalidCertificate(CertificateError::NotValidYet), code::CERTIFICATE_INVALID),
            (E::AlertReceived(AlertDescription::UnknownCA), code::CERTIFICATE_INVALID),
            (E::AlertReceived(AlertDescription::InternalError), code::UNREACHABLE),
        ] {
            let told = refusal(&io::Error::other(error.clone())).unwrap();
            assert_eq!(told.refusal.code, expect, "{error}");
        }
        assert!(refusal(&io::Error::other("no TLS")).is_none());
    }

    #[test]
    fn an_alert_survives_as_text() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let text = told(io::Error::other(alert)).to_string();
        assert_eq!(alert_of(&text).unwrap().refusal.code, code::CERTIFICATE_INVALID);
        let other = rustls::Error::AlertReceived(AlertDescription::CloseNotify);
        for text in
            [told(io::Error::other(other)).to_string(), told(io::Error::other("x")).to_string()]
        {
            assert_eq!(alert_of(&text), None, "{text}");
        }
    }
}
