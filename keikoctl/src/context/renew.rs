//! Renews a context's certificate at the next command once less than half of its life is left, or when
//! the server shows that the cluster's CA is being changed.
//!
//! Nothing of it is an error while the certificate holds: a command does what it was typed for, and
//! the next one tries again, at most once an hour, or while the CA is changed every five seconds. The
//! key stays.

use super::Way;
use super::file;
use crate::print::Printer;
use keiko_client::{Badge, Client, Identity};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const EVERY: Duration = Duration::from_secs(3600);
/// The same while the CA is changed: for some moments the next one does not sign people yet.
const TURNING_EVERY: Duration = Duration::from_secs(5);
/// A command is not held up for longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A certificate that may be renewed now.
pub(crate) struct Renewal {
    /// Its time has come.
    pub is_due: bool,
    certificate: PathBuf,
    ca: Option<PathBuf>,
    /// Its age says when it was tried last.
    mark: PathBuf,
}

impl Renewal {
    /// The certificate of the way's context, if it holds and was not tried lately.
    pub(crate) fn of(way: &Way) -> Option<Self> {
        let certificate = way.context.certificate.clone()?;
        let pem = std::fs::read_to_string(&certificate).ok()?;
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let badge = Badge::read(&pem).ok()?;
        if badge.expires_ms <= now_ms {
            return None;
        }
        let is_due = badge.is_due(now_ms);
        let mark = certificate.with_extension("tried");
        let age = age(&mark, now);
        let is_due = is_due && age.is_none_or(|age| age >= EVERY);
        let is_fresh = age.is_some_and(|age| age < TURNING_EVERY);
        (!is_fresh).then(|| Self { is_due, certificate, ca: way.context.ca.clone(), mark })
    }

    /// Asks for the next one, as whoever has this one.
    pub(crate) async fn run(self, client: &Client, identity: &Identity, printer: &Printer) {
        let Identity::Certificate { key_pem, .. } = identity else { return };
        // Where nothing can be kept, nothing is asked for.
        if let Err(error) = file::write(&self.mark, b"") {
            return printer.detail(&format!("the certificate is not renewed: {error}"));
        }
        let renewed = match client.within(PATIENCE).renew(key_pem).await {
            Ok(renewed) => renewed,
            Err(error) => {
                return printer.detail(&format!("the certificate is not renewed: {error}"));
            }
        };
        let kept = file::write(&self.certificate, renewed.chain_pem.as_bytes());
        let kept = kept.and_then(|()| match &self.ca {
            Some(ca) if is_beside(ca, &self.certificate) => {
                file::write(ca, renewed.ca_pem.as_bytes())
            }
            _ => Ok(()),
        });
        match kept {
            Ok(()) => printer.detail("the certificate was renewed"),
            Err(error) => printer.detail(&format!("the certificate can't be kept: {error}")),
        }
    }
}

/// Only the CA that was kept with the certificate is ours to replace.
fn is_beside(ca: &Path, certificate: &Path) -> bool {
    certificate.with_extension("ca.pem") == ca
}

fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    let modified = path.metadata().ok()?.modified().ok()?;
    // One of the future counts as old: it would hold the renewal up for ever.
    now.duration_since(modified).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_the_future_holds_nothing_up() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let now = SystemTime::now();
        assert!(age(file.path(), now + EVERY / 2).is_some_and(|age| age < EVERY));
        assert!(age(file.path(), now + EVERY * 2).is_some_and(|age| age >= EVERY));
        assert_eq!(age(file.path(), now - EVERY), None);
        assert_eq!(age(Path::new("/nowhere/at/all"), now), None);
    }

    #[test]
    fn the_ca_of_the_user_is_not_touched() {
        let certificate = Path::new("/c/prod.pem");
        assert!(is_beside(Path::new("/c/prod.ca.pem"), certificate));
        assert!(!is_beside(Path::new("/etc/ca.pem"), certificate));
    }
}
