//! Keeps what this node signs with in line with the state, and, where it leads, takes the steps of a
//! rotation (see the law's).
//!
//! Every member says in its beats which CAs it trusts, which one signed what it shows, and which it can
//! sign with. The leader goes on to the next step when all of them are there, so that nobody ever shows
//! what somebody else does not trust yet.
//!
//! Invariants: only voters hold a cluster key, and each gets it from another one; nothing signs with a
//! CA whose key fewer than a majority of the voters holds.

use super::super::Control;
use super::founding::Local;
use super::neighbours::{Neighbours, Seen};
use crate::consensus::{Group, MemberView};
use crate::net::{Authority, Bundle, Keys};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::security::{STEP_RENEW, STEP_TRUST, STEP_WANTED};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    self as wire, AdvanceAuthority, DropAuthority, SecurityOp, StoreNext, security_op,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// While something is under way, or this node lacks what it needs.
const EVERY: Duration = Duration::from_millis(250);
/// While an authority retires: its end is told by the clock.
const RETIRING_EVERY: Duration = Duration::from_secs(5);
/// Otherwise the state tells; this is for what was missed.
const SETTLED_EVERY: Duration = Duration::from_secs(30);
const KEY_DEADLINE: Duration = Duration::from_secs(5);

/// What the state has of the authorities.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turning {
    pub(super) signs: wire::Authority,
    pub(super) rotation: Option<wire::Rotation>,
}

impl Turning {
    pub(super) fn of(local: Local) -> Option<Self> {
        let Local { authority, rotation, .. } = local;
        Some(Self { signs: authority?, rotation })
    }

    fn bundle(&self) -> Bundle {
        Bundle::of(&self.signs, self.rotation.as_ref())
    }

    /// Every key that is sealed in it, by its cluster key.
    fn key_ids(&self) -> Vec<String> {
        let next = self.rotation.as_ref().and_then(|rotation| rotation.next.as_ref());
        let all = std::iter::once(&self.signs).chain(next);
        all.filter_map(|authority| Some(authority.key.as_ref()?.key_id.clone())).collect()
    }
}

/// The loop.
pub(super) struct Keeper {
    pub(super) control: Control,
    pub(super) neighbours: Neighbours,
    pub(super) keys: Keys,
    /// `D/ca.pem`.
    pub(super) ca_path: PathBuf,
    pub(super) opened: watch::Sender<Option<Arc<Authority>>>,
    /// Which CAs are to stand behind this node's certificate.
    pub(super) wanted: watch::Sender<Vec<String>>,
}

impl Keeper {
    /// Runs until shutdown.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut kept = None;
        let mut revisions: Option<watch::Receiver<u64>> = None;
        loop {
            match (&mut revisions, self.control.group()) {
                (Some(revisions), _) => revisions.mark_unchanged(),
                (none, Ok(group)) => *none = Some(group.revisions()),
                (None, Err(_)) => {}
            }
            let pause = tokio::select! {
                () = shutdown.cancelled() => return,
                pause = self.look(&mut kept) => pause.unwrap_or_else(|refusal| {
                    tracing::debug!(code = %refusal.code, "the authority is not kept: {refusal}");
                    EVERY
                }),
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = changed(&mut revisions), if pause > EVERY => {}
            }
        }
    }

    /// Looks once; how long until the next time.
    async fn look(&self, kept: &mut Option<Turning>) -> Result<Duration> {
        let group = self.control.group()?;
        let Some(turning) = Turning::of(group.read_now(Local::read)?) else { return Ok(EVERY) };
        if kept.as_ref() != Some(&turning) && self.keep(&group, &turning).await? {
            *kept = Some(turning.clone());
        }
        if group.leads() {
            self.step(&group, &turning).await?;
        }
        let Some(kept) = kept.as_ref().filter(|kept| kept.rotation.is_none()) else {
            return Ok(EVERY);
        };
        Ok(match kept.signs.retiring.first() {
            None => SETTLED_EVERY,
            Some(old) if old.hurry => EVERY,
            Some(_) => RETIRING_EVERY,
        })
    }

    /// True once this node can sign with all that there is.
    async fn keep(&self, group: &Group, turning: &Turning) -> Result<bool> {
        let hashes = turning.bundle().hashes();
        self.wanted.send_if_modified(|wanted| {
            let is_other = *wanted != hashes;
            *wanted = hashes;
            is_other
        });
        let trusted = Bundle::trusted_pem(&turning.signs, turning.rotation.as_ref());
        if std::fs::read_to_string(&self.ca_path).ok().as_ref() != Some(&trusted) {
            crate::net::write_public(&self.ca_path, trusted.as_bytes())?;
        }
        let lacks = self.fetch(group, turning).await;
        let authority =
            Authority::open_within(&turning.signs, turning.rotation.as_ref(), &self.keys);
        match authority {
            Ok(authority) => {
                let is_news = self.opened.borrow().as_ref().is_none_or(|opened| {
                    opened.signs_with() != authority.signs_with()
                        || opened.bundle() != authority.bundle()
                });
                if is_news {
                    tracing::info!(with = ?authority.signs_with(), "this node can sign");
                    self.opened.send_replace(Some(Arc::new(authority)));
                }
            }
            // What it could sign until now may count no more.
            Err(refusal) => {
                if self.opened.send_if_modified(|opened| opened.take().is_some()) {
                    tracing::warn!(code = %refusal.code, "this node can't sign: {refusal}");
                }
                return lacks.and(Ok(false));
            }
        }
        lacks.map(|()| true)
    }

    /// Gets the cluster keys that this node lacks and may have.
    async fn fetch(&self, group: &Group, turning: &Turning) -> Result<()> {
        let own = self.control.consensus().node_id();
        let members = group.members();
        for key_id in turning.key_ids() {
            if self.keys.load(&key_id).is_ok() {
                continue;
            }
            if !members.iter().any(|member| member.votes && member.id == own) {
                return Err(Refusal::new(Code::NotReady, "a node without a vote gets no key"));
            }
            let key = self.ask(&members, &key_id).await?;
            self.keys.keep(&key_id, &key)?;
        }
        Ok(())
    }

    async fn ask(&self, members: &[MemberView], key_id: &str) -> Result<Vec<u8>> {
        let own = self.control.consensus().node_id();
        let mut last = Err(Refusal::new(Code::NotReady, "no other node has a vote"));
        for voter in members.iter().filter(|member| member.votes && member.id != own) {
            last = self.neighbours.cluster_key(voter, key_id, KEY_DEADLINE).await;
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// What the leader does: one step at most.
    async fn step(&self, group: &Group, turning: &Turning) -> Result<()> {
        let due = match &turning.rotation {
            Some(rotation) if rotation.step == STEP_WANTED => self.make(group)?,
            Some(rotation) => self.neighbours.is_over(group, rotation)?.then(|| {
                let hash = rotation.next.as_ref().map(|next| next.hash.clone());
                security_op::Op::AdvanceAuthority(AdvanceAuthority {
                    step: rotation.step.clone(),
                    hash: hash.unwrap_or_default(),
                })
            }),
            None => None,
        };
        let due = match due {
            None => self.dropped(turning)?,
            due => due,
        };
        let Some(op) = due else { return Ok(()) };
        let room = Room::Security(SecurityOp { op: Some(op) });
        self.control.write(self.control.as_node(), room).await.map(drop)
    }

    /// The next authority, once whoever is not to know it has left the group.
    fn make(&self, group: &Group) -> Result<Option<security_op::Op>> {
        let nodes = self.neighbours.read_nodes()?;
        let left =
            group.members().iter().all(|member| nodes.iter().any(|node| node.id == member.id));
        let opened = self.opened.borrow().clone();
        let Some(opened) = opened.filter(|_| left && !group.is_changing()) else {
            return Ok(None);
        };
        let authority = Some(opened.create_next(&self.keys)?);
        let before_hash = opened.ca_hash().to_owned();
        Ok(Some(security_op::Op::StoreNext(StoreNext { authority, before_hash })))
    }

    /// The authority whose overlap is over.
    fn dropped(&self, turning: &Turning) -> Result<Option<security_op::Op>> {
        let now_ms = self.control.now_ms();
        let is_over = |old: &&wire::RetiringAuthority| old.until_ms <= now_ms;
        let Some(old) = turning.signs.retiring.iter().find(is_over) else { return Ok(None) };
        let is_everybody = self.neighbours.not_renewed(turning)?.is_empty();
        Ok(is_everybody.then(|| {
            let hash = old.hash.clone();
            security_op::Op::DropAuthority(DropAuthority { hash })
        }))
    }
}

/// Returns when something was applied, and a moment later.
async fn changed(revisions: &mut Option<watch::Receiver<u64>>) {
    let ended = match revisions {
        Some(revisions) => revisions.changed().await.is_err(),
        None => true,
    };
    if ended {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(EVERY).await;
}

/// What a member says of its CAs.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// That it trusts; first that of its certificate.
    pub(super) ca_hashes: Vec<String>,
    pub(super) signs_with: Vec<String>,
    is_heard: bool,
}

impl Neighbours {
    /// What a member says of its CAs, as far as it was heard.
    pub(super) fn told(&self, id: u64, seen: &Seen) -> Told {
        let inner = &self.inner;
        if id == inner.own_id() {
            let ca_hashes = inner.about.certificates.ca_hashes();
            return Told { ca_hashes, signs_with: (inner.about.signs_with)(), is_heard: true };
        }
        let state = inner.lock();
        let Some(heard) = state.peers.get(&id) else { return Told::default() };
        Told {
            ca_hashes: heard.beat.ca_hashes.clone(),
            signs_with: heard.beat.signs_with.clone(),
            is_heard: state.hears(id) && !seen.down.contains(&id),
        }
    }

    /// The names of those for whom it is not so; in a hurry, of those who are heard.
    pub(super) fn missing(
        &self,
        nodes: &[wire::Node],
        hurry: bool,
        is_so: impl Fn(&Told) -> bool,
    ) -> Vec<String> {
        let seen = self.inner.seen.load();
        let is_missing = |node: &&wire::Node| {
            let told = self.told(node.id, &seen);
            !is_so(&told) && (told.is_heard || !hurry)
        };
        nodes.iter().filter(is_missing).map(|node| node.name.clone()).collect()
    }

    /// Who shows a certificate of an authority that retires: it is not dropped before they have
    /// another one.
    pub(super) fn not_renewed(&self, turning: &Turning) -> Result<Vec<String>> {
        let Some(old) = turning.signs.retiring.first() else { return Ok(Vec::new()) };
        let signer = turning.bundle().hashes().into_iter().next();
        let shows = |told: &Told| signer.is_some() && told.ca_hashes.first() == signer.as_ref();
        Ok(self.missing(&self.read_nodes()?, old.hurry, shows))
    }

    /// Whom the step of a rotation waits for.
    pub(super) fn waits_for(
        &self,
        group: &Group,
        rotation: &wire::Rotation,
    ) -> Result<Vec<String>> {
        let nodes = self.read_nodes()?;
        let next = rotation.next.as_ref().map(|next| next.hash.clone()).unwrap_or_default();
        let has = |all: &[String]| all.contains(&next);
        let mut missing = match rotation.step.as_str() {
            STEP_TRUST => self.missing(&nodes, rotation.hurry, |told| has(&told.ca_hashes)),
            STEP_RENEW => {
                self.missing(&nodes, rotation.hurry, |told| told.ca_hashes.first() == Some(&next))
            }
            _ => Vec::new(),
        };
        let voters: Vec<u64> =
            group.members().iter().filter(|member| member.votes).map(|member| member.id).collect();
        let voting: Vec<wire::Node> =
            nodes.into_iter().filter(|node| voters.contains(&node.id)).collect();
        let seen = self.inner.seen.load();
        let holding =
            voting.iter().filter(|node| has(&self.told(node.id, &seen).signs_with)).count();
        if rotation.step != STEP_WANTED {
            let hurry = rotation.hurry && holding > voters.len() / 2;
            missing.extend(self.missing(&voting, hurry, |told| has(&told.signs_with)));
        }
        missing.sort();
        missing.dedup();
        Ok(missing)
    }

    /// True once everybody is there.
    fn is_over(&self, group: &Group, rotation: &wire::Rotation) -> Result<bool> {
        Ok(self.waits_for(group, rotation)?.is_empty())
    }
}
