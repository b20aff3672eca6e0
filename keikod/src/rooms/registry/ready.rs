//! The condition Ready: whether an entry can be called, and if not, why.

use super::super::Control;
use super::link::Inventory;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{self as wire, Condition, ObjectRef, RegistryOp, SetCondition, registry_op};

/// A server that answers.
pub(super) fn linked(inventory: &Inventory) -> Condition {
    let message = match inventory.left_out.len() {
        0 => String::new(),
        count => format!("{count} tools are left out: {}", inventory.left_out.join("; ")),
    };
    condition("True", "Linked", message)
}

/// An agent whose card can be had.
pub(super) fn card_fetched() -> Condition {
    condition("True", "CardFetched", String::new())
}

/// What can't be called, and why.
pub(super) fn not_ready(why: &Refusal) -> Condition {
    condition("False", reason(why), sentence(why))
}

fn condition(status: &str, reason: &str, message: String) -> Condition {
    Condition {
        r#type: "Ready".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        since_ms: 0,
    }
}

/// True if an agent or server is Ready, as far as its entry says.
pub(super) fn is_ready(conditions: &[Condition]) -> bool {
    conditions.iter().any(|known| known.r#type == "Ready" && known.status == "True")
}

/// Proposes a condition of an entry.
pub(super) async fn tell(
    control: &Control,
    key: &ObjectKey,
    uid: &str,
    condition: Condition,
) -> Result<()> {
    let kind = match key.kind {
        Kind::Agent => wire::Kind::Agent,
        Kind::McpServer => wire::Kind::McpServer,
        Kind::Tool => wire::Kind::Tool,
        Kind::Skill => wire::Kind::Skill,
    };
    let (namespace, name) = (key.namespace.to_string(), key.name.clone());
    let set = SetCondition {
        object: Some(ObjectRef { kind: kind.into(), namespace, name }),
        uid: uid.to_owned(),
        condition: Some(condition),
    };
    let op = RegistryOp { op: Some(registry_op::Op::SetCondition(set)) };
    control.write(control.as_node(), Room::Registry(op)).await.map(drop)
}

/// The entry was deleted, or made anew: somebody else looks after it.
pub(super) fn is_gone(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::NotFound | Code::RevisionConflict)
}

/// One word for programs.
fn reason(refusal: &Refusal) -> &'static str {
    match refusal.code {
        Code::ExecRefused => "ExecRefused",
        Code::CredentialMissing | Code::CredentialRefused => "MissingCredential",
        Code::EgressDenied => "EgressDenied",
        Code::PeerTimeout | Code::DeadlineExceeded => "Timeout",
        Code::PeerUnreachable => "Unreachable",
        Code::ProtocolUnknown => "UnknownProtocol",
        Code::PeerTooLarge | Code::LimitExceeded => "TooLarge",
        Code::ChildFailed => "CommandEnded",
        Code::CardInvalid => "InvalidCard",
        _ => "Failed",
    }
}

/// A sentence for people, bounded: a peer wrote parts of it.
fn sentence(refusal: &Refusal) -> String {
    let mut text = refusal.message.clone();
    for cause in refusal.causes.iter().take(2) {
        text.push_str("; ");
        text.push_str(cause);
    }
    text.chars().take(512).collect()
}
