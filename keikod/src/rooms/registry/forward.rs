//! Passing a request on to the node that can answer it, on the caller's account. Once only: who got
//! it from another node answers it or refuses.

use super::super::{PeerCallError, Peers};
use super::millis;
use crate::net::Identity;
use keiko_core::refusal::{Code, Refusal};
use prost::Message;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const CALL_TOOL: &str = "/keiko.v1.Registry/CallTool";
pub(super) const CALL_AGENT: &str = "/keiko.v1.Registry/CallAgent";
pub(super) const PROBE: &str = "/keiko.v1.Registry/Probe";

/// What the way back of an answer may take, at most: the other node is to give up before the caller
/// does, so that its word arrives.
const WAY_BACK_MAX: Duration = Duration::from_millis(100);

/// Where a request goes, and for whom.
pub(super) struct To<'t> {
    /// The node's name.
    pub(super) node: &'t str,
    pub(super) method: &'static str,
    pub(super) caller: &'t Identity,
    pub(super) trace: Option<&'t str>,
    pub(super) deadline: Instant,
}

/// What the other node answers.
pub(super) async fn forward<Q: Message, A: Message + Default>(
    peers: &dyn Peers,
    to: &To<'_>,
    request: &Q,
) -> Result<A, PeerCallError> {
    let (message, timeout) = (request.encode_to_vec(), left(to.deadline));
    let answer = peers.call(to.node, to.method, to.caller, message, timeout, to.trace).await?;
    A::decode(answer.as_slice()).map_err(|error| {
        let why = format!("what node {} answers is not readable", to.node);
        PeerCallError::unanswered(&Refusal::new(Code::Internal, why).cause(error))
    })
}

/// As the timeout of the request that is passed on: a tenth less than there is, and never none.
pub(super) fn left_ms(deadline: Instant) -> u64 {
    let left = left(deadline);
    millis(left - (left / 10).min(WAY_BACK_MAX)).max(1)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_node_gives_up_before_the_caller() {
        assert_eq!(left_ms(Instant::now()), 1);
        let minute = left_ms(Instant::now() + Duration::from_secs(60));
        assert!((59_000..59_901).contains(&minute), "{minute}");
        let second = left_ms(Instant::now() + Duration::from_secs(1));
        assert!((1..901).contains(&second), "{second}");
    }
}
