//! Which certificate authorities count, and another one in the place of the one that is. The steps are
//! the leader's (see [`super::authority`]); here they are begun, ended and told.

use super::super::Caller;
use super::super::peers::Peers as _;
use super::authority::Turning;
use super::founding::Local;
use super::nodes::allowed;
use super::service::Service;
use crate::consensus::Group;
use crate::net::{Identity, Permission, ca_expires_ms_of_pem, ca_hash_of_pem};
use keiko_core::limits::{CA_OVERLAP_MS, CA_OVERLAP_MS_MAX, ROTATION_REASON_BYTES_MAX};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    self as wire, AuthorityInfo, ExpelNode, FinishRotation, ListAuthoritiesRequest,
    ListAuthoritiesResponse, RotateAuthority, RotateAuthorityRequest, RotateAuthorityResponse,
    SecurityOp, security_op,
};
use std::time::{Duration, Instant};
use tonic::Request;

/// What a node that was removed may keep the change of the keys waiting for, before the answer says
/// that it goes on.
const TURN_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

const SIGNS: &str = "signs";
const NEXT: &str = "next";
const RETIRING: &str = "retiring";
const FORMER: &str = "former";

impl Service {
    pub(super) fn authorities(
        &self,
        request: &Request<ListAuthoritiesRequest>,
    ) -> Result<ListAuthoritiesResponse> {
        allowed(request, Permission::ClusterRead)?;
        self.all_authorities(&self.control.group()?)
    }

    pub(super) async fn rotate(
        &self,
        request: Request<RotateAuthorityRequest>,
    ) -> Result<RotateAuthorityResponse> {
        let identity = allowed(&request, Permission::ClusterAdmin)?;
        let caller = Caller::of(&request, &request.get_ref().request_id)?;
        let RotateAuthorityRequest { overlap_ms, finish, request_id: _, dry_run } =
            request.into_inner();
        let op = match finish {
            true => security_op::Op::FinishRotation(FinishRotation {}),
            false => security_op::Op::RotateAuthority(RotateAuthority {
                overlap_ms: overlap(overlap_ms)?,
                hurry: false,
                reason: asker(&identity),
            }),
        };
        let room = Room::Security(SecurityOp { op: Some(op) });
        let write = match dry_run {
            true => {
                self.control.dry_run(caller, room).await?;
                wire::WriteInfo::default()
            }
            false => self.control.write(caller, room).await?.1,
        };
        let authorities = Some(self.all_authorities(&self.control.group()?)?);
        Ok(RotateAuthorityResponse { authorities, write: Some(write) })
    }

    /// What is to be proposed to take a node with a vote out.
    pub(super) fn expulsion(id: u64, revoke: bool) -> Room {
        let expel = ExpelNode { id, revoke, overlap_ms: CA_OVERLAP_MS };
        Room::Security(SecurityOp { op: Some(security_op::Op::ExpelNode(expel)) })
    }

    /// Waits until another authority signs, and, if `revoke`, no other one counts. How far it is, in
    /// words; empty: it is done.
    pub(super) async fn turned(&self, group: &Group, revoke: bool) -> Result<String> {
        let until = Instant::now() + TURN_DEADLINE;
        loop {
            let Some(turning) = Turning::of(group.read_now(Local::read)?) else {
                return Ok(String::new());
            };
            let settled = turning.rotation.is_none();
            if settled && (!revoke || turning.signs.retiring.is_empty()) {
                return Ok(String::new());
            }
            let waits_for = self.all_authorities(group)?.waits_for;
            let is_away = |name: &String| self.neighbours.is_down(name);
            let only_away = !waits_for.is_empty() && waits_for.iter().all(is_away);
            if only_away || Instant::now() >= until {
                return Ok(self.standing(group)?.1);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The hash of the CA, and how far a rotation is, in words.
    pub(super) fn standing(&self, group: &Group) -> Result<(String, String)> {
        let all = self.all_authorities(group)?;
        let hash = all.items.first().map(|first| first.hash.clone()).unwrap_or_default();
        let waits = match all.waits_for.is_empty() {
            true => String::new(),
            false => format!(", waits for {}", all.waits_for.join(", ")),
        };
        let retiring = all.items.iter().filter(|item| item.state == RETIRING).count();
        let words = match (all.step.as_str(), retiring) {
            ("", 0) => String::new(),
            ("", 1) => format!("overlap: the CA before still counts{waits}"),
            ("", many) => format!("overlap: {many} CAs before still count{waits}"),
            (step, _) => format!("{step}{waits}"),
        };
        Ok((hash, words))
    }

    fn all_authorities(&self, group: &Group) -> Result<ListAuthoritiesResponse> {
        let revision = group.status().revision;
        let Some(turning) = Turning::of(group.read_now(Local::read)?) else {
            return Ok(ListAuthoritiesResponse { revision, ..ListAuthoritiesResponse::default() });
        };
        let Turning { signs, rotation } = &turning;
        let mut items = vec![self.info_of(SIGNS, &signs.certificate, signs.key.as_ref())?];
        let next = rotation.as_ref().and_then(|rotation| rotation.next.as_ref());
        if let Some(next) = next {
            items.push(self.info_of(NEXT, &next.certificate, next.key.as_ref())?);
        }
        for old in &signs.retiring {
            let info = self.info_of(RETIRING, &old.certificate, None)?;
            items.push(AuthorityInfo { until_ms: old.until_ms, ..info });
        }
        for hash in signs.former.iter().rev() {
            let (hash, state) = (hash.clone(), FORMER.to_owned());
            items.push(AuthorityInfo { hash, state, ..AuthorityInfo::default() });
        }
        let waits_for = match rotation {
            Some(rotation) => self.neighbours.waits_for(group, rotation)?,
            None => self.neighbours.not_renewed(&turning)?,
        };
        let rotation = rotation.clone().unwrap_or_default();
        Ok(ListAuthoritiesResponse {
            items,
            step: rotation.step,
            waits_for,
            reason: rotation.reason,
            hurry: rotation.hurry,
            overlap_ms: rotation.overlap_ms,
            revision,
        })
    }

    fn info_of(
        &self,
        state: &str,
        certificate: &str,
        key: Option<&wire::SealedValue>,
    ) -> Result<AuthorityInfo> {
        let hash = ca_hash_of_pem(certificate).unwrap_or_default();
        let seen = self.neighbours.inner.seen.load();
        let nodes = self.neighbours.read_nodes()?.into_iter();
        let shows = |node: &wire::Node| {
            self.neighbours.told(node.id, &seen).ca_hashes.first() == Some(&hash)
        };
        let nodes = nodes.filter(shows).map(|node| node.name).collect();
        Ok(AuthorityInfo {
            state: state.to_owned(),
            expires_ms: ca_expires_ms_of_pem(certificate).unwrap_or_default(),
            nodes,
            key_id: key.map(|key| key.key_id.clone()).unwrap_or_default(),
            hash,
            until_ms: 0,
        })
    }
}

/// A line as long as the law takes.
fn asker(identity: &Identity) -> String {
    let text = format!("{identity} asked for it");
    text[..text.floor_char_boundary(ROTATION_REASON_BYTES_MAX)].to_owned()
}

fn overlap(asked_ms: u64) -> Result<u64> {
    match asked_ms {
        0 => Ok(CA_OVERLAP_MS),
        asked_ms if asked_ms <= CA_OVERLAP_MS_MAX => Ok(asked_ms),
        _ => Err(Refusal::new(Code::LimitExceeded, "an overlap lasts at most 90 days")
            .hint("keikoctl cluster ca rotate --overlap 7d")),
    }
}
