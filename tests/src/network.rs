//! Hosts that this machine plays: each is a network namespace with an address of its own, and a
//! switch stands between them, in a namespace, too.
//!
//! What is cut here is lost packet by packet: nothing is refused or reset, and what is open hangs, as
//! when somebody pulls a cable. It takes root, and `ip` and `nsenter` as Debian has them. Invariants:
//! nothing is added to the machine's own network; every name carries the id of this process; all of
//! it is removed with the value, and if this process is killed, without it.

use crate::node::Plan;
use crate::report::skip;
use nix::unistd::Uid;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where `ip` keeps the namespaces that have a name.
const NAMED: &str = "/var/run/netns";
/// The address of a network card that nobody has.
const NO_CARD: &str = "02:00:00:00:00:ff";
/// Removes namespaces when its input ends; with them goes everything that is in them.
const SWEEP: &str = r#"while read -r _; do :; done
for name in "$@"; do ip netns del "$name"; done"#;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Hosts by their numbers from 0, each with a cable to the switch. The unix socket of a node on one
/// of them is reached from everywhere; its ports are reached from the other hosts only.
#[derive(Debug)]
pub struct Network {
    /// What each name begins with.
    name: String,
    count: usize,
    /// Waits for the end of its input, which this process holds.
    sweeper: Child,
}

impl Network {
    /// So many hosts that reach each other. Where that can't be, a counted skip of this test.
    #[track_caller]
    pub fn open(test: &str, count: usize) -> Option<Self> {
        if let Some(reason) = lacking() {
            skip(test, reason);
            return None;
        }
        let name = format!("keiko-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // It knows all names before the first one is there.
        let hosts = (0..count).map(|number| format!("{name}-{number}"));
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sweep", &format!("{name}-switch")])
            .args(hosts)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let network = Self { name, count, sweeper };
        // A container's root may not.
        if let Err(refused) = try_ip(&format!("netns add {}", network.switch())) {
            skip(test, &format!("no network namespace can be made: {refused}"));
            return None;
        }
        network.wire();
        Some(network)
    }

    #[track_caller]
    fn wire(&self) {
        let switch = self.switch();
        ip(&format!("-n {switch} link add lan type bridge"));
        ip(&format!("-n {switch} link set lan up"));
        for number in 0..self.count {
            let (host, address) = (self.host(number), address(number));
            ip(&format!("netns add {host}"));
            ip(&format!("-n {host} link set lo up"));
            ip(&format!("-n {switch} link add port{number} type veth peer name eth0 netns {host}"));
            ip(&format!("-n {switch} link set port{number} master lan up"));
            ip(&format!("-n {host} address add {address}/24 dev eth0"));
            ip(&format!("-n {host} link set eth0 up"));
        }
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    fn host(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// How many hosts there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Lets a node run on a host, and listen there.
    pub fn place(&self, number: usize, plan: &mut Plan) {
        let listen = format!("{}:0", address(number));
        plan.namespace = Some(self.host(number));
        plan.api.clone_from(&listen);
        plan.peer = listen;
    }

    // ---- what is done to it ----

    /// Pulls the cable of a host.
    #[track_caller]
    pub fn unplug(&self, number: usize) {
        ip(&format!("-n {} link set port{number} down", self.switch()));
    }

    /// Puts it in again.
    #[track_caller]
    pub fn plug(&self, number: usize) {
        ip(&format!("-n {} link set port{number} up", self.switch()));
    }

    /// What the first sends to the second is lost; what the second sends gets there.
    #[track_caller]
    pub fn lose(&self, from: usize, to: usize) {
        let (host, address) = (self.host(from), address(to));
        ip(&format!("-n {host} neigh replace {address} lladdr {NO_CARD} dev eth0 nud permanent"));
    }

    /// It gets there again.
    #[track_caller]
    pub fn deliver(&self, from: usize, to: usize) {
        let (host, address) = (self.host(from), address(to));
        ip(&format!("-n {host} neigh del {address} dev eth0"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// Where a namespace can be entered.
pub(crate) fn path(namespace: &str) -> PathBuf {
    Path::new(NAMED).join(namespace)
}

fn address(number: usize) -> Ipv4Addr {
    let last = u8::try_from(number + 1).expect("a handful of hosts");
    Ipv4Addr::new(10, 77, 0, last)
}

/// Why there can be no such network here.
fn lacking() -> Option<&'static str> {
    let is_there = |tool: &str| Command::new(tool).arg("-V").output().is_ok();
    if !Uid::effective().is_root() {
        Some("network namespaces need root")
    } else if !is_there("ip") || !is_there("nsenter") {
        Some("ip (iproute2) or nsenter (util-linux) is not installed")
    } else {
        None
    }
}

#[track_caller]
fn ip(line: &str) {
    try_ip(line).unwrap_or_else(|refused| panic!("ip {line}: {refused}"));
}

fn try_ip(line: &str) -> Result<(), String> {
    let output = Command::new("ip").args(line.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
