//! Power of two choices: of two candidates at random, the less loaded one.
//!
//! It needs no agreement between those who choose, follows load that is a little old, and never
//! sends everybody to the one that looked idle (Mitzenmacher, 2001).

use super::{Candidate, Standing};

/// Chooses among the best that may be called: those that are ready, and only if there is none
/// those that are degraded. `pressure` is what a candidate would suffer from one more call; it is
/// asked for two of them at most. `dice` is a random number.
pub fn choose(
    candidates: &[Candidate<'_>],
    dice: u64,
    mut pressure: impl FnMut(&Candidate<'_>) -> u64,
) -> Option<usize> {
    let standings = candidates.iter().map(|candidate| candidate.owner.standing);
    let best = standings.clone().filter(|standing| standing.is_callable()).min()?;
    let of_best = |rank: u64| nth(standings.clone(), best, rank);
    let count = standings.clone().filter(|standing| *standing == best).count() as u64;
    let (high, low) = (dice >> 32, dice & u64::from(u32::MAX));
    let one = low % count;
    let first = of_best(one)?;
    if count == 1 {
        return Some(first);
    }
    // Another one: as many steps further as there are others.
    let other = (one + 1 + high % (count - 1)) % count;
    let second = of_best(other)?;
    let better = pressure(&candidates[second]) < pressure(&candidates[first]);
    Some(if better { second } else { first })
}

fn nth(standings: impl Iterator<Item = Standing>, best: Standing, rank: u64) -> Option<usize> {
    let ranked = standings.enumerate().filter(|(_, standing)| *standing == best);
    ranked.map(|(at, _)| at).nth(usize::try_from(rank).ok()?)
}
