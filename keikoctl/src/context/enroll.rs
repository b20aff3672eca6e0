//! Trades a token for a client certificate when a context is added, and keeps both of its halves.
//!
//! `certs/NAME.key`, `certs/NAME.pem` and `certs/NAME.ca.pem` beside the file of contexts, for their
//! owner only. A token that is not traded stays what it is: it is shown at each call.

use super::file::{self, Context};
use crate::fault::Outcome;
use keiko_client::{Endpoint, Enrolled, Identity, Settings, Trust, code, enroll};
use keiko_core::refusal::{Code, Refusal, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What became of a token.
pub(super) enum Traded {
    /// It was traded.
    For(Box<Enrolled>),
    /// It is one that is shown at each call.
    Bearer,
    /// Nobody answered who could say.
    Unanswered(keiko_client::Error),
}

/// Where a certificate's halves are kept.
pub(super) struct Place {
    pub key: PathBuf,
    pub certificate: PathBuf,
    pub ca: PathBuf,
    /// Left by an attempt to renew it.
    mark: PathBuf,
}

impl Place {
    /// Of the context of this name, beside the file of contexts.
    pub(super) fn of(config: &Path, name: &str) -> Self {
        let folder = config.with_file_name("certs");
        let path = |end: &str| folder.join(format!("{name}.{end}"));
        let (key, certificate) = (path("key"), path("pem"));
        Self { key, certificate, ca: path("ca.pem"), mark: path("tried") }
    }

    /// Writes all three. The key comes first: without it the others are of no use.
    pub(super) fn keep(&self, enrolled: &Enrolled) -> Result<()> {
        let folder = self.key.parent().unwrap_or_else(|| Path::new("."));
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |error: std::io::Error| file::invalid(&path, "can't be written").cause(error)
        };
        file::make_private(folder).map_err(unwritable(folder))?;
        for (path, text) in [
            (&self.key, &enrolled.key_pem),
            (&self.certificate, &enrolled.chain_pem),
            (&self.ca, &enrolled.ca_pem),
        ] {
            file::write(path, text.as_bytes()).map_err(unwritable(path))?;
        }
        Ok(())
    }

    /// True if it is this context's certificate that is kept here.
    pub(super) fn is_of(&self, context: &Context) -> bool {
        context.certificate.as_ref() == Some(&self.certificate)
    }

    /// What stays behind is of no use to others; the first thing that can't be removed is told.
    pub(super) fn remove(&self) -> std::io::Result<()> {
        let files = [&self.key, &self.certificate, &self.ca, &self.mark];
        let removed = files.map(|path| match std::fs::remove_file(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        });
        removed.into_iter().collect()
    }
}

/// Asks the cluster to trade the token, if it is one for that.
pub(super) fn trade(
    endpoint: &Endpoint,
    token: &Identity,
    trust: Option<Trust>,
    timeout: Duration,
) -> Outcome<Traded> {
    let (endpoint, identity) = (endpoint.clone(), token.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Refusal::new(Code::Internal, "the runtime does not start").cause(error))?;
    let settings = Settings { endpoint, identity, trust, timeout, fence: None };
    match runtime.block_on(enroll(settings)) {
        Ok(enrolled) => Ok(Traded::For(Box::new(enrolled))),
        Err(error) => match error.refusal.code {
            // An older release trades nothing.
            code::INVALID_ARGUMENT | code::UNKNOWN_METHOD => Ok(Traded::Bearer),
            code::UNREACHABLE | code::DEADLINE_EXCEEDED | code::NOT_READY => {
                Ok(Traded::Unanswered(error))
            }
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn kept_for_the_owner_and_removed_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("keiko/config.toml");
        let place = Place::of(&config, "prod");
        let enrolled = Enrolled {
            key_pem: "key".into(),
            chain_pem: "chain".into(),
            ca_pem: "ca".into(),
            name: "ann".into(),
            role: "viewer".into(),
            scope: String::new(),
            expires_ms: 1,
            cluster_id: "c".into(),
        };
        place.keep(&enrolled).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(place.key.parent().unwrap()), 0o700);
        for (path, text) in [(&place.key, "key"), (&place.certificate, "chain"), (&place.ca, "ca")]
        {
            assert_eq!((mode(path), fs::read_to_string(path).unwrap().as_str()), (0o600, text));
        }
        let context =
            Context { certificate: Some(place.certificate.clone()), ..Context::default() };
        assert!(place.is_of(&context) && !Place::of(&config, "other").is_of(&context));
        place.remove().unwrap();
        place.remove().unwrap();
        assert_eq!(fs::read_dir(place.key.parent().unwrap()).unwrap().count(), 0);
    }
}
