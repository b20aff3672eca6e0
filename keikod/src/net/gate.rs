//! What is answered in which phase of the node's life, before anybody is asked who they are.
//!
//! The gate only closes; it grants nothing. Behind it the identity and its permissions decide.

use super::identity::unauthenticated;
use keiko_core::refusal::{Code, Refusal, Result};

/// Where the node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Holds no cluster: waits for `cluster init` or `cluster join`.
    Waiting,
    /// Holds a cluster and is not ready to serve it.
    Starting,
    /// Serves; whether there is a leader is another question.
    Serving,
    /// Finishes what it began and takes nothing new.
    Draining,
}

/// Something that is not there yet, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// As in `cluster`, `leader`.
    pub what: String,
    /// In words, with the command if there is one.
    pub remedy: String,
}

/// What the network must know of the node; asked at every request, so it must be cheap.
pub trait State: Send + Sync + 'static {
    /// Where the node is in its life.
    fn phase(&self) -> Phase;
    /// What `/readyz` names; empty if the node is ready.
    fn missing(&self) -> Vec<Missing>;
}

/// The one gRPC call that is answered without identity.
pub(super) const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

/// What the socket answers in every phase: enough to look, to found or join, and to find out how.
const ALWAYS_ON_SOCKET: &[&str] = &[
    "/keiko.v1.Cluster/Status",
    "/keiko.v1.Cluster/Init",
    "/keiko.v1.Cluster/Diagnose",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/metrics",
    "/openapi.json",
    "/keiko.v1.Cluster/Join",
    "/keiko.v1.Cluster/ListNodes",
    "/keiko.v1.Cluster/GetNode",
    "/keiko.v1.Security/WhoAmI",
];

/// Lets a call through to the question of identity, or says why not.
///
/// `path` is the gRPC method's or the page's; `shown` is true if the caller presented anything.
pub(super) fn check(path: &str, on_socket: bool, shown: bool, state: &dyn State) -> Result<()> {
    if path == HEALTH_CHECK {
        return Ok(());
    }
    if !on_socket && !shown {
        return Err(unauthenticated());
    }
    let refusal = match state.phase() {
        Phase::Serving => return Ok(()),
        _ if on_socket && ALWAYS_ON_SOCKET.contains(&path) => return Ok(()),
        Phase::Waiting => Refusal::new(Code::NotFounded, "this node holds no cluster yet"),
        Phase::Starting => Refusal::new(Code::NotReady, "this node is not ready yet"),
        Phase::Draining => {
            return Err(Refusal::new(Code::Draining, "this node is shutting down")
                .hint("send the call again, to another node or after the restart"));
        }
    };
    Err(state.missing().into_iter().fold(refusal, |refusal, missing| {
        refusal.cause(format!("it lacks: {}", missing.what)).hint(missing.remedy)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Phase);

    impl State for Fixed {
        fn phase(&self) -> Phase {
            self.0
        }

        fn missing(&self) -> Vec<Missing> {
            vec![Missing { what: "cluster".into(), remedy: "keikoctl cluster init".into() }]
        }
    }

    #[test]
    fn who_gets_how_far() {
        let (list, status) = ("/keiko.v1.Registry/List", "/keiko.v1.Cluster/Status");
        let (init, reflection) = ("/keiko.v1.Cluster/Init", ALWAYS_ON_SOCKET[4]);
        let join = "/keiko.v1.Cluster/Join";
        let check = |path: &str, on_socket, shown, phase, expect: Option<Code>| {
            let got =
                check(path, on_socket, shown, &Fixed(phase)).err().map(|refusal| refusal.code);
            assert_eq!(got, expect, "{path} socket={on_socket} shown={shown} {phase:?}");
        };
        for phase in [Phase::Waiting, Phase::Starting, Phase::Serving, Phase::Draining] {
            check(HEALTH_CHECK, false, false, phase, None);
            for path in [list, status, init, join, reflection, "/metrics", "/openapi.json", "/no"] {
                check(path, false, false, phase, Some(Code::Unauthenticated));
            }
            for path in [status, init, join, reflection, "/metrics"] {
                check(path, true, false, phase, None);
            }
        }
        check(list, true, false, Phase::Serving, None);
        check(list, false, true, Phase::Serving, None);
        for on_socket in [true, false] {
            check(list, on_socket, true, Phase::Waiting, Some(Code::NotFounded));
            check(list, on_socket, true, Phase::Starting, Some(Code::NotReady));
            check(list, on_socket, true, Phase::Draining, Some(Code::Draining));
        }
        check(status, false, true, Phase::Waiting, Some(Code::NotFounded));
    }

    #[test]
    fn a_node_that_waits_says_how_to_go_on() {
        let refusal = check("/x", true, true, &Fixed(Phase::Waiting)).unwrap_err();
        assert_eq!(refusal.hints, ["keikoctl cluster init"]);
    }
}
