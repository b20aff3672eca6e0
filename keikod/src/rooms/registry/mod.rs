//! The registry room's hands: registering, calling, probing, watching.
//!
//! ```text
//! service.rs    the gRPC service: each method one line that names its file
//! read.rs       get, list, history        watch.rs   the present, then every change
//! register.rs   asks the endpoint what it is, then proposes what it said
//! put.rs        what the law answers to that, and nothing proposed that it has already
//! call.rs       finds who offers a tool or is an agent, checks the arguments, calls
//! tools.rs      the tools that are called, read once
//! forward.rs    passes a request on to the node that can answer it
//! find.rs       who offers a capability, and whom to call
//! feed.rs       feeds the directory: who offers what, in memory
//! live.rs       soft state: probes, leases, heartbeats, load, calls under way
//! heartbeat.rs  agents say how they are           leases.rs  who falls silent is let go
//! admin.rs      suspend, drain, resume
//! endpoint.rs   what is registered: its name, and a link to ask it over
//! probe.rs      looks at an entry now, or once at any endpoint
//! prober.rs     an entry's health as its prober knows it, and when to look again
//! ready.rs      what a look says of an entry's health
//! reach.rs      how an entry is reached from this node: policy, credentials, children
//! link.rs       one live MCP server: a session and, for stdio, its process
//! logs.rs       what a stdio server wrote to its standard error
//! supervise.rs  keeps a link alive, refreshes the entry, tells transitions
//! home.rs       which node an entry is at home at     teller.rs  which node tells the law of it
//! strays.rs     commands that do not run here
//! orphans.rs    tells of those whose node is down     place.rs   takes them over
//! restless.rs   who says something else at every look
//! agents.rs     asks an agent for its card, and goes on asking
//! present.rs    what is registered now, read once
//! driver.rs     one supervisor for each entry, none for those that are gone
//! apply.rs      declares what a manifest has        impact.rs  what breaks if something does
//! publish/      the registry as others read it: MCP registry, AI Catalog, cards, Prometheus
//! convert.rs    from what peers say to what is declared
//! ```

mod admin;
mod agents;
mod apply;
mod call;
mod convert;
mod driver;
mod endpoint;
mod feed;
mod find;
mod forward;
mod heartbeat;
mod home;
mod impact;
mod leases;
mod link;
mod live;
mod logs;
mod metrics;
mod orphans;
mod place;
mod present;
mod probe;
mod prober;
mod publish;
mod put;
mod reach;
mod read;
mod ready;
mod register;
mod restless;
mod service;
mod strays;
mod supervise;
mod teller;
mod tools;
mod watch;

pub use driver::{Driver, Fleet};
pub use feed::Feed;
pub use leases::Leases;
pub use live::Soft;
pub use metrics::Metrics;
pub use place::Placer;
pub use present::hosted_by;
pub use publish::Publisher;
pub use reach::Reach;
pub use service::Service;

use std::time::Duration;

/// As times are told on the wire.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
