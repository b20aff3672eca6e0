//! An agent's A2A card as it was fetched: the document that its signature is over.

use super::super::read::require_on;
use super::GROUP;
use crate::net::{Identity, Permission};
use crate::rooms::Control;
use crate::store::View;
use bytes::Bytes;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::object::Object as Inner;

/// `GET /v1/agents/{namespace}/{name}/card`.
pub(super) async fn read(
    control: &Control,
    caller: &Identity,
    namespace: &str,
    name: &str,
) -> Result<Bytes> {
    let key = ObjectKey::parse(Kind::Agent, namespace, name)?;
    require_on(caller, Permission::RegistryRead, &key)?;
    let wanted = key.clone();
    let find = move |view: &View<'_>| registry::get(view, GROUP, &wanted, None);
    let object = control.read_local(find).await??;
    match object.object {
        Some(Inner::Agent(agent)) => match agent.spec.map(|spec| spec.card) {
            Some(card) if !card.is_empty() => Ok(Bytes::from(card)),
            Some(_) | None => Err(Refusal::new(
                Code::NotFound,
                format!("{} was never seen: there is no card of it", key.subject()),
            )
            .hint(format!("keikoctl agent describe {}", key.typed()))),
        },
        Some(_) | None => Err(Refusal::new(Code::Internal, "an agent is something else")),
    }
}
