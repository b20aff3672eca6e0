//! The listeners of a node and where they were last time.
//!
//! Keeps `addresses.json` in the data folder. Port 0 is chosen once: the next start takes the
//! same port again, so that clients and peers find the node where it was; only where somebody else
//! has it by then, a new one is chosen.
//!
//! Invariants: the file holds what was really bound, and a checksum of it; what fails that is never
//! served, but warned of and chosen anew. A port that the owner named is never exchanged for
//! another. Never: waits for a port.

use keiko_core::refusal::{Code, Refusal, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE_NAME: &str = "addresses.json";
/// Three addresses with their names are under 300 bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// Where the listeners are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The API.
    pub api: SocketAddr,
    /// Other nodes. A file without one is of before there were any.
    #[serde(default = "nowhere")]
    pub peer: SocketAddr,
    /// `/metrics` on loopback.
    pub metrics: SocketAddr,
}

/// A port that is never chosen again, because nothing can listen on it.
const fn nowhere() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0)
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Noted {
    #[serde(flatten)]
    addresses: Addresses,
    /// Of both addresses. A flipped bit in a port leaves a good address, of somebody else. A file
    /// without one is of before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc32c: Option<u32>,
}

/// Bound and non-blocking, as tokio wants them.
#[derive(Debug)]
pub struct Listeners {
    /// The API.
    pub api: TcpListener,
    /// Other nodes.
    pub peer: TcpListener,
    /// `/metrics` on loopback.
    pub metrics: TcpListener,
    /// Where they are.
    pub addresses: Addresses,
}

impl Addresses {
    /// Where the last daemon of this data folder was, if that is known.
    pub fn read(data_dir: &Path) -> Option<Self> {
        let path = data_dir.join(FILE_NAME);
        let read = File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
        });
        let noted = match read {
            Ok(bytes) => Self::parse(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
        };
        let warn = |cause: &String| {
            tracing::warn!(
                file = %path.display(), %cause,
                "the last ports are not known: where any would do, new ones are chosen"
            );
        };
        noted.inspect_err(warn).ok()
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let noted: Noted = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match noted.crc32c {
            Some(sum) if sum != noted.addresses.checksum() => {
                Err("it fails its checksum".to_owned())
            }
            Some(_) | None => Ok(noted.addresses),
        }
    }

    fn checksum(&self) -> u32 {
        let text = match self.peer == nowhere() {
            true => format!("{} {}", self.api, self.metrics),
            false => format!("{} {} {}", self.api, self.peer, self.metrics),
        };
        crc32c::crc32c(text.as_bytes())
    }

    /// Replaces the file as a whole, so that a power cut leaves this one or the one before.
    fn write(self, data_dir: &Path) -> std::io::Result<()> {
        let (path, draft) = (data_dir.join(FILE_NAME), data_dir.join("addresses.json.new"));
        let noted = Noted { addresses: self, crc32c: Some(self.checksum()) };
        let mut text = serde_json::to_string_pretty(&noted)?;
        text.push('\n');
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(draft, path)?;
        File::open(data_dir)?.sync_all()
    }
}

impl Listeners {
    /// Binds all three and notes where. The data folder must be this process's own.
    ///
    /// # Errors
    /// [`Code::PortInUse`] for a port that was named and is taken; [`Code::InvalidArgument`] for
    /// an address that is not of this machine or may not be used.
    pub fn bind(
        data_dir: &Path,
        api: SocketAddr,
        peer: SocketAddr,
        metrics: SocketAddr,
    ) -> Result<Self> {
        let last = Addresses::read(data_dir);
        let api = again("--listen", api, last.map(|last| last.api))?;
        let peer = again("--listen-peer", peer, last.map(|last| last.peer))?;
        let metrics = again("--metrics-listen", metrics, last.map(|last| last.metrics))?;
        let addresses = Addresses {
            api: local("--listen", &api)?,
            peer: local("--listen-peer", &peer)?,
            metrics: local("--metrics-listen", &metrics)?,
        };
        if last != Some(addresses)
            && let Err(error) = addresses.write(data_dir)
        {
            // A full disk: the node is where it says it is, only the next start may choose anew.
            tracing::warn!(%error, "the ports can't be noted for the next start");
        }
        Ok(Self { api, peer, metrics, addresses })
    }
}

/// The last port where any would do, and any where the last one is taken.
fn again(flag: &str, wanted: SocketAddr, last: Option<SocketAddr>) -> Result<TcpListener> {
    let same = |last: &SocketAddr| last.ip() == wanted.ip() && last.port() != 0;
    let last = last.filter(|last| wanted.port() == 0 && same(last));
    match last.map(|last| listen(flag, last)) {
        Some(Ok(listener)) => Ok(listener),
        Some(Err(refusal)) => {
            tracing::warn!(%refusal, "the last port is taken; a new one is chosen");
            listen(flag, wanted)
        }
        None => listen(flag, wanted),
    }
}

/// One bound listener; `flag` is named where that fails.
///
/// # Errors
/// As [`Listeners::bind`].
pub fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| {
        let port = address.port();
        let refusal = match error.kind() {
            ErrorKind::AddrInUse => Refusal::new(Code::PortInUse, format!("port {port} is in use"))
                .hint(format!("see who has it: ss -ltnp 'sport = :{port}'")),
            ErrorKind::PermissionDenied => {
                Refusal::new(Code::InvalidArgument, format!("port {port} may not be used"))
            }
            _ => Refusal::new(Code::InvalidArgument, format!("can't listen on {address}")),
        };
        refusal.cause(format!("{address}: {error}")).hint(format!(
            "choose another with {flag} {}:PORT; port 0 takes any",
            shown_ip(address)
        ))
    })
}

fn local(flag: &str, listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(|error| {
        Refusal::new(Code::Internal, format!("the listener of {flag} has no address")).cause(error)
    })
}

fn shown_ip(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    fn any() -> SocketAddr {
        ANY.parse().unwrap()
    }

    #[test]
    fn port_0_is_chosen_once_and_taken_again() {
        let place = tempfile::tempdir().unwrap();
        let first = Listeners::bind(place.path(), any(), any(), any()).unwrap().addresses;
        assert_eq!(Addresses::read(place.path()), Some(first));
        let second = Listeners::bind(place.path(), any(), any(), any()).unwrap();
        assert_eq!(second.addresses, first);
        // Occupied: only that one is chosen anew, and noted.
        drop(second);
        let occupied = TcpListener::bind(first.api).unwrap();
        let third = Listeners::bind(place.path(), any(), any(), any()).unwrap().addresses;
        assert_ne!(third.api, first.api);
        assert_eq!(third.metrics, first.metrics);
        assert_eq!(Addresses::read(place.path()), Some(third));
        drop(occupied);
    }

    #[test]
    fn a_named_port_is_never_exchanged() {
        let place = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind(any()).unwrap();
        let address = taken.local_addr().unwrap();
        let refusal = Listeners::bind(place.path(), address, any(), any()).unwrap_err();
        assert_eq!(refusal.code, Code::PortInUse);
        assert!(refusal.hints.iter().any(|hint| hint.contains("--listen 127.0.0.1:PORT")));
        assert_eq!(Addresses::read(place.path()), None);
    }

    #[test]
    fn a_file_that_is_not_understood_is_no_reason_to_stop() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(FILE_NAME), "{\"api\": 7}").unwrap();
        let bound = Listeners::bind(place.path(), any(), any(), any()).unwrap();
        assert_eq!(Addresses::read(place.path()), Some(bound.addresses));
    }

    #[test]
    fn no_flipped_bit_gives_another_address() {
        let place = tempfile::tempdir().unwrap();
        let bound = Listeners::bind(place.path(), any(), any(), any()).unwrap().addresses;
        let path = place.path().join(FILE_NAME);
        let text = std::fs::read(&path).unwrap();
        let mut noticed = 0;
        for bit in 0..text.len() * 8 {
            let mut damaged = text.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            let read = Addresses::read(place.path());
            assert!(read.is_none_or(|read| read == bound), "bit {bit}: {read:?}");
            noticed += usize::from(read.is_none());
        }
        assert!(noticed > text.len() * 4, "{noticed} of {} bytes", text.len());
        // One that is not understood is replaced by one that is.
        std::fs::write(&path, b"\xff").unwrap();
        let anew = Listeners::bind(place.path(), any(), any(), any()).unwrap().addresses;
        assert_eq!(Addresses::read(place.path()), Some(anew));
        // As it was written before there was a checksum, and before there were peers.
        let older = format!("{{\"api\": \"{}\", \"metrics\": \"{}\"}}", bound.api, bound.metrics);
        std::fs::write(&path, older).unwrap();
        let older = Addresses { peer: nowhere(), ..bound };
        assert_eq!(Addresses::read(place.path()), Some(older));
    }
}
