//! What an operator should know of this node: each check with its figure and, where something is to
//! be done, with a remedy.
//!
//! Invariants: it answers without a leader and without a cluster; it leaves nothing behind; however
//! often it is asked, the disk is measured once in a few seconds.

mod disk;
mod kernel;

use super::super::{Control, clock};
use super::Founding;
use super::backups::{self, Standing};
use crate::exec::Children;
use crate::lifecycle::{Addresses, Readiness};
use crate::net::Certificates;
use crate::settings::Current;
use keiko_core::cluster;
use keiko_core::id::GroupId;
use keiko_proto::v1::Finding;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Who asks again within this gets the same answer: a measurement is work for the disk.
const FRESH: Duration = Duration::from_secs(3);
/// Twenty syncs of a very slow disk. A disk that hangs is a finding, not a call without an end.
const LOCAL_DEADLINE: Duration = Duration::from_secs(6);
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// As in consensus: more is a step, not drift.
const STEP_MS: u128 = 500;
/// A certificate lives a day and is renewed at half: less than this, and the renewal has failed.
const NODE_CERTIFICATE_LEFT: Duration = Duration::from_secs(6 * 3600);
/// Time to plan a new authority.
const AUTHORITY_LEFT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Looks around on this node.
#[derive(Clone)]
pub struct Diagnosis {
    inner: Arc<Inner>,
}

struct Inner {
    parts: DiagnosisParts,
    started: (Instant, SystemTime),
    last: Mutex<Option<(Instant, Vec<Finding>)>>,
}

/// What it looks at.
pub struct DiagnosisParts {
    /// The groups of this node.
    pub control: Control,
    /// The authority, once it is open.
    pub founding: Arc<Founding>,
    /// What this node lacks.
    pub readiness: Readiness,
    /// What it was told.
    pub settings: Arc<Current>,
    /// What it shows to clients.
    pub certificates: Arc<Certificates>,
    /// Where it listens.
    pub addresses: Addresses,
    /// How commands are kept apart.
    pub children: Children,
}

/// A check that found nothing to do.
fn ok(check: &str, message: impl Into<String>) -> Finding {
    finding(check, "ok", message, "")
}

fn finding(check: &str, status: &str, message: impl Into<String>, remedy: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        status: status.to_owned(),
        message: message.into(),
        remedy: remedy.to_owned(),
        node: String::new(),
    }
}

impl Diagnosis {
    /// Call it at the start: the clock is compared with what it was then.
    pub fn new(parts: DiagnosisParts) -> Self {
        let started = (Instant::now(), SystemTime::now());
        Self { inner: Arc::new(Inner { parts, started, last: Mutex::default() }) }
    }

    /// Every check, in the order in which people read.
    pub(super) async fn run(&self) -> Vec<Finding> {
        let mut last = self.inner.last.lock().await;
        if let Some((_, findings)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return findings.clone();
        }
        let mut findings = vec![self.ready(), self.quorum(), self.clock()];
        findings.extend(self.certificates());
        findings.extend(self.backups());
        findings.extend(self.listeners().await);
        findings.extend(self.local().await);
        *last = Some((Instant::now(), findings.clone()));
        findings
    }

    fn ready(&self) -> Finding {
        let missing = self.inner.parts.readiness.missing();
        match missing.first() {
            None => ok("ready", "nothing is missing"),
            Some(first) => {
                finding("ready", "failed", format!("{} is missing", first.what), &first.remedy)
            }
        }
    }

    fn quorum(&self) -> Finding {
        let Ok(group) = self.inner.parts.control.group() else {
            return finding("quorum", "skipped", "there is no cluster here yet", "");
        };
        let status = group.status();
        let voters = status.voters.len();
        let needed = voters / 2 + 1;
        match status.leader {
            Some(leader) => {
                let spare = voters.saturating_sub(needed);
                let leader = status.voters.iter().find(|(id, _)| *id == leader);
                let name = leader.map_or("another node", |(_, name)| name.as_str());
                let words = format!(
                    "{name} leads in term {}; {voters} voters, of which {spare} may fail",
                    status.term
                );
                ok("quorum", words)
            }
            None => finding(
                "quorum",
                "failed",
                format!("no leader: {needed} of {voters} voters must be up and reach each other"),
                "start the nodes that are down; keikoctl status shows them",
            ),
        }
    }

    /// What the cluster's own notes say, and how often this node was told that one is due.
    fn backups(&self) -> Option<Finding> {
        let parts = &self.inner.parts;
        let group = parts.control.group().ok()?;
        let notes = group.read_now(|view| cluster::backup_notes(view, GroupId::CONTROL)).ok()?;
        let settings = &parts.settings.settings().backups;
        let every_ms = settings.place.as_ref().map(|_| settings.every_ms());
        Some(backups::finding(&Standing::of(notes), every_ms, parts.control.now_ms()))
    }

    /// Without a time server only the clock's own steps can be seen; keikoctl compares it with its own.
    fn clock(&self) -> Finding {
        let remedy = "let one time service slew the clock (chrony, systemd-timesyncd); nothing else may set it";
        let alarm = self.inner.parts.control.group().ok().and_then(|group| group.clock_alarm());
        if let Some(step_ms) = alarm {
            let words = format!("the wall clock is {step_ms} ms away from the clock of the log");
            return finding("clock", "failed", words, remedy);
        }
        let (moment, wall) = self.inner.started;
        let passed = moment.elapsed();
        let stepped_ms = match SystemTime::now().duration_since(wall) {
            Ok(by_wall) => by_wall.as_millis().abs_diff(passed.as_millis()),
            Err(back) => back.duration().as_millis() + passed.as_millis(),
        };
        match stepped_ms {
            ..=STEP_MS => {
                ok("clock", format!("no steps since the start ({stepped_ms} ms of drift)"))
            }
            _ => finding(
                "clock",
                "warning",
                format!(
                    "the wall clock moved {stepped_ms} ms away since the start, or the machine slept"
                ),
                remedy,
            ),
        }
    }

    fn certificates(&self) -> Vec<Finding> {
        let parts = &self.inner.parts;
        let authority = parts.founding.opened().borrow().clone();
        let Some(authority) = authority else {
            return vec![finding("certificate", "skipped", "there is no cluster here yet", "")];
        };
        let node = parts.certificates.expires();
        let remedy = "see the log for why it was not renewed; a restart makes a new one";
        let mut findings = vec![expiry("certificate", node, NODE_CERTIFICATE_LEFT, remedy)];
        findings.push(match authority.expires() {
            Some(end) => expiry("ca", end, AUTHORITY_LEFT, "plan a new authority before it ends"),
            None => finding("ca", "failed", "its end can't be read", "see D/ca.pem"),
        });
        findings
    }

    /// What listens must answer: a socket file that somebody removed is not noticed otherwise.
    async fn listeners(&self) -> Vec<Finding> {
        let parts = &self.inner.parts;
        let mut findings = Vec::new();
        for (name, address, wide) in [
            ("API", parts.addresses.api, "other machines may reach it"),
            ("metrics", parts.addresses.metrics, "without TLS: keep it on loopback"),
        ] {
            let reach = match address.ip().is_loopback() {
                true => "this machine only",
                false => wide,
            };
            let words = format!("{name} on {address}: {reach}");
            let connecting = timeout(CONNECT_DEADLINE, TcpStream::connect(dialled(address))).await;
            findings.push(match connecting {
                Ok(Ok(_)) => ok("ports", words),
                Ok(Err(error)) => silent("ports", format!("{name} on {address}: {error}")),
                Err(_) => silent("ports", format!("{name} on {address}: no connection in time")),
            });
        }
        let path = &parts.settings.settings().socket_path.value;
        let connecting = timeout(CONNECT_DEADLINE, UnixStream::connect(path)).await;
        findings.push(match connecting {
            Ok(Ok(_)) => ok("ports", format!("socket {}", path.display())),
            Ok(Err(error)) => silent("ports", format!("socket {}: {error}", path.display())),
            Err(_) => silent("ports", format!("socket {}: no connection in time", path.display())),
        });
        findings
    }

    /// What blocks: the disk, the kernel's files, the configuration.
    async fn local(&self) -> Vec<Finding> {
        let inner = Arc::clone(&self.inner);
        let looking = tokio::task::spawn_blocking(move || {
            let settings = inner.parts.settings.settings();
            let data = &settings.data_dir.value;
            let mut findings = vec![disk::room(data), disk::ballast(data), disk::speed(data)];
            findings.extend(kernel::check(inner.parts.children.isolation()));
            let wrong = settings.check();
            if wrong.is_empty() {
                findings.push(ok("configuration", "nothing is wrong with it"));
            }
            findings.extend(wrong.into_iter().map(|refusal| {
                let words = format!("{}: {refusal}", refusal.code);
                finding("configuration", "warning", words, &refusal.hints.join("; "))
            }));
            findings
        });
        match timeout(LOCAL_DEADLINE, looking).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(error)) => {
                vec![finding(
                    "disk-speed",
                    "failed",
                    format!("the look broke off: {error}"),
                    "see the log",
                )]
            }
            Err(_) => vec![finding(
                "disk-speed",
                "failed",
                format!("the disk did not answer in {} s", LOCAL_DEADLINE.as_secs()),
                "look for I/O errors in the kernel's log: dmesg",
            )],
        }
    }
}

/// The answering daemon's clock.
pub(super) fn now_ms() -> u64 {
    clock::unix_ms()
}

fn silent(check: &str, words: String) -> Finding {
    finding(check, "failed", words, "restart the daemon; see the log for why it does not listen")
}

/// Where one dials to reach what listens there.
fn dialled(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn expiry(check: &str, end: SystemTime, enough: Duration, remedy: &str) -> Finding {
    match end.duration_since(SystemTime::now()) {
        Ok(left) if left >= enough => ok(check, format!("valid for {}", span(left))),
        Ok(left) => finding(check, "warning", format!("ends in {}", span(left)), remedy),
        Err(past) => {
            finding(check, "failed", format!("ended {} ago", span(past.duration())), remedy)
        }
    }
}

fn span(duration: Duration) -> String {
    let hours = duration.as_secs() / 3600;
    match hours {
        0 => format!("{} minutes", duration.as_secs() / 60),
        1..72 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_end_in_words() {
        let hour = Duration::from_secs(3600);
        let now = SystemTime::now();
        for (end, status, words) in [
            (now + hour * 23, "ok", "valid for 22 hours"),
            (now + hour * 24 * 100, "ok", "valid for 99 days"),
            (now + hour, "warning", "ends in 59 minutes"),
            (now - hour * 2, "failed", "ended 2 hours ago"),
        ] {
            let found = expiry("certificate", end, hour * 6, "do");
            assert_eq!((&*found.status, &*found.message), (status, words));
            assert_eq!(found.remedy.is_empty(), status == "ok");
        }
    }

    #[test]
    fn any_address_is_dialled_on_loopback() {
        for (listens, expect) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(dialled(listens.parse().unwrap()).to_string(), expect);
        }
    }
}
