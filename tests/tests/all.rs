//! The end-to-end tests: one binary, so that RocksDB is linked once and cases share a node.
//!
//! ```text
//! tour         the commands of the README, as written      http         HTTP/JSON and its streams
//! refusals     every "no" that the network gets            snapshots    what people read
//! lifecycle    how a daemon begins, ends and refuses to    restart      what survives an end
//! peers        real servers and agents that break          durability   kill -9 under load
//! calls        what is repeated and what is not            security     tokens over the network
//! links        what keeps a server linked               docs         the commands of the guides
//! applies      many declarations over one stream     backup       a wipe and a restore
//! backups      backups in pieces, by schedule, and rehearsed
//! bench        the benchmark, on a handful of agents    bench_node   that of a node
//! bench_cluster  that of three nodes
//! routing      who gets the calls: leases, heartbeats, find, suspension
//! cards        what comes of an agent's card
//! health       when it is news that something works, or does not
//! hostile      peers that mean harm, each told for what it is
//! manifests    apply, diff and delete by files
//! depends      what needs what, and what breaks          publish      what others read
//! face         the verbs of the registry, as typed
//! contexts     which cluster a command goes to          doctor       what it finds
//! locks        who may go on alone: queues, fences, commands under a lock
//! cluster      three nodes, and the bad luck that they may have
//! torture      a cluster under load while everything goes wrong
//! phi          how unlikely a silence is, by cases of others
//! tls          which key exchange is taken
//! packages     what is installed elsewhere           unit         the systemd unit
//! sim          the law in a simulator, one file for each invariant
//! disk         a daemon on a disk that lies
//! ```

mod applies;
mod backup;
mod backups;
mod bench;
mod bench_cluster;
mod bench_node;
mod calls;
mod cards;
mod cluster;
mod contexts;
mod depends;
#[cfg(target_os = "linux")]
mod disk;
mod docs;
mod doctor;
mod durability;
mod face;
mod health;
mod hostile;
mod http;
mod lifecycle;
mod links;
mod locks;
mod manifests;
mod network;
mod objects;
mod packages;
mod peers;
mod phi;
mod publish;
mod raft;
mod refusals;
mod restart;
mod routing;
mod security;
mod sim;
mod snapshots;
mod tls;
mod torture;
mod tour;
mod unit;
