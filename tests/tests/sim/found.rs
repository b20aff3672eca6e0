//! What the simulator found in earnest, each with its seed and in its shortest form.

use super::{Law, registry};
use keiko_core::id::Name;
use keiko_core::registry::{Kind, ObjectKey, get};
use keiko_proto::v1::{self as wire, actor::Who, object::Object as Inner};

/// An agent that goes out with a credential, or without.
fn put(law: &Law, who: Who, credential: Option<&str>) -> wire::Entry {
    let header = |credential: &str| wire::CredentialRef {
        name: "Authorization".to_owned(),
        credential: credential.to_owned(),
    };
    let spec = wire::AgentSpec {
        url: "http://a/".to_owned(),
        headers: credential.map(header).into_iter().collect(),
        ..Default::default()
    };
    let metadata = Some(wire::Metadata { name: "a".to_owned(), ..Default::default() });
    let agent = wire::Agent { metadata, spec: Some(spec), ..Default::default() };
    let mode = wire::PutMode::Register.into();
    let put = wire::PutAgent { mode, agent: Some(agent), ..Default::default() };
    let entry = law.entry(registry(wire::registry_op::Op::PutAgent(put)));
    wire::Entry { actor: Some(wire::Actor { who: Some(who) }), ..entry }
}

fn grant(law: &Law) -> Option<wire::Grant> {
    let namespace = Name::parse_namespace("").expect("the default is a name");
    let key = ObjectKey { kind: Kind::Agent, namespace, name: "a".to_owned() };
    let object = get(&law.store, Law::GROUP, &key, None).expect("it is there");
    let Some(Inner::Agent(agent)) = object.object else { panic!("no agent: {object:?}") };
    agent.spec.and_then(|spec| spec.grant)
}

/// Seed 259450228 of all invariants, made short: registered over the socket without a credential,
/// registered again by a node on its own account with one. Nobody at that socket ever named it, so
/// the grant can't be for it. No part of `keikod` asks for this today.
#[test]
fn a_grant_does_not_move_to_other_credentials() {
    let socket = || Who::Socket(wire::SocketPeer { node: "one".to_owned(), uid: Some(7) });
    for (who, credential, is_kept) in [
        (Who::Token(wire::TokenBearer::default()), None, true),
        (Who::Token(wire::TokenBearer::default()), Some("key"), false),
        (Who::Node("one".to_owned()), None, true),
        (Who::Node("one".to_owned()), Some("key"), false),
        (socket(), Some("key"), true),
    ] {
        let mut law = Law::default();
        law.apply(&put(&law, socket(), None));
        assert!(grant(&law).is_some());
        law.apply(&put(&law, who.clone(), credential));
        assert_eq!(grant(&law).is_some(), is_kept, "{who:?} {credential:?}");
    }
}
