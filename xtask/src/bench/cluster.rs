//! `./x bench cluster`: three nodes beside three members of etcd, started and loaded by
//! `keiko-load`, in a folder and a process group as with [`super::node`].

use super::SOCKET_BYTES_MAX;
use super::node::Started;
use crate::{Outcome, checkout::Checkout, process};
use std::process::Command;

/// The longest name of a socket in its folder, with the slash.
const SOCKET_NAME_BYTES: usize = "/n1.sock".len();

/// The words behind `bench cluster` are those of `keiko-load cluster`.
pub(super) fn run(checkout: &Checkout, rest: &[String]) -> Outcome {
    eprintln!("building keikod and keiko-load");
    process::build(checkout)?;
    let mut started = Started::new(&checkout.target, "cluster")?;
    let folder = started.folder().to_owned();
    let mut sockets = folder.join("s");
    if sockets.as_os_str().len() + SOCKET_NAME_BYTES > SOCKET_BYTES_MAX {
        sockets = std::env::temp_dir().join(format!("keiko-cluster-{}", std::process::id()));
        started = started.with_sockets(sockets.clone());
    }
    let mut load = Command::new(checkout.programs().join("keiko-load"));
    load.arg("cluster").arg("--folder").arg(folder).arg("--sockets").arg(sockets).args(rest);
    started.run(load)
}
