//! What the daemon tells systemd: `sd_notify` over the datagram socket that it names.
//!
//! Silent where nobody listens. Never: fails the daemon because of it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// systemd's queue is short; a message that waits longer is lost.
const SEND_DEADLINE: Duration = Duration::from_secs(1);

/// The way to the service manager.
#[derive(Debug)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn from_env() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return Self::nobody() };
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| ours).map(Duration::from_micros);
        Self::to(&address, watchdog).unwrap_or_else(|error| {
            tracing::warn!(%error, "NOTIFY_SOCKET can't be used; systemd is not told");
            Self::nobody()
        })
    }

    fn nobody() -> Self {
        Self { socket: None, watchdog: None }
    }

    /// `/path`, or `@name` for one without a file.
    fn to(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_DEADLINE))?;
        socket.connect_addr(&address)?;
        Ok(Self { socket: Some(socket), watchdog })
    }

    /// The daemon can be talked to. With a data folder that holds no cluster yet this is said
    /// too, as only who can talk to it can found one; the status then says what is missing.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// The configuration is being read again; [`Notify::ready`] ends it.
    pub fn reloading(&self) {
        self.send("RELOADING=1\nSTATUS=reading the configuration again");
    }

    /// The daemon is on its way out.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=finishing what is under way");
    }

    /// Feeds the watchdog at half its interval for as long as `alive` says so, until the
    /// shutdown has come to its end; ends at once where there is no watchdog.
    pub async fn feed(&self, alive: impl Fn() -> bool, shutdown: CancellationToken) {
        let Some(interval) = self.watchdog.filter(|interval| !interval.is_zero()) else { return };
        let mut feed = tokio::time::interval(interval / 2);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = feed.tick() => {}
            }
            if alive() {
                self.send("WATCHDOG=1");
            }
        }
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, "systemd did not take a message");
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// A line break would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let length = listener.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn tells_over_a_path() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::to(path.as_os_str(), None).unwrap();
        notify.ready("waiting\nREADY=0");
        assert_eq!(heard(&listener), "READY=1\nSTATUS=waiting READY=0");
        notify.stopping();
        assert!(heard(&listener).starts_with("STOPPING=1\n"));
        drop(listener);
        notify.ready("nobody hears it, and nothing fails");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn feeds_the_watchdog_while_alive() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("keiko-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let interval = Some(Duration::from_millis(10));
        let notify = Notify::to(OsStr::new(&format!("@{name}")), interval).unwrap();
        let shutdown = CancellationToken::new();
        let beats = std::cell::Cell::new(0);
        let alive = || {
            beats.set(beats.get() + 1);
            if beats.get() == 3 {
                shutdown.cancel();
            }
            beats.get() != 2
        };
        notify.feed(alive, shutdown.clone()).await;
        assert_eq!(
            (heard(&listener), heard(&listener)),
            ("WATCHDOG=1".into(), "WATCHDOG=1".into())
        );
        listener.set_nonblocking(true).unwrap();
        assert!(listener.recv(&mut [0; 16]).is_err(), "the beat without life is not sent");
    }
}
