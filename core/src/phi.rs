//! Phi accrual: how unlikely a silence is, judged by the rhythm of the beats before it.
//!
//! `phi = -log10(1 - F(elapsed))`, where F is the normal distribution with the mean of the window's
//! intervals and their deviation (of the population, and at least a floor). A phi of 8 is a silence
//! that one beat of 10^8 makes. (Hayashibara et al., "The φ accrual failure detector", 2004.)
//!
//! The tail is taken by its logarithm, and so is exact where it is no float any more. The logistic
//! curve that others use instead gives twice as much out there.
//!
//! Pure, but no part of replicated state: these are floats, and machines may differ in the last bit.

use std::collections::VecDeque;
use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LN_10, PI, SQRT_2};

/// The intervals that a window keeps: 25 s of four beats a second.
pub const WINDOW_INTERVALS_MAX: usize = 100;

/// The floor of the deviation, unless somebody asks for another: what a busy scheduler of two cores
/// adds. Without it a peer that beats like a clock would be suspected for one slow packet.
pub const DEVIATION_MS_MIN: f64 = 100.0;

/// From so many deviations on, the continued fraction; below, the series. Both are good to 12
/// digits here.
const FRACTION_FROM: f64 = 3.0;
/// At three deviations 50 terms reach the last digit, further out fewer do.
const FRACTION_TERMS: u32 = 60;
/// Below three deviations 45 terms do.
const SERIES_TERMS_MAX: u32 = 100;

/// The last intervals between the beats of one peer.
#[derive(Clone, Debug)]
pub struct Window {
    intervals_ms: VecDeque<f64>,
    deviation_ms_min: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(DEVIATION_MS_MIN)
    }
}

impl Window {
    /// An empty one. A floor below a millisecond counts as one.
    pub fn new(deviation_ms_min: f64) -> Self {
        Self {
            intervals_ms: VecDeque::with_capacity(WINDOW_INTERVALS_MAX),
            deviation_ms_min: deviation_ms_min.max(1.0),
        }
    }

    /// Takes one more interval in, and the oldest out when it is full.
    pub fn push(&mut self, interval_ms: f64) {
        if self.intervals_ms.len() == WINDOW_INTERVALS_MAX {
            self.intervals_ms.pop_front();
        }
        self.intervals_ms.push_back(interval_ms);
    }

    /// How unlikely a silence of `elapsed_ms` is: 0 without any interval, 0.3 at the mean.
    pub fn phi(&self, elapsed_ms: f64) -> f64 {
        if self.intervals_ms.is_empty() {
            return 0.0;
        }
        let count = self.intervals_ms.len() as f64;
        let mean = self.intervals_ms.iter().sum::<f64>() / count;
        let variance = self.intervals_ms.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / count;
        -ln_tail((elapsed_ms - mean) / variance.sqrt().max(self.deviation_ms_min)) / LN_10
    }
}

/// ln(1 - F(z)), the logarithm of the normal distribution's upper tail.
fn ln_tail(z: f64) -> f64 {
    if z < 0.0 {
        // The other side is 1 - tail: with ln_1p a tail of 10^-300 is still not nothing.
        return (-ln_tail(-z).exp()).ln_1p();
    }
    let x = z / SQRT_2;
    if z < FRACTION_FROM {
        return ((1.0 - erf(x)) / 2.0).ln();
    }
    // erfc(x) = e^(-x²) / √π / (x + (1/2) / (x + (2/2) / (x + (3/2) / (x + …)))), from the end.
    // (Abramowitz and Stegun, 7.1.14.)
    let fraction = (1..=FRACTION_TERMS).rev().fold(x, |sum, n| x + f64::from(n) / 2.0 / sum);
    -x * x - PI.ln() / 2.0 - fraction.ln() - LN_2
}

/// The error function of 0 ≤ x < 3: `2/√π e^(-x²) Σ 2ⁿ x^(2n+1) / (1·3·5…(2n+1))`, in which nothing
/// is taken away from anything. (Abramowitz and Stegun, 7.1.6.)
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..=SERIES_TERMS_MAX {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
        if term < sum * f64::EPSILON / 2.0 {
            break;
        }
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::LOG10_2;

    // -log10 of the tail beyond z deviations, by arithmetic of 60 digits.
    const TAILS: &[(f64, f64)] = &[
        (-30.0, 2.130958782838292e-198),
        (-8.0, 2.7017288495439214e-16),
        (-3.0, 0.0005866493137900667),
        (-1.0, 0.07502601295781802),
        (-0.25, 0.22278615325455725),
        (0.0, LOG10_2),
        (0.25, 0.39653768609432066),
        (1.0, 0.7995455414919705),
        (2.0, 1.643016080140937),
        (2.5, 2.206931805795301),
        (2.99, 2.8554608999050344),
        (3.0, 2.869699035929369),
        (3.01, 2.883977537048496),
        (4.0, 4.499334907556479),
        (5.612, 7.999996876659293),
        (8.0, 15.206142551017155),
        (13.5, 41.106859489916644),
        (20.0, 88.56009534307559),
        (38.0, 315.5397897039625),
        (100.0, 2173.8715428690343),
        (1000.0, 217150.6400419944),
    ];

    fn window(intervals_ms: impl IntoIterator<Item = f64>) -> Window {
        let mut window = Window::default();
        intervals_ms.into_iter().for_each(|ms| window.push(ms));
        window
    }

    #[test]
    fn the_tail_is_exact_near_and_far() {
        for (z, expect) in TAILS {
            let got = -ln_tail(*z) / LN_10;
            assert!((got - expect).abs() <= 1e-12 * expect, "z {z}: {got:e}, not {expect:e}");
        }
    }

    #[test]
    fn the_tail_falls_without_a_step() {
        let mut before = f64::INFINITY;
        for step in -4000..4000 {
            let tail = ln_tail(f64::from(step) / 100.0);
            assert!(tail <= before, "at {step}: {tail} after {before}");
            before = tail;
        }
        let (below, above) = (FRACTION_FROM - 1e-9, FRACTION_FROM + 1e-9);
        assert!((ln_tail(below) - ln_tail(above)).abs() < 1e-8);
    }

    #[test]
    fn phi_of_known_silences() {
        let steady = window([1000.0; 20]);
        for (elapsed_ms, expect) in [(1000.0, LOG10_2), (1200.0, 1.6430), (1500.0, 6.5426)] {
            let got = steady.phi(elapsed_ms);
            assert!((got - expect).abs() < 1e-4, "{elapsed_ms}: {got}");
        }
        assert_eq!(window([]).phi(60_000.0), 0.0, "nothing is known of its rhythm");
        assert!(window([250.0]).phi(3600.0 * 1000.0).is_finite());
        assert!(window([250.0]).phi(0.0) < 0.01);
        // Beats as of a clock, and no floor asked for.
        let mut bare = Window::new(0.0);
        bare.push(250.0);
        assert!((bare.phi(250.0) - LOG10_2).abs() < 1e-12);
    }

    #[test]
    fn a_window_forgets_what_is_older() {
        let mut window = window([60_000.0; 3]);
        assert!(window.phi(2000.0) < 1.0);
        (0..WINDOW_INTERVALS_MAX).for_each(|_| window.push(250.0));
        assert_eq!(window.intervals_ms.len(), WINDOW_INTERVALS_MAX);
        assert!(window.phi(2000.0) > 60.0);
    }
}
