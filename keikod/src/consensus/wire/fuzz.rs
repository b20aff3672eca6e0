//! Members as no node wrote them, in log records and apply marks.

use super::{decode_members, encode_members, log_id_from_store};
use crate::consensus::types::{Member, Membership};
use crate::fuzz::{check_refusal, mutate};
use crate::store::record;
use keiko_core::refusal::Code;
use std::collections::{BTreeMap, BTreeSet};

const WORDS: &[&str] =
    &["\u{12}\u{2}\u{a}\u{0}", "\u{1a}\u{2}\u{8}\u{1}", "\u{1}", "\u{2}", "\u{7f}", "\u{a}\u{0}"];

/// What is read can be written and says the same; what is not, is a damaged store.
#[test]
fn any_members() {
    let member = |id: u64| (id, Member { name: format!("n{id}"), addr: format!("h{id}:7341") });
    let members = |voters: &[&[u64]]| {
        let nodes: BTreeMap<u64, Member> = (1..=4).map(member).collect();
        let voters = voters.iter().map(|ids| BTreeSet::from_iter(ids.iter().copied())).collect();
        Membership::new(voters, nodes).expect("voters are members")
    };
    let since = log_id_from_store(record::LogId { term: 2, index: 4 });
    let corpus = [
        encode_members(None, &members(&[&[1]])),
        encode_members(Some(&since), &members(&[&[1, 2], &[2, 3]])),
        encode_members(None, &Membership::default()),
    ];
    mutate::run("members", &corpus, WORDS, |bytes| match decode_members(bytes) {
        Ok((since, members)) => {
            let again = decode_members(&encode_members(since.as_ref(), &members));
            assert_eq!(again, Ok((since, members)));
        }
        Err(refusal) => check_refusal(&refusal, &[Code::StoreDamaged]),
    });
}
