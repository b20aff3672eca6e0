//! Calling: find who offers it, check the arguments, call, and repeat only what may be repeated.
//!
//! A call is repeated only if it surely did not run, or if the tool says of itself that repeating
//! does no harm. Otherwise the caller learns that the outcome is unknown. New calls go only to who
//! may be called now; running ones end when their owner is suspended.
//!
//! A server that another node runs is called through that node, by the same rule: what surely did
//! not run there may go to another one. A call is passed on once.
//!
//! ```text
//! tool.rs     a tool, over the link of its server        agent.rs  a message to an agent
//! resolve.rs  which of those who offer a tool
//! ```

mod agent;
mod resolve;
mod tool;

pub(super) use agent::agent;
pub(super) use tool::tool;

use super::live::Block;
use super::metrics::CallOutcome;
use super::millis;
use super::service::Service;
use keiko_core::refusal::{Class, Code, Refusal};
use keiko_core::registry::ObjectKey;
use keiko_core::registry::directory::{Owner, Standing};
use std::time::Duration;
use tokio::time::Instant;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// How long a call waits for a server that is just being linked.
const LINK_WAIT_MAX: Duration = Duration::from_secs(10);

/// Calls of one call, the first included.
const ATTEMPTS_MAX: u32 = 3;

/// Between the attempts to reach what refuses connections.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The deadline of a call that asks for `timeout_ms`.
fn deadline(timeout_ms: u64) -> Instant {
    let timeout = match timeout_ms {
        0 => TIMEOUT_DEFAULT,
        ms => Duration::from_millis(ms).min(TIMEOUT_MAX),
    };
    Instant::now() + timeout
}

/// Why a new call is not begun.
fn not_now(key: &ObjectKey, owner: &Owner, block: Option<Block>) -> Refusal {
    let (kind, name) = (key.kind, &key.name);
    let state = owner.standing.as_str();
    match owner.standing {
        Standing::Draining | Standing::Suspended => {
            let refusal = Refusal::new(Code::Suspended, format!("{kind} {name:?} is {state}"));
            let refusal = match &*owner.admin_reason {
                "" => refusal,
                reason => refusal.cause(reason),
            };
            refusal.hint(format!("keikoctl {kind} resume {}", key.typed()))
        }
        Standing::Ready | Standing::Degraded => {
            let refusal = match block {
                Some(block) => {
                    let message = format!("{kind} {name:?} takes no calls now");
                    Refusal::new(Code::NotReadyEntry, message).cause(block)
                }
                None => Refusal::new(Code::NotReadyEntry, format!("{kind} {name:?} is not linked")),
            };
            refusal.hint(format!("keikoctl {kind} describe {}", key.typed()))
        }
        Standing::Recovering | Standing::CoolingDown | Standing::Dead => {
            let message = format!("{kind} {name:?} is {state}");
            let refusal = Refusal::new(Code::NotReadyEntry, message);
            let block = block.filter(|block| block.explains(owner.standing));
            let refusal = match (block, owner.failure) {
                (Some(block), _) => refusal.cause(block),
                (None, Some(class)) => refusal.cause(class.as_str()),
                (None, None) if owner.flapping => refusal.cause("it changed too often"),
                (None, None) => refusal,
            };
            refusal.hint(format!("keikoctl {kind} describe {}", key.typed()))
        }
    }
}

/// A call that was under way, or about to begin, when its owner was suspended.
fn stopped(service: &Service, key: &ObjectKey, harmless: bool) -> Refusal {
    let reason = {
        let directory = service.feed.directory();
        let owner = directory.owner(key.kind, key.namespace.as_str(), &key.name);
        owner.map(|owner| owner.admin_reason.to_string()).unwrap_or_default()
    };
    let why = match reason.as_str() {
        "" => format!("{} was suspended by an operator", key.short()),
        reason => format!("{} was suspended by an operator: {reason}", key.short()),
    };
    let resume = format!("keikoctl {} resume {}", key.kind, key.name);
    match harmless {
        true => Refusal::new(Code::Suspended, format!("{} {:?} is suspended", key.kind, key.name))
            .cause(why)
            .hint(resume),
        false => Refusal::new(Code::OutcomeUnknown, "nobody can tell what the call did")
            .cause(why)
            .hint("look at what it should have done before it is called again"),
    }
}

fn outcome_of(refusal: &Refusal) -> CallOutcome {
    match refusal.code.class() {
        Class::OutcomeUnknown => CallOutcome::Unknown,
        _ => CallOutcome::Refused,
    }
}
