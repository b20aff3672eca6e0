//! Who asks, what they may, and how they propose.

use super::super::{Caller, Control, control};
use crate::net::{Identity, Permission, Resource, Role};
use keiko_core::coordination::Spot;
use keiko_core::id::Name;
use keiko_core::refusal::Result;
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{CoordinationOp, CoordinationReply, WriteInfo, reply};
use prost::Message;
use tonic::Request;

/// Somebody who may change what they ask for.
#[derive(Clone)]
pub(super) struct Asker {
    identity: Identity,
    caller: Caller,
    control: Control,
}

/// The resource of a lock or a barrier.
pub(super) fn resource<'s>(what: &'s str, spot: &'s Spot) -> Resource<'s> {
    Resource::object(what, spot.namespace.as_str(), spot.name.as_str())
}

/// The namespace that a list is about; none: all of them.
pub(super) fn namespace(asked: &str) -> Result<Option<Name>> {
    match asked {
        "" => Ok(None),
        asked => Name::parse_namespace(asked).map(Some),
    }
}

impl Asker {
    /// Whoever sent this, if they may write anywhere: a session holds nothing by itself, and lies
    /// in no namespace. Whose it is, the law knows.
    pub(super) fn of_session<T: Message>(
        control: &Control,
        request: &Request<T>,
        request_id: &[u8],
    ) -> Result<Self> {
        let identity = Identity::of(request)?.clone();
        if !identity.permissions().contains(&Permission::LockWrite) {
            identity.require(Permission::LockWrite, &Resource::All("session"))?;
        }
        let caller = Caller::of(request, request_id)?;
        Ok(Self { identity, caller, control: control.clone() })
    }

    /// Whoever sent this, if they may write there.
    pub(super) fn of<T: Message>(
        control: &Control,
        request: &Request<T>,
        request_id: &[u8],
        resource: &Resource<'_>,
    ) -> Result<Self> {
        let identity = Identity::of(request)?.clone();
        identity.require(Permission::LockWrite, resource)?;
        let caller = Caller::of(request, request_id)?;
        Ok(Self { identity, caller, control: control.clone() })
    }

    /// True if they may use anybody's session.
    pub(super) fn is_admin(&self) -> bool {
        Role::parse(self.identity.role()) == Some(Role::Admin)
    }

    pub(super) const fn control(&self) -> &Control {
        &self.control
    }

    /// The same, to ask anew: whatever the request id was answered before is no answer now.
    #[must_use]
    pub(super) fn anew(&self) -> Self {
        let mut anew = self.clone();
        anew.caller.request_id = Vec::new();
        anew
    }

    /// The same, to take something back: also who lost the lock of the fence may.
    #[must_use]
    pub(super) fn unfenced(&self) -> Self {
        let mut unfenced = self.anew();
        unfenced.caller.fence = None;
        unfenced
    }

    /// Proposes one op; its reply, and where it stands. Applied here when it returns.
    pub(super) async fn propose(&self, op: Op) -> Result<(Reply, WriteInfo)> {
        let room = Room::Coordination(CoordinationOp { op: Some(op) });
        let written = self.control.write(self.caller.clone(), room).await;
        let (result, write) = written.inspect_err(|refusal| self.identity.note(refusal))?;
        match result {
            reply::Result::Coordination(CoordinationReply { reply: Some(reply) }) => {
                Ok((reply, write))
            }
            _ => Err(control::unexpected()),
        }
    }
}
