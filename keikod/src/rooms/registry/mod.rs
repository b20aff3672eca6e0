//! The registry room's hands: registering, calling, probing, watching.
//!
//! ```text
//! service.rs    the gRPC service: each method one line that names its file
//! read.rs       get, list, history        watch.rs   the present, then every change
//! register.rs   asks the endpoint what it is, then proposes what it said
//! call.rs       finds who offers a tool or is an agent, checks the arguments, calls
//! ready.rs      the condition Ready: whether an entry can be called, and if not, why
//! reach.rs      how an entry is reached from this node: policy, credentials, children
//! link.rs       one live MCP server: a session and, for stdio, its process
//! logs.rs       what a stdio server wrote to its standard error
//! supervise.rs  keeps a link alive, refreshes the entry, tells transitions
//! agents.rs     asks an agent for its card, and goes on asking
//! driver.rs     one supervisor for each entry, none for those that are gone
//! convert.rs    from what peers say to what is declared
//! ```

mod agents;
mod call;
mod convert;
mod driver;
mod link;
mod logs;
mod metrics;
mod reach;
mod read;
mod ready;
mod register;
mod service;
mod supervise;
mod watch;

pub use driver::{Driver, Fleet};
pub use metrics::Metrics;
pub use reach::Reach;
pub use service::Service;
