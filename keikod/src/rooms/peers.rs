//! The other nodes as rooms see them: whether they are there, and a call of the API at one of them.

use crate::net::Identity;
use keiko_core::refusal::{Code, Refusal};
use std::time::Duration;

/// The other nodes.
#[tonic::async_trait]
pub trait Peers: Send + Sync + 'static {
    /// True if nobody should be sent to this node now: it is down as this node sees it, was declared
    /// down, or is no member. Never true of this node itself. Asked for each candidate of a call.
    fn is_down(&self, node: &str) -> bool;

    /// True if this node hears no other member: then it is the one that is cut off, and what it
    /// thinks of the others says nothing.
    fn is_isolated(&self) -> bool;

    /// Carries a unary call of the API out at another node, on the caller's account. `message` is
    /// the encoded request, `trace` a `traceparent`; `Ok` holds the encoded response.
    async fn call(
        &self,
        node: &str,
        method: &'static str,
        caller: &Identity,
        message: Vec<u8>,
        timeout: Duration,
        trace: Option<&str>,
    ) -> Result<Vec<u8>, PeerCallError>;
}

/// Why a call at another node gave no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCallError {
    /// What that node answered, or why it did not.
    pub refusal: Refusal,
    /// True if that node can't have begun.
    pub surely_not_run: bool,
}

impl PeerCallError {
    /// That node refused: its word stands, whatever it did before.
    pub fn answered(refusal: Refusal) -> Self {
        Self { refusal, surely_not_run: false }
    }

    /// The call never left this node.
    pub fn unsent(why: Refusal) -> Self {
        Self { refusal: why, surely_not_run: true }
    }

    /// The call was sent, and no answer came.
    pub fn unanswered(why: &Refusal) -> Self {
        let refusal = Refusal::new(Code::OutcomeUnknown, "nobody can tell what the call did")
            .cause(&why.message)
            .hint("look at what it should have done before it is called again");
        let refusal = why.causes.iter().fold(refusal, Refusal::cause);
        Self { refusal, surely_not_run: false }
    }
}

/// Of a node that is alone: there is nobody, and it misses nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

#[tonic::async_trait]
impl Peers for NoPeers {
    fn is_down(&self, _node: &str) -> bool {
        true
    }

    fn is_isolated(&self) -> bool {
        false
    }

    async fn call(
        &self,
        node: &str,
        _method: &'static str,
        _caller: &Identity,
        _message: Vec<u8>,
        _timeout: Duration,
        _trace: Option<&str>,
    ) -> Result<Vec<u8>, PeerCallError> {
        let message = format!("there is no way to node {node}");
        Err(PeerCallError::unsent(Refusal::new(Code::PeerUnreachable, message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_answer_may_have_run() {
        let why = Refusal::new(Code::PeerUnreachable, "the connection broke").cause("reset");
        let error = PeerCallError::unanswered(&why);
        assert_eq!(error.refusal.code, Code::OutcomeUnknown);
        assert_eq!(error.refusal.causes, ["the connection broke", "reset"]);
        assert!(!error.surely_not_run);
        let unsent = PeerCallError::unsent(why.clone());
        assert!(unsent.surely_not_run && unsent.refusal == why);
        assert!(!PeerCallError::answered(why).surely_not_run);
    }
}
