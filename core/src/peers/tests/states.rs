//! Which state hashes are right.

use super::super::{Agreement, CHECKPOINTS_MAX, Verdict};
use super::set;

/// Each says a letter at an index; 1 is the own node.
fn agreement(said: &[(u64, u64, u8)]) -> Agreement {
    let mut agreement = Agreement::default();
    for (node, index, letter) in said {
        match node {
            1 => agreement.own(*index, [*letter; 32]),
            _ => agreement.note(*node, *index, [*letter; 32]),
        }
    }
    agreement
}

#[test]
fn the_majority_is_right() {
    let check = |said: &[(u64, u64, u8)], voters: &[u64], expect: Verdict| {
        assert_eq!(agreement(said).verdict(&set(voters), 1), expect, "{said:?} of {voters:?}");
    };
    let minority = |index, others: &[u64]| Verdict::Minority { index, others: set(others) };
    let three = &[1, 2, 3];
    check(&[], three, Verdict::Agreed);
    check(&[(1, 1024, b'a')], three, Verdict::Agreed);
    check(&[(1, 1024, b'a')], &[1], Verdict::Agreed);
    check(&[(1, 1024, b'a'), (2, 1024, b'a'), (3, 1024, b'a')], three, Verdict::Agreed);
    // Another one differs: it stops, not this one.
    check(&[(1, 1024, b'a'), (2, 1024, b'a'), (3, 1024, b'x')], three, Verdict::Agreed);
    check(&[(1, 1024, b'x'), (2, 1024, b'a'), (3, 1024, b'a')], three, minority(1024, &[2, 3]));
    // Two that differ wait for the third, and three that differ have no majority.
    check(&[(1, 1024, b'a'), (2, 1024, b'b')], three, Verdict::Agreed);
    let apart = [(1, 1024, b'a'), (2, 1024, b'b'), (3, 1024, b'c')];
    check(&apart, three, Verdict::NoMajority { index: 1024 });
    check(&apart[..2], &[1, 2], Verdict::NoMajority { index: 1024 });
    let halves = [(1, 1024, b'a'), (2, 1024, b'a'), (3, 1024, b'c'), (4, 1024, b'c')];
    check(&halves, &[1, 2, 3, 4], Verdict::NoMajority { index: 1024 });
    // Only the same index is compared.
    check(&[(1, 1024, b'a'), (2, 2048, b'b'), (3, 3072, b'c')], three, Verdict::Agreed);
    check(&[(1, 1024, b'x'), (2, 2048, b'a'), (3, 2048, b'a')], three, Verdict::Agreed);
    // The latest that can be judged, also if less is known of what follows.
    let behind = [(1, 1024, b'x'), (2, 1024, b'a'), (3, 1024, b'a'), (2, 2048, b'b')];
    check(&behind, three, minority(1024, &[2, 3]));
    let both = [&behind[..], &[(3, 2048, b'b'), (1, 2048, b'y')]].concat();
    check(&both, three, minority(2048, &[2, 3]));
    // A learner is judged and does not judge; who is no member says nothing.
    check(&[(1, 1024, b'x'), (2, 1024, b'a'), (3, 1024, b'a')], &[2, 3], minority(1024, &[2, 3]));
    check(&[(1, 1024, b'a'), (4, 1024, b'x'), (5, 1024, b'x')], &[1], Verdict::Agreed);
    check(
        &[(1, 1024, b'a'), (2, 1024, b'b'), (3, 1024, b'c')],
        &[2, 3],
        Verdict::NoMajority { index: 1024 },
    );
    check(&apart, &[], Verdict::Agreed);
}

#[test]
fn checkpoints_are_bounded_and_can_be_forgotten() {
    let mut agreement = agreement(&[(1, 1024, b'a'), (2, 1024, b'b'), (3, 1024, b'c')]);
    let voters = set(&[1, 2, 3]);
    assert_eq!(agreement.verdict(&voters, 1), Verdict::NoMajority { index: 1024 });
    // One began anew, from the state of another.
    agreement.forget(3);
    assert_eq!(agreement.verdict(&voters, 1), Verdict::Agreed);
    agreement.note(3, 1024, [b'a'; 32]);
    assert_eq!(agreement.verdict(&voters, 1), Verdict::Agreed);
    // What is older than what is kept is not compared any more.
    let mut agreement = Agreement::default();
    assert_eq!(agreement.own_latest(), 0);
    for index in (1..=1000).map(|n| n * 1024) {
        agreement.own(index, [b'x'; 32]);
        assert_eq!(agreement.own_latest(), index);
    }
    let oldest = (1000 - CHECKPOINTS_MAX as u64 + 1) * 1024;
    for (index, expect) in [
        (oldest - 1024, Verdict::Agreed),
        (oldest, Verdict::Minority { index: oldest, others: set(&[2, 3]) }),
    ] {
        [2, 3].iter().for_each(|node| agreement.note(*node, index, [b'a'; 32]));
        assert_eq!(agreement.verdict(&voters, 1), expect);
    }
}
