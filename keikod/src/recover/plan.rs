//! What there is, which node goes on, and what that may cost.

use crate::consensus::MemberView;
use crate::consensus::offline::{Standing, standing};
use crate::lifecycle::Membership;
use crate::net::Keys;
use crate::verify::refuse_running;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::{cluster, security};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whoever founds a cluster, where no note says who this is.
const FOUNDER_ID: u64 = 1;

/// A stopped node.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) folder: PathBuf,
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) cluster_id: String,
    /// True if it can open the authority.
    pub(super) has_key: bool,
    pub(super) standing: Standing,
}

/// Who goes on, and who does not.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Those that were looked at, by id.
    pub(super) candidates: Vec<Candidate>,
    /// Which of them goes on.
    chosen: usize,
    /// Members that were not looked at.
    pub(super) lost: Vec<MemberView>,
}

impl Candidate {
    /// Looks at a folder, and changes nothing.
    pub(super) fn look(folder: &Path) -> Result<Self> {
        refuse_running(folder)?;
        let group = GroupId::CONTROL;
        let (standing, (record, authority, nodes)) = standing(folder, group, |view| {
            let record = cluster::record(view, group);
            (record, security::authority(view, group), cluster::nodes(view, group))
        })?;
        let Some(record) = record else {
            let message = format!("{} holds no state of a cluster", folder.display());
            return Err(refused(message)
                .cause("the node never received it, or its founding was cut")
                .hint("leave this folder out"));
        };
        let noted = Membership::read(folder)?;
        let id = noted.as_ref().map_or(FOUNDER_ID, |noted| noted.node_id);
        let known = nodes.into_iter().find(|node| node.id == id).map(|node| node.name);
        let name =
            known.or_else(|| noted.map(|noted| noted.name)).unwrap_or_else(|| format!("node-{id}"));
        let key_id = authority.and_then(|authority| authority.key).map(|key| key.key_id);
        let keys = folder.join("keys");
        let has_key = key_id.is_some_and(|key_id| {
            // To open the folder would make it.
            keys.is_dir() && Keys::open(&keys).and_then(|keys| keys.load(&key_id)).is_ok()
        });
        let (folder, cluster_id) = (folder.to_owned(), record.cluster_id);
        Ok(Self { folder, id, name, cluster_id, has_key, standing })
    }

    fn votes_in(&self, members: &[MemberView]) -> bool {
        members.iter().any(|member| member.id == self.id && member.votes)
    }

    /// voter, learner, or a dash: no member.
    pub(super) fn role(&self, members: &[MemberView]) -> &'static str {
        match members.iter().find(|member| member.id == self.id) {
            Some(member) if member.votes => "voter",
            Some(_) => "learner",
            None => "-",
        }
    }
}

impl Plan {
    /// The furthest of them goes on: no other holds an entry that it lacks. Of several, one that
    /// votes and has the cluster key.
    pub(super) fn make(mut candidates: Vec<Candidate>) -> Result<Self> {
        candidates.sort_by_key(|candidate| candidate.id);
        check_one_cluster(&candidates)?;
        let furthest = candidates.iter().max_by_key(|candidate| candidate.standing.log_end);
        let furthest = furthest.ok_or_else(|| refused("no data folder is named"))?;
        let (end, members) = (furthest.standing.log_end, furthest.standing.members.clone());
        let voters = furthest.standing.voters.clone();
        let ids: BTreeSet<u64> = candidates.iter().map(|candidate| candidate.id).collect();
        check_quorum_lost(&ids, &voters, &members)?;
        let as_far = candidates.iter().enumerate().filter(|(_, one)| one.standing.log_end == end);
        let best =
            as_far.max_by_key(|(_, one)| (one.votes_in(&members), one.has_key, Reverse(one.id)));
        let chosen = best.map_or(0, |(at, _)| at);
        let one = &candidates[chosen];
        if one.role(&members) == "-" {
            return Err(refused(format!("node {} was removed from its cluster", one.name))
                .cause("its log is the furthest of these, and no longer names it")
                .hint("name the folders of members"));
        }
        let lost = members.into_iter().filter(|member| !ids.contains(&member.id)).collect();
        Ok(Self { candidates, chosen, lost })
    }

    /// Who goes on.
    pub(super) fn chosen(&self) -> &Candidate {
        &self.candidates[self.chosen]
    }

    /// As it knows them.
    pub(super) fn members(&self) -> &[MemberView] {
        &self.chosen().standing.members
    }

    /// Those that are here and do not go on.
    pub(super) fn set_aside(&self) -> Vec<&Candidate> {
        let chosen = self.chosen().id;
        self.candidates.iter().filter(|candidate| candidate.id != chosen).collect()
    }
}

fn check_one_cluster(candidates: &[Candidate]) -> Result<()> {
    for pair in candidates.windows(2) {
        let [one, other] = pair else { continue };
        let places = format!("{} and {}", one.folder.display(), other.folder.display());
        if one.cluster_id != other.cluster_id {
            return Err(refused(format!("{places} are of two clusters"))
                .cause(format!("{} and {}", one.cluster_id, other.cluster_id))
                .hint("name the folders of one cluster"));
        }
        if one.id == other.id {
            return Err(refused(format!("{places} are the same node, {}", one.name))
                .hint("name each node once; of two copies, the one that ran last"));
        }
    }
    Ok(())
}

/// Refuses while those that are here can decide: then nothing need be given up.
fn check_quorum_lost(
    here: &BTreeSet<u64>,
    voters: &[BTreeSet<u64>],
    members: &[MemberView],
) -> Result<()> {
    let decides = |set: &BTreeSet<u64>| set.intersection(here).count() > set.len() / 2;
    if voters.is_empty() || !voters.iter().all(decides) {
        return Ok(());
    }
    let votes = |member: &&MemberView| member.votes && here.contains(&member.id);
    let names: Vec<_> = members.iter().filter(votes).map(|member| member.name.as_str()).collect();
    Err(refused("the quorum is not lost")
        .cause(format!("{} can decide without the others", names.join(", ")))
        .hint("start these nodes: they elect a leader, and lose nothing")
        .hint("then take out who is gone for good: keikoctl node remove NAME"))
}

pub(super) fn refused(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::RecoveryRefused, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::LogId;
    use keiko_core::hash::GENESIS;
    use keiko_core::house::Head;

    /// Voters 1 to `voters`, then learners up to `members`.
    fn candidate(id: u64, end: (u64, u64), voters: u64, members: u64) -> Candidate {
        let view = |id: u64| MemberView {
            id,
            name: format!("n{id}"),
            address: String::new(),
            votes: id <= voters,
        };
        let log_end = Some(LogId { term: end.0, index: end.1 });
        Candidate {
            folder: PathBuf::from(format!("d{id}")),
            id,
            name: format!("n{id}"),
            cluster_id: "c".to_owned(),
            has_key: id <= voters,
            standing: Standing {
                log_end,
                applied: log_end,
                vote: None,
                head: Head { revision: 1, unix_ms: 0, index: end.1, hash: GENESIS, level: 1 },
                members: (1..=members).map(view).collect(),
                voters: vec![(1..=voters).collect()],
            },
        }
    }

    #[test]
    fn every_mix_of_voters_and_learners() {
        // Who is there with which end of the log; who goes on.
        let check = |voters, members, here: &[(u64, (u64, u64))], expect: Option<u64>| {
            let here: Vec<_> =
                here.iter().map(|(id, end)| candidate(*id, *end, voters, members)).collect();
            let plan = Plan::make(here.clone());
            let chosen = plan.as_ref().ok().map(|plan| plan.chosen().id);
            assert_eq!(chosen, expect, "{here:?}: {plan:?}");
            let Ok(plan) = plan else { return };
            assert_eq!(plan.lost.len() + here.len(), members as usize);
            assert_eq!(plan.set_aside().len() + 1, here.len());
        };
        check(3, 3, &[(3, (2, 9))], Some(3));
        check(3, 3, &[(2, (2, 9)), (3, (2, 9))], None);
        check(5, 5, &[(4, (2, 9)), (5, (2, 8))], Some(4));
        check(5, 5, &[(4, (2, 9)), (5, (3, 8))], Some(5));
        check(5, 5, &[(4, (2, 9)), (5, (2, 9))], Some(4));
        check(1, 3, &[(2, (1, 5)), (3, (1, 7))], Some(3));
        check(3, 4, &[(3, (2, 9)), (4, (2, 9))], Some(3));
        check(3, 4, &[(3, (2, 8)), (4, (2, 9))], Some(4));
        check(3, 4, &[(4, (2, 9))], Some(4));
        check(2, 2, &[(1, (1, 5))], Some(1));
        check(1, 1, &[(1, (1, 5))], None);
        check(1, 2, &[(1, (1, 5))], None);
    }

    #[test]
    fn while_the_voters_change_both_sets_count() {
        let mut one = candidate(3, (2, 9), 3, 3);
        one.standing.voters = vec![BTreeSet::from([3]), BTreeSet::from([2, 3])];
        assert_eq!(Plan::make(vec![one.clone()]).unwrap().chosen().id, 3);
        one.standing.voters = vec![BTreeSet::from([3])];
        assert!(Plan::make(vec![one]).is_err());
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let one = candidate(1, (2, 9), 5, 5);
        let code = |here: Vec<Candidate>| Plan::make(here).unwrap_err().code;
        assert_eq!(code(vec![one.clone(), one.clone()]), Code::RecoveryRefused);
        let other = Candidate { cluster_id: "x".to_owned(), ..candidate(2, (2, 9), 5, 5) };
        assert_eq!(code(vec![one.clone(), other]), Code::RecoveryRefused);
        let stranger = Candidate { id: 9, ..one };
        assert_eq!(code(vec![stranger]), Code::RecoveryRefused);
        assert_eq!(code(Vec::new()), Code::RecoveryRefused);
    }
}
